"""What scores a molecule, an expression or an image; ``oracle`` makes one of what people type."""

from __future__ import annotations

import re
from collections.abc import Sequence

from molae.chem.requirements import parse_requirements
from molae.names import TASKS
from molae.oracles.arithmetic import FormulaError
from molae.oracles.base import Answer, Oracle
from molae.oracles.command import Command
from molae.oracles.equation import Equation
from molae.oracles.formula import Formula
from molae.oracles.function import Function
from molae.oracles.images import PREFIX, ClassChance, Ink, Likeness, image_oracle
from molae.oracles.required import Required
from molae.oracles.tasks import TaskOracle

__all__ = [
    "Answer",
    "ClassChance",
    "Command",
    "Equation",
    "Formula",
    "FormulaError",
    "Function",
    "Ink",
    "Likeness",
    "Oracle",
    "Required",
    "TaskOracle",
    "oracle",
]

_FUNCTION = re.compile(r"(?:[A-Za-z_][\w.]*|.*\.py):[A-Za-z_][\w.]*")
_EQUATION = re.compile(r"equation(?:\s*\(\s*(?:\"([^\"]*)\"|'([^']*)')\s*\))?", re.IGNORECASE)


def oracle(
    text: str | None = None,
    *,
    requirements: Sequence[str] = (),
    filters: Sequence[str] = (),
    command: str | None = None,
    timeout: float | None = 600.0,
    retries: int = 0,
) -> Oracle:
    """The oracle that a person means.

    Args:
        text: A formula over names of ``molae.names`` such as ``qed - 0.2*sa`` (``Formula``), a
            task by its name (``TaskOracle``, which shows the parts of the task), a Python function
            as ``package.module:function`` or ``path/file.py:function`` (``Function``), or
            ``equation``, also ``equation("1/3 + x")`` (``Equation``). Of images ``images:ink``,
            ``images:class=7`` and ``images:similar=FILE.png``, see ``molae.oracles.images``.
        requirements: Comparisons such as ``mw<500``; a molecule that does not meet one has no
            score.
        filters: Names out of ``molae.names.FILTERS`` such as ``pains``; a molecule in which one
            finds a fault has no score.
        command: An external program instead of ``text`` (``Command``).
        timeout: Seconds for each text that the program is given, None for no limit.
        retries: How often a failed run of the program is repeated.

    Raises:
        ValueError: Neither or both of ``text`` and ``command``; or one of them, a requirement or a
            filter cannot be understood, with what was expected (``FormulaError`` and
            ``RequirementError`` with a caret).
    """
    wanted = parse_requirements(requirements)
    if (text is None) == (command is None):
        got = "neither" if text is None else "both"
        raise ValueError(
            f"expected an oracle or a command, got {got}; write for example qed - 0.2*sa, "
            "package.module:function, or as a command ./dock.sh {smiles}"
        )
    if command is not None:
        made: Oracle = Command(command, timeout=timeout, retries=retries)
        return Required(made, wanted, filters) if wanted or filters else made
    typed = (text or "").strip()
    if typed.lower() in TASKS:
        return TaskOracle(typed.lower(), wanted, filters)
    other = _no_formula(typed)
    if other is None:
        return Formula(typed, wanted, filters)
    return Required(other, wanted, filters) if wanted or filters else other


def _no_formula(text: str) -> Oracle | None:
    """The oracle if it is an equation, of images, or a function."""
    equation = _EQUATION.fullmatch(text)
    if equation is not None:
        given = [target for target in equation.groups() if target is not None]
        return Equation(*given)
    if text.lower().startswith(PREFIX):
        return image_oracle(text)
    if _FUNCTION.fullmatch(text):
        return Function(text)
    if text.endswith(".py"):
        raise ValueError(f"{text}: which function of this file? Write {text}:function")
    return None
