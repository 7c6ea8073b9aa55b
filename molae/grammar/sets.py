"""Which tokens may begin and follow each non-terminal: the textbook FIRST and FOLLOW sets.

After Aho, Lam, Sethi and Ullman, "Compilers", section 4.4.2. Symbols are numbered as in ``cfg``:
terminal t is -1 - t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from molae.grammar.cfg import Grammar

#: Stands among tokens for the end of the text; no terminal has this number.
END = 0


@dataclass(frozen=True)
class Sets:
    """What can be seen of a non-terminal from outside.

    Attributes:
        nullable: Non-terminals that can become nothing.
        first: For each non-terminal, the terminals it can begin with.
        follow: For each non-terminal, the terminals that can come after it, and ``END``.
        rules: Ids of the rules that were looked at: those that can be finished.
    """

    nullable: frozenset[int]
    first: tuple[frozenset[int], ...]
    follow: tuple[frozenset[int], ...]
    rules: tuple[int, ...]

    def first_of(self, symbols: Sequence[int]) -> frozenset[int]:
        """Terminals that a sequence of symbols can begin with."""
        found: frozenset[int] = frozenset()
        for symbol in symbols:
            found |= self.first[symbol] if symbol >= 0 else {symbol}
            if symbol not in self.nullable:
                break
        return found

    def empties(self, symbols: Sequence[int]) -> bool:
        """Whether a sequence of symbols can become nothing."""
        return all(symbol in self.nullable for symbol in symbols)

    def predict(self, lhs: int, rhs: Sequence[int]) -> frozenset[int]:
        """The next tokens, ``END`` among them, at which a rule may be taken."""
        found = self.first_of(rhs)
        return found | self.follow[lhs] if self.empties(rhs) else found

    def alone(self, grammar: Grammar) -> dict[int, set[int]]:
        """For each non-terminal, what it can become in one rule while the rest becomes nothing."""
        edges: dict[int, set[int]] = {i: set() for i in range(len(grammar.nonterminals))}
        for rule in (grammar.rules[i] for i in self.rules):
            for place, symbol in enumerate(rule.rhs):
                if symbol >= 0 and self.empties(rule.rhs[:place] + rule.rhs[place + 1 :]):
                    edges[rule.lhs].add(symbol)
        return edges


def sets(grammar: Grammar) -> Sets:
    """The sets of a grammar; rules that can never be finished play no part."""
    rules = tuple(i for i in range(grammar.size) if grammar.finite[i])
    nullable: set[int] = set()
    for _ in grammar.nonterminals:
        for rule in (grammar.rules[i] for i in rules):
            if all(symbol in nullable for symbol in rule.rhs):
                nullable.add(rule.lhs)
    first: list[frozenset[int]] = [frozenset()] * len(grammar.nonterminals)
    known = Sets(frozenset(nullable), tuple(first), (), rules)
    while True:
        for rule in (grammar.rules[i] for i in rules):
            first[rule.lhs] |= known.first_of(rule.rhs)
        if tuple(first) == known.first:
            break
        known = Sets(known.nullable, tuple(first), (), rules)
    return Sets(known.nullable, known.first, _follow(grammar, known), rules)


def _follow(grammar: Grammar, known: Sets) -> tuple[frozenset[int], ...]:
    follow: list[frozenset[int]] = [frozenset()] * len(grammar.nonterminals)
    follow[grammar.start] = frozenset({END})
    changed = True
    while changed:
        before = list(follow)
        for rule in (grammar.rules[i] for i in known.rules):
            for place, symbol in enumerate(rule.rhs):
                if symbol < 0:
                    continue
                rest = rule.rhs[place + 1 :]
                follow[symbol] |= known.first_of(rest)
                if known.empties(rest):
                    follow[symbol] |= follow[rule.lhs]
        changed = before != follow
    return tuple(follow)
