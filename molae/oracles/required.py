"""Requirements on molecules, and filters, in front of any oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from operator import itemgetter
from typing import Any

from molae.chem.filters import why
from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement, first_unmet
from molae.chem.terms import Term, measure
from molae.names import FILTERS, pick
from molae.oracles.base import Answer, Oracle, failure

#: Before the names of filters, in the columns that say what passes them.
_FILTER = "filter_"


@dataclass(frozen=True)
class Passes:
    """1 for a molecule in which a filter finds no fault, 0 for others.

    Attributes:
        name: Out of ``molae.names.FILTERS``.

    Raises:
        ValueError: There is no such filter, with the closest names.
    """

    name: str

    def __post_init__(self) -> None:
        pick(FILTERS, self.name, "filter")

    def __call__(self, sheet: Sheet) -> float:
        """1 or 0."""
        return float(why(sheet.mol, self.name) is None)


class Required(Oracle):
    """An oracle that is asked only about molecules which meet requirements and pass filters.

    Those that do not have no score, and nobody pays for one. The properties that requirements name
    and ``filter_`` columns are parts of every answer, before the parts of the oracle. (A
    ``Formula`` takes both itself, since it reads the molecule anyway.)

    Args:
        oracle: What is asked.
        requirements: All of them are to be met.
        filters: Names out of ``molae.names.FILTERS``, all of which are to be passed.

    Raises:
        ValueError: There is no such filter, with the closest names.
    """

    reads = "molecules"

    def __init__(
        self, oracle: Oracle, requirements: Sequence[Requirement], filters: Sequence[str] = ()
    ) -> None:
        self.oracle = oracle
        self.requirements, self.filters = tuple(requirements), tuple(filters)
        self.together = oracle.together
        self._terms: dict[str, Term] = {
            each.name: itemgetter(each.name) for each in self.requirements
        } | filter_terms(filters)

    @property
    def name(self) -> str:
        """That of the oracle."""
        return self.oracle.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The required properties and the filters, then the parts of the oracle."""
        return tuple(dict.fromkeys([*self._terms, *self.oracle.columns]))

    @property
    def settings(self) -> dict[str, Any]:
        """Requirements, filters, version of RDKit, and the key of the oracle."""
        return {
            **demands(self.requirements, self.filters),
            "rdkit": version("rdkit"),
            "oracle": self.oracle.key,
        }

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Ask about what meets the requirements and passes the filters, see ``Oracle.answer``."""
        checked = [self._check(text) for text in texts]
        asked = [text for text, (_, unmet) in zip(texts, checked, strict=True) if unmet is None]
        scored = iter(self.oracle.answer(asked))
        return [
            _joined(parts, next(scored)) if unmet is None else failure(unmet, parts)
            for parts, unmet in checked
        ]

    def _check(self, text: str) -> tuple[dict[str, float], str | None]:
        """What is required of the molecule, and what is against it, if anything is."""
        try:
            sheet = Sheet(read(text))
        except MoleculeError as error:
            return {}, f"not a molecule: {error}"
        parts, problem = measure(sheet, self._terms)
        return parts, problem or unmet(self.requirements, self.filters, sheet, parts)


def _joined(parts: dict[str, float], answer: Answer) -> Answer:
    """An answer with more parts; its own stand where both have a name."""
    return Answer(answer.score, parts | dict(answer.parts), answer.error)


def filter_terms(filters: Sequence[str]) -> dict[str, Term]:
    """A column for each filter, ``filter_pains`` and so on, see ``Passes``."""
    return {_FILTER + name: Passes(name) for name in filters}


def demands(requirements: Sequence[Requirement], filters: Sequence[str]) -> dict[str, Any]:
    """Both as JSON values; filters only where there are some, so that older caches stay good."""
    told: dict[str, Any] = {"requirements": [str(each) for each in requirements]}
    return told | ({"filters": list(filters)} if filters else {})


def unmet(
    requirements: Sequence[Requirement],
    filters: Sequence[str],
    sheet: Sheet,
    parts: dict[str, float],
) -> str | None:
    """What is said where a requirement is not met or a filter not passed, None else.

    Args:
        requirements: Are looked at first.
        filters: By name.
        sheet: Of the molecule.
        parts: With what ``filter_terms`` are worth in it.
    """
    missed = first_unmet(requirements, sheet)
    if missed is not None:
        return f"requirement {missed} is not met"
    failed = next((name for name in filters if not parts[_FILTER + name]), None)
    return None if failed is None else f"filter {failed}: {why(sheet.mol, failed)}"
