"""What a grammar can do and what is wrong with it: ``molae grammar check``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from molae.grammar.cfg import NEVER, Grammar
from molae.grammar.sets import END, Sets, sets


@dataclass(frozen=True)
class Conflict:
    """Two rules between which one token of look-ahead does not decide.

    Attributes:
        nonterminal: What both replace.
        token: At which both may be taken, in quotes; ``end`` for the end of the text.
        rules: Their ids, ascending.
        texts: The two rules as written.
    """

    nonterminal: str
    token: str
    rules: tuple[int, int]
    texts: tuple[str, str]

    def __str__(self) -> str:
        first, second = self.texts
        return f"at {self.token} both '{first}' and '{second}' may replace {self.nonterminal}"


@dataclass(frozen=True)
class Report:
    """What ``report`` found. Symbols are names, rules are texts, in order of the grammar.

    Attributes:
        name: Of the grammar.
        rules: Their number, V.
        terminals: Their number.
        nonterminals: Their number.
        greibach: Every rule is empty, or one terminal and then non-terminals only.
        empty_rules: Number of rules with nothing on the right side.
        conflict: The first one, or None where one token of look-ahead always settles the rule
            (LL(1)) and the batched machine parses.
        shortest: Rules in the shortest derivation; None where the start symbol has none.
        longest: Rules in the longest derivation; None where there is no bound, or no derivation.
        unreachable: Non-terminals that no derivation from the start symbol meets.
        unproductive: Non-terminals that can never be finished.
        left_recursion: For each group of left-recursive non-terminals one way round.
        loops: Non-terminals that can become themselves alone, one way round for each group; a
            text through one of them has infinitely many derivations.
        duplicates: Rules that repeat an earlier one.
    """

    name: str
    rules: int
    terminals: int
    nonterminals: int
    greibach: bool
    empty_rules: int
    conflict: Conflict | None
    shortest: int | None
    longest: int | None
    unreachable: tuple[str, ...]
    unproductive: tuple[str, ...]
    left_recursion: tuple[tuple[str, ...], ...]
    loops: tuple[tuple[str, ...], ...]
    duplicates: tuple[str, ...]

    @property
    def deterministic(self) -> bool:
        """Whether one token of look-ahead always settles the rule."""
        return self.conflict is None

    @property
    def generates(self) -> bool:
        """Whether there is any derivation at all."""
        return self.shortest is not None

    def lines(self) -> list[str]:
        """The report as plain text, one finding to a line."""
        found = [
            f"grammar          {self.name}",
            f"size             {self._size()}",
            f"Greibach form    {self._greibach()}",
            f"deterministic    {'yes' if self.conflict is None else f'no: {self.conflict}'}",
            f"derivations      {self._lengths()}",
        ]
        for label, names in (
            ("unreachable", self.unreachable),
            ("unproductive", self.unproductive),
        ):
            found.append(f"{label:16} {', '.join(names) or 'none'}")
        for label, cycles in (("left recursion", self.left_recursion), ("loops", self.loops)):
            found.append(f"{label:16} {'; '.join(map(' -> '.join, cycles)) or 'none'}")
        found.append(f"duplicate rules  {'; '.join(self.duplicates) or 'none'}")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _size(self) -> str:
        numbers = (self.rules, self.terminals, self.nonterminals)
        return ", ".join(map(_count, numbers, ("rule", "terminal", "non-terminal")))

    def _greibach(self) -> str:
        if not self.greibach:
            return "no"
        return (
            f"yes, besides {_count(self.empty_rules, 'empty rule')}" if self.empty_rules else "yes"
        )

    def _lengths(self) -> str:
        if self.shortest is None:
            return "none: the start symbol can never be finished"
        longest = "without bound" if self.longest is None else f"longest {self.longest}"
        return f"shortest {_count(self.shortest, 'rule')}, {longest}"


def report(grammar: Grammar) -> Report:
    """Look a grammar over; only where ``generates`` is false is it of no use at all."""
    known = sets(grammar)
    reached = _reachable(grammar)
    names = grammar.nonterminals
    steps = grammar.min_steps
    bodies = [rule.rhs for rule in grammar.rules]
    return Report(
        name=grammar.name,
        rules=grammar.size,
        terminals=len(grammar.terminals),
        nonterminals=len(names),
        greibach=all(not body or _greibach(body) for body in bodies),
        empty_rules=sum(not body for body in bodies),
        conflict=_conflict(grammar, known, reached),
        shortest=int(steps[grammar.start]) if steps[grammar.start] < NEVER else None,
        longest=_longest(grammar, known),
        unreachable=tuple(name for i, name in enumerate(names) if i not in reached),
        unproductive=tuple(name for i, name in enumerate(names) if steps[i] >= NEVER),
        left_recursion=_cycles(grammar, _left_corners(grammar, known)),
        loops=_cycles(grammar, known.alone(grammar)),
        duplicates=_duplicates(grammar),
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _greibach(body: tuple[int, ...]) -> bool:
    return body[0] < 0 and all(symbol >= 0 for symbol in body[1:])


def _reachable(grammar: Grammar) -> set[int]:
    reached, todo = {grammar.start}, [grammar.start]
    while todo:
        for rule in grammar.by_lhs(todo.pop()):
            new = {symbol for symbol in grammar.rules[rule].rhs if symbol >= 0} - reached
            reached |= new
            todo += new
    return reached


def _conflict(grammar: Grammar, known: Sets, reached: set[int]) -> Conflict | None:
    """The first pair of rules that share a next token, in order of the later rule."""
    taken: dict[tuple[int, int], int] = {}
    for index in known.rules:
        rule = grammar.rules[index]
        if rule.lhs not in reached:
            continue
        for token in sorted(known.predict(rule.lhs, rule.rhs), reverse=True):
            other = taken.setdefault((rule.lhs, token), index)
            if other != index:
                word = "end" if token == END else grammar.symbol_text(token)
                texts = (grammar.rule_text(other), grammar.rule_text(index))
                return Conflict(grammar.nonterminals[rule.lhs], word, (other, index), texts)
    return None


def _longest(grammar: Grammar, known: Sets) -> int | None:
    """Rules in the longest derivation; None where there is no bound, or no derivation."""
    parts: dict[int, set[int]] = {grammar.start: set()}
    todo = [grammar.start]
    usable = set(known.rules)
    while todo:
        lhs = todo.pop()
        for rule in usable & set(grammar.by_lhs(lhs)):
            for symbol in grammar.rules[rule].rhs:
                if symbol >= 0:
                    parts[lhs].add(symbol)
                    if symbol not in parts:
                        parts[symbol] = set()
                        todo.append(symbol)
    try:
        order = list(TopologicalSorter(parts).static_order())
    except CycleError:
        return None
    longest: dict[int, int] = {}
    for lhs in order:
        bodies = [grammar.rules[i].rhs for i in grammar.by_lhs(lhs) if i in usable]
        lengths = [1 + sum(longest[s] for s in body if s >= 0) for body in bodies]
        longest[lhs] = max(lengths, default=0)
    return longest[grammar.start] or None


def _left_corners(grammar: Grammar, known: Sets) -> dict[int, set[int]]:
    """For each non-terminal, those that can stand at its left edge after one rule."""
    edges: dict[int, set[int]] = {i: set() for i in range(len(grammar.nonterminals))}
    for rule in grammar.rules:
        for symbol in rule.rhs:
            if symbol >= 0:
                edges[rule.lhs].add(symbol)
            if symbol not in known.nullable:
                break
    return edges


def _cycles(grammar: Grammar, edges: dict[int, set[int]]) -> tuple[tuple[str, ...], ...]:
    """For each group of symbols that lead to each other, the shortest way round from its first."""
    seen: set[int] = set()
    found = []
    for symbol in edges:
        if symbol in seen:
            continue
        way = _round(symbol, edges)
        if way:
            found.append(tuple(grammar.nonterminals[s] for s in way))
            back = {s for s in _closure(symbol, edges) if symbol in _closure(s, edges)}
            seen |= back
    return tuple(found)


def _round(symbol: int, edges: dict[int, set[int]]) -> list[int]:
    """The shortest way from a symbol back to itself, both ends named; empty if none."""
    ways = [[symbol]]
    met: set[int] = set()
    while ways:
        longer = []
        for way in ways:
            for after in sorted(edges[way[-1]]):
                if after == symbol:
                    return [*way, symbol]
                if after not in met:
                    met.add(after)
                    longer.append([*way, after])
        ways = longer
    return []


def _closure(symbol: int, edges: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    todo = [symbol]
    while todo:
        new = edges[todo.pop()] - found
        found |= new
        todo += new
    return found


def _duplicates(grammar: Grammar) -> tuple[str, ...]:
    counts = Counter(map(grammar.rule_text, range(grammar.size)))
    return tuple(text for text, count in counts.items() if count > 1)
