"""The rounds of the published protocol: fit, choose a batch, decode, score, and again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cells import Values
from benchmarks.optimization import rounded
from benchmarks.optimization_molecules import Floats, best_of
from benchmarks.optimize_kusner_surrogate import Box, Kernel, Process, batch, learnt
from molae.chem.properties import score
from molae.draws import mixed_seed
from molae.runs import Run

#: The score: the constants differ by less than 0.001 from those recomputed on the data.
SCORE = "plogp"
#: Share of the molecules that the surrogate learns from; it is tested on the others.
LEARNT = 0.9


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the molecules.
        model: Name and sha256 of the weights.
        rounds: How many batches.
        batch: Candidates of each.
        start: Molecules whose scores our optimiser knows at the beginning.
        inducing: Points of the published surrogate.
        fitted: Codes that its kernel is learnt from.
        steps: Of learning it.
        grid: Points that a batch is chosen from.
        decodes: Of each point, of which the most frequent valid molecule counts.
    """

    data: tuple[str, str]
    model: tuple[str, str | None]
    rounds: int = 5
    batch: int = 50
    start: int = 10_000
    inducing: int = 500
    fitted: int = 5_000
    steps: int = 150
    grid: int = 10_000
    decodes: int = 500

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "data": list(self.data), "model": list(self.model)}


class Rounds:
    """The rounds of one seed. Each depends on those before only, not on when they were made.

    Args:
        points: ``box``: points are uniform in the box around the training codes, and moved in it;
            ``density``: they are drawn from the density of the run, and stay.
        noise: How much noise the decoder is told that the points carry, if it can be told.
        seed: Of everything left to chance.
        run: The model.
        z: Codes of all molecules, (n, D).
        y: Their scores, (n,).
        protocol: Sizes.
    """

    def __init__(
        self,
        points: str,
        noise: float,
        seed: int,
        run: Run,
        z: Tensor,
        y: Floats,
        protocol: Protocol,
    ) -> None:
        self.points, self.seed, self.run = points, seed, run
        self.noise = noise if run.noise_range else 0.0
        self.z, self.y, self.protocol = z, y, protocol

    @cached_property
    def split(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Coordinates and scores of training and test molecules, standard in the training data."""
        order = np.random.default_rng(self.seed).permutation(len(self.z))
        rows, count = torch.from_numpy(order), round(LEARNT * len(order))
        x = self.coordinates(self.z[rows])
        scores = torch.from_numpy(self.y)[rows].to(self.run.device)
        return x[:count], scores[:count], x[count:], scores[count:]

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the codes, (D,) float64."""
        z = self.z.double()
        return z.mean(0), z.std(0)

    def coordinates(self, z: Tensor) -> Tensor:
        """Standard coordinates of codes (n, D), float64."""
        mean, deviation = self.scale
        return ((z.double() - mean) / deviation).to(self.run.device)

    def generator(self, stream: int) -> torch.Generator:
        """Chance for one purpose."""
        key = mixed_seed(mixed_seed(self.seed) + stream) & ((1 << 62) - 1)
        return torch.Generator().manual_seed(key)

    @cached_property
    def kernel(self) -> Kernel:
        """Learnt once, from a part of the training molecules."""
        x, y, *_ = self.split
        generator = self.generator(0)
        rows = torch.randperm(len(x), generator=generator)[: self.protocol.fitted]
        some = (y[rows] - y.mean()) / y.std()
        wanted = self.protocol
        return learnt(x[rows], some, wanted.inducing, wanted.steps, generator)

    def process(self, done: Sequence[Mapping[str, Any]]) -> tuple[Process, Tensor]:
        """The surrogate after some rounds, and the coordinates that it has learnt from."""
        x, y, *_ = self.split
        asked = [row for each in done for row in each["z"]]
        points = self.coordinates(torch.tensor(asked).reshape(len(asked), x.shape[1]))
        known = [value for each in done for value in each["scores"]]
        scores = torch.cat([y, torch.tensor(known, dtype=y.dtype, device=y.device)])
        old = self.kernel
        kept = old.inducing[: max(len(old.inducing) - len(points), 1)]
        kernel = Kernel(old.lengths, old.variance, old.noise, torch.cat([points, kept]))
        every = torch.cat([x, points])
        return Process(kernel, every, (scores - y.mean()) / y.std()), every

    def round(self, done: Sequence[Mapping[str, Any]]) -> Values:
        """One more round: what was asked, what became of it, and how good the surrogate was."""
        began = time.perf_counter()
        process, every = self.process(done)
        found = self.tested(process)
        x = batch(process, *self.candidates(every, len(done)))
        mean, deviation = self.scale
        z = (x.cpu() * deviation + mean).float()
        asked = time.perf_counter()
        texts, valid = self.decoded(z, len(done))
        decoded = time.perf_counter()
        worst = float(self.split[1].min())
        scores = score([text or "" for text in texts], [SCORE])[SCORE]
        seconds = {"ask": asked - began, "decode": decoded - asked}
        seconds["oracle"] = time.perf_counter() - decoded
        told = {"z": z.tolist(), "texts": texts, "valid": valid, "seconds": seconds}
        return {**told, "scores": np.nan_to_num(scores, nan=worst).tolist(), **found}

    def candidates(self, every: Tensor, number: int) -> tuple[Tensor, int, Box | None]:
        """Points to choose from, how many to choose, and what they may be moved in."""
        wanted = self.protocol
        if self.points == "density":
            index = torch.arange(number * wanted.grid, (number + 1) * wanted.grid)
            drawn = self.run.density().sample_rows(self.seed, index)
            return self.coordinates(drawn.cpu()), wanted.batch, None
        low, high = every.amin(0), every.amax(0)
        shape = (wanted.grid, len(low))
        chance = torch.rand(shape, generator=self.generator(1 + number), dtype=torch.float64)
        return low + (high - low) * chance.to(low), wanted.batch, Box(low, high)

    def tested(self, process: Process) -> dict[str, float]:
        """Error and log-likelihood of predictions for the test molecules, unscaled scores."""
        _, y, x, wanted = self.split
        mean, variance = process.scores(x)
        error = (mean * y.std() + y.mean() - wanted).cpu()
        spread = (variance * y.var()).cpu()
        nats = -0.5 * (error.square() / spread + (2.0 * np.pi * spread).log())
        return {"rmse": float(error.square().mean().sqrt()), "log_likelihood": float(nats.mean())}

    def distance(self, done: Sequence[Mapping[str, Any]]) -> float:
        """How far the points of all rounds lie from the middle, where molecules lie 1 away."""
        asked = torch.tensor([row for each in done for row in each["z"]])
        return float(self.coordinates(asked).norm(dim=1).mean() / self.split[0].norm(dim=1).mean())

    def decoded(self, z: Tensor, number: int) -> tuple[list[str | None], list[int]]:
        """The most frequent valid molecule of each code, and how many decodes were valid."""
        times = self.protocol.decodes
        first = number * len(z) * times
        index = torch.arange(first, first + len(z) * times)
        many = z.repeat_interleave(times, 0)
        drawn = self.run.decode(many, seed=self.seed, index=index, noise=self.noise)
        some = [drawn[row * times : (row + 1) * times] for row in range(len(z))]
        counts = [Counter(text for text in texts if text is not None) for texts in some]
        frequent = [count.most_common(1)[0][0] if count else None for count in counts]
        return frequent, [count.total() for count in counts]


def summed(done: Sequence[Mapping[str, Any]], known: frozenset[str], decodes: int) -> Values:
    """What the rounds came to."""
    texts = [text for each in done for text in each["texts"]]
    scores = [value for each in done for value in each["scores"]]
    scored = {t: y for t, y in zip(texts, scores, strict=True) if t is not None}
    valid = [y for t, y in zip(texts, scores, strict=True) if t is not None]
    drawn = sum(count for each in done for count in each["valid"])
    new = [text for text in scored if text not in known]
    seconds = {part: sum(each["seconds"][part] for each in done) for part in done[0]["seconds"]}
    return {
        "valid": drawn / (decodes * len(texts)),
        "valid_points": len(valid) / len(texts),
        "unique": len(scored) / max(len(valid), 1),
        "novel": len(new) / max(len(scored), 1),
        "average": float(np.mean(valid)) if valid else None,
        "best": best_of([(y, t) for t, y in scored.items()], known),
        "surrogate": {name: [each[name] for each in done] for name in ("rmse", "log_likelihood")},
        "counts": {
            "calls": len(new),
            "duplicates": len(valid) - len(scored),
            "known": len(scored) - len(new),
            "invalid": len(texts) - len(valid),
        },
        "seconds": rounded(seconds),
        "wall": round(sum(seconds.values()), 1),
        "ended": "all rounds are done",
    }
