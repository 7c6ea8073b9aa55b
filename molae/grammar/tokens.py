"""Cutting a text into terminals, and the error that says where a text leaves a grammar."""

from __future__ import annotations

import re
from typing import NamedTuple

from molae.grammar.cfg import Grammar

#: Characters of a long line that an error shows on either side of its caret.
_WINDOW = 40
#: Expected tokens that a message lists.
_SHOWN = 16


class DerivationError(ValueError):
    """A text that the grammar does not generate.

    Attributes:
        text: The whole text.
        position: Where it stops making sense, in characters from 0; ``len(text)`` for its end.
        token: The token found there, or the character that begins no token; empty at the end.
        expected: What could have stood there, in quotes; ``end`` for the end of the text.
    """

    def __init__(self, text: str, position: int, token: str, expected: tuple[str, ...]) -> None:
        super().__init__(text, position, token, expected)  # so that it survives a process border
        self.text, self.position, self.token, self.expected = text, position, token, expected

    @property
    def reason(self) -> str:
        """What was found and what was expected, in one line."""
        got = repr(self.token) if self.token else "the end"
        shown = self.expected[:_SHOWN]
        more = len(self.expected) - len(shown)
        expected = ", ".join(shown) or "nothing: the grammar generates no text"
        expected += f" and {more} more" if more else ""
        return f"position {self.position}: got {got}, expected {expected}"

    def __str__(self) -> str:
        begin, end = max(0, self.position - _WINDOW), self.position + _WINDOW
        left = "..." if begin > 0 else ""
        right = "..." if end < len(self.text) else ""
        # One place per character, or the caret would stand elsewhere.
        piece = re.sub(r"\s", " ", self.text[begin:end])
        caret = " " * (len(left) + self.position - begin) + "^"
        return f"{self.reason}\n  {left}{piece}{right}\n  {caret}"


class Token(NamedTuple):
    """One terminal found in a text.

    Attributes:
        terminal: Index into ``Grammar.terminals``.
        position: Character at which it begins, from 0.
    """

    terminal: int
    position: int


def tokenize(grammar: Grammar, text: str) -> list[Token]:
    """Cut a text into terminals, the longest that fits at each place.

    Blanks between tokens are skipped where the grammar spells ``text`` (the default of the
    directive ``spelling``) and none of its terminals holds a blank.

    Raises:
        DerivationError: A character begins no terminal.
    """
    return Tokenizer(grammar)(text)


class Tokenizer:
    """Maximal munch over the terminals of one grammar; see ``tokenize``."""

    def __init__(self, grammar: Grammar) -> None:
        self.index = {word: i for i, word in enumerate(grammar.terminals)}
        # Of alternatives a regular expression takes the first that fits, so: longest first.
        words = sorted(grammar.terminals, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, words)) or r"(?!)")
        spelling = grammar.directives.get("spelling", "text")
        holds_blank = any(re.search(r"\s", word) for word in grammar.terminals)
        self.blank = re.compile(r"\s*" if spelling == "text" and not holds_blank else "")

    def __call__(self, text: str) -> list[Token]:
        """All tokens of a text; raises ``DerivationError`` where a character begins none."""
        tokens, stop = self.prefix(text)
        if stop < len(text):
            expected = tuple(sorted(map(repr, self.index)))
            raise DerivationError(text, stop, text[stop], expected)
        return tokens

    def prefix(self, text: str) -> tuple[list[Token], int]:
        """The tokens up to the first character that begins none, and where that is."""
        tokens: list[Token] = []
        position = self.skip(text, 0)
        while position < len(text):
            match = self.pattern.match(text, position)
            if match is None:
                break
            tokens.append(Token(self.index[match.group()], position))
            position = self.skip(text, match.end())
        return tokens, position

    def skip(self, text: str, position: int) -> int:
        """The next place that is no blank, where blanks are skipped."""
        match = self.blank.match(text, position)
        return position if match is None else match.end()
