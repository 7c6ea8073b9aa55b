"""Whether each dimension of a code stands for one factor of the data, where factors are known.

Letters: N examples, D dimensions of a code, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def mutual_information_gap(codes: ArrayLike, factors: ArrayLike, bins: int = 20) -> float:
    """The mutual information gap (MIG), 0 to 1.

    The mean over factors of (I_1 - I_2) / H, with I_1 and I_2 the largest and the second largest
    mutual information of the factor with a dimension of the code, and H the factor's entropy
    (Chen, Li, Grosse and Duvenaud, *Isolating Sources of Disentanglement in VAEs*, NeurIPS 2018,
    eq. 6). It is 1 where one dimension tells all of a factor and the others nothing of it, and
    near 0 where nothing is told, or by two as well. Information is that of histograms, of bins of
    equal width (Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of
    Disentangled Representations*, ICML 2019); what few examples add to it cancels in the gap.

    Args:
        codes: (N, D), D at least 2.
        factors: Numbers of values, (N, K).
        bins: Of each dimension's histogram.

    Raises:
        ValueError: Shapes do not fit, a factor has one value only, or D is 1.
    """
    z, v = _checked(codes, factors)
    if z.shape[1] < 2 or bins < 2:
        raise ValueError(f"codes have {z.shape[1]} dimensions and {bins} bins; expected 2 or more")
    binned = np.stack([_binned(column, bins) for column in z.T], 1)
    gaps = []
    for factor in v.T:
        told = sorted(_information(column, factor) for column in binned.T)
        gaps.append((told[-1] - told[-2]) / _information(factor, factor))
    return float(np.mean(gaps))


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness, each 0 to 1, 1 is best.

    Attributes:
        disentanglement: Whether a dimension matters for one factor only.
        completeness: Whether a factor is told by one dimension only.
        informativeness: Share of held-out values of factors that are told, mean over factors.
        importance: How much each dimension matters for each factor, (D, K), columns add up to 1.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Floats


def dci(codes: ArrayLike, factors: ArrayLike, *, trees: int = 20, seed: int = 0) -> DCI:
    """DCI of Eastwood and Williams (*A Framework for the Quantitative Evaluation of Disentangled
    Representations*, ICLR 2018), with a random forest for each factor.

    With P the importances R (D, K) of dimensions for factors, of each row or column as shares:
    disentanglement of a dimension is 1 - its entropy over factors, to the base K, and their mean
    is weighted by what a dimension matters at all; completeness of a factor is 1 - its entropy
    over dimensions, to the base D. Every fourth example in a random order is held out, for
    informativeness (the paper's is an error; here it is a share that is right).

    Args:
        codes: (N, D), D at least 2.
        factors: Numbers of values, (N, K), K at least 2.
        trees: Of each forest.
        seed: Of the order and the forests.

    Raises:
        ValueError: Shapes do not fit, a factor has one value only, or D or K is 1.
    """
    from sklearn.ensemble import RandomForestClassifier

    z, v = _checked(codes, factors)
    if min(z.shape[1], v.shape[1]) < 2 or len(z) < 8:
        raise ValueError(
            f"{len(z)} codes of {z.shape[1]} dimensions and {v.shape[1]} factors; expected at "
            "least 8, 2 and 2"
        )
    order = np.random.default_rng(seed).permutation(len(z))
    held, known = order[::4], np.delete(order, np.s_[::4])
    importance, right = np.zeros((z.shape[1], v.shape[1])), []
    for k, factor in enumerate(v.T):
        # All dimensions at each split: a dimension that tells nothing then gets nothing.
        forest = RandomForestClassifier(trees, max_features=None, random_state=seed)
        forest.fit(z[known], factor[known])
        importance[:, k] = forest.feature_importances_
        right.append(forest.score(z[held], factor[held]))
    weight = importance.sum(1) / importance.sum()
    return DCI(
        disentanglement=float(weight @ _focus(importance)),
        completeness=float(_focus(importance.T).mean()),
        informativeness=float(np.mean(right)),
        importance=importance,
    )


def _checked(codes: ArrayLike, factors: ArrayLike) -> tuple[Floats, Numbers]:
    z, v = np.asarray(codes, np.float64), np.asarray(factors)
    if z.ndim != 2 or v.ndim != 2 or len(z) != len(v):
        raise ValueError(f"codes {z.shape} and factors {v.shape}; expected (N, D) and (N, K)")
    if not np.isfinite(z).all():
        raise ValueError("codes hold nan or infinity; the training has probably diverged")
    numbers = np.stack([np.unique(column, return_inverse=True)[1] for column in v.T], 1)
    for k, count in enumerate(numbers.max(0) + 1):
        if count < 2:
            raise ValueError(f"factor {k} has one value in all examples: leave it out")
    return z, numbers.astype(np.int64)


def _binned(column: Floats, bins: int) -> Numbers:
    """The bin of each value, of equal width from the least to the largest."""
    edges = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return np.digitize(column, edges).astype(np.int64)


def _information(one: Numbers, other: Numbers) -> float:
    """Mutual information of discrete variables (N,), in nats; of one with itself its entropy."""
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(one))
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


def _focus(importance: Floats) -> Floats:
    """1 - entropy of each row's shares, to the base of their number; 0 for a row of zeros."""
    total = importance.sum(1, keepdims=True)
    share = np.where(total > 0, importance / np.maximum(total, 1e-300), 1 / importance.shape[1])
    logs = np.log(np.where(share > 0, share, 1.0))
    focus: Floats = 1 + (share * logs).sum(1) / np.log(importance.shape[1])
    return focus
