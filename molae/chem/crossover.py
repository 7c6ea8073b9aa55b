"""A part of one molecule joined to a part of another, cut at one bond or at two of a ring.

After Jensen, Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C, on Kekulé graphs. Bonds are cut
and made in place of each other, so what stays keeps its valence, and its handedness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from molae.chem.chance import one_of, ring_size
from molae.chem.surgery import ORDERS, Graph, Limits, turn

#: Attempts at an arc of a ring that fits another.
_ARCS = 20


def _joined(a: Graph, b: Graph, keep_a: set[int], keep_b: set[int]) -> Chem.RWMol:
    """Both molecules in one; what is not kept goes with ``CommitBatchEdit``."""
    mol = Chem.RWMol(Chem.CombineMols(a.mol, b.mol))
    mol.BeginBatchEdit()
    for atom in range(a.size):
        if atom not in keep_a:
            mol.RemoveAtom(atom)
    for atom in range(b.size):
        if atom not in keep_b:
            mol.RemoveAtom(a.size + atom)
    return mol


def cross_chain(a: Graph, b: Graph, rng: np.random.Generator, limits: Limits) -> Chem.RWMol | None:
    """Cut a single bond outside rings in each, and join one end of the one to one of the other."""
    if not a.cuts or not b.cuts:
        return None
    i, away_i = a.cuts[one_of(rng, len(a.cuts))]
    j, away_j = b.cuts[one_of(rng, len(b.cuts))]
    keep_a = a.reached(i, ((i, away_i), (away_i, i)))
    keep_b = b.reached(j, ((j, away_j), (away_j, j)))
    if not limits.atoms[0] <= len(keep_a) + len(keep_b) <= limits.atoms[1]:
        return None  # before anything is built
    mol = _joined(a, b, keep_a, keep_b)
    turn(mol, i, [(away_i, a.size + j)])
    turn(mol, a.size + j, [(a.size + away_j, i)])
    mol.AddBond(i, a.size + j, ORDERS[1])
    mol.CommitBatchEdit()
    return mol


class _Arc(NamedTuple):
    """Some atoms in a row of a ring: its ends, the atoms beyond them, and what is cut there."""

    length: int
    ends: tuple[int, int]
    beyond: tuple[int, int]
    orders: tuple[int, int]

    def reversed(self) -> _Arc:
        return _Arc(self.length, self.ends[::-1], self.beyond[::-1], self.orders[::-1])


def _arc(mol: Graph, rng: np.random.Generator, length: int) -> _Arc | None:
    """An arc of so many atoms; None where the ring that chance chose is too small for it."""
    ring = mol.rings[one_of(rng, len(mol.rings))]
    if length >= len(ring):
        return None
    start = one_of(rng, len(ring))
    ends = ring[start], ring[(start + length - 1) % len(ring)]
    beyond = ring[start - 1], ring[(start + length) % len(ring)]
    orders = mol.order[ends[0], beyond[0]], mol.order[ends[1], beyond[1]]
    arc = _Arc(length, ends, beyond, orders)
    return arc if rng.random() < 0.5 else arc.reversed()


def _kept(mol: Graph, arc: _Arc) -> set[int] | None:
    """The atoms on the side of an arc, or None if the cuts do not part it from the rest."""
    pairs = list(zip(arc.ends, arc.beyond, strict=True))
    found = mol.reached(arc.ends[0], [*pairs, *((j, i) for i, j in pairs)])
    return None if found.intersection(arc.beyond) else found


def _fitting(a: Graph, b: Graph, rng: np.random.Generator) -> tuple[_Arc, _Arc] | None:
    """Arcs that make a ring together, cut at bonds of equal orders if such are met."""
    ring = ring_size(rng)
    one = _arc(a, rng, 1 + one_of(rng, ring - 1))
    if one is None:
        return None
    fallback = None
    for _ in range(_ARCS):
        other = _arc(b, rng, ring - one.length)
        if other is not None and other.orders == one.orders:
            return one, other
        fallback = other or fallback
    return None if fallback is None else (one, fallback)


def _fits(mol: Graph, arc: _Arc, orders: Sequence[int]) -> bool:
    """Whether the ends of an arc can make do with bonds of lower orders than they had."""
    return all(
        new == old or mol.loses(end, old - new)
        for end, old, new in zip(arc.ends, arc.orders, orders, strict=True)
    )


def cross_ring(a: Graph, b: Graph, rng: np.random.Generator, limits: Limits) -> Chem.RWMol | None:
    """Cut two bonds of a ring in each, and make one ring of an arc of the one and of the other."""
    found = _fitting(a, b, rng)
    if found is None:
        return None
    one, other = found
    orders = [min(pair) for pair in zip(one.orders, other.orders, strict=True)]
    if not _fits(a, one, orders) or not _fits(b, other, orders):
        return None
    keep_a, keep_b = _kept(a, one), _kept(b, other)
    if keep_a is None or keep_b is None:
        return None
    if not limits.atoms[0] <= len(keep_a) + len(keep_b) <= limits.atoms[1]:
        return None
    mol = _joined(a, b, keep_a, keep_b)
    moved = _Arc(
        other.length,
        (a.size + other.ends[0], a.size + other.ends[1]),
        (a.size + other.beyond[0], a.size + other.beyond[1]),
        other.orders,
    )
    for arc, opposite in ((one, moved), (moved, one)):
        swaps = list(zip(arc.beyond, opposite.ends, strict=True))
        if arc.length == 1:
            turn(mol, arc.ends[0], swaps)
        else:
            turn(mol, arc.ends[0], swaps[:1])
            turn(mol, arc.ends[1], swaps[1:])
    for i, j, order in zip(one.ends, moved.ends, orders, strict=True):
        mol.AddBond(i, j, ORDERS[order])
    mol.CommitBatchEdit()
    return mol
