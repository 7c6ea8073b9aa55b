"""Molecules laid open for changes to single atoms and bonds, and closed again into SMILES."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rdkit import Chem, rdBase

from molae.chem.filters import ring_sizes, strained_bond
from molae.chem.molecules import MoleculeError, read, write

#: Bond orders as RDKit types.
ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
#: Elements that more than one valence is usual for.
_HYPERVALENT = {"P": 3, "S": 2, "Se": 2, "As": 3, "Cl": 1, "Br": 1, "I": 1}
_CHIRAL = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


@dataclass(frozen=True)
class Limits:
    """What an offspring may look like; see ``finished``.

    Attributes:
        atoms: Fewest and most heavy atoms.
        ring: Atoms in the largest ring. A molecule that has a larger one may pass that on.
    """

    atoms: tuple[int, int] = (3, 50)
    ring: int = 7

    def __post_init__(self) -> None:
        low, high = self.atoms
        if not 1 <= low <= high:
            raise ValueError(
                f"limits of heavy atoms are {low} to {high}; expected two numbers from 1 up, the "
                "smaller first"
            )
        if self.ring < 3:
            raise ValueError(f"the largest ring has {self.ring} atoms; expected at least 3")


class Graph:
    """The Kekulé graph of a molecule: atoms with whole bond orders between them.

    Hydrogens are left to RDKit to count wherever it counts them right, so an atom that gives up a
    bond takes hydrogens for it, and one that takes a bond gives up as many. The atoms where it
    does not, and those with charge, isotope, map number or unpaired electrons, are *fixed*:
    changes leave them as they are, but whole groups around them may be moved.

    Args:
        smiles: The molecule.

    Attributes:
        mol: The RDKit molecule, without aromatic flags; copied before it is changed.
        size: Heavy atoms, or rather all that are in the graph.
        charge: Of the whole molecule.
        free: Hydrogens of each atom that may make way for a bond; 0 at fixed ones.
        fixed: Whether each atom is.
        rings: Atoms of each ring, in the order in which they follow each other.
        neighbors: Neighbours of each atom.
        bonds: Of each bond, both atoms, the smaller number first, and the order.
        order: The order of each bond by both atoms, whichever is first.

    Raises:
        MoleculeError: The SMILES cannot be read, or it has a bond of another order than 1, 2 or 3.
    """

    def __init__(self, smiles: str) -> None:
        mol = read(smiles)
        self._strained = strained_bond(mol) is not None
        self.rings: tuple[tuple[int, ...], ...] = tuple(mol.GetRingInfo().AtomRings())
        with rdBase.BlockLogs():
            Chem.Kekulize(mol, clearAromaticFlags=True)
        self.mol, self.size = mol, int(mol.GetNumAtoms())
        self.charge = int(Chem.GetFormalCharge(mol))
        atoms = [mol.GetAtomWithIdx(i) for i in range(self.size)]
        # Outside brackets every atom but a dummy has as many hydrogens as RDKit counts.
        plain = "[" not in smiles and "*" not in smiles
        self.fixed = [not plain and not _countable(atom) for atom in atoms]
        self.free = [
            0 if fixed else int(atom.GetTotalNumHs())
            for atom, fixed in zip(atoms, self.fixed, strict=True)
        ]
        table = Chem.GetAdjacencyMatrix(mol, useBO=True)
        self.neighbors: list[list[int]] = [row.nonzero()[0].tolist() for row in table]
        self.order = {
            (i, j): int(table[i, j]) for i, row in enumerate(self.neighbors) for j in row
        }
        self.bonds = [(i, j, order) for (i, j), order in self.order.items() if i < j]
        if len(self.bonds) != mol.GetNumBonds() or any(o not in ORDERS for *_, o in self.bonds):
            raise MoleculeError("bond of no order from 1 to 3", smiles)

    @property
    def strained(self) -> bool:
        """Whether it has a multiple bond that a ring bends out of shape."""
        return self._strained

    @property
    def largest_ring(self) -> int:
        """Atoms in its largest ring, 0 without rings."""
        return max(map(len, self.rings), default=0)

    @cached_property
    def ring_bonds(self) -> frozenset[tuple[int, int]]:
        """Bonds in rings, each in both directions."""
        pairs = {
            pair for ring in self.rings for pair in zip(ring, (*ring[1:], ring[0]), strict=True)
        }
        return frozenset(pairs | {(j, i) for i, j in pairs})

    @cached_property
    def cuts(self) -> list[tuple[int, int]]:
        """Single bonds outside rings, in both directions: what is on the first side is kept.

        Without those between two fixed atoms, so that charges that belong together stay so.
        """
        found = [(i, j) for i, j, order in self.bonds if order == 1 and not self.bound(i, j)]
        found = [pair for pair in found if pair not in self.ring_bonds]
        return found + [(j, i) for i, j in found]

    def bound(self, i: int, j: int) -> bool:
        """Whether both atoms are fixed: bonds between such are left alone."""
        return self.fixed[i] and self.fixed[j]

    def loses(self, atom: int, order: int) -> bool:
        """Whether an atom can give up that much of its bonds and be left with a usual valence."""
        if self.fixed[atom]:
            return False
        usual = _HYPERVALENT.get(self.mol.GetAtomWithIdx(atom).GetSymbol())
        if usual is None or order % 2 == 0:
            return True
        return sum(self.order[atom, other] for other in self.neighbors[atom]) <= usual

    def reached(self, start: int, without: Collection[tuple[int, int]]) -> set[int]:
        """Atoms that are connected to one when some bonds, given in both directions, are cut."""
        found, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            for other in self.neighbors[here]:
                if other not in found and (here, other) not in without:
                    found.add(other)
                    waiting.append(other)
        return found

    def distances(self, start: int) -> list[int]:
        """Bonds on the shortest path from an atom to each; -1 where there is none."""
        steps = [-1] * self.size
        steps[start] = 0
        waiting = [start]
        for here in waiting:  # which grows meanwhile
            for other in self.neighbors[here]:
                if steps[other] < 0:
                    steps[other] = steps[here] + 1
                    waiting.append(other)
        return steps


def _countable(atom: Chem.Atom) -> bool:
    """Leave the hydrogens of an atom to RDKit; whether that works, and the atom is plain."""
    if atom.GetFormalCharge() or atom.GetIsotope() or atom.GetAtomMapNum():
        return False
    if atom.GetNumRadicalElectrons() or not atom.GetAtomicNum():
        return False
    if not atom.GetNoImplicit() and not atom.GetNumExplicitHs():
        return True
    hydrogens, explicit, alone = (
        atom.GetTotalNumHs(), atom.GetNumExplicitHs(), atom.GetNoImplicit(),
    )  # fmt: skip
    atom.SetNoImplicit(False)
    atom.SetNumExplicitHs(0)
    atom.UpdatePropertyCache(strict=False)
    if atom.GetTotalNumHs() == hydrogens:
        return True
    atom.SetNoImplicit(alone)
    atom.SetNumExplicitHs(explicit)
    atom.UpdatePropertyCache(strict=False)
    return False


@lru_cache(maxsize=4096)
def graph(smiles: str) -> Graph:
    """The ``Graph`` of a SMILES; the last few thousand are kept.

    Raises:
        MoleculeError: As ``Graph``.
    """
    return Graph(smiles)


def turn(mol: Chem.RWMol, atom: int, swaps: Sequence[tuple[int, int]]) -> None:
    """Prepare an atom for having neighbours swapped, so that its handedness stays.

    RDKit notes handedness relative to the order of an atom's bonds. A bond that takes the place of
    another comes last in that order, so the mark must be inverted if that is an odd permutation.

    Args:
        mol: A molecule with all old bonds and none of the new.
        atom: Which atom.
        swaps: Old and new neighbour of each, in the order in which the new bonds will be added.
    """
    center = mol.GetAtomWithIdx(atom)
    if center.GetChiralTag() not in _CHIRAL:
        return
    places = dict(swaps)
    around = [bond.GetOtherAtomIdx(atom) for bond in center.GetBonds()]
    after = [other for other in around if other not in places] + [old for old, _ in swaps]
    ranks = [after.index(other) for other in around]
    odd = sum(a > b for i, a in enumerate(ranks) for b in ranks[i + 1 :]) % 2
    if odd:
        center.InvertChirality()


def finished(mol: Chem.RWMol, parents: Sequence[Graph], limits: Limits) -> str | None:
    """The canonical isomeric SMILES of a changed graph.

    What is refused is no molecule to RDKit, or outside the limits, or has a charge that no parent
    has, or a multiple bond that a ring bends out of shape where no parent has one.

    Args:
        mol: The graph after the changes.
        parents: What it was made from.
        limits: Of the number of heavy atoms and of the size of rings.

    Returns:
        The SMILES, or None where it is refused.
    """
    if not limits.atoms[0] <= mol.GetNumHeavyAtoms() <= limits.atoms[1]:
        return None
    if Chem.GetFormalCharge(mol) not in [parent.charge for parent in parents]:
        return None
    try:
        with rdBase.BlockLogs():
            mol.UpdatePropertyCache(strict=True)
            # Read again from the text: what comes out is then exactly what others read in it.
            made = read(Chem.MolToSmiles(mol, canonical=False))
    except (ValueError, RuntimeError):  # of RDKit, or a MoleculeError
        return None
    largest = max([limits.ring, *(parent.largest_ring for parent in parents)])
    if max(ring_sizes(made), default=0) > largest:
        return None
    if strained_bond(made) is not None and not any(parent.strained for parent in parents):
        return None
    return write(made)
