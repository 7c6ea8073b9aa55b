"""The grammar machine in tensors: one row per derivation, one operation for all of them.

This is how an accelerator runs it: no Python loop over rows, no value read back to the host. On a
processor ``compiled.py`` does the same, faster.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from molae.draws import choose
from molae.grammar.attribute_state import AttributeState
from molae.grammar.attribute_table import AttributeTable
from molae.grammar.attributes import Attributes
from molae.grammar.cfg import Grammar
from molae.grammar.prices import Prices
from molae.types import PAD


@dataclass
class MachineState:
    """n derivations in the making.

    Attributes:
        stack: (n, depth) int64 non-terminals; row 0 holds the mark of an empty stack.
        height: (n,) int64 non-terminals on the stack.
        slack: (n,) int64 steps to spare.
        attributes: Valence and rings, or None.
    """

    stack: Tensor
    height: Tensor
    slack: Tensor
    attributes: AttributeState | None = None

    def take(self, rows: Tensor) -> MachineState:
        """Some rows, as new tensors."""
        inner = self.attributes
        if inner is not None:
            names = [item.name for item in fields(inner)]
            inner = AttributeState(**{name: getattr(inner, name)[rows] for name in names})
        return MachineState(self.stack[rows], self.height[rows], self.slack[rows], inner)

    def put(self, rows: Tensor, new: MachineState) -> None:
        """Overwrite some rows."""
        for mine, other in ((self, new), (self.attributes, new.attributes)):
            for item in fields(mine) if mine is not None else ():
                value = getattr(mine, item.name)
                if isinstance(value, Tensor):
                    value[rows] = getattr(other, item.name)


class TensorMachine:
    """Tables of one grammar on one device, and what can be asked of states.

    Args:
        grammar: The rules, V of them.
        prices: What each rule costs.
        table: Of the attributes, or None.
        max_steps: T.
        slack: Steps to spare at the beginning.
        budget: Whether steps count.
        device: Where the tables and states live.
    """

    def __init__(
        self,
        grammar: Grammar,
        prices: Prices,
        table: AttributeTable | None,
        max_steps: int,
        slack: int,
        budget: bool,
        device: torch.device | str,
    ) -> None:
        self.size, self.max_steps, self.slack = grammar.size, max_steps, slack
        self.budget, self.device = budget, torch.device(device)
        self.empty, self.first = len(grammar.nonterminals), grammar.start
        # Within budget and stack no stack outgrows the steps; else each rule may add to the stack.
        growth = 1 if budget and prices.stack else max(1, prices.width - 1)
        self.depth = max_steps * growth + prices.width + 2
        self.ceiling = prices.ceiling
        self.cost = torch.from_numpy(prices.cost).to(device)
        # The last entry of what follows stands for "no rule".
        self.own = torch.from_numpy(np.append(prices.own, 0)).to(device)
        nothing = np.zeros((1, prices.width), dtype=np.int64)
        self.pushed = torch.from_numpy(np.concatenate([prices.pushed, nothing])).to(device)
        self.pushes = torch.from_numpy(np.append(prices.pushes, 1)).to(device)
        self.offsets = torch.arange(prices.width, device=device)[None]
        self.attributes = None if table is None else Attributes(table, device)

    def start(self, n: int) -> MachineState:
        """n derivations that hold the start symbol only."""
        stack = torch.zeros(n, self.depth, dtype=torch.int64, device=self.device)
        stack[:, 0] = self.empty
        stack[:, 1] = self.first
        one = torch.ones(n, dtype=torch.int64, device=self.device)
        inner = self.attributes.start(n, self.max_steps) if self.attributes else None
        return MachineState(stack, one, one * self.slack, inner)

    def allowed(self, state: MachineState) -> Tensor:
        """Legal rules, (n, V) bool."""
        top = state.stack.gather(1, state.height[:, None])[:, 0]
        price = self.cost.index_select(0, top)  # (n, V)
        if self.attributes is not None and state.attributes is not None:
            slack = state.slack if self.budget else None
            return self.attributes.allowed(state.attributes, price, slack)
        if not self.budget:
            return price <= self.ceiling
        return price <= state.slack.clamp(max=self.ceiling).to(price.dtype)[:, None]

    def choose(
        self,
        state: MachineState,
        logits: Tensor,
        *,
        seed: int | None,
        index: Tensor,
        step: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """``draws.choose`` among the legal rules, (n,) int64."""
        legal = self.allowed(state)
        return choose(logits, legal, seed=seed, index=index, step=step, temperature=temperature)

    def advance(self, state: MachineState, rule: Tensor) -> MachineState:
        """Take one rule in every row, in place."""
        taken = torch.where(rule < 0, self.size, rule)
        state.slack = state.slack - self.own.index_select(0, taken)
        top = state.stack.gather(1, state.height[:, None])
        pushed = torch.where((rule < 0)[:, None], top, self.pushed.index_select(0, taken))
        places = state.height[:, None] + self.offsets
        state.stack.scatter_(1, places, pushed)
        state.height = state.height - 1 + self.pushes.index_select(0, taken)
        if self.attributes is not None and state.attributes is not None:
            self.attributes.advance(state.attributes, taken)
        return state

    def finished(self, state: MachineState) -> Tensor:
        """Rows whose stack is empty, (n,) bool."""
        return state.height == 0

    def mask(self, x: Tensor) -> Tensor:
        """Legal rules at every position: (n, T) -> (n, T, V) bool."""
        state = self.start(len(x))
        out = torch.zeros(*x.shape, self.size, dtype=torch.bool, device=x.device)
        for step in range(x.shape[1]):
            out[:, step] = self.allowed(state)
            state = self.advance(state, x[:, step])
        return out

    def first_illegal(self, x: Tensor) -> Tensor:
        """Where each derivation (n, T) takes an illegal rule, (n,) int64; -1 for nowhere."""
        state = self.start(len(x))
        found = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        for step in range(x.shape[1]):
            rule = x[:, step]
            legal = self._takes(state, rule.clamp(min=0))
            found = torch.where((found < 0) & (rule >= 0) & ~legal, step, found)
            # What follows an illegal rule means nothing; the row rests there.
            state = self.advance(state, torch.where(found < 0, rule, PAD))
        return found

    def _takes(self, state: MachineState, rule: Tensor) -> Tensor:
        """Whether one given rule is legal in each row, (n,) int64 -> (n,) bool."""
        top = state.stack.gather(1, state.height[:, None])[:, 0]
        price = self.cost.view(-1).index_select(0, top * self.size + rule).long()
        slack = state.slack if self.budget else None
        if self.attributes is not None and state.attributes is not None:
            return self.attributes.takes(state.attributes, rule, price, slack)
        return price <= (self.ceiling if slack is None else slack.clamp(max=self.ceiling))
