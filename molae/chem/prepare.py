"""From raw SMILES, with salts, charges and odd elements, to those a model is trained on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from molae.chem.molecules import MoleculeError, each, kekule, read, without_maps
from molae.chem.valence import elements as all_elements
from molae.names import closest

#: What to do with salts and mixtures.
FRAGMENTS = {
    "largest": "keep the largest part, organic parts first",
    "all": "keep all parts",
}


@lru_cache(maxsize=1)
def _chooser() -> rdMolStandardize.LargestFragmentChooser:
    return rdMolStandardize.LargestFragmentChooser(preferOrganic=True)


@lru_cache(maxsize=1)
def _uncharger() -> rdMolStandardize.Uncharger:
    return rdMolStandardize.Uncharger(canonicalOrder=True)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done to a molecule, in this order; call it with a SMILES.

    Attributes:
        fragment: ``"largest"`` keeps the part with most atoms (organic parts first), ``"all"``
            keeps salts and mixtures as they are.
        neutralise: Add and remove protons until parts are neutral where they can be.
        stereo: Keep stereochemistry; False drops it.
        min_atoms: Fewest heavy atoms.
        max_atoms: Most heavy atoms, or None for no limit.
        elements: Symbols of the elements allowed (hydrogen always is), or None for all.

    Raises:
        ValueError: From the constructor, if an option makes no sense.
    """

    fragment: str = "largest"
    neutralise: bool = False
    stereo: bool = True
    min_atoms: int = 1
    max_atoms: int | None = None
    elements: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.fragment not in FRAGMENTS:
            raise ValueError(f"fragment is {self.fragment!r}: {closest(self.fragment, FRAGMENTS)}")
        if self.max_atoms is not None and self.max_atoms < self.min_atoms:
            raise ValueError(
                f"max_atoms is {self.max_atoms} and min_atoms {self.min_atoms}: nothing is left"
            )
        unknown = sorted(set(self.elements or ()) - set(all_elements()))
        if unknown:
            raise ValueError(
                f"no such element: {', '.join(unknown)}; expected symbols such as C, N, Cl"
            )

    def __call__(self, smiles: str) -> str:
        """The canonical (aromatic) SMILES of the prepared molecule.

        Raises:
            MoleculeError: With a reason of ``molae.chem.molecules.kekule`` (what comes out can be
                trained on), or 'too few atoms', 'too many atoms', 'element'.
        """
        mol = read(smiles)
        if ":" in smiles:
            mol = without_maps(mol)
        with rdBase.BlockLogs():
            if self.fragment == "largest":
                mol = _chooser().choose(mol)
            if self.neutralise:
                mol = _uncharger().uncharge(mol)
            if not self.stereo:
                Chem.RemoveStereochemistry(mol)
        self._check(mol, smiles)
        # Read again: taking parts, protons and stereo away can change what is canonical.
        result = Chem.MolToSmiles(read(Chem.MolToSmiles(mol)))
        try:
            kekule(result)
        except MoleculeError as error:
            raise MoleculeError(error.reason, smiles, error.detail) from None
        return result

    def _check(self, mol: Chem.Mol, smiles: str) -> None:
        atoms = mol.GetNumHeavyAtoms()
        if atoms < self.min_atoms:
            raise MoleculeError("too few atoms", smiles, f"{atoms}, at least {self.min_atoms}")
        if self.max_atoms is not None and atoms > self.max_atoms:
            raise MoleculeError("too many atoms", smiles, f"{atoms}, at most {self.max_atoms}")
        if self.elements is not None:
            allowed = {"H", *self.elements}
            other = {atom.GetSymbol() for atom in mol.GetAtoms()} - allowed
            if other:
                raise MoleculeError("element", smiles, ", ".join(sorted(other)))


def prepare(
    smiles: str,
    *,
    fragment: str = "largest",
    neutralise: bool = False,
    stereo: bool = True,
    min_atoms: int = 1,
    max_atoms: int | None = None,
    elements: Collection[str] | None = None,
) -> str:
    """One SMILES prepared; the options are those of ``Preparation``.

    Raises:
        MoleculeError: If the molecule cannot be read or is not wanted; ``reason`` says why.
        ValueError: If an option makes no sense.
    """
    preparation = Preparation(
        fragment=fragment,
        neutralise=neutralise,
        stereo=stereo,
        min_atoms=min_atoms,
        max_atoms=max_atoms,
        elements=elements,
    )
    return preparation(smiles)


def prepare_many(
    smiles: Sequence[str], preparation: Preparation, workers: int = 1
) -> Iterator[str | MoleculeError]:
    """Each SMILES prepared, in order, as they become ready; errors are given, not raised.

    Args:
        smiles: SMILES, any number.
        preparation: What to do.
        workers: Processes to share the work.
    """
    return each(preparation, smiles, workers)
