"""Fingerprints of pairs and triples of pharmacophore points (Gobbi and Poppinger 1998).

A point is an atom that is a donor, an acceptor, hydrophobic and so on; a bit stands for two or
three kinds of points at certain distances. Source: Gobbi and Poppinger, "Genetic optimization of
combinatorial libraries", Biotechnol. Bioeng. 61 (1998), in the form that RDKit gives it
(``rdkit.Chem.Pharm2D``: kinds of points and their patterns, and distances of 2, 3, ... 7 bonds,
8 to 99 bonds). RDKit goes through the triples one by one in Python, which takes ten milliseconds a
molecule and more; here it is arrays, with the same bits under other numbers.

Letters: P points of a molecule.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.DataStructs import SparseBitVect

#: Classes of distances: 2, 3, ..., 7 bonds, and 8 or more.
NEAREST, BINS = 2, 7

#: From this many bonds on, and between parts that are not connected, there is no distance.
FURTHEST = 100

#: Stands for a distance that is in no class; a sum of three codes with one of it is below zero.
_NONE = -(2**28)


@lru_cache(maxsize=1)
def _kinds() -> tuple[tuple[Chem.Mol, ...], ...]:
    """For each kind of point the patterns of its atom; each pattern is of one atom."""
    from rdkit.Chem.Pharm2D import Gobbi_Pharm2D

    factory: Any = Gobbi_Pharm2D.factory
    kinds: dict[str, list[Chem.Mol]] = defaultdict(list)
    for name, smarts in factory.featFactory.GetFeatureDefs().items():
        kinds[name.split(".")[0]].append(Chem.MolFromSmarts(smarts))  # "HD.Donor" is of kind HD
    return tuple(tuple(kinds[name]) for name in sorted(kinds))


def _points(mol: Chem.Mol) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Kind and atom of each point, (P,) and (P,), in the order of kinds."""
    found = [
        (kind, atom)
        for kind, patterns in enumerate(_kinds())
        for atom in sorted(
            {atom for pattern in patterns for (atom,) in mol.GetSubstructMatches(pattern)}
        )
    ]
    table = np.array(found, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@lru_cache(maxsize=1)
def _canonical() -> NDArray[np.int64]:
    """(kinds^3 * BINS^3,): for the code of a triple, that of its canonical order.

    The digits of a code are the kinds of points 1, 2, 3 (not falling) and the classes of distances
    12, 13, 23. Points of the same kind may change places; the order with the larger distance first
    is taken.
    """
    count = len(_kinds())
    code = np.arange(count**3 * BINS**3)
    *kinds, a, b, c = np.unravel_index(code, (count,) * 3 + (BINS,) * 3)
    first, last = kinds[0] == kinds[1], kinds[1] == kinds[2]
    for swap in (first, last, first & last):  # three of a kind: sorted by bubbles
        if swap is last:
            a, b = np.where(swap, np.maximum(a, b), a), np.where(swap, np.minimum(a, b), b)
        else:
            b, c = np.where(swap, np.maximum(b, c), b), np.where(swap, np.minimum(b, c), c)
    return np.ravel_multi_index((*kinds, a, b, c), (count,) * 3 + (BINS,) * 3)


def pharmacophores(mol: Chem.Mol) -> SparseBitVect:
    """The fingerprint of a molecule, to be compared by ``TanimotoSimilarity``.

    Args:
        mol: As ``molae.chem.molecules.read`` returns it.

    Returns:
        kinds^2 * BINS bits for pairs, then kinds^3 * BINS^3 for triples.
    """
    kind, atom = _points(mol)  # (P,), (P,)
    count = len(_kinds())
    distance = Chem.GetDistanceMatrix(mol)[np.ix_(atom, atom)]  # (P, P)
    near = (distance >= NEAREST) & (distance < FURTHEST)
    bins = np.where(near, np.minimum(distance, NEAREST + BINS - 1) - NEAREST, 0).astype(np.int64)
    later = np.triu(near, 1)  # each pair once, kinds not falling
    pair = ((kind[:, None] * count + kind) * BINS + bins)[later]
    triple = _triples(kind, bins, later)
    bits = SparseBitVect(count**2 * BINS + count**3 * BINS**3)
    bits.SetBitsFromList(np.unique(pair).tolist())
    bits.SetBitsFromList((np.unique(triple) + count**2 * BINS).tolist())
    return bits


def _triples(
    kind: NDArray[np.int64], bins: NDArray[np.int64], later: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Canonical codes of the triples of points that are all at a distance from each other.

    Args:
        kind: (P,) kind of each point, not falling.
        bins: (P, P) class of each distance.
        later: (P, P) which pairs are at a distance, upper triangle only.

    Returns:
        Codes, each at most a few times.
    """
    count = len(_kinds())
    # The code of points i, j, k is a sum of one summand for each of the three pairs.
    ij = (kind[:, None] * count + kind) * (count * BINS**3) + bins * BINS**2  # (P, P)
    ik = kind * BINS**3 + bins * BINS  # (P, P)
    jk = np.where(later, bins, _NONE)  # (P, P)
    seen = np.zeros(count**3 * BINS**3, np.bool_)
    for i in range(len(kind) - 2):
        others = np.flatnonzero(later[i])
        codes = (ij[i, others, None] + ik[i, others]) + jk[np.ix_(others, others)]
        seen[codes[codes >= 0]] = True
    return _canonical()[np.flatnonzero(seen)]
