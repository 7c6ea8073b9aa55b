"""Molecules scored by arithmetic over what RDKit computes: ``qed - 0.2*sa``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from molae.chem.requirements import Requirement
from molae.chem.terms import Term, referred
from molae.names import FUNCTIONS, PROPERTIES, REFERENCES, TASKS
from molae.oracles.arithmetic import (
    OPERATORS,
    CalculationError,
    Expression,
    FormulaError,
    Leaf,
    Vocabulary,
    parse,
)
from molae.oracles.base import Answer, failure
from molae.oracles.measured import MeasuredOracle
from molae.oracles.required import filter_terms
from molae.oracles.tasks import task_terms


def _clip(x: float, lowest: float, highest: float) -> float:
    return min(max(x, lowest), highest)


def _gauss(x: float, mean: float, sd: float) -> float:
    z = (x - mean) / sd
    return math.exp(-z * z / 2)


#: name -> function of numbers, for the names in ``molae.names.FUNCTIONS`` and the operators.
TABLE: dict[str, Callable[..., Any]] = {
    **OPERATORS,
    "**": math.pow,
    "min": min,
    "max": max,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "clip": _clip,
    "gauss": _gauss,
}
#: Fewest and most arguments of what does not take exactly one.
_ARGUMENTS = {"min": (2, 100), "max": (2, 100), "clip": (3, 3), "gauss": (3, 3)}

VOCABULARY = Vocabulary(
    functions={name: _ARGUMENTS.get(name, (1, 1)) for name in FUNCTIONS},
    terms=[*PROPERTIES, *TASKS],
    references=list(REFERENCES),
    example='qed - 0.2*sa or 2*similarity("c1ccccc1O") + min(logp, 3)',
)


class Formula(MeasuredOracle):
    """Arithmetic over properties, tasks, similarities, patterns and molecular formulas.

    Every molecule is read once for all terms and requirements. The parts of an answer are the
    terms, as they are written, the properties that requirements name, and ``filter_`` columns.

    Args:
        text: The formula, see ``molae.oracles.arithmetic.parse``. Its terms are the names in
            ``PROPERTIES`` and ``TASKS`` of ``molae.names``, and those in ``REFERENCES`` with a
            text in quotation marks.
        requirements: A molecule that does not meet one of them has no score.
        filters: Names out of ``molae.names.FILTERS``; nor has one in which one finds a fault.

    Raises:
        FormulaError: (a ValueError) The formula cannot be understood; with a caret.
        ValueError: There is no such filter.
    """

    def __init__(
        self, text: str, requirements: Sequence[Requirement] = (), filters: Sequence[str] = ()
    ) -> None:
        self.expression: Expression = parse(text, VOCABULARY)
        super().__init__(requirements, filters)
        self._terms: dict[str, Term] = {
            leaf.label: _term(self.expression, leaf) for leaf in self.expression.leaves
        }
        if not self._terms:
            problem = "a formula without any property of a molecule"
            raise FormulaError(self.expression.source, 0, problem, VOCABULARY.example)
        for each in self.requirements:
            self._terms.setdefault(each.name, itemgetter(each.name))
        self._terms |= filter_terms(filters)

    @property
    def name(self) -> str:
        """The formula, in one spelling."""
        return self.expression.text

    @property
    def terms(self) -> dict[str, Term]:
        """Those of the formula, then the other properties that are required, and the filters."""
        return self._terms

    def scored(self, parts: dict[str, float]) -> Answer:
        """What the formula makes of its terms."""
        try:
            return Answer(float(self.expression.evaluate(parts, TABLE)), parts)
        except CalculationError as error:
            return failure(str(error), parts)


def _term(expression: Expression, leaf: Leaf) -> Term:
    """The function of a molecule that a name in a formula stands for.

    Raises:
        FormulaError: Its reference cannot be read; the caret is where it begins, or inside it
            where more is known.
    """
    if leaf.reference is None:
        return task_terms()[leaf.name] if leaf.name in TASKS else itemgetter(leaf.name)
    try:
        return referred(leaf.name, leaf.reference)
    except ValueError as error:
        inside = getattr(error, "column", None)
        column = leaf.column + (0 if inside is None else 1 + inside)
        problem = f"{leaf.name}: {str(error).splitlines()[0]}"
        raise FormulaError(expression.source, column, problem, VOCABULARY.example) from None
