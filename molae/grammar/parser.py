"""Parses many texts at once with a deterministic grammar (LL(1)): the token picks the rule.

The same automaton as in ``machine.py`` without its attributes, run over the tokens of all texts
together: one table look-up gives the rule, one the non-terminals to push.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from molae.grammar.cfg import Grammar, Rule
from molae.grammar.lexer import Lexer, Tokens
from molae.grammar.sets import END, sets

Ints = NDArray[np.int64]

#: What a message shows of a text from where no token begins: a bracket atom as a whole (a grammar
#: may have some of them as its tokens, and not this one), else one character.
_UNREADABLE = re.compile(r"\[[^\[\]]*\]|.", re.DOTALL)


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
    """A deterministic parser: one token of look-ahead settles every rule (LL(1)).

    Args:
        grammar: Any grammar of that kind; in Greibach form, as ``smiles.cfg`` is, a rule takes its
            token along, so there are as many steps as rules.

    Raises:
        ValueError: If at some token two rules may replace the same non-terminal.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._end = len(grammar.terminals)
        self._mark = len(grammar.nonterminals)  # symbols from here on are terminals
        # One column for the end of the text, and one for what is no token, where no rule applies.
        self._rule = np.full((self._mark, self._end + 2), -1, dtype=np.int64)
        known = sets(grammar)
        for index in known.rules:
            rule = grammar.rules[index]
            for symbol in known.predict(rule.lhs, rule.rhs):
                column = self._end if symbol == END else -1 - symbol
                if self._rule[rule.lhs, column] >= 0:
                    text = grammar.rule_text(index)
                    raise ValueError(f"{grammar.name}: not deterministic at {text}")
                self._rule[rule.lhs, column] = index
        blanks = b"" if any(" " in t for t in grammar.terminals) else b" \t"
        plain = grammar.directives.get("spelling", "text") == "text"
        self.lexer = Lexer(grammar.terminals, skip=blanks if plain else b"")
        self._takes = np.array([bool(r.rhs) and r.rhs[0] < 0 for r in grammar.rules])
        pushes = [self._pushes(rule) for rule in grammar.rules]
        self._width = max([len(p) for p in pushes] + [1])
        self._pushed = np.array([p + [0] * (self._width - len(p)) for p in pushes], dtype=np.int64)
        self._count = np.array([len(p) for p in pushes], dtype=np.int64)

    def _pushes(self, rule: Rule) -> list[int]:
        """What a rule leaves on the stack, top last; a leading terminal is taken at once."""
        rest = rule.rhs[1:] if rule.rhs and rule.rhs[0] < 0 else rule.rhs
        return [s if s >= 0 else self._mark - 1 - s for s in reversed(rest)]

    def parse(self, texts: Sequence[str]) -> Parsed:
        """The left-most derivation of every text."""
        tokens = self.lexer.read(texts)
        work = _Work(len(texts), self.grammar.start, self._width, tokens.ids.shape[1])
        unreadable = np.where(tokens.stuck >= 0, self._end + 1, self._end)[:, None]
        look = np.concatenate([np.where(tokens.ids < 0, unreadable, tokens.ids), unreadable], 1)
        failures: dict[int, Failure] = {}
        live = np.arange(len(texts))
        while len(live):
            top, token = work.top(live), look[live, work.place[live]]
            done = (work.height[live] == 0) & (token == self._end)
            terminal = (top >= self._mark) & (work.height[live] > 0)
            match = terminal & (top - self._mark == token)
            replaced = ~terminal & (work.height[live] > 0)
            rule = np.where(replaced, self._rule[np.where(replaced, top, 0), token], -1)
            for at in np.flatnonzero(~done & ~match & (rule < 0)):
                row = int(live[at])
                symbol = int(top[at]) if work.height[row] else -1
                failures[row] = self._failure(texts[row], tokens, row, work.place[row], symbol)
            work.match(live[match])
            chosen = rule >= 0
            rows, rule = live[chosen], rule[chosen]
            work.replace(rows, rule, self._pushed[rule], self._count[rule], self._takes[rule])
            live = live[match | chosen]
        return Parsed(work.rules, failures)

    def _failure(self, text: str, tokens: Tokens, row: int, step: int, symbol: int) -> Failure:
        ids, places = tokens.ids[row], tokens.places[row]
        raw = text.encode()
        if step < len(ids) and ids[step] >= 0:
            place, token = int(places[step]), self.grammar.terminals[ids[step]]
        elif tokens.stuck[row] >= 0:
            place = int(tokens.stuck[row])
            rest = _UNREADABLE.match(raw[place:].decode(errors="replace"))
            token = rest.group() if rest is not None else ""
        else:
            place, token = len(raw), ""
        return Failure(place, token, self._expected(symbol))

    def _expected(self, symbol: int) -> tuple[str, ...]:
        """Terminals that could stand where ``symbol`` is on top of the stack, -1 for none left."""
        if symbol >= self._mark:
            return (self.grammar.terminals[symbol - self._mark],)
        if symbol < 0:
            return ("end of text",)
        columns = np.flatnonzero(self._rule[symbol, : self._end + 1] >= 0)
        spelled = [self.grammar.terminals[c] if c < self._end else "end of text" for c in columns]
        return tuple(spelled)


class _Work:
    """Stacks, places and rules of n texts; arrays grow as needed."""

    def __init__(self, n: int, start: int, width: int, length: int) -> None:
        self.width = width
        self.stack = np.zeros((n, length * max(1, width - 1) + width + 2), dtype=np.int64)
        self.stack[:, 1] = start
        self.height = np.ones(n, dtype=np.int64)
        self.place = np.zeros(n, dtype=np.int64)
        self.rules = np.full((n, length + 1), -1, dtype=np.int64)
        self.count = np.zeros(n, dtype=np.int64)

    def top(self, rows: Ints) -> Ints:
        """The symbol on top of each stack, 0 where there is none."""
        symbols: Ints = self.stack[rows, self.height[rows]]
        return symbols

    def match(self, rows: Ints) -> None:
        """A terminal on the stack meets its token."""
        self.height[rows] -= 1
        self.place[rows] += 1

    def replace(
        self, rows: Ints, rule: Ints, pushed: Ints, count: Ints, takes: NDArray[np.bool_]
    ) -> None:
        """Replace the non-terminal on top by what a rule pushes, and note the rule."""
        if not len(rows):
            return
        if int(self.count[rows].max()) >= self.rules.shape[1]:
            self.rules = np.concatenate([self.rules, np.full_like(self.rules, -1)], 1)
        if int(self.height[rows].max()) + self.width >= self.stack.shape[1]:
            self.stack = np.concatenate([self.stack, np.zeros_like(self.stack)], 1)
        self.rules[rows, self.count[rows]] = rule
        self.count[rows] += 1
        for column in range(self.width):
            self.stack[rows, self.height[rows] + column] = pushed[:, column]
        self.height[rows] += count - 1
        self.place[rows] += takes


@lru_cache(maxsize=8)
def deterministic_parser(grammar: Grammar) -> Parser | None:
    """The parser of a grammar, or None if the grammar needs a general one (``derivation.py``)."""
    try:
        return Parser(grammar)
    except ValueError:
        return None
