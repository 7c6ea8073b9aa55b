"""Properties of the molecules in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        DataError: A file cannot be read or written.
    """
    names = [pick(PROPERTIES, name, "property") for name in properties]
    if not names:
        raise ValueError("no property is named; choose from " + ", ".join(PROPERTIES))
    count = worker_count(workers)
    types: dict[str, type] = {"smiles": str, "name": str} | dict.fromkeys(names, float)
    done, sums = Scored(), np.zeros(len(names))
    with Input(source, column, rejects) as given, bar("scoring", progress) as show:
        with open_output(target, types, legend=lambda row: _legend(row, names)) as out:
            for records in given.chunks():
                values = score([record.smiles for record in records], names, count)
                table = np.stack([values[name] for name in names], 1)  # (n, P)
                for record, row in zip(records, table, strict=True):
                    if np.isnan(row).all():
                        given.refuse(_why(record))
                        continue
                    cells = dict(zip(names, row.tolist(), strict=True))
                    out.write({"smiles": record.smiles, "name": record.name, **cells})
                    sums += np.nan_to_num(row)
                done.written = out.count
                show(given.reader.count, given.reader.fraction)
        done.rejected = given.rejected.count
        done.reasons = dict(given.rejected.reasons.most_common())
    done.means = dict(zip(names, (sums / max(1, done.written)).tolist(), strict=True))
    return done


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
