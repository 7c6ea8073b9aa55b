"""Properties of the molecules in a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import score
from molae.datasets.readers import BadLine, Record, row_of
from molae.names import PROPERTIES, pick
from molae.workflows.output import open_output
from molae.workflows.reading import Input, bar, worker_count


@dataclass
class Scored:
    """What ``score_file`` did.

    Attributes:
        written: Molecules scored.
        rejected: Lines that hold none.
        reasons: How many of these by reason.
        means: Of each property.
    """

    written: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)


def score_file(
    source: str | Path,
    target: str | Path,
    properties: Sequence[str],
    *,
    column: str | None = None,
    rejects: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Scored:
    """A table of the molecules in a file with their properties.

    The columns of a table (fields of an SDF file) are kept; its SMILES column is called
    ``smiles``, and a column that is called as a property is written anew. A list has a column
    ``name`` if one of its first few thousand molecules has a name.

    Args:
        source: A molecule file, or ``-``.
        target: Where to write; see ``open_output``.
        properties: Names out of ``molae.names.PROPERTIES``.
        column: SMILES column of a table.
        rejects: Where to write what is no molecule.
        workers: Processes; None for one a core.
        progress: Show a bar.

    Raises:
        ValueError: Unknown property, with the closest names.
        DataError: A file cannot be read or written, or there is no molecule in it.
    """
    names = [pick(PROPERTIES, name, "property") for name in properties]
    if not names:
        raise ValueError("no property is named; choose from " + ", ".join(PROPERTIES))
    count = worker_count(workers)
    done, sums = Scored(), np.zeros(len(names))
    with Input(source, column, rejects) as given, bar("scoring", progress) as show:
        pieces = given.chunks()
        first = next(pieces, [])
        columns = _columns(given, first, names)
        with open_output(target, columns, legend=lambda row: _legend(row, names)) as out:
            for records in chain([first], pieces):
                values = score([record.smiles for record in records], names, count)
                table = np.stack([values[name] for name in names], 1)  # (n, P)
                for record, row in zip(records, table, strict=True):
                    if np.isnan(row).all():
                        given.refuse(_why(record))
                        continue
                    cells = dict(zip(names, row.tolist(), strict=True))
                    out.write(_cells(record, given.reader.column, columns) | cells)
                    sums += np.nan_to_num(row)
                done.written = out.count
                show(given.reader.count, given.reader.fraction)
            if not done.written:
                raise given.nothing_used()  # inside, so that no empty file is left
        done.rejected = given.rejected.count
        done.reasons = dict(given.rejected.reasons.most_common())
    done.means = dict(zip(names, (sums / max(1, done.written)).tolist(), strict=True))
    return done


def _columns(
    given: Input, first: Sequence[Record], names: list[str]
) -> dict[str, type] | list[str]:
    """Columns of the output; without types where cells are more than text (parquet)."""
    own = given.reader.columns or ()
    kept = [_called(column, given.reader.column, own) for column in own]
    if given.reader.column is None:  # a list, or an SDF file, whose fields hold no SMILES
        named = any(record.name for record in first)
        kept = ["smiles", *(["name"] if named else []), *kept]
    texts = all(
        isinstance(cell, str | None) for record in first for cell in (record.row or {}).values()
    )
    types: dict[str, type] = dict.fromkeys(kept, str) | dict.fromkeys(names, float)
    return types if texts else list(types)


def _called(column: str, smiles: str | None, columns: Sequence[str]) -> str:
    """The SMILES column as ``smiles``, unless another one is called so."""
    return "smiles" if column == smiles and "smiles" not in columns else column


def _cells(record: Record, smiles: str | None, columns: Collection[str]) -> dict[str, Any]:
    """What stands in the output of an input record."""
    own = record.row or {}
    kept = {_called(column, smiles, tuple(own)): cell for column, cell in own.items()}
    if smiles is None:
        kept = {"smiles": record.smiles, "name": record.name} | kept
    return {column: cell for column, cell in kept.items() if column in columns}


def _legend(row: object, names: list[str]) -> str:
    cells: dict[str, float] = dict(row)  # type: ignore[call-overload]
    return "  ".join(f"{name} {cells[name]:.2f}" for name in names[:3])


def _why(record: Record) -> BadLine:
    try:
        read(record.smiles)
    except MoleculeError as error:
        detail = f": {error.detail}" if error.detail else ""
        return BadLine(record.line, record.smiles, error.reason + detail)
    return BadLine(record.line, str(row_of(record)), "no property can be computed")
