"""Parses many texts at once with a deterministic grammar (LL(1)): the token picks the rule.

The same automaton as in ``machine.py`` without its attributes, run over the tokens of all texts
together: one table look-up gives the rule, one the non-terminals to push.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from molae.grammar.cfg import Grammar
from molae.grammar.lexer import Lexer

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Failure:
    """Why a text is no sentence of the grammar.

    Attributes:
        place: Byte where it shows.
        token: What stands there, empty at the end of the text.
        expected: Terminals that could stand there.
    """

    place: int
    token: str
    expected: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a list of rejects."""
        what = repr(self.token) if self.token else "end of text"
        listed = " ".join(self.expected[:12]) + (" ..." if len(self.expected) > 12 else "")
        return f"{what} at position {self.place + 1}, where the grammar expects one of: {listed}"


@dataclass(frozen=True)
class Parsed:
    """Derivations of n texts: rules (n, T) int64, -1 after the end; failures by row."""

    rules: Ints
    failures: dict[int, Failure]


class Parser:
    """A deterministic parser.

    Args:
        grammar: Every rule begins with its only terminal, or is empty.

    Raises:
        ValueError: If the grammar is not of that form, or a non-terminal has two rules that begin
            with the same terminal.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.lexer = Lexer(grammar.terminals)
        end = len(grammar.terminals)  # what an empty rule looks at: the end of the text
        self._rule = np.full((len(grammar.nonterminals) + 1, end + 1), -1, dtype=np.int64)
        for index, rule in enumerate(grammar.rules):
            terminal = end if not rule.rhs else -1 - rule.rhs[0]
            others = [s for s in rule.rhs[1:] if s < 0]
            if terminal < 0 or others or self._rule[rule.lhs, terminal] >= 0:
                where = grammar.rule_text(index)
                raise ValueError(f"{grammar.name}: not deterministic at {where}")
            self._rule[rule.lhs, terminal] = index
        pushes = [[s for s in rule.rhs if s >= 0][::-1] for rule in grammar.rules]
        self._width = max([len(p) for p in pushes] + [1])
        self._pushed = np.array([p + [0] * (self._width - len(p)) for p in pushes], dtype=np.int64)
        self._pushes = np.array([len(p) for p in pushes], dtype=np.int64)

    def parse(self, texts: Sequence[str]) -> Parsed:
        """The left-most derivation of every text."""
        tokens = self.lexer.read(texts)
        n, length = tokens.ids.shape
        end = len(self.grammar.terminals)
        rules = np.full((n, length + 1), -1, dtype=np.int64)
        stack = np.zeros((n, (length + 2) * max(1, self._width - 1) + 2), dtype=np.int64)
        stack[:, 0] = len(self.grammar.nonterminals)
        stack[:, 1] = self.grammar.start
        height = np.ones(n, dtype=np.int64)
        failures: dict[int, Failure] = {}
        live = np.arange(n)
        for step in range(length + 1):
            token = tokens.ids[live, step] if step < length else np.full(len(live), -1)
            top = stack[live, height[live]]
            rule = self._rule[top, np.where(token < 0, end, token)]
            readable = (token >= 0) | (tokens.stuck[live] < 0)
            closed = (token < 0) & readable & (height[live] == 0)
            good = (rule >= 0) & readable & ~closed
            bad = ~good & ~closed
            for row, symbol in zip(live[bad].tolist(), top[bad].tolist(), strict=True):
                failures[row] = self._failure(texts[row], tokens.places[row], step, symbol)
            live, rule = live[good], rule[good]
            if not len(live):
                break
            rules[live, step] = rule
            height[live] -= 1
            for column in range(self._width):
                stack[live, height[live] + 1 + column] = self._pushed[rule, column]
            height[live] += self._pushes[rule]
        return Parsed(rules, failures)

    def _failure(self, text: str, places: Ints, step: int, symbol: int) -> Failure:
        raw = text.encode()
        known = step < len(places) and places[step] >= 0
        place = int(places[step]) if known else self._stuck_place(raw, places, step)
        _, length = self.lexer.matches(np.frombuffer(raw[place:], dtype=np.uint8))
        size = int(length[0]) if len(length) and length[0] else 1
        token = raw[place : place + size].decode(errors="replace")
        rules = [] if symbol >= len(self.grammar.nonterminals) else self.grammar.by_lhs(symbol)
        right = (self.grammar.rules[r].rhs for r in rules)
        expected = [self.grammar.terminals[-1 - rhs[0]] if rhs else "end of text" for rhs in right]
        return Failure(place, token, tuple(expected or ["end of text"]))

    def _stuck_place(self, raw: bytes, places: Ints, step: int) -> int:
        """Where reading stopped when there is no token at ``step``."""
        if step == 0:
            return 0
        last = int(places[step - 1])
        _, length = self.lexer.matches(np.frombuffer(raw[last:], dtype=np.uint8))
        return last + int(length[0])


@lru_cache(maxsize=8)
def deterministic_parser(grammar: Grammar) -> Parser | None:
    """The parser of a grammar, or None if the grammar needs a general one (``derivation.py``)."""
    try:
        return Parser(grammar)
    except ValueError:
        return None
