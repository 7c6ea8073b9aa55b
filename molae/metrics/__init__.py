"""How good a model is, in numbers: sets of molecules beside a reference, and optimisers."""

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
from molae.metrics.optimization import (
    final_score,
    guacamol_score,
    top_auc,
    top_average,
    top_curve,
)
from molae.metrics.profile import Profile, profile

__all__ = [
    "Comparison",
    "Moments",
    "Profile",
    "compare",
    "count_similarity",
    "fcd",
    "final_score",
    "frechet_distance",
    "guacamol_score",
    "internal_diversity",
    "nearest_similarity",
    "novelty",
    "profile",
    "top_auc",
    "top_average",
    "top_curve",
    "uniqueness",
    "validity",
    "wasserstein",
]
