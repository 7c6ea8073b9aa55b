"""Filters for molecules that are valid but not plausible: what ``molae.names.FILTERS`` lists."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from molae.chem.molecules import read
from molae.chem.moses import broken_rule
from molae.names import FILTERS, pick

#: Rings larger than this are left to chemists who mean them.
LARGEST_RING = 8

_CATALOGUES = {"pains": "PAINS", "brenk": "BRENK", "nih": "NIH", "zinc": "ZINC"}


@lru_cache(maxsize=8)
def _catalogue(name: str) -> FilterCatalog:
    """One of RDKit's catalogues; building it compiles hundreds of patterns (up to 0.2 s)."""
    with rdBase.BlockLogs():
        parameters = FilterCatalogParams()
        parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, _CATALOGUES[name]))
        return FilterCatalog(parameters)


@lru_cache(maxsize=1)
def _bent() -> Chem.Mol:
    """A triple bond, or two double bonds at one atom, inside a ring."""
    return Chem.MolFromSmarts("[$(*#@*),$(*(=@*)=@*)]")


def _bad_rings(mol: Chem.Mol) -> str | None:
    """What is wrong with the rings of a molecule, or None."""
    if any(size > LARGEST_RING for size in ring_sizes(mol)):
        return f"ring of more than {LARGEST_RING} atoms"
    return strained_bond(mol)


def ring_sizes(mol: Chem.Mol) -> list[int]:
    """Atoms in each ring of the smallest set of smallest rings."""
    return [len(ring) for ring in mol.GetRingInfo().AtomRings()]


def strained_bond(mol: Chem.Mol) -> str | None:
    """A multiple bond that a ring would have to bend out of shape, or None if there is none."""
    if mol.HasSubstructMatch(_bent()):
        return "triple or cumulated double bond in a ring"
    bridgeheads: list[int] = []
    rdMolDescriptors.CalcNumBridgeheadAtoms(mol, bridgeheads)  # type: ignore[arg-type]
    for atom in bridgeheads:
        for bond in mol.GetAtomWithIdx(atom).GetBonds():
            # Bredt's rule; aromatic bonds are flat for another reason.
            if bond.GetBondType() == Chem.BondType.DOUBLE and bond.IsInRing():
                return "double bond at a bridgehead"
    return None


def _catalogue_match(mol: Chem.Mol, name: str) -> str | None:
    """The description of the first pattern of a catalogue that the molecule matches, or None."""
    with rdBase.BlockLogs():
        entry = _catalogue(name).GetFirstMatch(mol)
    return None if entry is None else str(entry.GetDescription())


def why(molecule: str | Chem.Mol, name: str) -> str | None:
    """What a filter finds fault with, such as ``"azo_A(324)"``, or None if nothing.

    Raises:
        ValueError: If the filter is unknown (with the closest names) or, as its subclass
            MoleculeError, the molecule cannot be read.
    """
    mol = read(molecule) if isinstance(molecule, str) else molecule
    if pick(FILTERS, name, "filter") == "rings":
        return _bad_rings(mol)
    if name == "moses":
        return broken_rule(mol) or _catalogue_match(mol, "pains")
    return _catalogue_match(mol, name)


def first_failure(molecule: str | Chem.Mol, names: Iterable[str]) -> str | None:
    """The first of the named filters that a molecule fails, or None if it passes all.

    Args:
        molecule: A SMILES, or a molecule as ``molae.chem.molecules.read`` returns it.
        names: Names out of ``molae.names.FILTERS``.

    Raises:
        ValueError: As ``why``.
    """
    mol = read(molecule) if isinstance(molecule, str) else molecule
    return next((name for name in names if why(mol, name) is not None), None)
