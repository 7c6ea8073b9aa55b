"""Precision and recall of a distribution, as curves over clusters of features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from molae.metrics.kid import features

#: Points of a curve, clusters, and clusterings that a curve is averaged over, as published.
ANGLES, CLUSTERS, RUNS = 1001, 20, 10
#: Weight of the summary that values recall; that of precision is its inverse.
BETA = 8.0
#: How far the outermost angles are from 0 and 90 degrees, in radians.
_END = 1e-10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prd:
    """A curve of precision and recall.

    Attributes:
        precision: (A,), how much of what was generated the reference can make.
        recall: (A,), how much of the reference the generated set covers.
    """

    precision: Floats
    recall: Floats

    @property
    def f8(self) -> float:
        """The largest F_8 on the curve, 0 to 1: mostly recall (variety)."""
        return self.best(BETA)

    @property
    def f_eighth(self) -> float:
        """The largest F_1/8 on the curve, 0 to 1: mostly precision (fidelity)."""
        return self.best(1 / BETA)

    def best(self, beta: float) -> float:
        """The largest (1 + b^2) P R / (b^2 P + R) on the curve."""
        square = beta**2
        below = square * self.precision + self.recall
        above = (1 + square) * self.precision * self.recall
        return float(np.divide(above, below, out=np.zeros_like(below), where=below > 0).max())


def prd_curve(generated: ArrayLike, reference: ArrayLike, angles: int = ANGLES) -> Prd:
    """The curve of two distributions over K outcomes (Sajjadi et al. 2018, equation 8).

    Of the angles t in (0, 90) degrees, with s = tan t: precision sum_k min(s r_k, g_k) and recall
    the same over s.

    Args:
        generated: g, (K,), adds up to 1.
        reference: r, (K,), adds up to 1.
        angles: Points of the curve, at least 3.

    Raises:
        ValueError: The two are no distributions over the same outcomes.
    """
    g, r = np.asarray(generated, np.float64), np.asarray(reference, np.float64)
    if g.ndim != 1 or g.shape != r.shape or min(g.min(), r.min()) < 0 or angles < 3:
        raise ValueError(f"distributions of shape {g.shape} and {r.shape}, {angles} angles")
    if not np.allclose([g.sum(), r.sum()], 1):
        raise ValueError(f"distributions add up to {g.sum():g} and {r.sum():g}; expected 1")
    slopes = np.tan(np.linspace(_END, np.pi / 2 - _END, angles))
    precision = np.minimum(slopes[:, None] * r, g).sum(1)
    return Prd(np.clip(precision, 0, 1), np.clip(precision / slopes, 0, 1))


def prd(
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    clusters: int = CLUSTERS,
    runs: int = RUNS,
    seed: int = 0,
) -> Prd:
    """Precision and recall of Sajjadi et al., *Assessing generative models*, NeurIPS 2018.

    The two sets of features are clustered together by k-means, and the shares of each set in each
    cluster are compared; the curve is the mean over several clusterings.

    Args:
        generated: (N, F).
        reference: (M, F). As many rows of the larger set as the other has are drawn: with other
            numbers of rows the clusters would belong to the larger set.
        clusters: K.
        runs: Clusterings.
        seed: Of the rows drawn, and of the clusterings; the i-th has this number and i.

    Raises:
        ValueError: Fewer rows than clusters, or features that differ in number.
    """
    one, other = features(generated), features(reference)
    count = min(len(one), len(other))
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"{one.shape[1]} and {other.shape[1]} features; expected the same number")
    if count < clusters or clusters < 1 or runs < 1:
        raise ValueError(
            f"{count} rows on the smaller side, {clusters} clusters, {runs} runs; expected at "
            "least as many rows as clusters, and one of each"
        )
    # Not the first rows: files are often sorted, by class for instance.
    rng = np.random.default_rng(seed)
    both = np.concatenate([side[rng.permutation(len(side))[:count]] for side in (one, other)])
    curves = []
    for run in range(runs):
        which = _clusters(both, clusters, seed + run)
        g, r = (np.bincount(part, minlength=clusters) / count for part in np.split(which, [count]))
        curves.append(prd_curve(g, r))
    return Prd(
        np.mean([curve.precision for curve in curves], 0),
        np.mean([curve.recall for curve in curves], 0),
    )


def _clusters(rows: Floats, clusters: int, seed: int) -> NDArray[np.int64]:
    """The cluster of each row, (n,)."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        found = MiniBatchKMeans(clusters, n_init=10, random_state=seed).fit_predict(rows)
    return np.asarray(found, np.int64)
