"""The tasks of GuacaMol and PMO as oracles, and as terms of a formula, by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter

from molae.chem.guacamol import task
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement
from molae.chem.terms import Term
from molae.names import TASKS, pick
from molae.oracles.base import Answer
from molae.oracles.measured import MeasuredOracle
from molae.oracles.required import filter_terms

#: Before the names of the properties that are required.
_REQUIRED = "required_"


class TaskOracle(MeasuredOracle):
    """One of the tasks that ``molae.names.TASKS`` lists; see ``molae.chem.guacamol``.

    Every molecule is read once, whatever the task looks at. The parts of an answer are what the
    parts of the task are worth, 0 to 1 each, then the properties that requirements name, and
    ``filter_`` columns.

    Args:
        name: Of the task.
        requirements: A molecule that does not meet one of them has no score.
        filters: Names out of ``molae.names.FILTERS``; nor has one in which one finds a fault.

    Raises:
        ValueError: There is no such task or filter, with the closest names.
    """

    def __init__(
        self, name: str, requirements: Sequence[Requirement] = (), filters: Sequence[str] = ()
    ) -> None:
        self._name = pick(TASKS, name, "task")
        super().__init__(requirements, filters)
        self._required: dict[str, Term] = {
            _REQUIRED + each.name: itemgetter(each.name) for each in self.requirements
        } | filter_terms(filters)

    @property
    def name(self) -> str:
        """Of the task."""
        return self._name

    @property
    def terms(self) -> dict[str, Term]:
        """The parts of the task, then ``required_`` and the properties required, the filters."""
        parts: dict[str, Term] = {part.name: part for part in task(self._name).parts}
        return parts | self._required

    def scored(self, parts: dict[str, float]) -> Answer:
        """What the task makes of its parts."""
        chosen = task(self._name)
        return Answer(chosen.mean([parts[part.name] for part in chosen.parts]), parts)


def _score(sheet: Sheet, name: str) -> float:
    return task(name)(sheet)


def task_terms() -> dict[str, Term]:
    """The tasks as terms of a formula, by name; each is set up when it is first asked for."""
    return {name: partial(_score, name=name) for name in TASKS}
