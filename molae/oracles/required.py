"""Requirements on molecules in front of any oracle."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from operator import itemgetter
from typing import Any

from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement, first_unmet
from molae.chem.terms import Term, measure
from molae.oracles.base import Answer, Oracle, failure


class Required(Oracle):
    """An oracle that is asked only about molecules which meet requirements.

    Those that do not have no score, and nobody pays for one. The properties that requirements name
    are parts of every answer, before the parts of the oracle. (A ``Formula`` takes requirements
    itself, since it reads the molecule anyway.)

    Args:
        oracle: What is asked.
        requirements: All of them are to be met.
    """

    reads = "molecules"

    def __init__(self, oracle: Oracle, requirements: Sequence[Requirement]) -> None:
        self.oracle = oracle
        self.requirements = tuple(requirements)
        self._terms: dict[str, Term] = {
            each.name: itemgetter(each.name) for each in self.requirements
        }

    @property
    def name(self) -> str:
        """That of the oracle."""
        return self.oracle.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The required properties, then the parts of the oracle."""
        return tuple(dict.fromkeys([*self._terms, *self.oracle.columns]))

    @property
    def settings(self) -> dict[str, Any]:
        """Requirements, version of RDKit, and the key of the oracle."""
        return {
            "requirements": [str(each) for each in self.requirements],
            "rdkit": version("rdkit"),
            "oracle": self.oracle.key,
        }

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Ask about what meets the requirements, see ``Oracle.answer``."""
        checked = [self._check(text) for text in texts]
        asked = [text for text, (_, unmet) in zip(texts, checked, strict=True) if unmet is None]
        scored = iter(self.oracle.answer(asked))
        return [
            _joined(parts, next(scored)) if unmet is None else failure(unmet, parts)
            for parts, unmet in checked
        ]

    def _check(self, text: str) -> tuple[dict[str, float], str | None]:
        """The required properties, and what is against the molecule, if anything is."""
        try:
            sheet = Sheet(read(text))
        except MoleculeError as error:
            return {}, f"not a molecule: {error}"
        parts, problem = measure(sheet, self._terms)
        return parts, problem or unmet_requirement(self.requirements, parts)


def _joined(parts: dict[str, float], answer: Answer) -> Answer:
    """An answer with more parts; its own stand where both have a name."""
    return Answer(answer.score, parts | dict(answer.parts), answer.error)


def unmet_requirement(requirements: Sequence[Requirement], values: dict[str, float]) -> str | None:
    """What is said where a requirement is not met, None where all are."""
    unmet = first_unmet(requirements, values)
    return None if unmet is None else f"requirement {unmet} is not met"
