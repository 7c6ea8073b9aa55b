"""Arithmetic that people type, such as ``qed - 0.2*sa``: read by hand, never run as code.

A text becomes a list of steps in postfix order, which is worked through with a stack: no text can
recurse deeper than its brackets, and what may be named is decided by a vocabulary.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from molae.names import closest

#: Longest text, and deepest brackets, that are read.
LONGEST, DEEPEST = 4000, 100

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<symbol>\*\*|[-+*/(),])"
    r"|(?P<blank>\s+)",
    re.ASCII,
)
#: How tightly an operator binds what is left of it, and what its right side must bind tighter
#: than, as in Python: ** from the right and before the sign, so that -x**2 is -(x**2).
_INFIX = {"+": (1, 1), "-": (1, 1), "*": (2, 2), "/": (2, 2), "**": (4, 3)}
_SIGN = 3
_KINDS = {"end": "an operator or the end", "string": "a text in quotation marks"}
_HINTS = {
    **dict.fromkeys("0123456789", "no number; write * between a number and a name"),
    "^": "write ** for a power",
    "<": "conditions are requirements of their own (--require)",
    ">": "conditions are requirements of their own (--require)",
    "=": "conditions are requirements of their own (--require)",
    **dict.fromkeys(".:", "a Python function is package.module:function, and stands alone"),
    '"': "the quotation mark is not closed",
    "'": "the quotation mark is not closed",
}
#: Operators as functions; ``neg`` is the sign. ``**`` is left to the tables, because Python's own
#: turns (-8)**0.5 into a complex number.
OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "neg": operator.neg,
}

Value = TypeVar("Value")


class FormulaError(ValueError):
    """A formula that cannot be understood; the message points at the place.

    Attributes:
        text: The formula.
        column: Where reading failed, from 0.
        problem: What is wrong there, without the picture.
    """

    def __init__(self, text: str, column: int, problem: str, example: str) -> None:
        super().__init__(f"{problem}\n  {text}\n  {' ' * column}^\nwrite for example {example}")
        self.text = text
        self.column = column
        self.problem = problem


class CalculationError(ArithmeticError):
    """Arithmetic without a result, such as a division by zero; the message shows the operation."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a formula may name.

    Attributes:
        functions: name -> fewest and most arguments.
        terms: Names that stand alone, such as ``qed``.
        references: Names that take one text in quotation marks, such as ``similarity("CCO")``.
        example: What is shown under an error.
    """

    functions: Mapping[str, tuple[int, int]]
    terms: Collection[str]
    references: Collection[str] = ()
    example: str = "qed - 0.2*sa"


@dataclass(frozen=True, slots=True)
class Number:
    """Push a number."""

    value: float


@dataclass(frozen=True, slots=True)
class Leaf:
    """Push the value of a term.

    Attributes:
        name: Of the term.
        reference: The text in quotation marks behind it, or None.
        column: Where its reference, or else its name, begins in the formula.
    """

    name: str
    reference: str | None = None
    column: int = field(default=0, compare=False)

    @property
    def label(self) -> str:
        """What its values are called: ``qed``, ``similarity(CCO)``."""
        return self.name if self.reference is None else f"{self.name}({self.reference})"


@dataclass(frozen=True, slots=True)
class Apply:
    """Replace the last values by a function of them.

    Attributes:
        name: Of the function or operator; ``neg`` is the sign.
        count: Values it takes.
    """

    name: str
    count: int


Step = Number | Leaf | Apply


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that has been read.

    Attributes:
        text: The formula in one spelling, whatever blanks and capitals were typed.
        steps: What to do, in postfix order.
        source: What was typed, in one line: columns count in it.
    """

    text: str
    steps: tuple[Step, ...]
    source: str

    @property
    def leaves(self) -> list[Leaf]:
        """The terms, each once, in order."""
        return list(dict.fromkeys(step for step in self.steps if isinstance(step, Leaf)))

    def evaluate(
        self, values: Mapping[str, Value], functions: Mapping[str, Callable[..., Any]]
    ) -> Any:
        """The value of the formula.

        Args:
            values: Of each term, by its label; numbers or arrays.
            functions: All functions of the vocabulary, and the operators ``+ - * / **`` and
                ``neg``.

        Raises:
            CalculationError: An operation has no result for these values.
        """
        stack: list[Any] = []
        for step in self.steps:
            if isinstance(step, Number):
                stack.append(step.value)
            elif isinstance(step, Leaf):
                stack.append(values[step.label])
            else:
                operands = [stack.pop() for _ in range(step.count)][::-1]
                stack.append(_apply(step.name, functions[step.name], operands))
        return stack[0]


def _apply(name: str, function: Callable[..., Any], operands: list[Any]) -> Any:
    try:
        return function(*operands)
    except (ValueError, ArithmeticError) as error:
        shown = [f"{operand:g}" for operand in operands]
        text = f" {name} ".join(shown) if name in _INFIX else f"{name}({', '.join(shown)})"
        raise CalculationError(f"cannot compute {text}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # a group of _TOKEN, or "end"
    text: str
    column: int


def parse(text: str, vocabulary: Vocabulary) -> Expression:
    """Read a formula: + - * / ** with the usual precedence, brackets, and what the vocabulary has.

    Blanks do not matter, nor do capitals in names.

    Raises:
        FormulaError: (a ValueError) with a caret where the text went wrong, and with the closest
            names where one is unknown.
    """
    source = re.sub(r"\s", " ", text)  # the caret stands in the line below
    parser = _Parser(source, vocabulary)
    parser.expression(0)
    parser.take("end")
    return Expression("".join(parser.spelt), tuple(parser.steps), source)


class _Parser:
    """Operator precedence parsing: each call of ``expression`` reads what binds tightly enough."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.tokens = self._tokens()
        self.place = 0
        self.depth = 0
        self.steps: list[Step] = []
        self.spelt: list[str] = []

    def _tokens(self) -> list[_Token]:
        if len(self.text) > LONGEST:
            shown = self.text[:40] + "..."
            problem = f"a formula of {len(self.text)} characters: at most {LONGEST} are read"
            raise FormulaError(shown, 0, problem, self.vocabulary.example)
        tokens, column = [], 0
        while column < len(self.text):
            match = _TOKEN.match(self.text, column)
            if match is None:
                symbol = self.text[column]
                hint = _HINTS.get(symbol, "no part of a formula")
                raise self.error(column, f"{symbol!r}: {hint}")
            if match.lastgroup != "blank":
                tokens.append(_Token(match.lastgroup or "", match[0], column))
            column = match.end()
        return [*tokens, _Token("end", "", len(self.text.rstrip()))]

    def error(self, column: int, problem: str) -> FormulaError:
        return FormulaError(self.text, column, problem, self.vocabulary.example)

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self, wanted: str | None = None) -> _Token:
        """The next token; an error if it is not the wanted symbol, or kind of token."""
        token = self.next
        if wanted is not None:
            got = token.kind if wanted in _KINDS else token.text
            if got != wanted:
                expected = _KINDS.get(wanted, repr(wanted))
                raise self.error(token.column, f"expected {expected}, got {_shown(token)}")
        self.place += 1
        return token

    def expression(self, tightness: int) -> None:
        """Read an operand, and all operators behind it that bind tighter."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(self.next.column, f"nested deeper than {DEEPEST} levels")
        self._operand()
        while self.next.kind == "symbol" and self.next.text in _INFIX:
            symbol = self.next.text
            left, right = _INFIX[symbol]
            if left <= tightness:
                break
            self.place += 1
            self.spelt.append(f" {symbol} " if symbol in "+-" else symbol)
            self.expression(right)
            self.steps.append(Apply(symbol, 2))
        self.depth -= 1

    def _operand(self) -> None:
        token = self.take()
        if token.kind == "number":
            self.steps.append(Number(float(token.text)))
            self.spelt.append(token.text)
        elif token.kind == "name":
            self._named(token)
        elif token.text == "-":
            self.spelt.append("-")
            self.expression(_SIGN)
            self.steps.append(Apply("neg", 1))
        elif token.text == "(":
            self._bracket()
        else:
            problem = f"expected a number, a name or '(', got {_shown(token)}"
            raise self.error(token.column, problem)

    def _bracket(self) -> None:
        self.spelt.append("(")
        self.expression(0)
        self.take(")")
        self.spelt.append(")")

    def _named(self, token: _Token) -> None:
        name = token.text.lower()
        words = self.vocabulary
        self.spelt.append(name)
        if name in words.functions:
            self._call(token, name)
        elif name in words.references:
            self._reference(name)
        elif name in words.terms:
            self.steps.append(Leaf(name, None, token.column))
        else:
            known = dict.fromkeys([*words.terms, *words.references, *words.functions])
            kind = "function" if self.next.text == "(" else "name"
            problem = f"unknown {kind} {token.text!r}: {closest(name, known)}"
            raise self.error(token.column, problem)

    def _reference(self, name: str) -> None:
        self.take("(")
        token = self.take("string")
        self.take(")")
        reference = token.text[1:-1]
        self.steps.append(Leaf(name, reference, token.column))
        self.spelt.append(f"('{reference}')" if '"' in reference else f'("{reference}")')

    def _call(self, token: _Token, name: str) -> None:
        fewest, most = self.vocabulary.functions[name]
        count = 0
        self.take("(")
        self.spelt.append("(")
        while True:
            self.expression(0)
            count += 1
            if self.next.text != ",":
                break
            self.take(",")
            self.spelt.append(", ")
        self.take(")")
        self.spelt.append(")")
        if not fewest <= count <= most:
            wanted = f"{fewest}" if fewest == most else f"at least {fewest}"
            noun = "argument" if most == 1 else "arguments"
            raise self.error(token.column, f"{name} takes {wanted} {noun}, got {count}")
        self.steps.append(Apply(name, count))


def _shown(token: _Token) -> str:
    return repr(token.text) if token.text else "nothing"
