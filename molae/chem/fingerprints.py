"""Morgan fingerprints as arrays, and Tanimoto similarity between many molecules at once.

Letters: N, M molecules, S size of a fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from molae.chem.molecules import read

#: Molecules compared at a time with all others: 512 x 250,000 similarities are half a gigabyte.
_BLOCK = 512


@lru_cache(maxsize=16)
def _generator(radius: int, size: int) -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)


def morgan(
    smiles: Sequence[str | Chem.Mol], radius: int = 2, size: int = 2048, counts: bool = False
) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """Morgan fingerprints without chirality (radius 2 is ECFP4), folded to ``size``.

    Args:
        smiles: N SMILES, or molecules as ``molae.chem.molecules.read`` returns them.
        radius: Bonds around each atom.
        size: S.
        counts: How often each environment occurs, instead of whether it does.

    Returns:
        (N, S), uint8 of zeros and ones, or uint32 of counts.

    Raises:
        MoleculeError: If a SMILES cannot be read.
    """
    generator = _generator(radius, size)
    if counts:
        table = np.zeros((len(smiles), size), np.uint32)
        for row, text in enumerate(smiles):
            table[row] = generator.GetCountFingerprintAsNumPy(_read(text))
        return table
    bits = np.zeros((len(smiles), size), np.uint8)
    for row, text in enumerate(smiles):
        bits[row] = generator.GetFingerprintAsNumPy(_read(text))
    return bits


def _read(molecule: str | Chem.Mol) -> Chem.Mol:
    return read(molecule) if isinstance(molecule, str) else molecule


def tanimoto(a: NDArray[np.generic], b: NDArray[np.generic]) -> NDArray[np.float32]:
    """Tanimoto similarity of every row of one array with every row of another.

    Of bits, shared ones over ones in either; of counts, the sum of the smaller counts over the sum
    of the larger, which is the same thing where all counts are 0 or 1. Two empty fingerprints have
    similarity 1.

    Args:
        a: (N, S), as ``morgan`` returns it.
        b: (M, S), of the same kind.

    Returns:
        (N, M) float32.

    Raises:
        ValueError: If S differs.
    """
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"fingerprints of {a.shape[-1]} and {b.shape[-1]} entries: expected one size"
        )
    left, right = a.astype(np.float32), b.astype(np.float32)
    if a.dtype == np.uint8 and b.dtype == np.uint8:
        shared = left @ right.T  # (N, M); exact below 2**24
    else:
        shared = np.empty((len(left), len(right)), np.float32)
        for i, row in enumerate(left):
            shared[i] = np.minimum(row, right).sum(-1)
    union = left.sum(-1)[:, None] + right.sum(-1)[None, :] - shared  # (N, M)
    similarity = np.ones_like(shared)
    np.divide(shared, union, out=similarity, where=union > 0)
    return similarity


def nearest(
    queries: NDArray[np.generic], references: NDArray[np.generic], block: int = _BLOCK
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The most similar reference of each query, in blocks so that memory stays bounded.

    Args:
        queries: (N, S), as ``morgan`` returns it.
        references: (M, S), of the same kind, M at least 1.
        block: Queries, and references, compared at a time.

    Returns:
        Similarities (N,) float32 and rows of ``references`` (N,) int64, the first of equals.

    Raises:
        ValueError: If there is no reference, or S differs.
    """
    if len(references) == 0:
        raise ValueError("no references: expected at least one fingerprint to compare with")
    best = np.full(len(queries), -1.0, np.float32)
    where = np.zeros(len(queries), np.int64)
    for start in range(0, len(references), block):
        piece = references[start : start + block]
        for first in range(0, len(queries), block):
            rows = slice(first, first + block)
            similarity = tanimoto(queries[rows], piece)  # (n, m)
            column = similarity.argmax(-1)
            value = similarity.max(-1)
            better = value > best[rows]
            best[rows] = np.where(better, value, best[rows])
            where[rows] = np.where(better, column + start, where[rows])
    return best, where
