"""Small models of vectors and their data, on which objectives with critics are seen at work.

Tests use them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from molae.densities import StandardNormal
from molae.models import Autoencoder
from molae.objectives import Objective
from molae.training import fit
from molae.types import Batch

#: Width of hidden layers.
WIDE = 64


class Vectors:
    """Rows of a tensor (N, X) as ``fit`` reads them, and labels."""

    lengths = None

    def __init__(self, x: Tensor, y: Tensor | None = None) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        """N."""
        return len(self.x)

    def batch(self, index: NDArray[Any]) -> Batch:
        """Some rows."""
        rows = torch.from_numpy(np.asarray(index))
        return Batch(self.x[rows], None if self.y is None else self.y[rows], index=rows)


class Reads(nn.Module):
    """x (B, X) -> h (B, H)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.shape, self.width = (size,), WIDE
        self.layers = nn.Sequential(nn.Linear(size, WIDE), nn.ReLU())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features."""
        h: Tensor = self.layers(x)
        return h


class Normal:
    """x ~ N(mean, sigma^2 I)."""

    def __init__(self, mean: Tensor, sigma: float) -> None:
        self.mean, self.sigma = mean, sigma

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z), (B, X) -> (*S, B)."""
        square = ((x - self.mean) / self.sigma).square()
        return -(0.5 * square + math.log(self.sigma) + 0.5 * math.log(2 * math.pi)).sum(-1)

    def outputs(self, x: Tensor) -> Tensor:
        """The means, (*S, B, X)."""
        return self.mean


class Coins:
    """x of zeros and ones, independent given the code."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z), (B, X) -> (*S, B)."""
        each = nn.functional.binary_cross_entropy_with_logits(
            self.logits, x.expand_as(self.logits), reduction="none"
        )
        return -each.sum(-1)

    def outputs(self, x: Tensor) -> Tensor:
        """The means, (*S, B, X)."""
        return self.logits.sigmoid()


class Writes(nn.Module):
    """z (*S, B, D) -> p(x|z)."""

    def __init__(self, latent: int, size: int, sigma: float | None) -> None:
        super().__init__()
        self.sigma = sigma
        self.layers = nn.Sequential(
            nn.Linear(latent, WIDE), nn.ReLU(), nn.Linear(WIDE, WIDE), nn.ReLU(),
            nn.Linear(WIDE, size),
        )  # fmt: skip

    def forward(self, z: Tensor, context: Tensor | None = None) -> Normal | Coins:
        """The likelihood."""
        out = self.layers(z)
        return Coins(out) if self.sigma is None else Normal(out, self.sigma)


def autoencoder(
    size: int,
    latent: int,
    head: Callable[[int, int], nn.Module],
    prior: nn.Module | None = None,
    sigma: float | None = 0.1,
) -> Autoencoder:
    """Of vectors (B, size), with the same weights each time.

    Args:
        size: X.
        latent: D.
        head: Of the width of features and that of codes.
        prior: N(0, I) if None.
        sigma: Standard deviation of the data given the code; None for zeros and ones.
    """
    torch.manual_seed(0)
    reads = Reads(size)
    made = head(reads.width, latent)
    return Autoencoder(reads, made, Writes(latent, size, sigma), prior or StandardNormal(latent))


def train(
    model: nn.Module,
    objective: Objective,
    data: Vectors,
    steps: int,
    *,
    batch_size: int = 128,
    rate: float = 1e-3,
    schedule: str = "constant",
) -> None:
    """Train by the loop that everyone uses."""
    fit(
        model, objective, data, steps=steps, batch_size=batch_size, learning_rate=rate,
        schedule=schedule, device="cpu", precision="fp32", progress=False, log_every=10**6,
    )  # fmt: skip


def ring(
    n: int, count: int = 8, radius: float = 2.0, width: float = 0.05, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Points around ``count`` places on a circle, (n, 2), and the number of each one's place."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.arange(n) % count
    angle = 2 * math.pi * which / count
    middle = radius * torch.stack([angle.cos(), angle.sin()], -1)
    return middle + width * torch.randn(n, 2, generator=generator), which


def sheet(n: int, seed: int = 0) -> Tensor:
    """A bent square in four dimensions, (n, 4): codes of two numbers hold all of it."""
    u = 2 * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) - 1
    return torch.cat([u, u[:, :1] * u[:, 1:], u[:, :1].square()], 1)


def modes(points: Tensor, count: int = 8, radius: float = 2.0, near: float = 0.25) -> list[int]:
    """How many of some points (n, 2) lie near each of the places that ``ring`` is around."""
    places, _ = ring(count, count, radius, 0.0)
    distance, place = torch.cdist(points, places).min(1)
    return torch.bincount(place[distance < near], minlength=count).tolist()


def covered(points: Tensor) -> int:
    """How many of the eight places have half their share of some points (n, 2) or more."""
    found = modes(points)
    return sum(2 * count * len(found) >= len(points) for count in found)


#: The four points of Mescheder et al. (ICML 2017, figure 5): one of four coins shows heads.
FOUR = torch.eye(4)


def evidence(model: Autoencoder, x: Tensor, draws: int = 20_000) -> Tensor:
    """log p(x) of a few examples (B, X), (B,), by draws of the prior."""
    with torch.no_grad():
        z = model.prior.sample(draws).unsqueeze(1).expand(-1, len(x), -1)
        return torch.logsumexp(model.likelihood(z).log_prob(x), 0) - math.log(draws)


def excess(model: Autoencoder, x: Tensor, draws: int = 4000) -> Tensor:
    """By how much each posterior's fourth moment is above that of a normal, (B,).

    E ||z'||^4 of codes z' of mean 0 and covariance I, less D (D + 2) (Mardia 1970).
    """
    with torch.no_grad():
        z = model.posterior(x).rsample((draws,)).double()
        z = (z - z.mean(0)).transpose(0, 1)  # (B, n, D)
        size = z.shape[-1]
        scale = torch.linalg.cholesky(z.transpose(1, 2) @ z / draws)
        white = torch.linalg.solve_triangular(scale, z.transpose(1, 2), upper=False)
        return white.square().sum(1).square().mean(-1) - size * (size + 2)
