"""The published protocol: a sparse Gaussian process on codes, and batches by expected improvement.

Kusner, Paige and Hernández-Lobato, *Grammar Variational Autoencoder*, ICML 2017, as their code has
it (mkusner/grammarVAE, ``run_bo.py`` and ``sparse_gp.py``): squared-exponential kernel with a
lengthscale for each dimension, mean zero, inducing points that begin at random codes; the batch is
chosen one by one out of 10,000 points, uniform in the smallest box around the training codes, each
moved uphill by L-BFGS within the box; the surrogate's mean stands for the scores of the points
chosen before, so that only the variance changes with them.

What is different here. The process is that of Titsias (AISTATS 2009), whose optimal distribution
is known in closed form; theirs is trained by stochastic expectation propagation. Kernel, noise and
inducing points are learnt once a seed from a random part of the codes, and not anew in each round.
The codes asked in earlier rounds take the place of as many inducing points: no other can say much
about them, as the box is mostly empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from botorch.generation.gen import gen_candidates_scipy
from torch import Tensor

from molae.optimize.fingerprint import log_expected_improvement

#: Added to the diagonal of a covariance, as a share of the kernel's variance.
JITTER = 1e-5
#: Codes looked at together, steps of L-BFGS for one point, and Adam's rate.
BLOCK, MOVES, RATE = 10_000, 150, 0.05
#: Of a variance, as a share of the kernel's; nothing is known better than this.
LEAST = 1e-10


@dataclass(frozen=True)
class Kernel:
    """What a process has learnt of codes in general, in standard coordinates.

    Attributes:
        lengths: Lengthscales, (D,).
        variance: Of the function, ().
        noise: Variance of a score about the function, ().
        inducing: Inducing points, (M, D).
    """

    lengths: Tensor
    variance: Tensor
    noise: Tensor
    inducing: Tensor

    def __call__(self, x: Tensor, other: Tensor) -> Tensor:
        """k(x, other), (n, D) and (m, D) -> (n, m)."""
        a, b = x / self.lengths, other / self.lengths
        squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2.0 * a @ b.T
        return self.variance * torch.exp(-0.5 * squares.clamp(min=0.0))

    def root(self) -> Tensor:
        """The Cholesky factor of the inducing points' covariance, (M, M)."""
        size = len(self.inducing)
        eye = torch.eye(size, dtype=self.inducing.dtype, device=self.inducing.device)
        covariance = self(self.inducing, self.inducing)
        factor: Tensor = torch.linalg.cholesky(covariance + JITTER * self.variance * eye)
        return factor

    def reduced(self, root: Tensor, x: Tensor) -> Tensor:
        """root^-1 k(inducing, x), (M, n): the covariance with x is its products."""
        found: Tensor = torch.linalg.solve_triangular(root, self(self.inducing, x), upper=False)
        return found


def bound(kernel: Kernel, x: Tensor, y: Tensor) -> Tensor:
    """The lower bound on log p(y) of Titsias (2009, eq. 9), with the trace term, ()."""
    n = len(y)
    a = kernel.reduced(kernel.root(), x) / kernel.noise.sqrt()  # (M, n)
    eye = torch.eye(len(a), dtype=a.dtype, device=a.device)
    inner = torch.linalg.cholesky(eye + a @ a.T)
    c = torch.linalg.solve_triangular(inner, (a @ y)[:, None], upper=False) / kernel.noise.sqrt()
    fit = y.square().sum() / kernel.noise - c.square().sum()
    volume = 2.0 * inner.diagonal().log().sum() + n * (2.0 * math.pi * kernel.noise).log()
    lost = n * kernel.variance / kernel.noise - a.square().sum()
    value: Tensor = -0.5 * (fit + volume + lost)
    return value


def learnt(x: Tensor, y: Tensor, inducing: int, steps: int, generator: torch.Generator) -> Kernel:
    """A kernel with inducing points that make ``bound`` large, by Adam.

    It begins as published: inducing points at random codes, the squared lengthscale half the
    median squared distance, variance and noise 1.

    Args:
        x: Standard coordinates (n, D) float64.
        y: Scores of mean 0 and variance 1, (n,).
        inducing: M; n where that is less.
        steps: Of Adam.
        generator: Chooses the inducing points.
    """
    rows = torch.randperm(len(x), generator=generator).to(x.device)
    points = x[rows[:inducing]].clone()
    median = torch.pdist(x[rows[:1000]]).square().median()
    logs = {
        "lengths": (0.5 * (median + 1e-3)).log().div(2.0).repeat(x.shape[1]),
        "variance": torch.zeros((), dtype=x.dtype, device=x.device),
        "noise": torch.zeros((), dtype=x.dtype, device=x.device),
    }
    weights = [*logs.values(), points]
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, RATE)

    def kernel() -> Kernel:
        return Kernel(**{name: value.exp() for name, value in logs.items()}, inducing=points)

    for _ in range(steps):
        optimizer.zero_grad()
        loss = -bound(kernel(), x, y) / len(x)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        found = kernel()
    return Kernel(found.lengths, found.variance, found.noise, points.detach())


class Predicted(NamedTuple):
    """What a process says of codes, in standard scores.

    Attributes:
        mean: (n,).
        variance: Of the function, (n,).
        near: What covariances are made of: root^-1 k(inducing, x), (M, n).
        far: And inner^-1 of it, (M, n).
    """

    mean: Tensor
    variance: Tensor
    near: Tensor
    far: Tensor


class Process:
    """A sparse process that has learnt scores at codes.

    Args:
        kernel: Of it.
        x: Standard coordinates of the codes, (n, D) float64.
        y: Standard scores, (n,).
    """

    @torch.no_grad()
    def __init__(self, kernel: Kernel, x: Tensor, y: Tensor) -> None:
        self.kernel = kernel
        self.root = kernel.root()
        size = len(kernel.inducing)
        inner = torch.eye(size, dtype=x.dtype, device=x.device)
        seen = torch.zeros(size, dtype=x.dtype, device=x.device)
        for part, scores in zip(torch.split(x, BLOCK), torch.split(y, BLOCK), strict=True):
            a = kernel.reduced(self.root, part)  # (M, B)
            inner += a @ a.T / kernel.noise
            seen += a @ scores / kernel.noise
        self.inner = torch.linalg.cholesky(inner)
        self.weights = torch.cholesky_solve(seen[:, None], self.inner)[:, 0]  # (M,)

    def __call__(self, x: Tensor) -> Predicted:
        """Predictions at x (n, D), differentiable."""
        near = self.kernel.reduced(self.root, x)
        far = torch.linalg.solve_triangular(self.inner, near, upper=False)
        variance = self.kernel.variance - near.square().sum(0) + far.square().sum(0)
        return Predicted(near.T @ self.weights, self._positive(variance), near, far)

    def covariance(self, x: Tensor, of: Predicted, other: Tensor, others: Predicted) -> Tensor:
        """Of the function at x (n, D) and at others (m, D), (n, m)."""
        return self.kernel(x, other) - of.near.T @ others.near + of.far.T @ others.far

    def left(self, x: Tensor, of: Predicted, chosen: Tensor) -> Tensor:
        """Variances (n,) at x (n, D) once the function is known at the chosen points (k, D)."""
        if not len(chosen):
            return of.variance
        known = self(chosen)
        eye = torch.eye(len(chosen), dtype=x.dtype, device=x.device)
        between = self.covariance(chosen, known, chosen, known) + JITTER * self.variance * eye
        across = self.covariance(chosen, known, x, of)  # (k, n)
        told = torch.linalg.solve_triangular(torch.linalg.cholesky(between), across, upper=False)
        return self._positive(of.variance - told.square().sum(0))

    @property
    def variance(self) -> Tensor:
        """Of the function where nothing is known, ()."""
        return self.kernel.variance

    @torch.no_grad()
    def scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of a score, noise included, at many codes x (n, D), both (n,)."""
        parts = [self(part) for part in torch.split(x, BLOCK)]
        variance = torch.cat([part.variance for part in parts]) + self.kernel.noise
        return torch.cat([part.mean for part in parts]), variance

    def _positive(self, variance: Tensor) -> Tensor:
        return variance.clamp(min=LEAST * float(self.variance))


@dataclass(frozen=True)
class Box:
    """Where candidates lie, in standard coordinates.

    Attributes:
        low: (D,).
        high: (D,).
    """

    low: Tensor
    high: Tensor

    def uphill(self, worth: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A point x (D,) moved to where ``worth`` ((1, D) -> (1,)) is higher, (D,)."""
        found, _ = gen_candidates_scipy(
            x.clamp(self.low, self.high)[None, None],  # (1, 1, D), a batch of one
            lambda points: worth(points[:, 0]),  # type: ignore[arg-type]  # it is only called
            lower_bounds=self.low,
            upper_bounds=self.high,
            options={"maxiter": MOVES},
        )
        point: Tensor = found.detach()[0, 0]
        better = float(worth(point[None])) >= float(worth(x[None]))
        return point if better else x


def batch(process: Process, x: Tensor, q: int, box: Box | None) -> Tensor:
    """q points, each of the largest expected improvement given those before.

    Args:
        process: The surrogate.
        x: Points to choose from, (n, D).
        q: How many.
        box: What a chosen point may move in, uphill; None: it stays.

    Returns:
        (q, D).
    """

    def improvement(points: Tensor, of: Predicted, chosen: Tensor, best: float) -> Tensor:
        return log_expected_improvement(of.mean, process.left(points, of, chosen), best)

    with torch.no_grad():
        of = process(x)
    best = float(of.mean.max())
    if box is not None:
        top = box.uphill(lambda p: process(p).mean, x[int(of.mean.argmax())])
        with torch.no_grad():
            best = float(process(top[None]).mean)
    chosen = x[:0]
    for _ in range(q):
        with torch.no_grad():
            gains = improvement(x, of, chosen, best)
        point = x[int(gains.argmax())]
        if box is not None:
            before = chosen
            point = box.uphill(lambda p: improvement(p, process(p), before, best), point)  # noqa: B023
        chosen = torch.cat([chosen, point[None]])
    return chosen
