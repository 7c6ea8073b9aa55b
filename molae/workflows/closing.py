"""What follows the loop of a training: densities, metrics, and the card."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molae import __version__
from molae.datasets.arrays import DataSet
from molae.datasets.splits import split_by_key
from molae.densities import LatentDensity, density
from molae.densities.base import Progress
from molae.runs.run import Run
from molae.training import TrainingResult
from molae.workflows.data import Say, TrainingData

#: Codes that densities are fitted to, and held-out molecules that reconstruction is measured on.
FITTED, MEASURED = 50_000, 1_000
#: Share of the texts whose codes no density is fitted to, and how many of those it is judged by.
HELD_OUT, JUDGED = 0.1, 5_000
#: Of the hash that holds them out. No seed that a user gives, or they could be the same texts that
#: a training holds out, and none would be left.
_HELD_OUT_SEED = -1

Rows = NDArray[np.int64]


def encoded(
    run: Run,
    data: DataSet,
    rows: Sequence[int] | Rows,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Codes of some rows, (n, D), with no more than some of them in memory as tensors."""
    pieces, most = [], run.codec.at_once
    for first in range(0, len(rows), most):
        piece = np.asarray(rows)[first : first + most]
        batch = data.batch(piece)
        pieces.append(run.codes(batch.x, context=batch.context))
        if progress is not None:
            progress((first + len(piece)) / len(rows))
    return torch.cat(pieces) if pieces else torch.zeros(0, run.size)


def some(rows: int | Rows, most: int, seed: int) -> Rows:
    """At most so many rows, out of a list or out of all below a number, chosen at random."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(rows)[:most])


def density_rows(data: DataSet) -> tuple[Rows, Rows]:
    """Rows that densities are fitted to, and rows that they are judged by, a tenth.

    A hash of each text decides, so that the same text is held out in every data set, for every
    density and in every fit. With next to no data all are for fitting.
    """
    if data.keys is None:
        raise ValueError("the data has no keys to split it by")
    shares = {"fitted": 1.0 - HELD_OUT, "held": HELD_OUT}
    parts = split_by_key(data.keys, shares, _HELD_OUT_SEED)
    if len(parts["fitted"]) < 2:
        return np.arange(len(data)), np.arange(0)
    return parts["fitted"], parts["held"]


def fit_densities(run: Run, data: DataSet, seed: int, say: Say) -> None:
    """Fit what codes will be drawn from, each by itself; says which cannot be fitted, and why.

    Such a density is left out of the run; the prior is always there. A tenth of the texts is not
    fitted to, see ``density_rows``.
    """
    say("fitting densities to the codes")
    z = encoded(run, data, some(density_rows(data)[0], FITTED, seed))
    wanted, run.densities = run.config["densities"], {}
    for name, settings in wanted.items():
        try:
            run.densities[name] = density(name, **settings).fit(z)
        except ValueError as error:
            say(f"there will be no density {name!r}: {error}")
    run.config["densities"] = {name: wanted[name] for name in run.densities}


@torch.no_grad()
def judged(densities: Mapping[str, LatentDensity], z: torch.Tensor) -> dict[str, Any]:
    """How likely codes (n, D) are that nothing was fitted to, as it stands in a card.

    ``nats`` is the mean log-density of a code for each density, None where it is not finite or
    there is no code. Codes of other runs have other units: only numbers of one run compare.
    """
    nats: dict[str, float | None] = {}
    for name, each in densities.items():
        value = float(each.log_prob(z).detach().double().mean()) if len(z) else math.nan
        nats[name] = value if math.isfinite(value) else None
    return {"held_out": len(z), "nats": nats}


def measure(run: Run, learnt: DataSet, held: DataSet) -> dict[str, Any]:
    """What is measured at the end of a training.

    How well at most ``MEASURED`` texts come back, in the measure of the codec (the share that is
    the same, or the squared error of images), on held-out data where there is any, and how likely
    codes are under each density that it was not fitted to.
    """
    data = held if len(held) else learnt
    rows = some(len(data), MEASURED, 0)
    apart = some(density_rows(learnt)[1], JUDGED, 0)
    batch = data.batch(rows)
    wanted = run.spelling(run.codec.decode(batch.x))
    found = run.decode(encoded(run, data, rows), context=batch.context)
    prior = run.given(run.density("prior"), learnt.batch(apart).context)
    return {
        **run.codec.agreement(wanted, found),
        "measured_on": "validation" if len(held) else "training",
        "measured": len(rows),
        "densities": judged({"prior": prior, **run.densities}, encoded(run, learnt, apart)),
    }


def card(
    data: TrainingData,
    learnt: DataSet,
    held: DataSet,
    result: TrainingResult,
    command: str | None,
    *,
    restored: bool = False,
) -> dict[str, Any]:
    """What is to be known of a run; its digests are added when it is written.

    Args:
        data: What was read.
        learnt: What was learnt from.
        held: What was held out.
        result: Of the training.
        command: The command line, if there was one.
        restored: The best weights were put back at the end, so that the validation loss of the
            run is the best one, and not the last.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "versions": {
            "molae": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "rdkit", "numpy")},
        },
        "data": data.sources,
        "counts": {
            "training": len(learnt),
            "validation": len(held),
            "rejected": data.rejected,
            **data.codec.counts,
        },
        "training": {
            "steps": result.steps,
            "epochs": round(result.epochs, 3),
            "seconds": round(result.seconds, 1),
            "examples_per_second": round(result.epochs * len(learnt) / max(result.seconds, 1e-9)),
            "precision": result.precision,
            "device": result.device,
            "ended": result.reason,
            **_validation(result, restored),
        },
    }


def _validation(result: TrainingResult, restored: bool) -> dict[str, Any]:
    """The validation loss of the weights that are kept, and the step that they are of."""
    if restored and result.best_loss is not None:
        return {"validation_loss": result.best_loss, "best_step": result.best_step}
    losses = [r["loss"] for r in result.history if r.get("kind") == "validation"]
    return {"validation_loss": losses[-1] if losses else None}
