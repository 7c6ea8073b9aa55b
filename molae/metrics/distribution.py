"""How one set of molecules compares with another: the definitions of MOSES, on lists and arrays.

Source: Polykovskiy et al., "Molecular Sets (MOSES)", Front. Pharmacol. 11 (2020), section 3, and
where paper and published code differ, the code, which made the published numbers. Molecules stand
here as canonical SMILES, Morgan fingerprints (radius 2, 1024 bits), counts of fragments, or
numbers; ``molae.metrics.profile`` makes all of these from SMILES.

Letters: N, M molecules; S bits of a fingerprint.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from molae.chem.fingerprints import nearest, tanimoto

#: Rows of fingerprints compared at a time.
BLOCK = 1024


def _some(items: Collection[object], what: str) -> None:
    if not len(items):
        raise ValueError(f"there is no {what}; expected at least one")


def validity(smiles: Sequence[str | None]) -> float:
    """Share of draws that are molecules.

    Args:
        smiles: For each draw its canonical SMILES, or None where RDKit reads none.

    Raises:
        ValueError: There are no draws.
    """
    _some(smiles, "draw")
    return sum(text is not None for text in smiles) / len(smiles)


def uniqueness(smiles: Sequence[str], first: int | None = None) -> float:
    """Share of valid draws that are different molecules; unique@k is that of the first k.

    Args:
        smiles: Canonical SMILES of the valid draws, in the order they were drawn.
        first: k. MOSES takes what there is where there are fewer; here that is an error, because
            the share falls with the number of draws.

    Raises:
        ValueError: There are no draws, or fewer than ``first``.
    """
    _some(smiles, "valid molecule")
    if first is not None and len(smiles) < first:
        raise ValueError(f"{len(smiles)} valid molecules; expected at least {first}")
    looked = smiles[:first]
    return len(set(looked)) / len(looked)


def novelty(smiles: Sequence[str], train: Collection[str]) -> float:
    """Share of the different molecules that are not in the training set.

    Args:
        smiles: Canonical SMILES of the valid draws; repeats count once.
        train: Canonical SMILES of the training set, or of those of it that could be met.

    Raises:
        ValueError: There are no molecules.
    """
    _some(smiles, "valid molecule")
    different = set(smiles)
    return len(different.difference(train)) / len(different)


def internal_diversity(bits: NDArray[np.uint8], powers: Sequence[int] = (1, 2)) -> list[float]:
    """IntDiv_p = 1 - mean_i (mean_j T(i, j)^p)^(1/p) with T the Tanimoto similarity, j = i too.

    This is what the published code computes. The paper draws the root of the mean over all pairs;
    for p = 1 that is the same, for p = 2 it gives a slightly smaller diversity.

    Args:
        bits: (N, S) Morgan fingerprints, radius 2, 1024 bits.
        powers: The values of p.

    Returns:
        One number for each p, 0 (all the same) to 1.

    Raises:
        ValueError: There are no molecules.
    """
    _some(bits, "valid molecule")
    sums = np.zeros((len(powers), len(bits)))
    for i in range(0, len(bits), BLOCK):
        rows = slice(i, i + BLOCK)
        for j in range(i, len(bits), BLOCK):
            columns = slice(j, j + BLOCK)
            similarity = tanimoto(bits[rows], bits[columns])  # (n, m)
            for total, p in zip(sums, powers, strict=True):
                power = similarity if p == 1 else similarity**p
                total[rows] += power.sum(1, dtype=np.float64)
                if j > i:  # the same pairs, seen from the other side
                    total[columns] += power.sum(0, dtype=np.float64)
    means = sums / len(bits)
    return [1 - float((row ** (1 / p)).mean()) for row, p in zip(means, powers, strict=True)]


def nearest_similarity(bits: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """SNN: mean Tanimoto similarity of each molecule to the nearest one of the reference.

    Args:
        bits: (N, S) Morgan fingerprints, radius 2, 1024 bits.
        reference: (M, S).

    Raises:
        ValueError: One of the two is empty.
    """
    _some(bits, "valid molecule")
    return float(nearest(bits, reference, BLOCK)[0].mean(dtype=np.float64))


def count_similarity(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    """Cosine of two tables of counts: Frag is that of BRICS fragments, Scaf that of scaffolds.

    Args:
        a: How often each piece occurs in one set; what is missing occurs 0 times.
        b: The same in the other.

    Raises:
        ValueError: One of the two holds nothing.
    """
    if not a or not b:
        raise ValueError("nothing was counted on one side; expected at least one piece on each")
    product = sum(count * b[piece] for piece, count in a.items() if piece in b)
    lengths = [math.sqrt(sum(count**2 for count in table.values())) for table in (a, b)]
    return product / (lengths[0] * lengths[1])


def wasserstein(a: ArrayLike, b: ArrayLike) -> float:
    """Wasserstein-1 distance of two samples of a number: the area between their distributions.

    Args:
        a: (N,), in any order.
        b: (M,).

    Returns:
        The distance, in the unit of the numbers.

    Raises:
        ValueError: A sample is empty or holds NaN.
    """
    left, right = np.sort(np.asarray(a, np.float64)), np.sort(np.asarray(b, np.float64))
    _some(left, "number")
    _some(right, "number")
    if np.isnan(left[-1]) or np.isnan(right[-1]):  # NaN is sorted to the end
        raise ValueError("NaN among the numbers; expected a number for each molecule")
    places = np.sort(np.concatenate((left, right)))
    below = [np.searchsorted(s, places[:-1], "right") / len(s) for s in (left, right)]
    return float(np.abs(below[0] - below[1]) @ np.diff(places))
