"""Weights by the rank of a score, and rows that are drawn by weight."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def rank_weights(scores: Floats, k: float) -> Floats:
    """1 / (k N + rank), normalised.

    The weights of Tripp, Daxberger and Hernandez-Lobato (NeurIPS 2020, section 3). The rank of a
    score is the number of scores above it: 0 for the best, and the same for equal scores.

    Args:
        scores: (N,), finite; higher is better.
        k: Above 0. The smaller it is, the more the best count; infinity counts all alike.

    Returns:
        (N,), of sum 1.
    """
    n = len(scores)
    if math.isinf(k):
        return np.full(n, 1.0 / n)
    rank = n - np.searchsorted(np.sort(scores), scores, side="right")
    weights = 1.0 / (k * n + rank)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def effective(weights: Floats) -> float:
    """How many equally weighted rows would be as good as these, (sum w)^2 / sum w^2 (Kish)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def spread_weights(scores: Floats, k: float, least: float) -> Floats:
    """``rank_weights`` with k doubled until they are worth ``least`` rows (below N)."""
    weights = rank_weights(scores, k)
    while effective(weights) < least:
        k *= 2
        weights = rank_weights(scores, k)
    return weights


def draw(weights: Floats, n: int, rng: np.random.Generator) -> Rows:
    """n rows with replacement, (n,) int64: row i comes n w_i times, rounded up or down by chance.

    That is systematic resampling (Kitagawa, *J. Comput. Graph. Stat.* 5, 1996): in the mean the
    same as drawing row by row, and with less noise.

    Args:
        weights: (N,), of sum 1.
        n: How many.
        rng: One number is drawn from it.
    """
    edges = np.cumsum(weights)
    places = (np.arange(n) + rng.random()) / n * edges[-1]
    rows = np.searchsorted(edges, places, side="right")
    return np.asarray(np.minimum(rows, len(weights) - 1), dtype=np.int64)
