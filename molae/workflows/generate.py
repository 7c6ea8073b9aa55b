"""New molecules in any number, with duplicates, filters and requirements counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from molae.chem.filters import first_failure
from molae.chem.molecules import canonical, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement, first_unmet, parse_requirements
from molae.chem.workers import map_chunks
from molae.datasets.readers import read as read_file
from molae.datasets.splits import text_key
from molae.names import FILTERS, PROPERTIES, pick
from molae.runs.run import Run
from molae.workflows.keys import KeySet
from molae.workflows.reading import chunks, worker_count

Row = dict[str, Any]

#: Where some draws are dropped: at most so many draws for each molecule that was asked for.
PATIENCE = 100


@dataclass
class Counts:
    """What became of the draws, one by one, as far as the one that gave the last molecule.

    ``drawn`` is ``written`` and all that was dropped, and does not depend on the batch.

    Attributes:
        asked: Molecules asked for.
        drawn: Draws looked at.
        written: Molecules given.
        invalid: Draws that RDKit does not read; 0 under a grammar that promises.
        duplicates: Draws that were given before, if only unique ones are wanted.
        excluded: Draws that are in a file of molecules that are not wanted.
        filtered: Draws that a filter refused, by filter.
        unmet: Draws that fail a requirement, by requirement.
        exhausted: Fewer than asked for were found in ``max_draws``.
    """

    asked: int
    drawn: int = 0
    written: int = 0
    invalid: int = 0
    duplicates: int = 0
    excluded: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    unmet: Counter[str] = field(default_factory=Counter)
    exhausted: bool = False

    def lines(self) -> list[tuple[str, int]]:
        """What was dropped and why, the largest first; empty where nothing was."""
        found = {
            "not valid": self.invalid,
            "duplicate": self.duplicates,
            "excluded": self.excluded,
            **{f"filter {name}": count for name, count in self.filtered.items()},
            **{f"not {name}": count for name, count in self.unmet.items()},
        }
        kept = [(reason, count) for reason, count in found.items() if count]
        return sorted(kept, key=lambda line: -line[1])


class Generation(Iterator[Row]):
    """The rows of ``generate``, one at a time, and the counts so far.

    Attributes:
        counts: Up to date with the rows that were given.
        columns: Names and types of a row's cells.
    """

    def __init__(self, rows: Iterator[Row], counts: Counts, columns: dict[str, type]) -> None:
        self._rows = rows
        self.counts = counts
        self.columns = columns

    def __next__(self) -> Row:
        return next(self._rows)


@dataclass
class _Wish:
    """What a molecule must be, and what is told of it."""

    unique: bool
    excluded: KeySet
    filters: list[str]
    requirements: list[Requirement]
    properties: list[str]
    seen: KeySet = field(default_factory=KeySet)

    @property
    def drops(self) -> bool:
        """Whether draws may be dropped."""
        return bool(self.unique or self.excluded or self.filters or self.requirements)

    @property
    def judges(self) -> bool:
        """Whether RDKit must look at each molecule."""
        return bool(self.filters or self.requirements or self.properties)


def generate(
    run: Run,
    n: int,
    *,
    seed: int = 0,
    temperature: float | None = None,
    density: str | None = None,
    unique: bool = False,
    exclude: Sequence[str | Path] = (),
    exclude_column: str | None = None,
    filters: Sequence[str] = (),
    requirements: Sequence[str] = (),
    properties: Sequence[str] = (),
    batch: int = 4096,
    workers: int | None = None,
    max_draws: int | None = None,
) -> Generation:
    """n molecules as canonical isomeric SMILES, streamed.

    The i-th draw depends on the run, the seed and i only. Memory does not grow with n, but for
    ``unique``, which remembers 8 bytes of each molecule (and 16 for moments), and ``exclude``,
    which remembers as much of each molecule that is not wanted.

    Args:
        run: The model.
        n: Molecules wanted; what is dropped is drawn again.
        seed: Of codes and draws.
        temperature: Of p(x|z); None or 0 takes the most likely rule at every step.
        density: What codes are drawn from, see ``molae.names.DENSITIES``.
        unique: Give no molecule twice.
        exclude: Files of molecules not to give.
        exclude_column: SMILES column of those.
        filters: Names out of ``molae.names.FILTERS`` that molecules must pass.
        requirements: Such as ``"mw<500"``.
        properties: Names out of ``molae.names.PROPERTIES``, a column each.
        batch: Draws at once.
        workers: Processes that look at molecules; None for one a core.
        max_draws: Give up after so many; by default ``PATIENCE`` times n.

    Raises:
        ValueError: Something is unknown or makes no sense; nothing has been drawn then.
        DataError: An excluded file cannot be read.
    """
    if n < 0 or batch < 1:
        raise ValueError(f"n is {n} and batch {batch}; expected at least 0 and 1")
    if not run.molecules and (filters or requirements or properties or exclude):
        raise ValueError(
            "this run writes no molecules: filters, requirements, properties and exclusions do "
            "not apply"
        )
    count = worker_count(workers)
    run.density(density)
    wish = _Wish(
        unique,
        excluded_keys(exclude, exclude_column, count),
        [pick(FILTERS, name, "filter") for name in filters],
        parse_requirements(requirements),
        [pick(PROPERTIES, name, "property") for name in properties],
    )
    counts = Counts(n)
    limit = max_draws if max_draws is not None else PATIENCE * n
    draws = _draws(run, counts, wish, seed, temperature, density, batch, limit)
    rows = _rows(draws, counts, wish, count)
    columns: dict[str, type] = {"smiles": str} | dict.fromkeys(wish.properties, float)
    return Generation(rows, counts, columns)


def excluded_keys(
    files: Sequence[str | Path], column: str | None = None, workers: int = 1
) -> KeySet:
    """Keys of the canonical SMILES in files; lines that RDKit does not read are no molecules."""
    keys = KeySet()
    for file in files:
        with read_file(file, column, reject=lambda _bad: None) as reader:
            for piece in chunks((record.smiles for record in reader), 20_000):
                for texts in map_chunks(_canonical_chunk, piece, workers):
                    for text in texts:
                        if text is not None:
                            keys.add(text_key(text))
    return keys


def _canonical_chunk(texts: Sequence[str | None]) -> list[str | None]:
    return [None if text is None else canonical(text) for text in texts]


def _draws(
    run: Run,
    counts: Counts,
    wish: _Wish,
    seed: int,
    temperature: float | None,
    density: str | None,
    batch: int,
    limit: int,
) -> Iterator[list[str | None]]:
    """Draws, some at a time, until enough have passed or the limit is reached."""
    start = 0
    while counts.written < counts.asked:
        left = counts.asked - counts.written
        # A full batch where some may be dropped: decoding is fastest in full tiles.
        size = min(batch, limit - start, batch if wish.drops else left)
        if size < 1:
            counts.exhausted = True
            return
        yield run.sample(
            size,
            seed,
            density=density,
            temperature=temperature,
            start=start,
            canonical=False,
        )
        start += size


def _rows(
    draws: Iterator[list[str | None]], counts: Counts, wish: _Wish, workers: int
) -> Iterator[Row]:
    for texts in draws:
        spelt: list[str | None] = []
        for piece in map_chunks(_canonical_chunk, texts, workers):
            spelt += piece
        faults = [_fault(text, wish) for text in spelt]
        wanted = [t for t, fault in zip(spelt, faults, strict=True) if not fault and t is not None]
        judged = _judged(wanted, wish, workers)
        # One draw after another, so that what comes after the last molecule is not counted.
        for fault in faults:
            counts.drawn += 1
            if fault:
                setattr(counts, fault, getattr(counts, fault) + 1)
                continue
            row = _row(next(judged), counts, wish)
            if row is not None:
                counts.written += 1
                yield row
                if counts.written == counts.asked:
                    return


def _fault(text: str | None, wish: _Wish) -> str:
    """The field of ``Counts`` for a draw that is not valid, excluded or a duplicate; else ""."""
    if text is None:
        return "invalid"
    if not wish.excluded and not wish.unique:
        return ""
    key = text_key(text)
    if key in wish.excluded:
        return "excluded"
    if wish.unique and not wish.seen.add(key):
        return "duplicates"
    return ""


#: A molecule, what dropped it and by which name, and its properties if nothing did.
_Verdict = tuple[str, str, str, list[float]]


def _judged(texts: Sequence[str], wish: _Wish, workers: int) -> Iterator[_Verdict]:
    """What filters and requirements say, a few hundred molecules at a time."""
    if not wish.judges:
        yield from ((text, "", "", []) for text in texts)
        return
    judge = partial(
        _judge_chunk,
        filters=wish.filters,
        requirements=wish.requirements,
        properties=wish.properties,
    )
    for piece in map_chunks(judge, texts, workers, chunk=250):
        yield from piece


def _row(verdict: _Verdict, counts: Counts, wish: _Wish) -> Row | None:
    """The row of a molecule that passed; counts one that did not."""
    text, kind, reason, values = verdict
    if kind == "filter":
        counts.filtered[reason] += 1
    elif kind == "requirement":
        counts.unmet[reason] += 1
    else:
        return {"smiles": text, **dict(zip(wish.properties, values, strict=True))}
    return None


def _judge_chunk(
    texts: Sequence[str],
    filters: list[str],
    requirements: list[Requirement],
    properties: list[str],
) -> list[_Verdict]:
    return [_judge(text, filters, requirements, properties) for text in texts]


def _judge(
    text: str, filters: list[str], requirements: list[Requirement], properties: list[str]
) -> _Verdict:
    sheet = Sheet(read(text))
    # Filters last: they cost most, and requirements are usually simple numbers.
    unmet = first_unmet(requirements, sheet)
    if unmet is not None:
        return text, "requirement", str(unmet), []
    failed = first_failure(sheet.mol, filters)
    if failed is not None:
        return text, "filter", failed, []
    return text, "", "", [sheet[name] for name in properties]
