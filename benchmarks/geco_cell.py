"""One cell of the benchmark of GECO: a way of training and a seed, trained and measured."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.images_cell import Parts, strip
from molae.codecs import ImageCodec
from molae.datasets.images import ImageData
from molae.metrics.kl import divergences, posteriors_of
from molae.metrics.latent import active_dimensions
from molae.metrics.sigma import quantised_nats, sigma_opt
from molae.runs import Run, build
from molae.training import TrainingResult, fit

#: Images of Micro-MNIST, the size of their codes, and draws that are shown of each posterior.
MICRO, PLANE, POINTS = 7, 2, 100
#: Tolerances of the information plane: out of those of the paper (figure 4), and such as the few
#: and small digits of a quick table allow.
TOLERANCES, QUICK_TOLERANCES = (0.06, 0.1, 0.175), (0.14, 0.16, 0.2)
#: Steps of a training that stand in its cell.
TOLD = 60


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the source.
        head: Of the information plane, out of ``molae.names.HEADS``.
        micro_head: Of Micro-MNIST.
        latent_dim: D of the information plane.
        width: What the net's channels are multiplied with.
        epochs: Passes over what is learnt from.
        batch_size: Images in a step.
        learning_rate: At its highest.
        step_size: Of log lambda.
        decay: Of the moving average of the violation.
        draws: That the marginal KL is estimated with.
        micro_steps: Steps of a training on Micro-MNIST.
    """

    data: tuple[str, str]
    head: str
    micro_head: str
    latent_dim: int
    width: float
    epochs: float
    batch_size: int
    learning_rate: float
    step_size: float
    decay: float
    draws: int
    micro_steps: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "data": list(self.data)}

    def steps(self, n: int) -> int:
        """Of a training on n images."""
        return round(self.epochs * -(-n // self.batch_size))


@dataclass(frozen=True)
class Way:
    """A way of training.

    Attributes:
        title: What it is called in the table.
        objective: Its table, but for what the protocol says.
        likelihood: Of the decoder; GECO does not look at it.
    """

    title: str
    objective: Mapping[str, Any]
    likelihood: str = "gaussian"

    def settings(self, protocol: Protocol, steps: int) -> dict[str, Any]:
        """The table of the objective for a training of so many steps."""
        table = dict(self.objective)
        if table["name"] == "geco":
            return table | {"step_size": protocol.step_size, "decay": protocol.decay}
        if table.pop("annealed", False):
            ramp = {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": max(1, steps // 2)}
            return table | {"beta": ramp}
        return table


def _geco(constraint: str, tolerance: float, **more: float) -> Way:
    table = {"name": "geco", "constraint": constraint, "tolerance": tolerance, **more}
    if constraint == "re":  # at most the bound with sigma = kappa: small nets learn for long
        table["highest"] = round(1 / (2 * tolerance**2), 3)
    return Way(f"GECO, {constraint.upper()} {tolerance:g}", table)


ELBO = Way("ELBO", {"name": "vae", "beta": 1.0}, "learned")
#: The information plane.
PLANE_WAYS = {
    "elbo": ELBO,
    "annealed": Way("ELBO, beta from 0 to 1", {"name": "vae", "annealed": True}, "learned"),
    **{f"re{kappa:g}": _geco("re", kappa) for kappa in (*TOLERANCES, *QUICK_TOLERANCES)},
}
#: Micro-MNIST; a larger tolerance of an error is weaker, and a smaller one of a probability.
MICRO_WAYS = {
    "micro_elbo": ELBO,
    "micro_re0.1": _geco("re", 0.1),
    "micro_re0.2": _geco("re", 0.2),
    # A probability is one small number beside the squared errors of all values.
    "micro_cla0.9": _geco("cla", 0.9, initial=100.0),
}
WAYS = PLANE_WAYS | MICRO_WAYS


def usual_ways(quick: bool) -> list[str]:
    """Names of the ways that are gone where none are named."""
    odd = TOLERANCES if quick else QUICK_TOLERANCES
    return [name for name in WAYS if name not in {f"re{kappa:g}" for kappa in odd}]


def _run(
    way: Way, protocol: Protocol, shape: tuple[int, int, int], head: str, latent: int, steps: int
) -> Run:
    """A fresh model of images (H, W, C), with its objective."""
    height, width, channels = shape
    net = {"name": "image", "multiplier": protocol.width}
    config = {
        "model": {
            "latent_dim": latent,
            "encoder": net,
            "head": {"name": head},
            "decoder": net | {"likelihood": way.likelihood},
        },
        "objective": way.settings(protocol, steps),
        "densities": {},
    }
    return build(config, ImageCodec(height, width, channels))


def trained(
    name: str, seed: int, data: ImageData, protocol: Protocol, work: Path, device: str
) -> tuple[Run, TrainingResult]:
    """The model of a cell, gone on with from its checkpoint or begun."""
    micro = name in MICRO_WAYS
    steps = protocol.micro_steps if micro else protocol.steps(len(data))
    head, latent = (protocol.micro_head, PLANE) if micro else (protocol.head, protocol.latent_dim)
    torch.manual_seed(seed)
    run = _run(WAYS[name], protocol, data.pixels.shape[1:], head, latent, steps)
    told = json.dumps([protocol.to_dict(), run.config, seed], sort_keys=True, default=str)
    folder = work / f"{name}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    result = fit(
        run.model,
        run.objective,
        data,
        steps=steps,
        batch_size=min(protocol.batch_size, len(data)),
        learning_rate=protocol.learning_rate,
        seed=seed,
        device=device,
        precision="fp32",
        folder=folder,
        resume=True,
        log_every=max(1, steps // TOLD),
        progress=False,
    )
    run.model.eval()
    return run, result


def _history(result: TrainingResult) -> dict[str, list[float]]:
    """Means over stretches of the training, of what was logged all the time."""
    lines = [record for record in result.history if record["kind"] == "train"]
    found = {"step": [float(record["step"]) for record in lines]}
    for name in ("rate", "violation", "multiplier"):
        if lines and all(name in record["parts"] for record in lines):
            found[name] = [float(f"{record['parts'][name]:.6g}") for record in lines]
    return found


def plane_cell(
    name: str, seed: int, parts: Parts, protocol: Protocol, device: str
) -> dict[str, Any]:
    """Train one model and place it in the information plane."""
    learnt, test = ImageData(parts.learnt), ImageData(parts.test)
    run, result = trained(name, seed, learnt, protocol, parts.work, device)
    began = time.perf_counter()
    codes = posteriors_of(run.model, learnt)
    apart = divergences(codes, run.model.prior, protocol.draws, seed)
    sigma = sigma_opt(run.model, learnt, seed)
    return {
        "title": WAYS[name].title,
        "kl": asdict(apart),
        "sigma_opt": sigma,
        "test_error": sigma_opt(run.model, test, seed),
        "nats": quantised_nats(run.model, learnt, sigma, seed),
        "test_nats": quantised_nats(run.model, test, sigma, seed),
        "active": active_dimensions(torch.cat([each.center for each in codes])),
        "history": _history(result),
        "seconds": {"training": result.seconds, "measuring": time.perf_counter() - began},
    }


def micro_cell(
    name: str, seed: int, parts: Parts, protocol: Protocol, device: str
) -> dict[str, Any]:
    """Train one model on seven images and draw from its posteriors."""
    chosen = np.random.default_rng(seed).choice(len(parts.learnt), MICRO, replace=False)
    pixels = parts.learnt[np.sort(chosen)]
    data = ImageData(pixels)
    run, result = trained(name, seed, data, protocol, parts.work, device)
    (posterior,) = posteriors_of(run.model, data)
    with torch.no_grad():
        torch.manual_seed(seed)
        z = posterior.rsample((POINTS,)).cpu()  # (POINTS, MICRO, 2)
    apart = divergences([posterior], run.model.prior, 100 * MICRO, seed)
    again = run.model.likelihood(posterior.center).mode().detach().cpu()
    shown = (again.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return {
        "title": WAYS[name].title,
        "kl": asdict(apart),
        "sigma_opt": sigma_opt(run.model, data, seed),
        "codes": [[[round(float(v), 3) for v in code] for code in row] for row in z.unbind(1)],
        "pictures": {"truth": strip(pixels), "reconstructions": strip(shown)},
        "history": _history(result),
        "seconds": {"training": result.seconds},
    }
