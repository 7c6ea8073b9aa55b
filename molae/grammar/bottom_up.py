"""A fast parser for grammars that can be read from left to right nearly without doubt.

An SLR(1) automaton (DeRemer, "Simple LR(k) grammars", CACM 14, 1971; Aho, Lam, Sethi and Ullman,
"Compilers", sections 4.6.2 to 4.6.4) without the demand that it is free of conflicts: where a
token leaves more than one action open, each is followed on a stack of its own (Tomita, "Efficient
Parsing for Natural Language", 1985, whose stacks share more than ours do).

Why what it answers is the only derivation. A derivation, right-most and read backwards, is a
sequence of actions, shift or reduce, and different derivations are different sequences. The
automaton allows every such sequence, and look-ahead drops only what cannot end well: after a
reduction to A comes a token that can follow A. Stacks are never merged, and none is dropped as
long as a token can be read on it. So at the end of the text there are as many stacks as there are
derivations. With one stack there is an answer; with several, with none, or when there were too
many on the way there is none, and the general parser (``chart.py``) is to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from molae.grammar.cfg import Grammar
from molae.grammar.sets import END, Sets, sets

#: Stacks followed while one token is read, those that lead nowhere among them.
FORKS = 64
#: Most states of an automaton; ``zinc.cfg`` needs under a hundred, but some grammars 2 ** rules.
STATES = 2000

#: The rule that the start symbol is all there is; stands in items only.
_GOAL = -1

#: A rule and how much of its right side has been read.
_Item = tuple[int, int]
#: A rule and the trees of its non-terminals, last first.
_Tree = tuple[int, tuple[Any, ...]]
#: A state, the tree of the symbol that led to it (None for a token), and the stack below.
_Stack = tuple[int, Any, Any]


class BottomUp:
    """The automaton of one grammar.

    Args:
        grammar: One without rules that end in nothing and without symbols that can become
            themselves alone; either would let stacks grow without reading.

    Raises:
        ValueError: It has either, or needs more than ``STATES`` states.
    """

    def __init__(self, grammar: Grammar) -> None:
        known = sets(grammar)
        _check(grammar, known)
        # Of two equal rules the first stands for both, as with the general parser.
        first: dict[tuple[int, tuple[int, ...]], int] = {}
        for index in known.rules:
            rule = grammar.rules[index]
            first.setdefault((rule.lhs, rule.rhs), index)
        self._sides = {index: rhs for (_, rhs), index in first.items()}
        self._sides[_GOAL] = (grammar.start,)
        self._heads = {index: lhs for (lhs, _), index in first.items()}
        self._widths = {index: len(rhs) for index, rhs in self._sides.items()}
        self._of: dict[int, list[int]] = {}
        for index, lhs in self._heads.items():
            self._of.setdefault(lhs, []).append(index)
        # By state: for a token the states to go to and, as -1 - rule, the rules to reduce by;
        # for a non-terminal the state to go to.
        self._actions: list[dict[int, list[int]]] = []
        self._goto: list[dict[int, int]] = []
        self._build(grammar.name, known)

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self._actions)

    def _build(self, name: str, known: Sets) -> None:
        """All states that can be reached from the first (Aho et al., algorithm 4.46)."""
        kernels = [frozenset({(_GOAL, 0)})]
        numbers = {kernels[0]: 0}
        for state, kernel in enumerate(kernels):  # which grow meanwhile
            actions, moves = self._look(state, kernel, known)
            goto: dict[int, int] = {}
            for symbol, items in moves.items():
                target = numbers.setdefault(frozenset(items), len(kernels))
                if target == len(kernels):
                    kernels.append(frozenset(items))
                if symbol >= 0:
                    goto[symbol] = target
                else:
                    actions.setdefault(symbol, []).append(target)
            if len(kernels) > STATES:
                raise ValueError(f"{name}: the automaton has more than {STATES} states")
            self._actions.append(actions)
            self._goto.append(goto)

    def _look(
        self, state: int, kernel: frozenset[_Item], known: Sets
    ) -> tuple[dict[int, list[int]], dict[int, set[_Item]]]:
        """What may be reduced in a state, by token, and where each symbol leads, as items."""
        actions: dict[int, list[int]] = {}
        moves: dict[int, set[_Item]] = {}
        for rule, dot in self._closure(kernel):
            side = self._sides[rule]
            if dot < len(side):
                moves.setdefault(side[dot], set()).add((rule, dot + 1))
            elif rule == _GOAL:  # the end is read like a token, and nothing can come after it
                actions.setdefault(END, []).append(state)
            else:
                for token in known.follow[self._heads[rule]]:
                    actions.setdefault(token, []).append(-1 - rule)
        return actions, moves

    def _closure(self, kernel: frozenset[_Item]) -> set[_Item]:
        """The items of a kernel and those of all that may begin where they stand."""
        items, todo = set(kernel), list(kernel)
        while todo:
            rule, dot = todo.pop()
            side = self._sides[rule]
            if dot < len(side) and side[dot] >= 0:
                new = {(other, 0) for other in self._of.get(side[dot], ())} - items
                items |= new
                todo += new
        return items

    def parse(self, words: Sequence[int]) -> list[int] | None:
        """The left-most derivation of a text if it is the only one, and found without much doubt.

        Args:
            words: The tokens of the text, terminal t as -1 - t.

        Returns:
            Rule ids; None where the general parser is to be asked.
        """
        live: list[_Stack] = [(0, None, None)]
        for word in (*words, END):
            live = self._read(live, word)
            if not live:
                return None
        if len(live) > 1:
            return None
        _, _, (_, tree, _) = live[0]
        return _left_most(tree)

    def _read(self, stacks: list[_Stack], word: int) -> list[_Stack]:
        """All that stacks can become by reading one word; none where ``FORKS`` is exceeded."""
        todo, after, forks = stacks, [], len(stacks)
        while todo:
            stack = todo.pop()
            actions = self._actions[stack[0]].get(word, ())
            for action in actions:
                if action >= 0:
                    after.append((action, None, stack))
                else:
                    todo.append(self._reduced(stack, -1 - action))
            if len(actions) > 1:
                forks += len(actions) - 1
                if forks > FORKS:
                    return []
        return after

    def _reduced(self, stack: _Stack, rule: int) -> _Stack:
        """A stack with the right side of a rule on top replaced by the left."""
        parts = []
        for _ in range(self._widths[rule]):
            _, tree, stack = stack
            if tree is not None:
                parts.append(tree)
        return self._goto[stack[0]][self._heads[rule]], (rule, tuple(parts)), stack


def _check(grammar: Grammar, known: Sets) -> None:
    if known.nullable:
        names = ", ".join(grammar.nonterminals[i] for i in sorted(known.nullable))
        raise ValueError(f"{grammar.name}: {names} can become nothing")
    try:
        TopologicalSorter(known.alone(grammar)).prepare()
    except CycleError as error:
        names = " -> ".join(grammar.nonterminals[i] for i in reversed(error.args[1]))
        raise ValueError(f"{grammar.name}: a symbol can become itself: {names}") from None


def _left_most(root: _Tree) -> list[int]:
    """The rules of a tree, left-most first."""
    rules, todo = [], [root]
    while todo:
        rule, parts = todo.pop()
        rules.append(rule)
        todo.extend(parts)  # last first, so the first part is next
    return rules


@lru_cache(maxsize=8)
def bottom_up_parser(grammar: Grammar) -> BottomUp | None:
    """The automaton of a grammar, or None if it can have none."""
    try:
        return BottomUp(grammar)
    except ValueError:
        return None
