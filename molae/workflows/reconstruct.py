"""How well molecules, texts and images come back from their codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from molae.chem.fingerprints import morgan, tanimoto
from molae.datasets.readers import BadLine, Record
from molae.names import REFINE
from molae.runs.run import Run
from molae.workflows.reading import Input, worker_count


@dataclass(frozen=True)
class Miss:
    """A molecule that came back as another; or an image, beside what came back.

    Attributes:
        line: Where it stands in the file.
        smiles: What went in, canonical.
        decoded: What came out, canonical, or None for nothing.
        similarity: Tanimoto similarity of the two; None where one is no molecule.
        squared_error: Of the values of an image, from 0 to 1; None for all else.
    """

    line: int
    smiles: str
    decoded: str | None
    similarity: float | None = None
    squared_error: float | None = None


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
        misses: The others; all of what does not come back exactly, such as images.
        squared_error: Its mean over images; None for all else.
    """

    tried: int = 0
    direct: int = 0
    exact: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    misses: list[Miss] = field(default_factory=list)
    squared_error: float | None = None

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
    """Encode and greedily decode the molecules, texts or images of a file.

    Args:
        run: The model.
        source: A molecule file, or ``-``; images, see ``molae.datasets.image_files``.
        column: SMILES column of a table.
        limit: Look at so many lines at most.
        rejects: Where to write what could not be encoded.
        refine: Steps that a code is corrected in at most, see ``Run.encode``; those of images
            are as they are.
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
        if not run.codec.exact:
            errors = [miss.squared_error for miss in result.misses]
            result.squared_error = sum(each or 0.0 for each in errors) / len(errors)
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
    z = run.codes(x)
    found = run.decode(z)
    missed = [i for i, before in enumerate(wanted) if before is None or found[i] != before]
    result.direct += len(wanted) - len(missed)
    if missed and refine and run.codec.exact:
        better, _ = run.corrected(x[missed], z[missed], refine)
        for i, after in zip(missed, run.decode(better), strict=True):
            found[i] = after
    for row, before, after in zip(encoding.kept, wanted, found, strict=True):
        result.tried += 1
        same = before is not None and before == after
        result.exact += same
        if not same or not run.codec.exact:
            result.misses.append(_compared(run, records[row].line, before, after))


def _compared(run: Run, line: int, before: str | None, after: str | None) -> Miss:
    """What came back beside what went in, and how far the two are apart."""
    if not run.codec.exact:
        error = run.codec.agreement([before], [after])["squared_error"]
        return Miss(line, before or "", after, squared_error=error)
    near = _similarity(before, after) if run.molecules else None
    return Miss(line, before or "", after, near)


def _similarity(before: str | None, after: str | None) -> float | None:
    if before is None or after is None:
        return None
    return float(torch.tensor(tanimoto(morgan([before]), morgan([after])))[0, 0])
