"""Kernel distance between two sets of features: unbiased, and with a standard error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Rows of a block, at most, and blocks that there shall be at least.
BLOCK, BLOCKS = 1000, 10
#: Rows that it takes on each side: two in every block.
LEAST = 2 * BLOCKS

Floats = NDArray[np.float64]


class Kid(NamedTuple):
    """A kernel distance.

    Attributes:
        value: The squared maximum mean discrepancy, 0 in expectation for equal distributions; so
            it falls below 0 about as often as above where they are equal.
        error: Its standard error.
    """

    value: float
    error: float


def kid(a: ArrayLike, b: ArrayLike, *, seed: int = 0) -> Kid:
    """The kernel (Inception) distance of Binkowski et al., *Demystifying MMD GANs*, ICLR 2018.

    The kernel is (x.y / F + 1)^3. Both sets are shuffled and cut into blocks of at most 1,000
    rows that share none, at least ten of them; the value is the mean of the blocks' U-statistics
    of MMD^2, which are unbiased for any number of rows, and the error is that of this mean.

    Args:
        a: Features, (N, F), N at least 20.
        b: Features, (M, F), M at least 20. Rows of the larger set beyond the other's are left out.
        seed: Of the shuffling.

    Raises:
        ValueError: Too few rows, or features that differ in number.
    """
    one, other = features(a), features(b)
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"{one.shape[1]} and {other.shape[1]} features; expected the same number")
    count = min(len(one), len(other))
    if count < LEAST:
        raise ValueError(f"{count} rows; expected at least {LEAST} on each side")
    rng = np.random.default_rng(seed)
    one, other = rng.permutation(one)[:count], rng.permutation(other)[:count]
    size = min(BLOCK, count // BLOCKS)
    values = [
        squared_mmd(one[first : first + size], other[first : first + size])
        for first in range(0, count - size + 1, size)
    ]
    return Kid(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))


def squared_mmd(a: Floats, b: Floats) -> float:
    """The U-statistic of MMD^2 between a (n, F) and b (m, F), n and m at least 2."""
    return _own(a) + _own(b) - 2 * float(_kernel(a, b).mean())


def _own(a: Floats) -> float:
    """Mean of the kernel over pairs of different rows."""
    table = _kernel(a, a)
    return float((table.sum() - np.trace(table)) / (len(a) * (len(a) - 1)))


def _kernel(a: Floats, b: Floats) -> Floats:
    """(x.y / F + 1)^3 of all rows, (n, m)."""
    table: Floats = (a @ b.T / a.shape[1] + 1.0) ** 3
    return table


def features(table: ArrayLike) -> Floats:
    """Features as numbers.

    Raises:
        ValueError: They are not (N, F), or not finite.
    """
    found = np.asarray(table, np.float64)
    if found.ndim != 2 or not found.shape[1]:
        raise ValueError(f"features of shape {found.shape}; expected (N, F)")
    if not np.isfinite(found).all():
        raise ValueError("features hold nan or infinity")
    return found
