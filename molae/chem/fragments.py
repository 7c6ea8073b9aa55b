"""The pieces of molecules that similarities of whole sets are counted in: BRICS, Bemis-Murcko."""

from __future__ import annotations

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from molae.chem.molecules import read

#: Rings that a scaffold needs before MOSES counts it: a single ring says little.
SCAFFOLD_RINGS = 2


def brics_fragments(molecule: str | Chem.Mol) -> list[str]:
    """What is left when all BRICS bonds are cut (Degen et al. 2008), as canonical SMILES.

    Each cut leaves a numbered dummy atom that says what kind of bond was there, such as
    ``[3*]OC``. A molecule without such bonds is its own fragment. All bonds are cut at once, as in
    MOSES, not in all combinations as ``rdkit.Chem.BRICS.BRICSDecompose`` does.

    Raises:
        MoleculeError: If the molecule cannot be read.
    """
    mol = read(molecule) if isinstance(molecule, str) else molecule
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.FragmentOnBRICSBonds(mol)).split(".")


def murcko_scaffold(molecule: str | Chem.Mol, rings: int = SCAFFOLD_RINGS) -> str | None:
    """The Bemis-Murcko scaffold, rings and what links them (1996), as canonical SMILES.

    Args:
        molecule: A SMILES, or a molecule as ``molae.chem.molecules.read`` returns it.
        rings: Fewest rings that count.

    Returns:
        The scaffold, or None if it has fewer rings or RDKit cannot cut it out.

    Raises:
        MoleculeError: If the molecule cannot be read.
    """
    mol = read(molecule) if isinstance(molecule, str) else molecule
    try:
        with rdBase.BlockLogs():
            scaffold = MurckoScaffold.GetScaffoldForMol(mol)  # type: ignore[no-untyped-call]
            found = scaffold.GetRingInfo().NumRings()
            return Chem.MolToSmiles(scaffold) or None if found >= rings else None
    except (ValueError, RuntimeError):  # a valence that only the removed atoms made possible
        return None
