"""What each rule costs: the steps by which it moves the shortest way to the end away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molae.grammar.cfg import NEVER, Grammar
from molae.grammar.promise import LARGEST_PRICE
from molae.grammar.smiles import FORBIDDEN, MAX_SLACK, Ints


@dataclass(frozen=True)
class Prices:
    """Tables of a context-free grammar; V rules, N non-terminals.

    Attributes:
        cost: Price of each rule by the non-terminal on top, (N + 1, V); the last row is for the
            empty stack. int8 where prices are small, as in all shipped grammars, else int32.
        ceiling: Above this a rule is forbidden.
        own: Price of each rule where it applies, (V,) int64.
        pushed: Non-terminals that a rule puts on the stack, the first one last, (V, W) int64.
        pushes: How many these are, (V,) int64.
        window: First rule and end of the rules of each non-terminal, (N + 1, 2) int64.
        stack: Whether only rules of the non-terminal on top have a price.
    """

    cost: NDArray[np.int8] | NDArray[np.int32]
    ceiling: int
    own: Ints
    pushed: Ints
    pushes: Ints
    window: Ints
    stack: bool

    @property
    def width(self) -> int:
        """W, the most that a rule pushes, at least 1."""
        return int(self.pushed.shape[1])


def prices(grammar: Grammar, stack: bool = True) -> Prices:
    """Work out the prices of a grammar's rules.

    Args:
        grammar: The rules.
        stack: False gives every rule its price whatever is on top.
    """
    rules, empty = grammar.rules, len(grammar.nonterminals)
    steps = np.minimum(grammar.min_steps, NEVER)
    pushes = [[s for s in rule.rhs if s >= 0] for rule in rules]
    own = np.array(
        [
            1 + sum(int(steps[s]) for s in pushed) - int(steps[rule.lhs])
            for rule, pushed in zip(rules, pushes, strict=True)
        ]
    )
    usable = grammar.finite
    tight = not usable.any() or int(own[usable].max()) <= LARGEST_PRICE
    forbidden = FORBIDDEN if tight else NEVER // 1024
    cost = np.full((empty + 1, len(rules)), forbidden, dtype=np.int8 if tight else np.int32)
    for index, rule in enumerate(rules):
        rows = rule.lhs if stack else slice(0, empty)
        if usable[index]:
            cost[rows, index] = own[index]
    width = max([len(pushed) for pushed in pushes] + [1])
    found = [grammar.by_lhs(symbol) for symbol in range(empty)]
    window = [(row[0], row[-1] + 1) if row else (0, 0) for row in found]
    if not stack:
        window = [(0, len(rules))] * empty
    return Prices(
        cost=cost,
        ceiling=MAX_SLACK if tight else NEVER // 4096,
        own=np.where(usable, own, 1),
        pushed=np.array([p[::-1] + [0] * (width - len(p)) for p in pushes], dtype=np.int64),
        pushes=np.array([len(p) for p in pushes], dtype=np.int64),
        window=np.array([*window, (0, 0)], dtype=np.int64),
        stack=stack,
    )
