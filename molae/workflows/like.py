"""More like these: codes of given molecules, and a density to draw others from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from molae.datasets.image_files import is_image_source
from molae.datasets.readers import BadLine, Reader, Record
from molae.datasets.sources import file_format
from molae.datasets.writers import RejectWriter
from molae.densities import Gaussian, LatentDensity
from molae.densities import density as named_density
from molae.densities.base import codes
from molae.names import DENSITIES, pick
from molae.runs.run import Run
from molae.workflows.keys import KeySet
from molae.workflows.neighbors import RADIUS, near
from molae.workflows.reading import NothingUsed, chunks, worker_count

#: What messages call texts that stand on the command line or in a list, and not in a file.
_LISTED = "given"
#: Least variance of training codes in any direction, as a share of the mean one.
_FLOOR = 0.01
#: Texts that an error spells out where none could be used.
_SHOWN = 3


@dataclass
class Examples:
    """What ``read_examples`` found.

    Attributes:
        z: Codes of the different molecules, (n, D) float32.
        duplicates: Molecules that had been given before; they do not count again.
        rejected: What could not be encoded.
        reasons: How many of these by reason.
    """

    z: Tensor
    duplicates: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def read_examples(
    run: Run,
    given: Iterable[str | Path],
    *,
    column: str | None = None,
    rejects: str | Path | None = None,
    workers: int | None = None,
) -> Examples:
    """The codes of molecules that others shall be like; 4 D bytes of memory for each.

    A molecule counts once, however often and in whatever spelling it is given: the density is of
    molecules, and how sure it can be depends on how many different ones there are.

    Args:
        run: The model.
        given: Files, ``-`` for standard input, or SMILES (texts of the run's own language where
            it writes no molecules). What names a file that is there is a file, and so is what
            ends like one, such as ``actives.smi``.
        column: SMILES column of the files that are tables.
        rejects: Where to write what could not be encoded, and why.
        workers: Processes that read molecules; None for one a core.

    Raises:
        DataError: A file cannot be read, or nothing could be encoded.
    """
    count, seen, found = worker_count(workers), KeySet(), Examples(torch.zeros(0, run.size))
    pieces, first = [found.z], list[str]()
    with RejectWriter(rejects) as rejected:

        def refuse(source: str, bad: BadLine) -> None:
            rejected.write(source, bad)
            if len(first) < _SHOWN:
                first.append(f"{source}, {bad.line}: {bad.text[:60]!r}: {bad.reason}")

        for source, records in _sources(run, given, column, refuse):
            encoding = run.codec.parse([record.smiles for record in records], workers=count)
            for lost in encoding.rejects:
                line = records[lost.index].line
                refuse(source, BadLine(line, lost.text, lost.reason, lost.token))
            fresh = [seen.add(key) for key in encoding.hashes()]
            found.duplicates += fresh.count(False)
            if any(fresh):
                pieces.append(run.codes(encoding.padded()[torch.tensor(fresh)]))
    if not len(seen):
        raise NothingUsed(
            f"none of the {rejected.count} examples could be encoded ({'; '.join(first)}); "
            "expected SMILES that this model has rules for, or files of them"
        )
    found.z = torch.cat(pieces)
    found.rejected, found.reasons = rejected.count, dict(rejected.reasons.most_common())
    return found


def _sources(
    run: Run,
    given: Iterable[str | Path],
    column: str | None,
    refuse: Callable[[str, BadLine], None],
) -> Iterator[tuple[str, list[Record]]]:
    """Records, some at a time, and what they come from: files first, then what is no file."""
    listed: list[Record] = []
    for item in given:
        name = os.fspath(item)
        if name == "-" or os.path.exists(name) or _like_a_file(name):
            bad = partial(refuse, "standard input" if name == "-" else name)
            with Reader(name, column, whole_lines=not run.molecules, reject=bad) as reader:
                yield from ((reader.name, piece) for piece in chunks(reader))
        else:
            listed.append(Record(len(listed) + 1, name, "", None))
    if listed:
        yield _LISTED, listed


def _like_a_file(name: str) -> bool:
    """Whether a text was meant as the name of a file or another source."""
    return file_format(name) is not None or is_image_source(name) or name.endswith(".npz")


def density_like(
    run: Run, z: Tensor, *, radius: float | None = None, density: str | None = None
) -> tuple[LatentDensity, float | None]:
    """What to draw codes from, so that they are like given ones, and the noise to put on them.

    By default that is a kernel density: a normal distribution around each of the codes, and with
    one molecule its neighbourhood. One Gaussian for all of them is there by name and not the
    default, because most of it lies between the molecules, where there is none like them: on a
    regularised autoencoder of ZINC250k (D = 56), with 5 to 300 molecules that had a logP above 4,
    a weight below 250 or a sulphonamide in common, 46 to 70 % of 200 draws from around them (at
    the default radius) had that too, 9 to 41 % of those from their Gaussian, and 2 to 17 % of
    those from the Gaussian of the training codes. The mean Tanimoto similarity to the most similar
    of them was 0.29 to 0.61, 0.12 to 0.20, and 0.12 to 0.21. At a radius of 0.25 it was 0.71 to
    0.98, but only 5 to 51 % of the draws were different and new.

    Args:
        run: The model.
        z: Codes of different molecules, (n, D).
        radius: How far from each, see ``molae.workflows.neighbors.near``; None takes ``RADIUS``.
        density: Fit this to them instead: ``gaussian``, which needs two at least and is
            ``shrunken``, or another name out of ``molae.names.DENSITIES``, with the settings that
            it has in the run.

    Returns:
        The density, and the noise for ``generate``: None for that of the run.

    Raises:
        ValueError: There is no code, or an option does not go with that many, or the codes do not
            determine such a density.
    """
    if density is None:
        return near(run, z, RADIUS if radius is None else radius)
    _check(len(z), radius, pick(DENSITIES, density, "density"))
    if density == "gaussian":
        return shrunken(z, _training_factor(run)), None
    return named_density(density, **run.config.get("densities", {}).get(density, {})).fit(z), None


def _check(n: int, radius: float | None, density: str) -> None:
    """Whether a density can be fitted to n different molecules."""
    if density == "prior":
        raise ValueError(
            "the prior is fitted to nothing, so that nothing drawn from it is like the examples: "
            "leave the density out, or choose another"
        )
    if radius is not None:
        raise ValueError(
            f"a radius is how far from each molecule to draw, and density {density!r} is fitted "
            "to all of them: leave out the one or the other"
        )
    if n < 2:
        raise ValueError(
            f"density {density!r} cannot be fitted to one molecule: give more different ones, or "
            "leave the density out to draw from around this one"
        )


def _training_factor(run: Run) -> Tensor | None:
    """L (D, D) with L L^T the covariance of the training codes; None where it is not known."""
    known = run.densities.get("gaussian")
    if not isinstance(known, Gaussian):
        return None
    cov = known.scale_tril @ known.scale_tril.T
    # Directions in which training codes hardly vary would set the scale of all others, as soon
    # as a molecule differs there.
    cov.diagonal().add_(_FLOOR * cov.diagonal().mean())
    factor: Tensor = torch.linalg.cholesky(cov)
    return factor


def shrunken(z: Tensor, scale_tril: Tensor | None = None) -> Gaussian:
    """A Gaussian for any number of codes from two up: N(mean, C) with C never singular.

    N codes in D dimensions leave D - N + 1 directions in which their covariance S (divided by
    N - 1) is nought, and for N of a few times D it is still far from that of the molecules they
    stand for. It is drawn towards the covariance of the training codes, Sigma, scaled to the size
    of S: along directions that a handful does not tell of, molecules differ as they do in
    general, less by as much as the handful differs less. ::

        C = (1 - rho) S + rho mu Sigma,     mu = tr(Sigma^-1 S) / D

    With codes in coordinates where Sigma is the unit matrix this is the classical shrinkage to a
    multiple of the unit matrix, and rho is the oracle approximation of Chen, Wiesel, Eldar and
    Hero, *Shrinkage Algorithms for MMSE Covariance Estimation*, IEEE Trans. Signal Process. 58
    (2010), equation 23, which for normal codes minimises the expected squared error; with N - 1
    for their n, since the mean is estimated too. It goes to 0 as N grows: many codes get their own
    covariance, and there is no number at which the answer jumps. The estimate of Ledoit and Wolf
    (2004) is not used, because it takes the agreement of the deviations from a common mean for
    certainty: for two codes, whose deviations are opposite, it is rho = 0.

    Args:
        z: Codes, (N, D), not all the same.
        scale_tril: L (D, D) with L L^T = Sigma; None for the unit matrix.

    Raises:
        ValueError: Fewer than two codes, all the same, or not finite.
    """
    z = codes(z, "gaussian")
    rows, size = z.shape
    factor = torch.eye(size).double() if scale_tril is None else scale_tril.double()
    mean = z.mean(0)
    white = torch.linalg.solve_triangular(factor, (z - mean).T, upper=False)  # (D, N)
    cov = white @ white.T / (rows - 1)  # (D, D)
    scale = cov.trace() / size  # mu
    rho = _shrinkage(cov, rows - 1)
    cov = (1 - rho) * cov
    cov.diagonal().add_(rho * scale)
    made = Gaussian()
    made.load_state_dict({"mean": mean, "scale_tril": factor @ torch.linalg.cholesky(cov)})
    return made


def _shrinkage(cov: Tensor, n: int) -> float:
    """rho, 0 to 1, of a covariance (D, D) of n vectors; see ``shrunken``."""
    size = len(cov)
    square, trace = float(cov.square().sum()), float(cov.trace())
    unlike = square - trace**2 / size  # squared distance from a multiple of the unit matrix
    top = (1 - 2 / size) * square + trace**2
    bottom = (n + 1 - 2 / size) * unlike
    return 1.0 if top >= bottom else top / bottom
