"""How similar molecules are to one that was given once, by the fingerprints of GuacaMol.

These are counts that are not folded (``molae.chem.fingerprints`` has the folded ones, as arrays,
for many molecules at once). The names are those of the literature:

======  ========================================================================================
ECFP4   Morgan counts of radius 2 (ECFP6: 3), without chirality; GuacaMol's paper says ECFC4
FCFP4   the same with atoms told apart by their part in binding instead of their element
AP      atom pairs up to 10 bonds apart
PHCO    pairs and triples of pharmacophore points; bits, no counts
======  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molae.chem.molecules import read
from molae.chem.pharmacophores import pharmacophores
from molae.chem.properties import Sheet
from molae.names import pick

#: Bonds between the atoms of a pair, at most.
PAIR_LENGTH = 10


@lru_cache(maxsize=8)
def _morgan(radius: int, features: bool) -> rdFingerprintGenerator.FingerprintGenerator64:
    atoms = rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if features else None
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, atomInvariantsGenerator=atoms)


@lru_cache(maxsize=1)
def _pairs() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=PAIR_LENGTH)


#: name -> function of a molecule; what it returns is compared by RDKit's TanimotoSimilarity.
FINGERPRINTS: dict[str, Callable[[Chem.Mol], Any]] = {
    "ECFP4": lambda mol: _morgan(2, False).GetSparseCountFingerprint(mol),
    "ECFP6": lambda mol: _morgan(3, False).GetSparseCountFingerprint(mol),
    "FCFP4": lambda mol: _morgan(2, True).GetSparseCountFingerprint(mol),
    "AP": lambda mol: _pairs().GetSparseCountFingerprint(mol),
    "PHCO": pharmacophores,
}


@lru_cache(maxsize=256)
def _reference(smiles: str, kind: str) -> Any:
    """The fingerprint of the molecule compared with, made once in each process."""
    return FINGERPRINTS[kind](read(smiles))


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to one molecule, 0 to 1: the sum of the smaller counts over the larger.

    Attributes:
        smiles: The molecule.
        kind: The fingerprint, a name in ``FINGERPRINTS``.

    Raises:
        MoleculeError: (a ValueError) The SMILES cannot be read.
        ValueError: The fingerprint is unknown, with the closest names.
    """

    smiles: str
    kind: str = "ECFP4"

    def __post_init__(self) -> None:
        pick(FINGERPRINTS, self.kind, "fingerprint")
        _reference(self.smiles, self.kind)

    def __call__(self, sheet: Sheet) -> float:
        """The similarity of one molecule."""
        found = sheet.once(self.kind, FINGERPRINTS[self.kind])
        return float(DataStructs.TanimotoSimilarity(_reference(self.smiles, self.kind), found))
