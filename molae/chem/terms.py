"""What formulas are made of: numbers computed from a molecule, and from a reference beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rdkit import rdBase

from molae.chem.formula import Isomer
from molae.chem.properties import Sheet
from molae.chem.similarity import Similarity
from molae.chem.substructure import pattern
from molae.names import REFERENCES, pick

#: A number from one molecule.
Term = Callable[[Sheet], float]

#: Hits of a pattern that are counted; more are not looked for.
MOST_HITS = 1000


@dataclass(frozen=True)
class Hits:
    """How often a pattern occurs, each set of atoms counted once; at most ``MOST_HITS``.

    Attributes:
        smarts: The pattern. Stereochemistry that it spells out must be there.

    Raises:
        SmartsError: (a ValueError) The pattern cannot be read.
    """

    smarts: str

    def __post_init__(self) -> None:
        pattern(self.smarts)

    def __call__(self, sheet: Sheet) -> float:
        """The hits in one molecule."""
        found = sheet.mol.GetSubstructMatches(
            pattern(self.smarts), useChirality=True, maxMatches=MOST_HITS
        )
        return float(len(found))


#: name -> what makes a term of a reference; the same names as in ``molae.names.REFERENCES``.
TABLE: dict[str, Callable[[str], Term]] = {
    "similarity": Similarity,
    "smarts": Hits,
    "isomer": Isomer,
}


def referred(name: str, reference: str) -> Term:
    """The term that compares molecules with a reference.

    Args:
        name: Out of ``molae.names.REFERENCES``.
        reference: A SMILES, a SMARTS or a molecular formula, as the name asks for.

    Raises:
        ValueError: Unknown name, or a reference that cannot be read.
    """
    return TABLE[pick(REFERENCES, name, "term")](reference)


def measure(sheet: Sheet, terms: Mapping[str, Term]) -> tuple[dict[str, float], str | None]:
    """All terms of one molecule, while RDKit logs nothing.

    Args:
        sheet: Of the molecule.
        terms: By name.

    Returns:
        name -> value, NaN where there is none; and the first reason for that, or None.
    """
    values: dict[str, float] = {}
    problem = None
    with rdBase.BlockLogs():
        for name, term in terms.items():
            values[name], reason = _measured(sheet, name, term)
            problem = problem or reason
    return values, problem


def _measured(sheet: Sheet, name: str, term: Term) -> tuple[float, str | None]:
    try:
        value = float(term(sheet))
    except Exception as error:  # whatever RDKit raises, the other terms and molecules go on
        return math.nan, f"{name}: {type(error).__name__}: {error}"
    return value, None if math.isfinite(value) else f"{name} is {value}"
