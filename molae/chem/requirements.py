"""Requirements as people type them, such as ``mw<500``: read by hand, never evaluated as code."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from molae.names import PROPERTIES, pick

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}

# Three parts in turn; each must be there before the next is looked for, so the caret knows.
_PARTS = (
    (re.compile(r"[A-Za-z_]\w*"), "the name of a property"),
    (re.compile(r"<=|>=|==|!=|<(?!>)|>(?!<)"), "one of < <= > >= == !="),
    (re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"), "a number"),
)


class RequirementError(ValueError):
    """A requirement that cannot be understood; the message points at the place.

    Attributes:
        text: The requirement.
        column: Where reading failed, from 0.
    """

    def __init__(self, text: str, column: int, problem: str) -> None:
        super().__init__(
            f"{problem}\n  {text}\n  {' ' * column}^\nwrite for example mw<500 or qed>=0.5"
        )
        self.text = text
        self.column = column


@dataclass(frozen=True)
class Requirement:
    """One comparison of a property with a number.

    Attributes:
        name: A property out of ``molae.names.PROPERTIES``.
        comparison: ``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=``.
        bound: The number.
    """

    name: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Read ``"mw<500"``; blanks do not matter, nor do capitals in the name.

        Raises:
            RequirementError: (a ValueError) with a caret where the text went wrong, and with the
                closest names where the property is unknown.
        """
        found, column = [], 0
        for pattern, expected in _PARTS:
            column += len(text[column:]) - len(text[column:].lstrip())
            match = pattern.match(text, column)
            if match is None:
                got = repr(text[column:]) if text[column:] else "nothing"
                raise RequirementError(text, column, f"expected {expected}, got {got}")
            found.append(match)
            column = match.end()
        rest = text[column:].lstrip()
        if rest:
            column = len(text) - len(rest)
            problem = f"expected nothing after the number, got {rest!r}"
            raise RequirementError(text, column, problem)
        name = found[0][0].lower()
        try:
            pick(PROPERTIES, name, "property")
        except ValueError as error:
            raise RequirementError(text, found[0].start(), str(error)) from None
        return cls(name, found[1][0], float(found[2][0]))

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether ``values[self.name]`` meets the requirement; NaN never does.

        ``values`` may be a ``molae.chem.properties.Sheet``, which computes what is asked for.

        Raises:
            KeyError: If ``values`` does not hold the property.
        """
        value = values[self.name]
        return value == value and _COMPARE[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.name}{self.comparison}{self.bound:g}"


def parse_requirements(texts: Iterable[str]) -> list[Requirement]:
    """The requirements in a list of texts, each of which may hold several with commas between.

    Raises:
        RequirementError: As ``Requirement.parse``.
    """
    return [Requirement.parse(part) for text in texts for part in text.split(",")]


def first_unmet(
    requirements: Iterable[Requirement], values: Mapping[str, float]
) -> Requirement | None:
    """The first requirement that does not hold, or None if all do."""
    return next((each for each in requirements if not each.holds(values)), None)
