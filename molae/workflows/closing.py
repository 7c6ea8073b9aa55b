"""What follows the loop of a training: densities, metrics, and the card."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molae import __version__
from molae.datasets.arrays import SequenceData
from molae.densities import density
from molae.runs.run import Run
from molae.training import TrainingResult
from molae.workflows.data import Say, TrainingData

#: Codes that densities are fitted to, and held-out molecules that reconstruction is measured on.
FITTED, MEASURED = 50_000, 1_000


def _codes(run: Run, data: SequenceData, rows: Sequence[int] | NDArray[np.int64]) -> torch.Tensor:
    """Codes of some rows, (n, D), with no more than some of them in memory as sequences."""
    pieces = [
        run.codes(torch.from_numpy(data.array(np.asarray(rows)[first : first + 8192])))
        for first in range(0, len(rows), 8192)
    ]
    return torch.cat(pieces)


def _some(data: SequenceData, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows, chosen at random."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(len(data))[:most])


def fit_densities(run: Run, data: SequenceData, seed: int, say: Say) -> None:
    """Fit what codes will be drawn from, each by itself; says which cannot be fitted, and why.

    Such a density is left out of the run; the prior is always there.
    """
    say("fitting densities to the codes")
    z = _codes(run, data, _some(data, FITTED, seed))
    wanted, run.densities = run.config["densities"], {}
    for name, settings in wanted.items():
        try:
            run.densities[name] = density(name, **settings).fit(z)
        except ValueError as error:
            say(f"there will be no density {name!r}: {error}")
    run.config["densities"] = {name: wanted[name] for name in run.densities}


def measure(run: Run, learnt: SequenceData, held: SequenceData) -> dict[str, Any]:
    """Exact reconstruction of at most ``MEASURED`` texts, on held-out data where there is any."""
    data = held if len(held) else learnt
    rows = _some(data, MEASURED, 0)
    x = torch.from_numpy(data.array(rows))
    wanted = run.spelling(run.codec.decode(x))
    found = run.decode(_codes(run, data, rows))
    exact = sum(a == b for a, b in zip(wanted, found, strict=True))
    return {
        "reconstruction": exact / len(rows),
        "measured_on": "validation" if len(held) else "training",
        "measured": len(rows),
    }


def card(
    data: TrainingData,
    learnt: SequenceData,
    held: SequenceData,
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
            "rules": data.codec.size,
            "max_steps": data.codec.max_steps,
        },
        "training": {
            "steps": result.steps,
            "epochs": round(result.epochs, 3),
            "seconds": round(result.seconds, 1),
            "molecules_per_second": round(result.epochs * len(learnt) / max(result.seconds, 1e-9)),
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
