"""Molecular formulas: read, counted, and how near a molecule comes to one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from rdkit import Chem

from molae.chem.modifiers import Gaussian, geometric
from molae.chem.properties import Sheet

#: An element and how many of it; nothing means one.
_PART = re.compile(r"([A-Z][a-z]?)(\d{0,4})")


class MolecularFormulaError(ValueError):
    """A text that is no molecular formula; the message points at the place.

    Attributes:
        text: The formula.
        column: Where reading failed, from 0.
    """

    def __init__(self, text: str, column: int, problem: str) -> None:
        super().__init__(
            f"not a molecular formula: {problem}\n  {text}\n  {' ' * column}^\n"
            "write for example C9H10N2O2PF2Cl, hydrogen included"
        )
        self.text = text
        self.column = column


def parse_formula(text: str) -> dict[str, int]:
    """``"C9H10ClN"`` -> ``{"C": 9, "H": 10, "Cl": 1, "N": 1}``, in the order it is written.

    An element that stands there twice is added up. There are no charges, isotopes or parentheses.

    Raises:
        MolecularFormulaError: (a ValueError) With a caret where the text went wrong.
    """
    formula = text.strip()
    if not formula:
        raise MolecularFormulaError(formula, 0, "it is empty")
    table = Chem.GetPeriodicTable()
    known = {table.GetElementSymbol(number) for number in range(1, 119)}
    counts: Counter[str] = Counter()
    column = 0
    while column < len(formula):
        match = _PART.match(formula, column)
        if match is None:
            raise MolecularFormulaError(formula, column, "expected an element")
        if match[1] not in known:
            raise MolecularFormulaError(formula, column, f"there is no element {match[1]}")
        counts[match[1]] += int(match[2] or 1)
        column = match.end()
    return dict(counts)


def atom_counts(mol: Chem.Mol) -> Counter[str]:
    """How many atoms of each element a molecule has, hydrogen included, spelt out or not."""
    counts: Counter[str] = Counter()
    for atom in mol.GetAtoms():
        counts[atom.GetSymbol()] += 1
        counts["H"] += atom.GetTotalNumHs()
    return counts


def atoms_of(sheet: Sheet) -> Counter[str]:
    """``atom_counts`` of the molecule of a sheet, counted once."""
    counts: Counter[str] = sheet.once("atoms", atom_counts)
    return counts


@dataclass(frozen=True)
class Isomer:
    """How near a molecule comes to a formula, 0 to 1; 1 for its isomers only.

    The geometric mean of one Gaussian for each element of the formula, around the number of its
    atoms with sigma 1, and one around the number of all atoms with sigma 2 (GuacaMol, 2019; the
    first version took the arithmetic mean). Hydrogen counts in both. An element that the formula
    has not got shows in the number of all atoms alone.

    Attributes:
        formula: As ``parse_formula`` reads it.

    Raises:
        MolecularFormulaError: (a ValueError) As ``parse_formula``.
    """

    formula: str
    elements: tuple[tuple[str, Gaussian], ...] = field(init=False, repr=False)
    total: Gaussian = field(init=False, repr=False)

    def __post_init__(self) -> None:
        counts = parse_formula(self.formula)
        terms = tuple((symbol, Gaussian(number, 1)) for symbol, number in counts.items())
        object.__setattr__(self, "elements", terms)
        object.__setattr__(self, "total", Gaussian(sum(counts.values()), 2))

    def terms(self, sheet: Sheet) -> list[float]:
        """The scores of the elements, in the order of the formula, then that of all atoms."""
        counts = atoms_of(sheet)
        scores = [near(counts[symbol]) for symbol, near in self.elements]
        return [*scores, self.total(counts.total())]

    def __call__(self, sheet: Sheet) -> float:
        """The score of one molecule."""
        return geometric(self.terms(sheet))
