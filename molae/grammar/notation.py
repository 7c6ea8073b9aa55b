"""The syntax of NLTK's CFG notation, checked so that an error can point at its line and column.

NLTK itself reads the grammar afterwards; its own messages know neither the column nor what is
wrong with a name that has no rule. The notation: one rule per line, ``A -> 'x' B | C``; terminals
in single or double quotes without escapes; an empty right side is nothing at all; ``%start A``
names the start symbol; ``#`` begins a comment line; a back-slash at the end joins lines. Our own
additions sit in comments: ``#: key = value`` is a directive, and the directive ``without-rules``
lists names that have no rule on purpose (anywhere else such a name is a slip of the pen).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import NamedTuple

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[\w/][\w/^<>-]*")
_ARROW = re.compile(r"->")
_TERMINAL = re.compile(r"\"[^\"]*\"|'[^']*'")
_DIRECTIVE = re.compile(r"\s*#:\s*([\w-]+)\s*=\s*(.*?)\s*$")

#: What ``#: spelling = ...`` may say.
SPELLINGS = ("kekule", "aromatic", "text")


class GrammarError(ValueError):
    """A text that is not a grammar.

    Attributes:
        reason: What is wrong, without the position.
        source: File name as given.
        line: Line, from 1; None where the error has no place.
        column: Column, from 1; None where the error has no place.
        text: The line itself.
    """

    def __init__(
        self,
        reason: str,
        source: str = "<grammar>",
        line: int | None = None,
        column: int | None = None,
        text: str = "",
    ) -> None:
        super().__init__(reason, source, line, column, text)  # so that it survives pickling
        self.reason, self.source, self.line, self.column = reason, source, line, column
        self.text = text

    def __str__(self) -> str:
        if self.line is None or self.column is None:
            return f"{self.source}: {self.reason}"
        # Tabs stay tabs in front of the caret, so that it stands under the right character.
        pad = "".join("\t" if c == "\t" else " " for c in self.text[: self.column - 1])
        place = f"{self.source}:{self.line}:{self.column}"
        return f"{place}: {self.reason}\n  {self.text}\n  {pad}^"


class _Place(NamedTuple):
    """A character of a logical line: its physical line and column, both from 0."""

    line: int
    column: int


@dataclass(frozen=True)
class _Statement:
    """A logical line: its text and where each character stood, with one more place for its end."""

    text: str
    places: list[_Place]


class _Scanner:
    """Walks over a grammar and raises at the first thing that is not notation."""

    def __init__(self, text: str, source: str) -> None:
        self.lines = text.split("\n")
        self.source = source
        self.defined: dict[str, _Place] = {}
        self.used: list[tuple[str, _Place]] = []

    def error(self, reason: str, place: _Place) -> GrammarError:
        text = self.lines[place.line].rstrip("\r")
        return GrammarError(reason, self.source, place.line + 1, place.column + 1, text)

    def statements(self) -> list[_Statement]:
        """Logical lines without comments and blanks, joined as NLTK joins them."""
        found = []
        text, places = "", list[_Place]()
        for number, line in enumerate(self.lines):
            begin = len(line) - len(line.lstrip())
            body = line.strip()
            text += body
            places += [_Place(number, begin + i) for i in range(len(body))]
            if text.startswith("#") or not text:
                text, places = "", []
            elif text.endswith("\\"):
                keep = len(text[:-1].rstrip())
                text, places = text[:keep] + " ", places[: keep + 1]
            else:
                found.append(_Statement(text, [*places, _Place(number, begin + len(body))]))
                text, places = "", []
        if text:
            raise self.error("the last line ends with a back-slash that joins nothing", places[-1])
        return found

    def statement(self, line: _Statement) -> None:
        """Check one logical line and note the names in it."""
        if line.text.startswith("%"):
            self.directive(line)
            return
        name = _NAME.match(line.text)
        if name is None:
            raise self.error("expected a non-terminal on the left side", line.places[0])
        self.defined.setdefault(name.group(), line.places[0])
        position = _skip(line.text, name.end())
        arrow = _ARROW.match(line.text, position)
        if arrow is None:
            raise self._no_arrow(line, name.group(), position)
        self.right_side(line, _skip(line.text, arrow.end()))

    def _no_arrow(self, line: _Statement, name: str, position: int) -> GrammarError:
        if "->" in name:  # NLTK takes '-' and '>' for letters, so that "A->" is one name
            place = line.places[name.index("->")]
            return self.error(f"expected a blank in front of '->', got the name {name}", place)
        reason = f"expected '->' after the non-terminal {name}"
        return self.error(reason, line.places[position])

    def directive(self, line: _Statement) -> None:
        """Check ``%start NAME``."""
        match = re.fullmatch(r"%start\s+([\w/][\w/^<>-]*)", line.text)
        if match is None:
            reason = "expected '%start NAME'; no other line begins with '%'"
            raise self.error(reason, line.places[0])
        self.used.append((match.group(1), line.places[match.start(1)]))

    def right_side(self, line: _Statement, position: int) -> None:
        """Check what stands after the arrow."""
        while position < len(line.text):
            if line.text[position] == "|":
                position = _skip(line.text, position + 1)
                continue
            place = line.places[position]
            pattern = _TERMINAL if line.text[position] in "'\"" else _NAME
            match = pattern.match(line.text, position)
            if match is None:
                raise self.error(_expected(line.text[position:]), place)
            if pattern is _NAME:
                self.used.append((match.group(), place))
            elif len(match.group()) == 2:
                reason = "an empty terminal; for an empty right side write nothing at all"
                raise self.error(reason, place)
            position = _skip(line.text, match.end())


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def _expected(rest: str) -> str:
    """What is wrong with a piece of a right side that is neither name nor terminal."""
    if rest[0] in "'\"":
        return f"a terminal begins with {rest[0]} and does not end"
    if rest[0] == "#":
        return "a comment needs a line of its own"
    if rest.startswith("->"):
        return "a second '->' in one rule; begin a new line"
    if rest[0] == "[":
        return "probabilities are not part of this notation; terminals stand in quotes"
    return f"expected a non-terminal, a terminal in quotes or '|', got {rest[0]!r}"


def check(text: str, source: str = "<grammar>") -> None:
    """Raise ``GrammarError`` at the first error of notation, or at a name that has no rule."""
    scanner = _Scanner(text, source)
    for line in scanner.statements():
        scanner.statement(line)
    if not scanner.defined:
        raise GrammarError("no rule found; write lines such as S -> 'a' S | 'b'", source)
    found = _directives(text)
    ruleless = (
        found["without-rules"][0].replace(",", " ").split() if "without-rules" in found else []
    )
    for name, place in scanner.used:
        if name not in scanner.defined and name not in ruleless:
            close = difflib.get_close_matches(name, scanner.defined, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; a terminal is written {name!r}"
            raise scanner.error(f"the non-terminal {name} has no rule{hint}", place)
    if "spelling" in found and found["spelling"][0] not in SPELLINGS:
        value, place = found["spelling"]
        raise scanner.error(f"spelling is one of {', '.join(SPELLINGS)}; got {value!r}", place)


def _directives(text: str) -> dict[str, tuple[str, _Place]]:
    found = {}
    for number, line in enumerate(text.split("\n")):
        match = _DIRECTIVE.match(line)
        if match is not None:
            found[match.group(1)] = (match.group(2), _Place(number, match.start(2)))
    return found


def directives(text: str) -> dict[str, str]:
    """The ``#: key = value`` lines of a grammar."""
    return {key: value for key, (value, _) in _directives(text).items()}
