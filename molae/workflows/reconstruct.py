"""How often encoding and decoding gives the same molecule back."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from molae.chem.fingerprints import morgan, tanimoto
from molae.datasets.readers import BadLine, Record
from molae.runs.run import REFINE, Run
from molae.workflows.reading import Input, worker_count


@dataclass(frozen=True)
class Miss:
    """A molecule that came back as another.

    Attributes:
        line: Where it stands in the file.
        smiles: What went in, canonical.
        decoded: What came out, canonical, or None for nothing.
        similarity: Tanimoto similarity of the two; None where one is no molecule.
    """

    line: int
    smiles: str
    decoded: str | None
    similarity: float | None


@dataclass
class Reconstruction:
    """What ``reconstruct`` counted.

    Attributes:
        tried: Molecules that were encoded, at least one.
        direct: Those that came back from the encoder's own code as the same canonical isomeric
            SMILES.
        exact: Those that came back from the corrected code.
        rejected: Lines that could not be encoded.
        reasons: How many of these by reason.
        misses: The others.
    """

    tried: int = 0
    direct: int = 0
    exact: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    misses: list[Miss] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Share of the molecules tried that came back."""
        return self.exact / self.tried


def reconstruct(
    run: Run,
    source: str | Path,
    *,
    column: str | None = None,
    limit: int | None = None,
    rejects: str | Path | None = None,
    refine: int = REFINE,
    workers: int | None = None,
) -> Reconstruction:
    """Encode and greedily decode the molecules of a file.

    Args:
        run: The model.
        source: A molecule file, or ``-``.
        column: SMILES column of a table.
        limit: Look at so many lines at most.
        rejects: Where to write what could not be encoded.
        refine: Steps that a code is corrected in at most, see ``Run.encode``.
        workers: Processes that read molecules.

    Raises:
        DataError: The file cannot be read, or nothing in it could be encoded.
    """
    result = Reconstruction()
    count = worker_count(workers)
    with Input(source, column, rejects, whole_lines=not run.molecules) as given:
        left = limit
        for records in given.chunks():
            part = records if left is None else list(islice(records, left))
            _one_chunk(run, part, given, result, refine, count)
            if left is not None:
                left -= len(part)
                if left <= 0:
                    break
        if not result.tried:
            raise given.nothing_used()
        result.rejected = given.rejected.count
        result.reasons = dict(given.rejected.reasons.most_common())
    return result


def _one_chunk(
    run: Run,
    records: list[Record],
    given: Input,
    result: Reconstruction,
    refine: int,
    workers: int,
) -> None:
    encoding = run.codec.parse([record.smiles for record in records], workers=workers)
    for lost in encoding.rejects:
        given.refuse(BadLine(records[lost.index].line, lost.text, lost.reason, lost.token))
    x = encoding.padded()
    if not len(x):
        return
    wanted = run.spelling(run.codec.decode(x))
    found = run.decode(run.codes(x))
    missed = [i for i, before in enumerate(wanted) if found[i] != before]
    result.direct += len(wanted) - len(missed)
    if missed and refine:
        better = run.decode(run.codes(x[missed], refine))
        for i, after in zip(missed, better, strict=True):
            found[i] = after
    for row, before, after in zip(encoding.kept, wanted, found, strict=True):
        result.tried += 1
        if before == after:
            result.exact += 1
        else:
            near = _similarity(before, after) if run.molecules else None
            result.misses.append(Miss(records[row].line, before or "", after, near))


def _similarity(before: str | None, after: str | None) -> float | None:
    if before is None or after is None:
        return None
    return float(torch.tensor(tanimoto(morgan([before]), morgan([after])))[0, 0])
