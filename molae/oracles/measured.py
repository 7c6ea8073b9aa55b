"""What oracles share that read a molecule once and measure it in several terms."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement
from molae.chem.terms import Term, measure
from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.required import demands, unmet

#: Raised when a term or a task is defined anew, so that what a cache holds is not taken for the
#: new one.
_DEFINITIONS = 1


class MeasuredOracle(Oracle):
    """Every molecule is read once, for all terms and requirements; the terms are the parts.

    Args:
        requirements: A molecule that does not meet one of them has no score.
        filters: Names out of ``molae.names.FILTERS``; nor has one in which one finds a fault.
            Their ``filter_terms`` are among the terms.
    """

    reads = "molecules"

    def __init__(self, requirements: Sequence[Requirement], filters: Sequence[str] = ()) -> None:
        self.requirements, self.filters = tuple(requirements), tuple(filters)

    @property
    @abstractmethod
    def terms(self) -> Mapping[str, Term]:
        """What is measured, by the name of the part."""

    @abstractmethod
    def scored(self, parts: dict[str, float]) -> Answer:
        """The answer for a molecule of which everything could be measured."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the terms."""
        return tuple(self.terms)

    @property
    def settings(self) -> dict[str, Any]:
        """Requirements, filters, version of RDKit (scores differ), version of our terms."""
        return {
            **demands(self.requirements, self.filters),
            "rdkit": version("rdkit"),
            "definitions": _DEFINITIONS,
        }

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Score SMILES, see ``Oracle.answer``."""
        return [self._answer(text) for text in texts]

    def _answer(self, text: str) -> Answer:
        try:
            sheet = Sheet(read(text))
        except MoleculeError as error:
            return failure(f"not a molecule: {error}", dict.fromkeys(self.terms, math.nan))
        parts, problem = measure(sheet, self.terms)
        # Of the sheet: a part of a task can have the name of a property, whose number it is not.
        problem = problem or unmet(self.requirements, self.filters, sheet, parts)
        return self.scored(parts) if problem is None else failure(problem, parts)
