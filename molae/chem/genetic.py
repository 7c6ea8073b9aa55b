"""Molecules out of molecules: children of two by crossover, of one by mutation.

The operations of the graph-based genetic algorithm of Jensen, Chem. Sci. 10, 3567 (2019),
doi:10.1039/C8SC05372C, on Kekulé graphs instead of by reactions; see ``crossover`` and
``mutation``. Whatever comes out is a molecule to RDKit, in canonical isomeric SMILES.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molae.chem.crossover import cross_chain, cross_ring
from molae.chem.mutation import change
from molae.chem.surgery import Limits, finished, graph

#: Attempts at a crossover or a mutation before it is given up.
TRIES = 10


def offspring(
    mothers: Sequence[str],
    fathers: Sequence[str],
    rng: np.random.Generator,
    *,
    crossover: float = 0.8,
    mutation: float = 0.2,
    limits: Limits | None = None,
) -> list[str | None]:
    """A child of each couple; the same for the same parents and state of the generator.

    Args:
        mothers: n SMILES.
        fathers: n SMILES, the second parents.
        rng: All the chance there is.
        crossover: Share of children that have two parents; the others have only the first.
        mutation: Share of those with two parents that are mutated; the others always are.
        limits: Of the children; None for the defaults of ``Limits``.

    Returns:
        n canonical isomeric SMILES, each of which RDKit reads, within the limits and other than
        its parents as these are spelt; None where a couple has no such child after some attempts.

    Raises:
        MoleculeError: A parent cannot be read.
        ValueError: A share is not between 0 and 1, or there are more of the ones than the others.
    """
    for what, share in (("crossover", crossover), ("mutation", mutation)):
        if not 0 <= share <= 1:
            raise ValueError(f"the share of {what} is {share}; expected 0 to 1")
    bounds = limits or Limits()
    children: list[str | None] = []
    for mother, father in zip(mothers, fathers, strict=True):
        child: str | None = mother
        crossed = rng.random() < crossover
        if crossed:
            child = crossed_over(mother, father, rng, bounds)
        if child is not None and (not crossed or rng.random() < mutation):
            child = mutated(child, rng, bounds)
        children.append(None if child in (mother, father) else child)
    return children


def crossed_over(mother: str, father: str, rng: np.random.Generator, limits: Limits) -> str | None:
    """A part of one molecule joined to a part of another.

    Where both have rings, half of the crossovers are in rings.

    Returns:
        A canonical isomeric SMILES, or None if no attempt gave a molecule within the limits.

    Raises:
        MoleculeError: A parent cannot be read.
    """
    parents = graph(mother), graph(father)
    for _ in range(TRIES):
        in_ring = all(parent.rings for parent in parents) and rng.random() < 0.5
        made = (cross_ring if in_ring else cross_chain)(*parents, rng, limits)
        child = None if made is None else finished(made, parents, limits)
        if child is not None:
            return child
    return None


def mutated(smiles: str, rng: np.random.Generator, limits: Limits) -> str | None:
    """A molecule with one change.

    Returns:
        Another canonical isomeric SMILES, or None if no attempt gave one within the limits.

    Raises:
        MoleculeError: The molecule cannot be read.
    """
    parent = graph(smiles)
    for _ in range(TRIES):
        made = change(parent, rng)
        child = None if made is None else finished(made, (parent,), limits)
        if child is not None and child != smiles:
            return child
    return None
