"""Densities fitted after training, to the codes of a run whose weights stay as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from molae.datasets.arrays import DataSet, join
from molae.densities import LatentDensity, density
from molae.densities.base import Progress
from molae.densities.mixture import Mixture
from molae.names import DENSITIES, FIXED_DENSITIES, pick
from molae.runs.folder import RunError, check_replaceable, put_density
from molae.runs.places import shipped_as
from molae.runs.run import Run
from molae.workflows.closing import FITTED, JUDGED, density_rows, encoded, judged, some
from molae.workflows.data import encoded_file
from molae.workflows.held_out import split_seed
from molae.workflows.origin import training_files
from molae.workflows.reading import Show, worker_count
from molae.workflows.train import hold_out

#: ``with stage("fitting") as progress:``, for what takes long.
Stage = Callable[[str], AbstractContextManager[Progress]]

#: Types of settings, in words.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "bool": "true or false",
    "None": "null",
}


def _unseen(_label: str) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(lambda _share: None)


@dataclass
class Refit:
    """What ``fit_density`` did.

    Attributes:
        name: Of the density.
        described: What was fitted, in words.
        fitted: Codes that were given to it.
        rejected: Lines of the files that the run cannot encode.
        facts: Mean log-densities of held-out codes under all densities of the run, see
            ``closing.judged``.
        tried: With ``components="auto"``: numbers of components, and the mean log-density of
            held-out codes in nats under a mixture of that many.
        folder: The run that holds it now.
    """

    name: str
    described: str
    fitted: int
    rejected: int
    facts: dict[str, Any]
    tried: list[tuple[int, float]]
    folder: Path


@dataclass(frozen=True)
class _Codes:
    """Codes to fit to and codes to judge by, (N, D) and (n, D)."""

    fitted: Tensor
    held: Tensor


def fit_density(
    run: Run,
    name: str,
    *,
    components: int | Literal["auto"] | None = None,
    settings: Mapping[str, str] | None = None,
    files: Sequence[str | Path] | None = None,
    column: str | None = None,
    codes: int = FITTED,
    seed: int = 0,
    output: str | Path | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    stage: Stage = _unseen,
) -> Refit:
    """Fit a density to the codes of a run and put it into its folder, beside the others.

    It is fitted to the codes of the training data without what the training held out, and of
    these to nine tenths, ``codes`` at most; the others, 5,000 at most, tell how good it is. A hash
    of each text decides which those are, so that they are the same for every density, and the
    densities that the training has fitted do not know them either.

    Args:
        run: Loaded from a folder.
        name: Out of ``molae.names.DENSITIES``, but not the prior, which is fitted to nothing.
        components: Of a mixture. ``auto`` tries 1, 2, 5, 10, 20, 50 and so on until the held-out
            codes get less likely or there are too few codes, and takes the best.
        settings: Other arguments of the density, as text.
        files: Molecule files instead of the run's own data; all that can be encoded is used.
        column: SMILES column of tables.
        codes: To fit to, at most. A mixture and a kernel density take no more than their own
            ``rows`` of them; flows and second stages get better with more.
        seed: Of whatever is left to chance.
        output: Write a copy of the run there instead of changing it.
        cache: Folder for encoded data, instead of beside the files.
        workers: Processes that read molecules; None for one a core.
        stage: Shows how far each part of the work is.

    Raises:
        ValueError: A name or a setting makes no sense.
        RunError: The run is not in a folder, ships with molae, or its data is not found.
        DataError: A file cannot be read or written.
    """
    wanted = _settings(name, components, settings or {}, seed)
    if codes < 2:
        raise ValueError(f"codes is {codes}; expected 2 at least")
    folder = _checked_folder(run, output)
    data, rejected = _sequences(run, files, column, cache, worker_count(workers), stage)
    z = _codes(run, data, codes, seed, stage)
    tried: list[tuple[int, float]] = []
    if components == "auto":
        made, tried = _best(name, wanted, z, stage)
    else:
        with stage(f"fitting {name}") as progress:
            made = density(name, **wanted).fit(z.fitted, progress)
    run.densities[name] = made
    with stage("judging"):
        facts = judged({"prior": run.density("prior"), **run.densities}, z.held)
    _write(run, name, folder, facts, copied=output is not None)
    return Refit(name, made.described(), len(z.fitted), rejected, facts, tried, folder)


def list_densities(run: Run) -> list[dict[str, Any]]:
    """The densities of a run, a row each: name, what it is, and how it was judged."""
    nats = run.card.get("metrics", {}).get("densities", {}).get("nats", {})
    usual = run.density()
    return [
        {
            "density": name,
            "fitted": each.described() or DENSITIES[name],
            "held-out nats": nats.get(name),
            "usual": each is usual,
        }
        for name, each in {"prior": run.density("prior"), **run.densities}.items()
    ]


# What is asked for -------------------------------------------------------------------------------


def _settings(
    name: str, components: int | Literal["auto"] | None, given: Mapping[str, str], seed: int
) -> dict[str, Any]:
    """All arguments of a density, also those left out: another version may have other defaults."""
    if pick(DENSITIES, name, "density") in FIXED_DENSITIES:
        what = "the prior" if name == "prior" else f"{name!r}, a prior,"
        raise ValueError(f"{what} is fitted to nothing; name another density")
    made = density(name)
    takes = signature(type(made)).parameters
    wanted: dict[str, Any] = {"seed": seed} if "seed" in takes else {}
    for key, text in given.items():
        pick(takes, key, f"setting of density {name!r}")
        wanted[key] = _typed(key, text, str(takes[key].annotation))
    if components is not None:
        if not isinstance(made, Mixture):
            raise ValueError(f"the density {name!r} has no components; leave them out")
        if components != "auto":
            wanted["components"] = components
    return density(name, **wanted).settings()


def _typed(key: str, text: str, annotation: str) -> Any:
    """The text of a setting as what it stands for.

    Args:
        key: Its name.
        text: What was typed.
        annotation: The type of the argument, such as ``str | float``.

    Raises:
        ValueError: It is of no such type.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    kinds = annotation.split(" | ")
    if type(value) is int and "int" not in kinds:
        value = float(value)
    kind = "None" if value is None else type(value).__name__
    if kind not in kinds or (isinstance(value, float) and not math.isfinite(value)):
        expected = " or ".join(_KINDS[kind] for kind in kinds)
        raise ValueError(f"{key} is {text!r}; expected {expected}")
    return value


def _checked_folder(run: Run, output: str | Path | None) -> Path:
    """Where the density will be written, before anything is computed.

    Raises:
        RunError: There is no such place, or it is taken.
    """
    folder = run.folder if output is None else Path(output)
    if folder is None:
        raise RunError("this run is in no folder yet: save it, or name an output")
    if (name := shipped_as(folder)) is not None:
        raise RunError(
            f"{name} ships with molae and is not changed: name a folder for a copy of it with -o"
        )
    if output is not None and folder.exists():
        check_replaceable(folder.resolve())
    return folder


# Codes -------------------------------------------------------------------------------------------


def _sequences(
    run: Run,
    files: Sequence[str | Path] | None,
    column: str | None,
    cache: Path | None,
    workers: int,
    stage: Stage,
) -> tuple[DataSet, int]:
    """What the run learnt from, or all of other files, and the number of lines that are lost."""
    parts = []
    for file in training_files(run) if files is None else files:
        with stage(f"reading {Path(file).name}") as progress:
            part = encoded_file(
                run.codec,
                file,
                column=column,
                cache=cache,
                workers=workers,
                progress=_share_only(progress),
            )
        parts.append(part)
    data, rejected = join([part.data for part in parts]), sum(part.rejected for part in parts)
    if files is not None:
        return data, rejected
    share = float(run.config.get("training", {}).get("validation", 0.0))
    return hold_out(data, share, split_seed(run.config))[0], rejected


def _share_only(progress: Progress) -> Show:
    return lambda _count, share: progress(share)


def _codes(run: Run, data: DataSet, most: int, seed: int, stage: Stage) -> _Codes:
    fitted, held = density_rows(data)
    with stage("encoding") as progress:
        z = encoded(run, data, some(fitted, most, seed), progress)
    return _Codes(z, encoded(run, data, some(held, JUDGED, 0)))


# The fit -----------------------------------------------------------------------------------------


def _best(
    name: str, wanted: dict[str, Any], codes: _Codes, stage: Stage
) -> tuple[LatentDensity, list[tuple[int, float]]]:
    """The mixture under which held-out codes are likeliest, and what was tried.

    Raises:
        ValueError: There are no held-out codes.
    """
    if not len(codes.held):
        raise ValueError(
            f"{len(codes.fitted)} codes are too few to hold some out: say how many components"
        )
    fits: list[tuple[int, float, LatentDensity]] = []
    for number in _numbers():
        made = density(name, **wanted | {"components": number})
        if fits and not _determined(made, codes.fitted):
            break
        with stage(f"{name}, components: {number}") as progress:
            made.fit(codes.fitted, progress)
        fits.append((number, float(made.log_prob(codes.held).double().mean()), made))
        if len(fits) > 1 and fits[-1][1] <= fits[-2][1]:
            break
    _, _, best = max(fits, key=lambda fit: fit[1])
    return best, [(number, nats) for number, nats, _ in fits]


def _numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    yield from (digit * 10**power for power in count() for digit in (1, 2, 5))


def _determined(made: LatentDensity, z: Tensor) -> bool:
    """Whether there are enough codes for each component of a mixture."""
    if not isinstance(made, Mixture):
        return False
    rows = min(len(z), made.rows)
    return rows >= made.components * made.codes_needed(z.shape[1])


def _write(run: Run, name: str, folder: Path, facts: dict[str, Any], *, copied: bool) -> None:
    """Put what was fitted into the run's folder, or into a copy of the run."""
    made = run.densities[name]
    if not copied:
        put_density(folder, name, made.settings(), made.state_dict(), facts)
    run.config["densities"] = run.config.get("densities", {}) | {name: made.settings()}
    run.card["metrics"] = run.card.get("metrics", {}) | {"densities": facts}
    if copied:
        run.save(folder)
