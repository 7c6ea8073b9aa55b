"""Precision, recall, density and coverage by nearest neighbours, and nearness to training data.

A set of points stands for the balls around each of them that reach to its k-th nearest neighbour
in the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from molae.metrics.kid import features

#: k, as Naeem et al. recommend.
NEIGHBORS = 5
#: Rows whose distances to all others are in memory together.
_ROWS = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Manifold:
    """How two sets of points lie in each other.

    Attributes:
        precision: Share of generated points in a ball of the reference, 0 to 1.
        recall: Share of points of the reference in a ball of the generated ones, 0 to 1.
        density: Balls of the reference that a generated point lies in, over k; 1 for equal
            distributions, and more where generated points crowd where the reference is dense.
        coverage: Share of the reference's balls with a generated point inside, 0 to 1.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(generated: ArrayLike, reference: ArrayLike, k: int = NEIGHBORS) -> Manifold:
    """Improved precision and recall, and density and coverage.

    Kynkaanniemi et al., *Improved precision and recall metric*, NeurIPS 2019, and Naeem et al.,
    *Reliable fidelity and diversity metrics*, ICML 2020. A point on the surface of a ball is not
    in it, so that sets of equal points are no neighbours.

    Args:
        generated: (N, F), N above k.
        reference: (M, F), M above k.
        k: Which neighbour a ball reaches to, the point itself not counted.

    Raises:
        ValueError: Too few points, or features that differ in number.
    """
    one, other = _pair(generated, reference)
    if k < 1 or min(len(one), len(other)) <= k:
        raise ValueError(f"{len(one)} and {len(other)} points; expected more than k = {k}")
    reach_one, reach_other = radii(one, k), radii(other, k)  # (N,), (M,)
    inside = np.zeros(len(one), np.int64)  # balls of the reference that a generated point is in
    found, nearest = [], []
    for rows, table in _squares(other, one):  # (m, N)
        inside += (table < reach_other[rows, None]).sum(0)
        found.append((table < reach_one).any(1))
        nearest.append(table.min(1))
    return Manifold(
        precision=float((inside > 0).mean()),
        recall=float(np.concatenate(found).mean()),
        density=float(inside.mean() / k),
        coverage=float((np.concatenate(nearest) < reach_other).mean()),
    )


def radii(points: Floats, k: int) -> Floats:
    """Squared distance of each point to its k-th nearest neighbour among the others, (N,)."""
    parts = []
    for rows, table in _squares(points, points):
        table[np.arange(len(table)), np.arange(rows.start, rows.start + len(table))] = -1.0
        parts.append(np.partition(table, k, axis=1)[:, k])  # the point itself is the 0-th
    return np.concatenate(parts)


def nearest(points: ArrayLike, among: ArrayLike) -> Floats:
    """Distance of each point (N, F) to the nearest of others (M, F), (N,).

    Raises:
        ValueError: There is none, or features differ in number.
    """
    one, other = _pair(points, among)
    squares: Floats = np.concatenate([table.min(1) for _, table in _squares(one, other)])
    return np.sqrt(squares)


def nearest_ratio(generated: ArrayLike, held: ArrayLike, train: ArrayLike) -> float | None:
    """How much nearer generated points are to training points than new real ones are.

    Args:
        generated: (N, F).
        held: Real points that were not learnt from, (H, F).
        train: Points that were learnt from, (M, F).

    Returns:
        Median distance of generated points to the nearest training point, over that of held-out
        points: about 1 for new ones of the same kind, near 0 for copies of training points, above
        1 for what is unlike all that is real. None where held-out points are training points.

    Raises:
        ValueError: A set is empty, or features differ in number.
    """
    unit = float(np.median(nearest(held, train)))
    return float(np.median(nearest(generated, train))) / unit if unit > 0 else None


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Two sets of features, checked."""
    one, other = features(a), features(b)
    if not len(one) or not len(other):
        raise ValueError(f"{len(one)} and {len(other)} points; expected at least one in each set")
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"{one.shape[1]} and {other.shape[1]} features; expected the same number")
    return one, other


def _squares(a: Floats, b: Floats) -> Iterator[tuple[slice, Floats]]:
    """Squared distances of some rows of a (n, F) to all rows of b (m, F), (rows, m) at a time."""
    # Around a common centre products are small, and their difference keeps its digits.
    centre = b.mean(0)
    a, b = a - centre, b - centre
    length = np.square(b).sum(1)
    for first in range(0, len(a), _ROWS):
        rows = slice(first, min(first + _ROWS, len(a)))
        part = a[rows]
        table: Floats = np.square(part).sum(1)[:, None] + length - 2 * part @ b.T
        yield rows, np.maximum(table, 0, out=table)
