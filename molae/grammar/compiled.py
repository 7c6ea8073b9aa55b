"""The grammar machine on a processor: ``kernel.py`` behind the verbs of ``GrammarConstraint``."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.draws import mixed_seed
from molae.grammar import kernel, packed
from molae.grammar.attribute_state import SLOTS
from molae.grammar.attribute_table import AttributeTable
from molae.grammar.cfg import Grammar
from molae.grammar.prices import Prices
from molae.grammar.smiles import START

#: Rows from which on a call is shared among threads: below, handing over costs more than it saves.
SHARED = 1024


@dataclass
class PackedState:
    """n derivations in the making, on a processor; the columns are named in ``kernel.py``.

    Attributes:
        counts: (n, COUNTS) int32.
        stack: (n, depth) int16 non-terminals; row 0 holds the mark of an empty stack.
        atoms: (n, A) int16.
        branch: (n, D) int16.
        slots: (n, 4, K) int16.
    """

    counts: Tensor
    stack: Tensor
    atoms: Tensor
    branch: Tensor
    slots: Tensor

    def take(self, rows: Tensor) -> PackedState:
        """Some rows, as new tensors.

        By NumPy: torch would wake its own threads for it, and after their work these wait in a
        busy loop, on the cores that ours need.
        """
        chosen = rows.numpy()
        return PackedState(*(torch.from_numpy(table[chosen]) for table in self.rows()))

    def put(self, rows: Tensor, new: PackedState) -> None:
        """Overwrite some rows."""
        chosen = rows.numpy()
        for mine, other in zip(self.rows(), new.rows(), strict=True):
            mine[chosen] = other

    def rows(self) -> packed.Rows:
        """The same memory, for the kernel."""
        tensors = (self.counts, self.stack, self.atoms, self.branch, self.slots)
        return packed.Rows(*(tensor.numpy() for tensor in tensors))


class CompiledMachine:
    """Tables of one grammar, and what can be asked of states.

    Args:
        grammar: The rules, V of them.
        prices: What each rule costs.
        table: Of the attributes, or None.
        max_steps: T.
        slack: Steps to spare at the beginning.
        budget: Whether steps count.
    """

    def __init__(
        self,
        grammar: Grammar,
        prices: Prices,
        table: AttributeTable | None,
        max_steps: int,
        slack: int,
        budget: bool,
    ) -> None:
        self.size, self.max_steps, self.slack = grammar.size, max_steps, slack
        self.empty, self.first = len(grammar.nonterminals), grammar.start
        # Within budget and stack no stack outgrows the steps; else each rule may add to the stack.
        growth = 1 if budget and prices.stack else max(1, prices.width - 1)
        self.depth = max_steps * growth + prices.width + 2
        self.tables = _tables(prices, table, budget)

    def start(self, n: int) -> PackedState:
        """n derivations that hold the start symbol only."""
        atoms = self.max_steps + 2 if self.tables.tracked else 0
        branch = self.max_steps // 2 + 2 if self.tables.tracked else 0

        def zeros(*shape: int, dtype: torch.dtype = torch.int16) -> Tensor:
            return torch.zeros(n, *shape, dtype=dtype, device="cpu")

        state = PackedState(
            counts=zeros(packed.COUNTS, dtype=torch.int32),
            stack=zeros(self.depth),
            atoms=zeros(atoms),
            branch=zeros(branch),
            slots=zeros(4, self.tables.slots),
        )
        state.counts[:, packed.HEIGHT] = 1
        state.counts[:, packed.SLACK] = self.slack
        state.counts[:, packed.POSITION] = START
        state.counts[:, packed.RESIDUE] = 1
        state.stack[:, 0] = self.empty
        state.stack[:, 1] = self.first
        state.slots[:, packed.ATOM] = -1
        return state

    def allowed(self, state: PackedState) -> Tensor:
        """Legal rules, (n, V) bool."""
        out = np.zeros((len(state.counts), self.size), dtype=np.bool_)
        _share(partial(kernel.allowed, self.tables, state.rows(), out), len(out))
        return torch.from_numpy(out)

    def choose(
        self,
        state: PackedState,
        logits: Tensor,
        *,
        seed: int | None,
        index: Tensor,
        step: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """``draws.choose`` among the legal rules, (n,) int64."""
        n = len(state.counts)
        if logits.shape != (n, self.size):
            raise ValueError(f"logits have shape {tuple(logits.shape)}; expected {(n, self.size)}")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        index, step = index.expand(n), step.expand(n)
        out = np.empty(n, dtype=np.int64)
        tables, rows = self.tables, state.rows()
        key = np.uint64(mixed_seed(seed or 0) % 2**64)
        heat = 0.0 if seed is None else max(temperature, 1e-30)  # 0 / temperature is a number
        given = (_plain(logits, torch.float32), key, _plain(index), _plain(step), heat, out)
        _share(partial(kernel.choose, tables, rows, *given), len(out))
        return torch.from_numpy(out)

    def advance(self, state: PackedState, rule: Tensor) -> PackedState:
        """Take one rule in every row, in place."""
        rules = self._rules(rule, (len(state.counts),))
        _share(partial(kernel.advance, self.tables, state.rows(), rules), len(rules))
        return state

    def finished(self, state: PackedState) -> Tensor:
        """Rows whose stack is empty, (n,) bool."""
        return state.counts[:, packed.HEIGHT] == 0

    def mask(self, x: Tensor) -> Tensor:
        """Legal rules at every position: (n, T) -> (n, T, V) bool."""
        out = np.zeros((*x.shape, self.size), dtype=np.bool_)
        rows, rules = self.start(len(x)).rows(), self._rules(x, (len(x), self.max_steps))
        _share(partial(kernel.masks, self.tables, rows, rules, out), len(x), x.shape[1])
        return torch.from_numpy(out)

    def first_illegal(self, x: Tensor) -> Tensor:
        """Where each derivation (n, T) takes an illegal rule, (n,) int64; -1 for nowhere."""
        found = np.empty(len(x), dtype=np.int64)
        rows, rules = self.start(len(x)).rows(), self._rules(x, (len(x), x.shape[1]))
        work = partial(kernel.first_illegal, self.tables, rows, rules, found)
        _share(work, len(x), x.shape[1])
        return torch.from_numpy(found)

    def _rules(self, x: Tensor, most: tuple[int, ...]) -> NDArray[np.int64]:
        """Rule ids for the kernel, which looks at no bounds itself.

        Raises:
            IndexError: There is no such rule, or there are more steps than there is room for.
        """
        if x.shape[0] != most[0] or x.ndim != len(most) or x.shape[-1] > max(most):
            raise IndexError(f"rules have shape {tuple(x.shape)}; expected at most {most}")
        if x.numel() and int(x.max()) >= self.size:
            raise IndexError(f"there is no rule {int(x.max())}, only 0 to {self.size - 1}")
        return _plain(x)


def _plain(tensor: Tensor, dtype: torch.dtype = torch.int64) -> NDArray[Any]:
    """The tensor's numbers in a row, for the kernel."""
    return tensor.detach().to("cpu", dtype).contiguous().numpy()


def _share(work: Callable[[int, int], None], n: int, steps: int = 1) -> None:
    """Do work on rows 0 to n, in threads if it is much."""
    parts = min(torch.get_num_threads(), n, n * steps // SHARED)
    if parts < 2:
        work(0, n)
        return
    ends = [n * part // parts for part in range(parts + 1)]
    list(_threads(parts, os.getpid()).map(work, ends[:-1], ends[1:]))


@lru_cache(maxsize=4)
def _threads(count: int, _process: int) -> ThreadPoolExecutor:
    """Threads of this process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(count, "grammar machine")


def _tables(prices: Prices, table: AttributeTable | None, budget: bool) -> packed.Tables:
    """All that the kernel looks up, contiguous."""
    tracked = table is not None
    none, short = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int16)
    facts = none.reshape(0, 6) if table is None else table.facts()
    return packed.Tables(
        cost=prices.cost.astype(np.int32),
        window=prices.window,
        own=prices.own,
        pushed=prices.pushed,
        pushes=prices.pushes,
        ceiling=prices.ceiling,
        budget=budget,
        tracked=tracked,
        slots=0 if table is None else max(1, min(SLOTS, table.numbers)),
        first_bracket_key=0 if table is None else table.first_bracket_key,
        prices=none.reshape(0, 0).astype(np.int8) if table is None else table.cost,
        base=none if table is None else table.base,
        residue=none.reshape(0, 4) if table is None else table.residue_facts(),
        closing=none.reshape(0, 9) if table is None else table.closing_facts(),
        raised=none.astype(np.int8) if table is None else table.raised(),
        facts=facts,
        reads=short.reshape(2, 0) if table is None else _reads(table),
        tens=short if table is None else table.tens[:-1].astype(np.int16),
        bracket_step=none.reshape(0, 0) if table is None else _in_rows(table.bracket_step),
        bracket_capacity=none if table is None else table.bracket_capacity,
    )


def _in_rows(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numba compiles anew for arrays that lie otherwise in memory."""
    return np.ascontiguousarray(table)


def _reads(table: AttributeTable) -> NDArray[np.int16]:
    """Ring-bond numbers by rule, where an atom is complete and after a first digit: (2, V)."""
    number = np.where((table.number > 0) & ~table.spelled, table.number, -1)
    second = np.where(table.spelled, table.digit, -1)
    return np.stack([number, second])[:, :-1].astype(np.int16)
