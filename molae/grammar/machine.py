"""The grammar machine: a batched push-down automaton that says which rules may come next.

Three masks, each of which can be switched off: the **stack** (only rules of the non-terminal on
top, as in Kusner et al. 2017, arXiv:1703.01925, section 3.2), the **budget** (only rules after
which the rest still fits into the steps that are left, so no derivation is cut off) and, where the
terminals are Kekule SMILES tokens, the **attributes** (free valence and open ring bonds,
``attributes.py``).

Everything is a lookup and an addition: each rule has a price, the number of steps by which it
moves the shortest way to the end away, and is legal if its price is at most the slack, the steps
to spare. All tensors have one row per derivation; no Python loop over them, no value read back to
the host.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molae.grammar import attribute_table
from molae.grammar.attribute_state import AttributeState
from molae.grammar.attributes import Attributes
from molae.grammar.cfg import NEVER, Grammar
from molae.grammar.memory import MaskMemory
from molae.grammar.promise import LARGEST_PRICE, has_attributes
from molae.grammar.smiles import FORBIDDEN, MAX_SLACK
from molae.types import PAD, Window


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


class GrammarConstraint:
    """Which rules may come next in a derivation (the protocol ``molae.types.Constraint``).

    Args:
        grammar: The rules, V of them.
        max_steps: T, the number of rules within which every derivation ends.
        stack: Only rules of the non-terminal on top.
        budget: Only rules after which the derivation can still end in time. It counts on the
            stack: without that, strings may be cut off.
        attributes: Free valence and ring bonds, where the grammar's terminals are SMILES tokens;
            True has no effect on other grammars.

    Raises:
        ValueError: If no derivation of the grammar is as short as ``max_steps``.
    """

    def __init__(
        self,
        grammar: Grammar,
        max_steps: int,
        *,
        stack: bool = True,
        budget: bool = True,
        attributes: bool = True,
    ) -> None:
        shortest = int(grammar.min_steps[grammar.start])
        if max_steps < shortest:
            raise ValueError(
                f"max_steps is {max_steps}, but the shortest derivation of {grammar.name} takes "
                f"{shortest if shortest < NEVER else 'infinitely many'} rules: raise max_steps"
            )
        self.grammar, self.max_steps, self.size = grammar, max_steps, grammar.size
        self.stack, self.budget = stack, budget
        self.wanted = attributes
        self.attributes = attributes and has_attributes(grammar)
        self._spare = max_steps - shortest
        self._tables: dict[str, _Tables] = {}
        self._memory = MaskMemory(grammar.size)

    def _on(self, device: torch.device | str) -> _Tables:
        device = torch.device(device)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        name = str(device)
        if name not in self._tables:
            self._tables[name] = _Tables(self.grammar, device, self.stack, self.attributes)
        return self._tables[name]

    def start(self, n: int, device: torch.device | str = "cpu") -> MachineState:
        """n derivations that hold the start symbol only."""
        tables = self._on(device)
        # Within the budget no stack outgrows the steps; without it each rule may add to the stack.
        growth = 1 if self.budget else max(1, tables.width - 1)
        depth = self.max_steps * growth + tables.width + 2
        stack = torch.zeros(n, depth, dtype=torch.int64, device=device)
        stack[:, 0] = tables.empty
        stack[:, 1] = self.grammar.start
        one = torch.ones(n, dtype=torch.int64, device=device)
        inner = tables.attributes.start(n, self.max_steps) if tables.attributes else None
        return MachineState(stack, one, one * self._spare, inner)

    def allowed(self, state: MachineState) -> Tensor:
        """Legal rules, (n, V) bool; none in a row that has ended."""
        tables = self._on(state.stack.device)
        top = state.stack.gather(1, state.height[:, None])[:, 0]
        price = tables.cost.index_select(0, top)  # (n, V)
        if tables.attributes is not None and state.attributes is not None:
            slack = state.slack if self.budget else None
            return tables.attributes.allowed(state.attributes, price, slack)
        if not self.budget:
            return price <= tables.ceiling
        return price <= state.slack.clamp(max=tables.ceiling).to(price.dtype)[:, None]

    def window(self, state: MachineState) -> Window | None:
        """The rules of the non-terminal on top, where the grammar lists them together."""
        tables = self._on(state.stack.device)
        if tables.first is None or tables.widths is None:
            return None
        top = state.stack.gather(1, state.height[:, None])[:, 0]
        return Window(tables.first.index_select(0, top), tables.widths.index_select(0, top))

    def advance(self, state: MachineState, rule: Tensor) -> MachineState:
        """Take one rule (n,) int64 in every row, in place; rows with ``PAD`` stay as they are."""
        tables = self._on(state.stack.device)
        taken = torch.where(rule < 0, self.size, rule)
        state.slack = state.slack - tables.own.index_select(0, taken)
        top = state.stack.gather(1, state.height[:, None])
        pushed = torch.where((rule < 0)[:, None], top, tables.pushed.index_select(0, taken))
        places = state.height[:, None] + tables.offsets
        state.stack.scatter_(1, places, pushed)
        state.height = state.height - 1 + tables.pushes.index_select(0, taken)
        if tables.attributes is not None and state.attributes is not None:
            tables.attributes.advance(state.attributes, taken)
        return state

    def finished(self, state: MachineState) -> Tensor:
        """Rows whose stack is empty, (n,) bool."""
        return state.height == 0

    def mask(self, x: Tensor) -> Tensor:
        """Legal rules at every position of given derivations: (B, T) -> (B, T, V) bool.

        Derivations seen before are remembered, so an epoch of training runs the machine once.
        """
        return self._memory.recall(x, self._run)

    def remember(self, sequences: Iterable[Tensor]) -> None:
        """Learn the masks of derivations that will come again, a large block (n, T) at a time.

        Not needed, but a mini-batch has too few rows to keep the machine busy.
        """
        for block in sequences:
            self._memory.learn(block, self._run)

    def __getstate__(self) -> dict[str, Any]:
        """Without tables and memory, which a copy or another process makes anew."""
        return self.__dict__ | {"_tables": {}, "_memory": MaskMemory(self.size)}

    def _run(self, x: Tensor) -> Tensor:
        """``mask`` by running the machine."""
        state = self.start(len(x), x.device)
        out = [self.allowed(state)]
        for step in range(x.shape[1] - 1):
            state = self.advance(state, x[:, step])
            out.append(self.allowed(state))
        return torch.stack(out, 1)

    def first_illegal(self, x: Tensor) -> Tensor:
        """The first position at which a rule is taken that is not allowed; (B, T) -> (B,).

        -1 for derivations that are legal throughout. Positions with ``PAD`` are passed over.
        """
        state = self.start(len(x), x.device)
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
        tables = self._on(state.stack.device)
        top = state.stack.gather(1, state.height[:, None])[:, 0]
        price = tables.cost.view(-1).index_select(0, top * self.size + rule).long()
        slack = state.slack if self.budget else None
        if tables.attributes is not None and state.attributes is not None:
            return tables.attributes.takes(state.attributes, rule, price, slack)
        return price <= (tables.ceiling if slack is None else slack.clamp(max=tables.ceiling))

    def take(self, state: MachineState, rows: Tensor) -> MachineState:
        """The states of some rows, as new tensors."""
        return _map(state, lambda value: value[rows])

    def put(self, state: MachineState, rows: Tensor, new: MachineState) -> None:
        """Overwrite rows in place with the states ``new``."""
        for target, source in ((state, new), (state.attributes, new.attributes)):
            if target is None or source is None:
                continue
            for item in fields(target):
                value = getattr(target, item.name)
                if isinstance(value, Tensor):
                    value[rows] = getattr(source, item.name)


def _map(state: MachineState, change: Callable[[Tensor], Tensor]) -> MachineState:
    """A copy of a state with ``change`` applied to every tensor."""
    inner = state.attributes
    if inner is not None:
        inner = AttributeState(**{f.name: change(getattr(inner, f.name)) for f in fields(inner)})
    return MachineState(change(state.stack), change(state.height), change(state.slack), inner)


def _windows(
    grammar: Grammar, device: torch.device | str
) -> tuple[Tensor | None, Tensor | None]:
    """First rule and number of rules of each non-terminal, (N + 1,) each; None if they scatter."""
    rules = [grammar.by_lhs(symbol) for symbol in range(len(grammar.nonterminals))]
    if any(row and row[-1] - row[0] + 1 != len(row) for row in rules):
        return None, None
    first = [row[0] if row else 0 for row in rules] + [0]
    widths = [len(row) for row in rules] + [0]
    return torch.tensor(first, device=device), torch.tensor(widths, device=device)


class _Tables:
    """Tensors of one grammar on one device. ``empty`` is the non-terminal of an empty stack."""

    def __init__(
        self, grammar: Grammar, device: torch.device | str, stack: bool, attributes: bool
    ) -> None:
        rules = grammar.rules
        self.empty = len(grammar.nonterminals)
        steps = np.minimum(grammar.min_steps, NEVER)
        rest = [sum(int(steps[s]) for s in rule.rhs if s >= 0) for rule in rules]
        own = np.array([1 + rest[i] - int(steps[rule.lhs]) for i, rule in enumerate(rules)])
        usable = grammar.finite
        tight = not usable.any() or int(own[usable].max()) <= LARGEST_PRICE
        # int8 where prices are small, as in all shipped grammars: a quarter of the memory traffic.
        kind = np.int8 if tight else np.int32
        self.ceiling = MAX_SLACK if tight else NEVER // 4096
        forbidden = FORBIDDEN if tight else NEVER // 1024
        cost = np.full((self.empty + 1, len(rules)), forbidden, dtype=kind)
        for index, rule in enumerate(rules):
            rows = rule.lhs if stack else slice(0, self.empty)
            if usable[index]:
                cost[rows, index] = own[index]
        self.cost = torch.from_numpy(cost).to(device)
        # What a rule does to the slack; the last entry stands for "no rule".
        self.own = torch.from_numpy(np.append(np.where(usable, own, 1), 0)).to(device)
        pushes = [[s for s in rule.rhs if s >= 0] for rule in rules]
        self.width = max([len(p) for p in pushes] + [1])
        padded = [p[::-1] + [0] * (self.width - len(p)) for p in pushes] + [[0] * self.width]
        self.pushed = torch.tensor(padded, device=device)
        self.pushes = torch.tensor([*map(len, pushes), 1], device=device)
        self.offsets = torch.arange(self.width, device=device)[None]
        self.first, self.widths = _windows(grammar, device) if stack else (None, None)
        self.attributes = Attributes(_table(grammar), device) if attributes else None


_built: OrderedDict[str, attribute_table.AttributeTable] = OrderedDict()


def _table(grammar: Grammar) -> attribute_table.AttributeTable:
    """The attribute table of a grammar, built once per process."""
    if grammar.digest not in _built:
        _built[grammar.digest] = attribute_table.build(grammar)
        if len(_built) > 8:
            _built.popitem(last=False)
    return _built[grammar.digest]
