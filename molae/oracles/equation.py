"""Arithmetic expressions scored by how near they come to a target, as in the Grammar VAE paper.

Source: Kusner, Paige and Hernandez-Lobato, "Grammar Variational Autoencoder" (ICML 2017,
arXiv:1703.01925), section 4.1, and the code published with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.oracles.arithmetic import (
    OPERATORS,
    CalculationError,
    Expression,
    FormulaError,
    Vocabulary,
    parse,
)
from molae.oracles.base import Answer, Oracle, failure

#: The published target, and the squared error that counts most.
TARGET, CAP = "1/3 + x + sin(x*x)", 1000.0
#: log(1 + CAP), about 6.909: what the published code takes where there is no score.
WORST = math.log1p(CAP)

_PART = "log1p_mse"
_TABLE: dict[str, Callable[..., Any]] = {
    **OPERATORS,
    "**": np.power,
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
_VOCABULARY = Vocabulary(
    functions={name: (1, 1) for name in _TABLE if name.isalpha() and name != "neg"},
    terms=["x"],
    example=TARGET,
)


def points() -> NDArray[np.float64]:
    """The published values of x: (1000,), from -10 to 10."""
    return np.linspace(-10, 10, 1000)


class Equation(Oracle):
    """Scores expressions in x by -log(1 + mean of min((f(x) - target(x))^2, 1000)).

    The published score is without the minus sign, lower is better; it is the part ``log1p_mse`` of
    every answer. An expression is read by the rules of arithmetic (the shipped grammar gives
    operators no precedence, but the published code scores what Python makes of the text), with
    true division throughout, as the published training targets were computed. (The published
    search ran in Python 2 without that, where 1/3 is 0.)

    Failures are those of the published code, which gives them the worst score, log(1001): a text
    that is no expression, arithmetic that raises, and a value that is no number at any point, as
    infinity over infinity is. Here they have an error and no score, and log(1001) as their part.
    An infinite value is no failure: its squared error counts 1000, like every large one.

    Args:
        target: The expression to come near to. Expressions are made of x, numbers, + - * / **,
            brackets, sin, cos, exp, log, sqrt and abs.

    Raises:
        FormulaError: (a ValueError) The target is no expression; with a caret.
        ValueError: The target is not finite everywhere.
    """

    reads = "texts"

    def __init__(self, target: str = TARGET) -> None:
        self.target: Expression = parse(target, _VOCABULARY)
        self._x = points()
        self._y = self._values(self.target)
        if not np.isfinite(self._y).all():
            place = self._x[~np.isfinite(self._y)][0]
            raise ValueError(f"the target {target!r} has no finite value at x = {place:g}")

    @property
    def name(self) -> str:
        """``equation``, with the target if it is not the published one."""
        return "equation" if self.target.text == TARGET else f'equation("{self.target.text}")'

    @property
    def columns(self) -> tuple[str, ...]:
        """The published score."""
        return (_PART,)

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Score expressions, see ``Oracle.answer``."""
        return [self._answer(text) for text in texts]

    def _answer(self, text: str) -> Answer:
        worst = {_PART: WORST}
        try:
            values = self._values(parse(text, _VOCABULARY))
        except FormulaError as error:
            return failure(f"no expression: {error.problem} (column {error.column + 1})", worst)
        except CalculationError as error:
            return failure(str(error), worst)
        undefined = np.isnan(values)
        if undefined.any():
            return failure(f"no number at x = {self._x[undefined][0]:g}", worst)
        with np.errstate(all="ignore"):
            squares = np.minimum((values - self._y) ** 2, CAP)
        score = float(np.log1p(squares.mean()))
        return Answer(-score, {_PART: score})

    def _values(self, expression: Expression) -> NDArray[np.float64]:
        """(1000,) values of an expression; CalculationError where arithmetic raises."""
        with np.errstate(all="ignore"):
            values = expression.evaluate({"x": self._x}, _TABLE)
        return np.broadcast_to(np.asarray(values, np.float64), self._x.shape)
