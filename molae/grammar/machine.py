"""The grammar machine: a batched push-down automaton that says which rules may come next.

Three masks, each of which can be switched off: the **stack** (only rules of the non-terminal on
top, as in Kusner et al. 2017, arXiv:1703.01925, section 3.2), the **budget** (only rules after
which the rest still fits into the steps that are left, so no derivation is cut off) and, where the
terminals are Kekule SMILES tokens, the **attributes** (free valence and open ring bonds,
``attributes.py``).

Everything is a lookup and an addition: each rule has a price, the number of steps by which it
moves the shortest way to the end away, and is legal if its price is at most the slack, the steps
to spare. On a processor this is compiled code that goes through the rows (``compiled.py``), on an
accelerator tensor operations (``tensors.py``); both say the same.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from molae.grammar import attribute_table
from molae.grammar.cfg import NEVER, Grammar
from molae.grammar.prices import prices
from molae.grammar.promise import has_attributes

#: The state of n derivations: tensors of n rows, of which only the machine knows the meaning.
MachineState = Any


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
        compiled: False takes tensor operations on a processor too.

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
        compiled: bool = True,
    ) -> None:
        shortest = int(grammar.min_steps[grammar.start])
        if max_steps < shortest:
            raise ValueError(
                f"max_steps is {max_steps}, but the shortest derivation of {grammar.name} takes "
                f"{shortest if shortest < NEVER else 'infinitely many'} rules: raise max_steps"
            )
        self.grammar, self.max_steps, self.size = grammar, max_steps, grammar.size
        self.stack, self.budget = stack, budget
        self.wanted, self.compiled = attributes, compiled
        self.attributes = attributes and has_attributes(grammar)
        self._spare = max_steps - shortest
        self._machines: dict[str, Any] = {}

    def _on(self, device: torch.device | str) -> Any:
        """The machine for a device, made when first needed."""
        name = str(torch.device(device))
        if name not in self._machines:
            self._machines[name] = self._machine(torch.device(device))
        return self._machines[name]

    def _machine(self, device: torch.device) -> Any:
        table = _table(self.grammar) if self.attributes else None
        cost = prices(self.grammar, self.stack)
        facts = (self.grammar, cost, table, self.max_steps, self._spare, self.budget)
        if device.type == "cpu" and self.compiled:
            # Here, because a command that decodes nothing should not wait for the compiler.
            from molae.grammar.compiled import CompiledMachine

            return CompiledMachine(*facts)
        from molae.grammar.tensors import TensorMachine

        return TensorMachine(*facts, device)

    def _of(self, state: MachineState) -> Any:
        return self._on(state.stack.device)

    def start(self, n: int, device: torch.device | str = "cpu") -> MachineState:
        """n derivations that hold the start symbol only."""
        return self._on(device).start(n)

    def allowed(self, state: MachineState) -> Tensor:
        """Legal rules, (n, V) bool; none in a row that has ended."""
        legal: Tensor = self._of(state).allowed(state)
        return legal

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
        """One legal rule a row, as ``draws.choose`` draws it among ``allowed``: (n, V) -> (n,).

        ``PAD`` in a row that has ended.
        """
        machine = self._of(state)
        rule: Tensor = machine.choose(
            state, logits, seed=seed, index=index, step=step, temperature=temperature
        )
        return rule

    def advance(self, state: MachineState, rule: Tensor) -> MachineState:
        """Take one rule (n,) int64 in every row, in place; rows with ``PAD`` stay as they are."""
        return self._of(state).advance(state, rule)

    def finished(self, state: MachineState) -> Tensor:
        """Rows whose stack is empty, (n,) bool."""
        ended: Tensor = self._of(state).finished(state)
        return ended

    def mask(self, x: Tensor) -> Tensor:
        """Legal rules at every position of given derivations: (B, T) -> (B, T, V) bool."""
        return self._over(x, "mask")

    def first_illegal(self, x: Tensor) -> Tensor:
        """The first position at which a rule is taken that is not allowed; (B, T) -> (B,).

        -1 for derivations that are legal throughout. Positions with ``PAD`` are passed over.
        """
        return self._over(x, "first_illegal")

    def _over(self, x: Tensor, question: str) -> Tensor:
        """Ask about whole derivations; a processor answers that sooner than an accelerator."""
        here = "cpu" if self.compiled else x.device
        answer: Tensor = getattr(self._on(here), question)(x.to(here))
        return answer.to(x.device)

    def take(self, state: MachineState, rows: Tensor) -> MachineState:
        """The states of some rows, as new tensors."""
        return state.take(rows)

    def put(self, state: MachineState, rows: Tensor, new: MachineState) -> None:
        """Overwrite rows in place with the states ``new``."""
        state.put(rows, new)

    def __getstate__(self) -> dict[str, Any]:
        """Without tables, which a copy or another process makes anew."""
        return self.__dict__ | {"_machines": {}}


_built: OrderedDict[str, attribute_table.AttributeTable] = OrderedDict()


def _table(grammar: Grammar) -> attribute_table.AttributeTable:
    """The attribute table of a grammar, built once per process."""
    if grammar.digest not in _built:
        _built[grammar.digest] = attribute_table.build(grammar)
        if len(_built) > 8:
            _built.popitem(last=False)
    return _built[grammar.digest]
