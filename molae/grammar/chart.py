"""The general parser: NLTK's chart parsers, and the choice of one derivation from their chart.

Where a grammar allows it a faster parser is asked first (``bottom_up.py``), which answers where it
finds that a text has one derivation only; the chart is for the rest.

NLTK's own extraction lists every tree, of which an ambiguous grammar has exponentially many; ours
takes the one with the fewest rules from the packed chart. At each rule of it, among equals, the
rule that stands first in the grammar is taken, and then the shorter first part.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from inspect import signature
from typing import Any, NamedTuple

from molae.grammar.bottom_up import bottom_up_parser
from molae.grammar.cfg import Grammar
from molae.grammar.sets import sets
from molae.grammar.tokens import DerivationError, Token, Tokenizer

#: More rules than any derivation has.
_NONE = 1 << 60


class _Span(NamedTuple):
    """A symbol over the tokens from ``begin`` to ``end``."""

    symbol: int
    begin: int
    end: int


class _Best(NamedTuple):
    """The best known derivation of a span: its rules in number, the first of them, its parts."""

    cost: int
    rule: int
    parts: tuple[_Span, ...]


class Deriver:
    """The general parser of one grammar; make one where many texts are parsed.

    Args:
        grammar: Any grammar.
        chart_only: Leave out the faster parser; the derivations are the same.
    """

    def __init__(self, grammar: Grammar, *, chart_only: bool = False) -> None:
        self.grammar = grammar
        self._bottom_up = None if chart_only else bottom_up_parser(grammar)
        self.tokenizer = Tokenizer(grammar)
        finite = grammar.finite
        self.rule_ids: dict[tuple[int, tuple[int, ...]], int] = {}
        for index, rule in enumerate(grammar.rules):
            if finite[index]:  # of two equal rules the first stands for both
                self.rule_ids.setdefault((rule.lhs, rule.rhs), index)
        self.sets = sets(grammar)
        self.rank = _ranks(self.sets.alone(grammar))

    def __call__(self, text: str) -> list[int]:
        """The left-most derivation of a text; raises ``DerivationError`` where there is none."""
        tokens, stop = self.tokenizer.prefix(text)
        if stop < len(text) or not self.rule_ids:
            raise self._error(text, tokens, stop)
        words = [-1 - token.terminal for token in tokens]
        if self._bottom_up and (rules := self._bottom_up.parse(words)) is not None:
            return rules
        best = _best_spans(self._completed(words), words, self.rank)
        root = _Span(self.grammar.start, 0, len(words))
        if root not in best:
            raise self._error(text, tokens, stop)
        return _left_most(best, root)

    # NLTK sees our symbol numbers: non-terminal i as Nonterminal(i), terminal t as -1 - t.

    @cached_property
    def _nltk_grammar(self) -> Any:
        from nltk import CFG, Nonterminal, Production  # 1 s

        def symbol(s: int) -> Any:
            return Nonterminal(s) if s >= 0 else s

        productions = [
            Production(symbol(lhs), [symbol(s) for s in rhs]) for lhs, rhs in self.rule_ids
        ]
        return CFG(Nonterminal(self.grammar.start), productions)

    @cached_property
    def _parser(self) -> Any:
        """Of NLTK's parsers the fastest here; it takes no empty rules, so there is a second."""
        from nltk.parse.earleychart import IncrementalLeftCornerChartParser

        if all(rhs for _, rhs in self.rule_ids):
            return _unlimited(IncrementalLeftCornerChartParser, self._nltk_grammar)
        return self._earley

    @cached_property
    def _earley(self) -> Any:
        """Works top down: what it looks for at a place is what the grammar allows there."""
        from nltk.parse.earleychart import EarleyChartParser

        return _unlimited(EarleyChartParser, self._nltk_grammar)

    def _completed(self, words: list[int]) -> Iterator[tuple[_Span, int, tuple[int, ...]]]:
        """Every rule that NLTK found to cover a span of the words."""
        if not set(words) <= {s for _, rhs in self.rule_ids for s in rhs}:
            return  # NLTK would raise: a terminal that only rules without an end use
        for edge in self._parser.chart_parse(words).edges():
            lhs = getattr(edge.lhs(), "symbol", None)  # leaves have none
            if lhs is not None and edge.is_complete():
                rhs = tuple(_number(s) for s in edge.rhs())
                yield _Span(lhs(), *edge.span()), self.rule_ids[lhs(), rhs], rhs

    def _error(self, text: str, tokens: list[Token], stop: int) -> DerivationError:
        """Where the text leaves the grammar: after the longest beginning of a text of it."""
        reach, expected = self._frontier([-1 - token.terminal for token in tokens])
        if reach < len(tokens):
            token = tokens[reach]
            word = self.grammar.terminals[token.terminal]
            return DerivationError(text, token.position, word, expected)
        return DerivationError(text, stop, text[stop : stop + 1], expected)

    def _frontier(self, words: list[int]) -> tuple[int, tuple[str, ...]]:
        """How many words begin a text of the grammar, and what may come after them."""
        if self.grammar.start not in {lhs for lhs, _ in self.rule_ids}:
            return 0, ()
        known = {s for _, rhs in self.rule_ids for s in rhs}
        usable = next((i for i, word in enumerate(words) if word not in known), len(words))
        edges = [
            edge
            for edge in self._earley.chart_parse(words[:usable]).edges()
            if hasattr(edge.lhs(), "symbol")
        ]
        reach = max((edge.end() for edge in edges), default=0)
        wanted = set(self.sets.first[self.grammar.start]) if reach == 0 else set()
        complete = False
        for edge in (edge for edge in edges if edge.end() == reach):
            if edge.is_incomplete():
                wanted |= self.sets.first_of([_number(edge.nextsym())])
            top = edge.start() == 0 and edge.lhs().symbol() == self.grammar.start
            complete |= top and edge.is_complete()
        names = sorted(map(self.grammar.symbol_text, wanted))
        return reach, (*names, *(["end"] if complete else []))


def _unlimited(kind: Any, grammar: Any) -> Any:
    """A parser of NLTK's that takes the time it needs.

    From 3.10 on NLTK raises TimeoutError after 5 s for a text, which a loaded machine can take; it
    guards against feature grammars, and ours are context-free. Older versions know no limit.
    """
    from nltk.parse.earleychart import IncrementalChartParser  # names what its kinds pass on

    limited = "max_time" in signature(IncrementalChartParser.__init__).parameters
    return kind(grammar, max_time=None) if limited else kind(grammar)


def _number(symbol: Any) -> int:
    return int(symbol) if isinstance(symbol, int) else int(symbol.symbol())


def _ranks(alone: Mapping[int, set[int]]) -> list[int]:
    """An order of the non-terminals in which those that another can become alone come first.

    Empty where there is none, because some non-terminal can become itself.
    """
    try:
        order = list(TopologicalSorter(alone).static_order())
    except CycleError:
        return []
    rank = [0] * len(order)
    for position, symbol in enumerate(order):
        rank[symbol] = position
    return rank


def _best_spans(
    found: Iterable[tuple[_Span, int, tuple[int, ...]]], words: Sequence[int], rank: list[int]
) -> dict[_Span, _Best]:
    """The best derivation of every span, from short spans to long ones.

    Spans of one length lean on each other through unit and empty rules: in the order of ``rank``
    one pass settles them; where there is no such order, passes are made until nothing changes.
    """
    by_length: dict[int, list[tuple[_Span, int, tuple[int, ...]]]] = {}
    for item in found:
        by_length.setdefault(item[0].end - item[0].begin, []).append(item)
    best: dict[_Span, _Best] = {}
    ends: dict[tuple[int, int], list[int]] = {}
    for length in sorted(by_length):
        group = by_length[length]
        if rank:
            group.sort(key=lambda item: rank[item[0].symbol])
        while _improve(group, words, best, ends) and not rank:
            pass
    return best


def _improve(
    group: Iterable[tuple[_Span, int, tuple[int, ...]]],
    words: Sequence[int],
    best: dict[_Span, _Best],
    ends: dict[tuple[int, int], list[int]],
) -> bool:
    """One pass over the spans of one length; whether anything became better."""
    changed = False
    for span, rule, rhs in group:
        cost, parts = _best_split(rhs, span, words, best, ends)
        old = best.get(span)
        if cost < _NONE and (old is None or (cost + 1, rule) < old[:2]):
            best[span] = _Best(cost + 1, rule, parts)
            changed = True
            if old is None:
                insort(ends.setdefault((span.symbol, span.begin), []), span.end)
    return changed


def _best_split(
    rhs: tuple[int, ...],
    span: _Span,
    words: Sequence[int],
    best: Mapping[_Span, _Best],
    ends: Mapping[tuple[int, int], Sequence[int]],
) -> tuple[int, tuple[_Span, ...]]:
    """How a right side covers a span with the fewest rules; ``_NONE`` rules where it cannot."""
    if len(rhs) == 1 and rhs[0] >= 0:  # most rules of a chart are unit steps
        part = _Span(rhs[0], span.begin, span.end)
        return (best[part].cost, (part,)) if part in best else (_NONE, ())
    # For each place that the symbols so far can reach: their cost and their parts.
    places: dict[int, tuple[int, tuple[_Span, ...]]] = {span.begin: (0, ())}
    for symbol in rhs:
        reached: dict[int, tuple[int, tuple[_Span, ...]]] = {}
        for begin, (cost, parts) in places.items():
            if symbol >= 0:
                for part in _parts(symbol, begin, span.end, ends):
                    total = cost + best[part].cost
                    if part.end not in reached or total < reached[part.end][0]:
                        reached[part.end] = (total, (*parts, part))
            elif begin < span.end and words[begin] == symbol:
                reached[begin + 1] = (cost, parts)
        places = reached
    return places.get(span.end, (_NONE, ()))


def _parts(
    symbol: int, begin: int, stop: int, ends: Mapping[tuple[int, int], Sequence[int]]
) -> Iterator[_Span]:
    """What a symbol covers from a place on, shortest first, up to ``stop``."""
    for end in ends.get((symbol, begin), ()):
        if end > stop:
            return
        yield _Span(symbol, begin, end)


def _left_most(best: dict[_Span, _Best], root: _Span) -> list[int]:
    """The rules of a derivation, left-most first."""
    rules, stack = [], [root]
    while stack:
        entry = best[stack.pop()]
        rules.append(entry.rule)
        stack.extend(reversed(entry.parts))
    return rules
