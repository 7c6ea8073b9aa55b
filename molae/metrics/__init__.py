"""How good a model is, in numbers: sets of molecules beside a reference."""

from __future__ import annotations

from molae.metrics.comparison import Comparison, compare
from molae.metrics.distribution import (
    count_similarity,
    internal_diversity,
    nearest_similarity,
    novelty,
    uniqueness,
    validity,
    wasserstein,
)
from molae.metrics.frechet import Moments, fcd, frechet_distance
from molae.metrics.profile import Profile, profile

__all__ = [
    "Comparison",
    "Moments",
    "Profile",
    "compare",
    "count_similarity",
    "fcd",
    "frechet_distance",
    "internal_diversity",
    "nearest_similarity",
    "novelty",
    "profile",
    "uniqueness",
    "validity",
    "wasserstein",
]
