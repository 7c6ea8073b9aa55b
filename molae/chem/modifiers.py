"""From a number to a score between 0 and 1, and from several scores to one, as in GuacaMol.

Source: Brown et al., "GuacaMol: Benchmarking Models for de Novo Molecular Design", J. Chem. Inf.
Model. 59 (2019), section 4 of the supporting information, and the package ``guacamol``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

Modifier = Callable[[float], float]
Mean = Callable[[Collection[float]], float]


def unchanged(x: float) -> float:
    """The number itself, for what is between 0 and 1 already."""
    return x


@dataclass(frozen=True)
class Gaussian:
    """exp(-((x - mu) / sigma)^2 / 2): 1 at ``mu``, falling to both sides."""

    mu: float
    sigma: float

    def __call__(self, x: float) -> float:
        """The score of one number."""
        z = (x - self.mu) / self.sigma
        return math.exp(-0.5 * z * z)


@dataclass(frozen=True)
class MinGaussian(Gaussian):
    """For what is to be small: 1 up to ``mu``, above it the Gaussian."""

    def __call__(self, x: float) -> float:
        """The score of one number."""
        return Gaussian.__call__(self, max(x, self.mu))


@dataclass(frozen=True)
class MaxGaussian(Gaussian):
    """For what is to be large: 1 from ``mu`` on, below it the Gaussian."""

    def __call__(self, x: float) -> float:
        """The score of one number."""
        return Gaussian.__call__(self, min(x, self.mu))


@dataclass(frozen=True)
class Clipped:
    """x / upper, at least 0 and at most 1: more than ``upper`` is not worth more."""

    upper: float

    def __call__(self, x: float) -> float:
        """The score of one number."""
        return min(max(x / self.upper, 0.0), 1.0)


def geometric(scores: Collection[float]) -> float:
    """The geometric mean of scores that are not negative: 0 as soon as one of them is."""
    return math.prod(scores) ** (1 / len(scores))


def arithmetic(scores: Collection[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(scores) / len(scores)
