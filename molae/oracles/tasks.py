"""The tasks of GuacaMol and PMO as oracles, and as terms of a formula, by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from typing import Any

from molae.chem.guacamol import task
from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement
from molae.chem.terms import Term, measure
from molae.names import TASKS, pick
from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.required import unmet_requirement

#: Raised when a task is defined anew, so that what a cache holds is not taken for the new one.
_DEFINITIONS = 1

#: Before the names of the properties that are required.
_REQUIRED = "required_"


class TaskOracle(Oracle):
    """One of the tasks that ``molae.names.TASKS`` lists; see ``molae.chem.guacamol``.

    Every molecule is read once, whatever the task looks at. The parts of an answer are what the
    parts of the task are worth, 0 to 1 each, then the properties that requirements name.

    Args:
        name: Of the task.
        requirements: A molecule that does not meet one of them has no score.

    Raises:
        ValueError: There is no such task, with the closest names.
    """

    reads = "molecules"

    def __init__(self, name: str, requirements: Sequence[Requirement] = ()) -> None:
        self._name = pick(TASKS, name, "task")
        self.requirements = tuple(requirements)

    @property
    def name(self) -> str:
        """Of the task."""
        return self._name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the parts of the task, then ``required_`` and the properties required."""
        return tuple(self._terms())

    def _terms(self) -> dict[str, Term]:
        # A part of a task can have the name of a property, whose number it is not.
        parts: dict[str, Term] = {part.name: part for part in task(self._name).parts}
        return parts | {_REQUIRED + each.name: itemgetter(each.name) for each in self.requirements}

    @property
    def settings(self) -> dict[str, Any]:
        """Requirements, version of RDKit (scores differ between them), version of the tasks."""
        return {
            "requirements": [str(each) for each in self.requirements],
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
            return failure(f"not a molecule: {error}", dict.fromkeys(self.columns, math.nan))
        values, problem = measure(sheet, self._terms())
        problem = problem or unmet_requirement(self.requirements, sheet)
        if problem is not None:
            return failure(problem, values)
        chosen = task(self._name)
        return Answer(chosen.mean([values[part.name] for part in chosen.parts]), values)


def _score(sheet: Sheet, name: str) -> float:
    return task(name)(sheet)


def task_terms() -> dict[str, Term]:
    """The tasks as terms of a formula, by name; each is set up when it is first asked for."""
    return {name: partial(_score, name=name) for name in TASKS}
