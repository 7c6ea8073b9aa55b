"""From a raw file to one that can be trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from molae.chem.molecules import MoleculeError
from molae.chem.prepare import Preparation, prepare_many
from molae.datasets.readers import BadLine, Record
from molae.datasets.splits import text_key
from molae.workflows.keys import KeySet
from molae.workflows.output import Output, open_output
from molae.workflows.reading import Input, bar, worker_count


@dataclass
class Prepared:
    """What ``prepare_file`` did.

    Attributes:
        read: Lines looked at.
        written: Molecules written.
        changed: Those whose SMILES is not what was read.
        duplicates: Molecules that had been written before.
        rejected: Lines that could not be used or were not wanted.
        reasons: How many of these by reason.
    """

    read: int = 0
    written: int = 0
    changed: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[tuple[str, int]]:
        """A table of counts."""
        return [
            ("read", self.read),
            ("written", self.written),
            ("of these spelt anew", self.changed),
            ("duplicates left out", self.duplicates),
            *((f"rejected: {reason}", count) for reason, count in self.reasons.items()),
        ]


def prepare_file(
    source: str | Path,
    target: str | Path,
    *,
    fragment: str = "largest",
    neutralise: bool = False,
    stereo: bool = True,
    min_atoms: int = 1,
    max_atoms: int | None = None,
    max_length: int | None = None,
    elements: Sequence[str] | None = None,
    unique: bool = True,
    column: str | None = None,
    rejects: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Prepared:
    """Canonical SMILES of the molecules in a file, cleaned and without duplicates.

    Args:
        source: A molecule file, or ``-``.
        target: Where to write SMILES and names; see ``open_output``.
        fragment: ``largest`` keeps the largest part of salts and mixtures, ``all`` keeps all.
        neutralise: Make parts neutral where they can be.
        stereo: Keep stereochemistry.
        min_atoms: Fewest heavy atoms.
        max_atoms: Most heavy atoms.
        max_length: Longest canonical SMILES, in characters.
        elements: Symbols allowed; None for all.
        unique: Leave out duplicates.
        column: SMILES column of a table.
        rejects: Where to write what could not be used, with line and reason.
        workers: Processes; None for one a core.
        progress: Show a bar.

    Raises:
        DataError: A file cannot be read or written, or nothing in it can be used.
        ValueError: An option makes no sense.
    """
    preparation = Preparation(
        fragment=fragment,
        neutralise=neutralise,
        stereo=stereo,
        min_atoms=min_atoms,
        max_atoms=max_atoms,
        elements=elements,
    )
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length is {max_length}; expected at least 1")
    count, done = worker_count(workers), Prepared()
    seen = KeySet() if unique else None
    types: dict[str, type] = {"smiles": str, "name": str}
    with Input(source, column, rejects) as given, bar("preparing", progress) as show:
        with open_output(target, types) as out:
            for records in given.chunks():
                _one_chunk(records, preparation, max_length, given, out, seen, done, count)
                show(given.reader.count, given.reader.fraction)
            if not done.written:
                raise given.nothing_used()  # inside, so that no empty file is left
        done.read = given.reader.count + given.reader.bad
        done.rejected = given.rejected.count
        done.reasons = dict(Counter(given.rejected.reasons).most_common())
    return done


def _one_chunk(
    records: list[Record],
    preparation: Preparation,
    max_length: int | None,
    given: Input,
    out: Output,
    seen: KeySet | None,
    done: Prepared,
    workers: int,
) -> None:
    results = prepare_many([record.smiles for record in records], preparation, workers)
    for record, result in zip(records, results, strict=True):
        if isinstance(result, MoleculeError):
            detail = f": {result.detail}" if result.detail else ""
            given.refuse(BadLine(record.line, record.smiles, result.reason + detail))
        elif max_length is not None and len(result) > max_length:
            reason = f"long SMILES: {len(result)} characters, at most {max_length}"
            given.refuse(BadLine(record.line, record.smiles, reason))
        elif seen is not None and not seen.add(text_key(result)):
            done.duplicates += 1
        else:
            done.written += 1
            done.changed += result != record.smiles
            out.write({"smiles": result, "name": record.name})
