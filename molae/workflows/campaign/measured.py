"""Measured values from a table: which molecule has which, and what cannot be used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molae.chem.molecules import MoleculeError, read
from molae.datasets.columns import asked_column, listed, plain
from molae.datasets.files import DataError
from molae.datasets.readers import BadLine, Record
from molae.datasets.sources import file_format
from molae.workflows.criteria import canonical_many
from molae.workflows.reading import Input, worker_count

#: Names of value columns, the likeliest first, as ``plain`` spells them.
VALUE_NAMES = ("score", "value", "measured", "measurement", "result", "activity", "target")
#: The only one that is a score where an oracle gives the others: an activity is no QED.
SCORE_NAMES = VALUE_NAMES[:1]
#: Rejects that are kept to be shown.
SHOWN = 5


@dataclass
class Measured:
    """What a table says.

    Attributes:
        values: Values of each text, in the order of the table. Texts are canonical SMILES, or as
            they stand where the language is another. Where no values are asked for, the lists are
            empty.
        column: The column of values, or None.
        others: All columns but that of the texts.
        unmeasured: Rows without a value.
        rejected: Rows that cannot be used.
        reasons: How many of these by reason.
        first: The first of them, with lines and reasons.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    column: str | None = None
    others: list[str] = field(default_factory=list)
    unmeasured: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first: list[BadLine] = field(default_factory=list)


def read_measured(
    path: str | Path,
    *,
    molecules: bool = True,
    column: str | None = None,
    value: str | None = None,
    names: Sequence[str] = VALUE_NAMES,
    needed: bool = True,
    workers: int | None = None,
    rejects: str | Path | None = None,
) -> Measured:
    """Read texts and their values from a file.

    Args:
        path: A table with a column of texts and one of values; without values also a list.
        molecules: Whether texts are SMILES; else each is taken as it stands.
        column: The column of texts; guessed if None.
        value: The column of values; by default the one that is called as such columns are.
        names: What these are called, the likeliest first, as ``plain`` spells them.
        needed: Whether there must be values; else a file without such a column gives texts only.
        workers: Processes that read molecules; None for one a core.
        rejects: Where to write what could not be used, and why.

    Raises:
        DataError: The file cannot be read, or has no such column.
    """
    found, count = Measured(), worker_count(workers)
    # In a list of expressions blanks are part of the text; a table has its cells.
    whole = not molecules and column is None and file_format(path) in (None, "smi")
    with Input(path, column, rejects, whole_lines=whole) as given:
        reader = given.reader
        found.others = [name for name in reader.columns or () if name != reader.column]
        found.column = _value_column(reader.name, found.others, value, names, needed)
        for records in given.chunks():
            texts = [record.smiles.strip() for record in records]
            spelt = list(canonical_many(texts, count)) if molecules else texts
            for record, text in zip(records, spelt, strict=True):
                reason = _take(found, record, text)
                if reason is not None:
                    bad = BadLine(record.line, record.smiles, reason)
                    given.refuse(bad)
                    found.first += [bad] if len(found.first) < SHOWN else []
        found.rejected = given.rejected.count
        found.reasons = dict(given.rejected.reasons.most_common())
    return found


def _take(found: Measured, record: Record, text: str | None) -> str | None:
    """Note what a row says; why it cannot be used, or None."""
    if text is None:
        return _no_molecule(record.smiles)
    value = _value(record, found.column)
    if isinstance(value, str):
        return value
    if value is not None:
        found.values.setdefault(text, []).append(value)
    elif found.column is None:
        found.values.setdefault(text, [])
    else:
        found.unmeasured += 1
    return None


def _value_column(
    source: str, columns: Sequence[str], wanted: str | None, known: Sequence[str], needed: bool
) -> str | None:
    """The column of values, by its name or by what such columns are known to be called.

    Raises:
        DataError: There is none, and one is asked for or needed.
    """
    if wanted is not None:
        return columns[asked_column(source, columns, wanted)]
    names = [plain(name) for name in columns]
    for name in known:
        if name in names:
            return columns[names.index(name)]
    if not needed:
        return None
    there = listed(columns) if columns else "It has no columns but that of the molecules."
    raise DataError(
        f"{source}: no column looks like measured values. {there} Say which one it is "
        "(--value NAME)."
    )


def _value(record: Record, column: str | None) -> float | str | None:
    """The value of a row; None where there is none, a sentence where it is no number."""
    if column is None or record.row is None:
        return None
    cell = record.row[column]
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return number(str(cell))


def number(text: str) -> float | str | None:
    """A cell as a number; None where it is blank, and why it is none otherwise."""
    text = text.strip()
    if not text:
        return None
    try:
        value = math.nan if "_" in text else float(text)  # Python would take 1_000
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    hint = ""
    if text.count(",") == 1 and text.replace(",", "").lstrip("+-").isdigit():
        hint = f"; write {text.replace(',', '.')}"
    return f"no finite number: {text[:40]!r}{hint}"


def _no_molecule(smiles: str) -> str:
    """Why a text is no molecule."""
    try:
        read(smiles)
    except MoleculeError as error:
        return error.reason + (f": {error.detail}" if error.detail else "")
    return "no molecule"


def nothing_measured(path: str | Path, found: Measured) -> str:
    """The sentence where a table has no value that can be used."""
    lines = "; ".join(f"line {bad.line}, {bad.text[:40]!r}: {bad.reason}" for bad in found.first)
    rejected = f", {found.rejected:,} that cannot be used ({lines})" if found.rejected else ""
    return (
        f"{path}: there is no value in column {found.column!r} that could be used: "
        f"{found.unmeasured:,} rows without one{rejected}"
    )


def chosen(
    values: dict[str, float | None], limit: int, seed: int, *, minimize: bool = False
) -> Iterator[str]:
    """At most ``limit`` texts of a start set, in their order.

    Of more, a fifth are the best ones and the others are drawn from the rest, as the 2,000 best
    and 8,000 others of weighted retraining (Tripp et al. 2020): those that are no good tell a
    surrogate what to avoid. Without scores, all are drawn.

    Args:
        values: Score of each text, or None.
        limit: How many, at least 1.
        seed: Of the draw.
        minimize: Low scores are the good ones.
    """
    texts = list(values)
    if len(texts) <= limit:
        yield from texts
        return
    sign = 1.0 if minimize else -1.0
    scored = [i for i, text in enumerate(texts) if values[text] is not None]
    order = sorted(scored, key=lambda i: (sign * (values[texts[i]] or 0.0), i))
    best = order[: limit // 5]
    rest = np.setdiff1d(np.arange(len(texts)), best)
    drawn = np.random.default_rng(seed).choice(rest, limit - len(best), replace=False)
    yield from (texts[i] for i in sorted([*best, *drawn.tolist()]))


def mean(values: Sequence[float]) -> float:
    """The mean of replicates."""
    return float(np.mean(values))
