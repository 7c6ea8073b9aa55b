"""Small changes of a molecule: one atom or one bond more, less or of another kind.

The kinds and their shares are those of Jensen, Chem. Sci. 10, 3567 (2019),
doi:10.1039/C8SC05372C. Each takes a ``Graph`` and gives a changed copy, or None where the place
that chance chose is not fit for it; the copy is not checked yet, see ``surgery.finished``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from rdkit import Chem

from molae.chem.chance import one_of, ring_size, weighted
from molae.chem.surgery import ORDERS, Graph, turn

#: New atoms: bonds they can make, and how often they are proposed, about as frequent as in drugs.
ELEMENTS: dict[str, tuple[int, float]] = {
    "C": (4, 5.0), "N": (3, 2.0), "O": (2, 2.0), "F": (1, 1.0), "S": (2, 1.0), "Cl": (1, 1.0),
    "Br": (1, 0.5), "P": (3, 0.1), "I": (1, 0.1),
}  # fmt: skip
#: Orders 1, 2 and 3 of new bonds, as Jensen has them.
_NEW_ORDERS = (0.60, 0.35, 0.05)
#: Orders that a bond may get instead of its own, as Jensen has them.
_CHANGED_ORDERS = ((1, 0.45), (2, 0.50), (3, 0.05))


def change(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A change of one of the kinds, by their shares."""
    kind, _ = MUTATIONS[weighted(rng, [share for _, share in MUTATIONS])]
    return kind(mol, rng)


def _element(rng: np.random.Generator, bonds: int, other_than: str = "") -> str | None:
    """An element that can make so many bonds; None if there is none."""
    able = [e for e, (most, _) in ELEMENTS.items() if most >= bonds and e != other_than]
    return able[weighted(rng, [ELEMENTS[element][1] for element in able])] if able else None


def append(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A new atom on one that has a hydrogen to give."""
    order = 1 + weighted(rng, _NEW_ORDERS)
    sites = [atom for atom, free in enumerate(mol.free) if free >= order]
    element = _element(rng, order)
    if not sites or element is None:
        return None
    made = Chem.RWMol(mol.mol)
    new = made.AddAtom(Chem.Atom(element))
    made.AddBond(sites[one_of(rng, len(sites))], new, ORDERS[order])
    return made


def insert(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A new atom in the middle of a bond, which keeps its order on one side if that can be."""
    if not mol.bonds:
        return None
    i, j, order = mol.bonds[one_of(rng, len(mol.bonds))]
    if rng.random() < 0.5:
        i, j = j, i
    element = _element(rng, order + 1)
    if mol.bound(i, j) or element is None or (order > 1 and not mol.loses(j, order - 1)):
        return None
    made = Chem.RWMol(mol.mol)
    new = made.AddAtom(Chem.Atom(element))
    turn(made, i, [(j, new)])
    turn(made, j, [(i, new)])
    made.RemoveBond(i, j)
    made.AddBond(i, new, ORDERS[order])
    made.AddBond(new, j, ORDERS[1])
    return made


def delete(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """An atom goes, and its neighbours, three at most, are joined in a row by single bonds."""
    gone = one_of(rng, mol.size)
    row = list(mol.neighbors[gone])
    if mol.fixed[gone] or not 1 <= len(row) <= 3:
        return None
    rng.shuffle(row)
    pairs = list(pairwise(row))
    if any(pair in mol.order for pair in pairs):
        return None
    for atom in row:
        lost = mol.order[gone, atom] - sum(atom in pair for pair in pairs)
        if (lost > 0 and not mol.loses(atom, lost)) or (lost < 0 and mol.free[atom] < -lost):
            return None
    made = Chem.RWMol(mol.mol)
    if len(row) > 1:
        turn(made, row[0], [(gone, row[1])])
        turn(made, row[-1], [(gone, row[-2])])
    for i, j in pairs:
        made.AddBond(i, j, ORDERS[1])
    made.RemoveAtom(gone)
    return made


def replace(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """An atom becomes one of another element that can carry its bonds."""
    atom = one_of(rng, mol.size)
    used = sum(mol.order[atom, other] for other in mol.neighbors[atom])
    element = _element(rng, used, mol.mol.GetAtomWithIdx(atom).GetSymbol())
    if mol.fixed[atom] or element is None:
        return None
    made = Chem.RWMol(mol.mol)
    number = Chem.GetPeriodicTable().GetAtomicNumber(element)
    made.GetAtomWithIdx(atom).SetAtomicNum(number)
    return made


def reorder(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A bond gets another order."""
    if not mol.bonds:
        return None
    i, j, old = mol.bonds[one_of(rng, len(mol.bonds))]
    new = 1 + weighted(rng, [0.0 if order == old else p for order, p in _CHANGED_ORDERS])
    if new > old and min(mol.free[i], mol.free[j]) < new - old:
        return None
    if new < old and not (mol.loses(i, old - new) and mol.loses(j, old - new)):
        return None
    made = Chem.RWMol(mol.mol)
    bond = made.GetBondBetweenAtoms(i, j)
    bond.SetStereo(Chem.BondStereo.STEREONONE)
    bond.SetBondType(ORDERS[new])
    return made


def open_ring(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A bond of a ring goes."""
    sites = [bond for bond in mol.bonds if bond[:2] in mol.ring_bonds]
    if not sites:
        return None
    i, j, order = sites[one_of(rng, len(sites))]
    if not (mol.loses(i, order) and mol.loses(j, order)):
        return None
    made = Chem.RWMol(mol.mol)
    made.RemoveBond(i, j)
    return made


def close_ring(mol: Graph, rng: np.random.Generator) -> Chem.RWMol | None:
    """A single bond between two atoms that makes a new ring."""
    sites = [atom for atom, free in enumerate(mol.free) if free]
    if len(sites) < 2:
        return None
    ring = ring_size(rng)
    i = sites[one_of(rng, len(sites))]
    steps = mol.distances(i)
    others = [atom for atom in sites if steps[atom] == ring - 1]
    if not others:
        return None
    made = Chem.RWMol(mol.mol)
    made.AddBond(i, others[one_of(rng, len(others))], ORDERS[1])
    return made


#: What a mutation may be, and its share.
MUTATIONS: tuple[tuple[Callable[[Graph, np.random.Generator], Chem.RWMol | None], float], ...] = (
    (append, 0.15),
    (insert, 0.15),
    (delete, 0.14),
    (replace, 0.14),
    (reorder, 0.14),
    (open_ring, 0.14),
    (close_ring, 0.14),
)
