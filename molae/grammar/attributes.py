"""Free valence and open ring bonds of many molecules at once, one tensor operation for all of them.

The state of a batch is a set of tensors with one row per molecule. Atoms are numbered as they are
written; ``residue`` (see ``smiles.py``) says what an atom may still take, for the current atom and, in
``atoms``, for all before it. Open ring bonds stand in ``slots``. When a ring closes at the current atom,
its possible partners are the openers in the slots, and the forbidden ones are itself, its parent and the
partners already closed here: flags in ``slot_blocked``, so no adjacency matrix is needed, because ring
bonds come before branches (the atom has no other neighbour yet).

Reserve rule: while ring bonds are open, some atom on the path (the current one, or a branch point to
return to) keeps a free valence, so that there is always an atom to close them at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molae.grammar.attribute_table import (
    BEHIND,
    ORDERS,
    POSITIONS,
    RINGS,
    AttributeTable,
    lengthens,
)
from molae.grammar.smiles import (
    AFTER_BRANCH,
    BRACKET,
    BRANCH,
    CLOSE,
    DECADE,
    FORBIDDEN,
    MAX_SLACK,
    NEXT,
    RESIDUES,
    RING_OR_NEXT,
    START,
    WAIT,
)

#: An atom that has been left for good carries this bit on top of its residue.
LEFT = 1 << 10
BITS = 511
#: Ring bonds that may be open at a time.
SLOTS = 16
NUMBERS = 100


@dataclass
class AttributeState:
    """n molecules in the making; int64 unless said otherwise.

    Attributes:
        position: (n,), see ``smiles.py``. pending: (n,) order of the bond written last, 0 if none; inside
            a bracket the order of the bond that led to it.
        residue: (n,) of the current atom. current: (n,) its number. count: (n,) atoms so far.
        atoms: (n, A) residues of atoms that are left or waited for.
        branch: (n, D) atoms to return to. depth: (n,). behind: (n,) free valences of those atoms, summed.
        slot_atom: (n, K) opener of each open ring bond, -1 for a free slot. slot_number, slot_order:
            (n, K); order 0 is not stated. slot_blocked: (n, K) bool. rings: (n,) how many are open.
        decade: (n,) tens digit read last. bracket: (n,) state of the bracket automaton.
        owed: (n,) steps that open rings and atoms to return to need.
        key: (n,) row of the cost table. close_cost: (n, K) what closing each slot costs now. debt: (n,)
            all steps needed beyond what the context-free rules need. These three follow from the rest.
    """

    position: Tensor
    pending: Tensor
    residue: Tensor
    current: Tensor
    count: Tensor
    atoms: Tensor
    branch: Tensor
    depth: Tensor
    behind: Tensor
    slot_atom: Tensor
    slot_number: Tensor
    slot_order: Tensor
    slot_blocked: Tensor
    rings: Tensor
    decade: Tensor
    bracket: Tensor
    owed: Tensor
    key: Tensor
    close_cost: Tensor
    debt: Tensor


class Attributes:
    """The tensor side of an ``AttributeTable``, on one device."""

    def __init__(self, table: AttributeTable, device: torch.device | str) -> None:
        self.device = device
        self.slots = max(1, min(SLOTS, table.numbers))
        self.first_bracket_key = table.first_bracket_key
        self.cost = torch.from_numpy(table.cost).to(device)
        for name in ("base", "residue_id", "capacity", "order", "number", "tens", "digit", "mark",
                     "bracket_step", "bracket_capacity", "free", "fill"):  # fmt: skip
            setattr(self, name, torch.from_numpy(getattr(table, name)).to(device))
        self.new_atom = (self.capacity > 0) | (self.mark == 1)
        self.lengthens = torch.from_numpy(lengthens(np.arange(RESIDUES))).to(device)
        self.columns = self._ring_columns()

    base: Tensor
    residue_id: Tensor
    capacity: Tensor
    order: Tensor
    number: Tensor
    tens: Tensor
    digit: Tensor
    mark: Tensor
    bracket_step: Tensor
    bracket_capacity: Tensor
    free: Tensor
    fill: Tensor

    def _ring_columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rules that may write a ring-bond number, a decade, and a second digit."""
        rules = torch.arange(len(self.number) - 1, device=self.device)
        return (
            rules[self.number[:-1] > 0],
            rules[self.tens[:-1] > 0],
            rules[self.digit[:-1] >= 0],
        )

    def start(self, n: int, max_steps: int) -> AttributeState:
        """n empty molecules."""

        def zeros(*shape: int, fill: int = 0, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.full((n, *shape), fill, dtype=dtype, device=self.device)

        k = self.slots
        state = AttributeState(
            position=zeros(fill=START), pending=zeros(), residue=zeros(fill=1), current=zeros(),
            count=zeros(), atoms=zeros(max_steps + 2), branch=zeros(max_steps // 2 + 2),
            depth=zeros(), behind=zeros(), slot_atom=zeros(k, fill=-1), slot_number=zeros(k),
            slot_order=zeros(k), slot_blocked=zeros(k, dtype=torch.bool), rings=zeros(),
            decade=zeros(), bracket=zeros(), owed=zeros(), key=zeros(), close_cost=zeros(k),
            debt=zeros(),
        )  # fmt: skip
        self._refresh(state)
        return state

    def _refresh(self, s: AttributeState) -> None:
        """Derive ``key``, ``close_cost`` and ``debt`` from the rest."""
        inside = s.position == BRACKET
        own = (s.slot_atom == s.current[:, None]).sum(1)
        kind = torch.where(own == 0, 1, torch.where(own == s.rings, 2, 3))
        kind = torch.where(s.rings > 0, kind + 3 * (s.rings >= self.slots), 0)
        behind = (s.behind > 0).long()
        key = (self.residue_id[s.residue] * ORDERS + s.pending) * RINGS + kind
        key = (key * BEHIND + behind) * POSITIONS + s.position.clamp(max=POSITIONS - 1)
        needs = (s.rings > 0) & (s.behind == 0)
        bracket_key = self.first_bracket_key + (s.bracket * 4 + s.pending) * 2 + needs
        s.key = torch.where(inside, bracket_key, key)
        fill = torch.where(inside | (s.position == START), 0, self.fill[s.residue])
        wait = torch.where(inside & (s.rings > 0), WAIT, 0)
        s.debt = s.owed + fill + self.base[s.key] + wait
        self._price_closings(s, own > 0)

    def _price_closings(self, s: AttributeState, own: Tensor) -> None:
        """What it costs to close each open ring bond at the current atom, or ``FORBIDDEN``."""
        partner = s.atoms.gather(1, s.slot_atom.clamp(min=0))  # (n, K)
        waits = partner < LEFT
        left = partner & BITS
        pending, residue = s.pending[:, None], s.residue[:, None]
        order = torch.maximum(pending, s.slot_order).clamp(min=1)
        stated = s.slot_order > 0
        # An opener that stated no order has paid for a single bond; a higher order here costs it more.
        more = torch.where(stated, 0, (pending - 1).clamp(min=0))
        after = left >> more
        rest = residue >> order
        path = self.free[rest] + s.behind[:, None] - torch.where(waits, more, 0)
        last = (s.rings == 1)[:, None]
        ready = (s.position == RING_OR_NEXT) | (s.position == DECADE)
        may = (s.slot_atom >= 0) & ~s.slot_blocked & ready[:, None] & (rest > 0)
        may &= ~stated | (pending == 0) | (pending == s.slot_order)
        may &= ((after & 1) > 0) | (waits & (after > 0))
        may &= last | (path > 0)
        saved = CLOSE + (s.slot_number > 9).long() + self.base[s.key][:, None]
        cost = self.fill[rest] - self.fill[residue] - saved
        cost += torch.where(waits, self.fill[after] - self.fill[left], 0)
        surcharge = torch.where(own[:, None] | ~self.lengthens[rest], WAIT, NEXT)
        cost += torch.where(last, 0, surcharge)
        s.close_cost = torch.where(may, cost, FORBIDDEN)

    def allowed(self, s: AttributeState, grammar_cost: Tensor, slack: Tensor | None) -> Tensor:
        """Legal rules, (n, V) bool.

        Args:
            s: The state.
            grammar_cost: (n, V) int8, steps that the context-free rules add.
            slack: (n,) steps to spare as far as the context-free rules know; None for no budget.
        """
        cost = self.cost[s.key]
        cost += grammar_cost
        if slack is None:
            limit = torch.full_like(s.debt, MAX_SLACK)
        else:
            limit = (slack - s.debt).clamp(-MAX_SLACK, MAX_SLACK)
        limit = limit.to(torch.int8)[:, None]
        numbers, tens, units = self.columns
        if not len(numbers) and not len(tens):
            return cost <= limit
        taken, closing = self._numbers(s)
        number = self.number[numbers]
        price = closing[:, number] + grammar_cost[:, numbers]
        # A number that is open cannot be opened again: it is priced as closing.
        here = taken[:, number] & (s.position == RING_OR_NEXT)[:, None]
        cost[:, numbers] = torch.where(here, price, cost[:, numbers])
        if not len(tens):
            return cost <= limit
        second = s.decade[:, None] * 10 + self.digit[units]
        own = taken.gather(1, second) & (s.position == DECADE)[:, None]
        price = closing.gather(1, second) + grammar_cost[:, units]
        cost[:, units] = torch.where(own, price, cost[:, units])
        allowed = cost <= limit
        decades = self.tens[tens]
        best = closing.view(-1, 10, 10).amin(2)[:, decades] + grammar_cost[:, tens]
        # A decade whose numbers are all open has none left to open, but may have one to close.
        spare = ~taken.view(-1, 10, 10).all(2)[:, decades]
        allowed[:, tens] = (allowed[:, tens] & spare) | (best <= limit)
        return allowed

    def _numbers(self, s: AttributeState) -> tuple[Tensor, Tensor]:
        """Which ring-bond numbers are open, (n, 100) bool, and what closing costs, (n, 100) int8."""
        n = len(s.key)
        taken = torch.zeros(n, NUMBERS, dtype=torch.bool, device=self.device)
        closing = torch.full((n, NUMBERS), FORBIDDEN, dtype=torch.int8, device=self.device)
        # Free slots write to number 0, which no rule can read.
        where = torch.where(s.slot_atom >= 0, s.slot_number, 0)
        taken.scatter_(1, where, True)
        closing.scatter_(1, where, s.close_cost.to(torch.int8))
        closing[:, 0] = FORBIDDEN
        taken[:, 0] = False
        return taken, closing

    def advance(self, s: AttributeState, rule: Tensor) -> None:
        """Take a rule in every row, in place; rule (n,) int64, V (no rule) leaves a row as it is."""
        inside, decade = s.position == BRACKET, s.position == DECADE
        outside = ~(inside | decade)
        mark = torch.where(outside, self.mark[rule], 0)
        atom = outside & self.new_atom[rule]
        self._atom(s, rule, atom)
        self._inside(s, rule, inside)
        number = torch.where(decade, s.decade * 10 + self.digit[rule], self.number[rule])
        number = torch.where(outside | (decade & (self.digit[rule] >= 0)), number, 0)
        self._ring(s, number)
        self._branch(s, mark)
        order = torch.where(outside, self.order[rule], 0)
        s.pending = torch.where(order > 0, order, s.pending)
        tens = torch.where(outside, self.tens[rule], 0)
        s.decade = torch.where(tens > 0, tens, s.decade)
        s.position = torch.where(tens > 0, DECADE, s.position)
        s.position = torch.where(mark >= 5, START, s.position)
        self._refresh(s)

    def _atom(self, s: AttributeState, rule: Tensor, atom: Tensor) -> None:
        """A new atom, or the bracket of one, bonded to the current atom."""
        start, branch = s.position == START, s.position == BRANCH
        order = torch.where(start, 0, s.pending.clamp(min=1))
        parent = s.residue >> order
        leave = torch.where(branch, parent, parent | LEFT)
        # The current atom's own entry is free to hold anything until it is left.
        kept = torch.where(atom & ~start, leave, s.residue)
        s.atoms.scatter_(1, s.current[:, None], kept[:, None])
        push = atom & branch
        top = s.branch.gather(1, s.depth[:, None])
        s.branch.scatter_(1, s.depth[:, None], torch.where(push[:, None], s.current[:, None], top))
        s.depth = s.depth + push
        s.behind = s.behind + torch.where(push, self.free[parent], 0)
        s.owed = s.owed + torch.where(push, self.fill[parent], 0)
        s.slot_blocked = torch.where(atom[:, None], s.slot_atom == s.current[:, None], s.slot_blocked)
        s.current = torch.where(atom, s.count, s.current)
        s.count = s.count + atom
        whole = self.capacity[rule]
        s.residue = torch.where(atom, torch.where(whole > 0, whole >> order, 1), s.residue)
        bracket = atom & (whole == 0)
        s.pending = torch.where(atom, torch.where(bracket, order, 0), s.pending)
        s.position = torch.where(atom, torch.where(bracket, BRACKET, RING_OR_NEXT), s.position)
        s.bracket = torch.where(bracket, 0, s.bracket)

    def _inside(self, s: AttributeState, rule: Tensor, inside: Tensor) -> None:
        """One token inside a bracket; "]" completes the atom."""
        ends = inside & (self.mark[rule] == 2)
        left = self.bracket_capacity[s.bracket] >> s.pending
        s.residue = torch.where(ends, left, s.residue)
        s.bracket = torch.where(inside & ~ends, self.bracket_step[s.bracket, rule], s.bracket)
        s.pending = torch.where(ends, 0, s.pending)
        s.position = torch.where(ends, RING_OR_NEXT, s.position)

    def _ring(self, s: AttributeState, number: Tensor) -> None:
        """A ring-bond number (0: none): close the bond if it is open, else open it."""
        match = (s.slot_number == number[:, None]) & (s.slot_atom >= 0) & (number > 0)[:, None]
        closes = match.any(1)
        opens = (number > 0) & ~closes
        stated = torch.where(match, s.slot_order, 0).sum(1)
        partner = torch.where(match, s.slot_atom, 0).sum(1)
        order = torch.maximum(s.pending, stated).clamp(min=1)
        more = torch.where(closes & (stated == 0), (s.pending - 1).clamp(min=0), 0)
        target = torch.where(closes, partner, s.current)[:, None]
        entry = s.atoms.gather(1, target)
        after = ((entry & BITS) >> more[:, None]) | (entry & LEFT)
        s.atoms.scatter_(1, target, after)
        waits = closes & (entry[:, 0] < LEFT)
        s.behind = s.behind - torch.where(waits, more, 0)
        refill = self.fill[after[:, 0] & BITS] - self.fill[entry[:, 0] & BITS]
        price = CLOSE + (number > 9).long()
        s.owed = s.owed + torch.where(waits, refill, 0)
        s.owed = s.owed + torch.where(opens, price, 0) - torch.where(closes, price, 0)
        bonded = closes[:, None] & (s.slot_atom == partner[:, None])
        free = (s.slot_atom < 0).to(torch.int8).argmax(1, keepdim=True)
        into = torch.zeros_like(match).scatter_(1, free, opens[:, None])
        s.slot_blocked = s.slot_blocked | bonded | into
        s.slot_atom = torch.where(match, -1, torch.where(into, s.current[:, None], s.slot_atom))
        s.slot_number = torch.where(into, number[:, None], s.slot_number)
        s.slot_order = torch.where(into, s.pending[:, None], s.slot_order)
        any_ring = number > 0
        s.residue = torch.where(any_ring, s.residue >> order, s.residue)
        s.pending = torch.where(any_ring, 0, s.pending)
        s.position = torch.where(any_ring, RING_OR_NEXT, s.position)
        s.rings = s.rings + opens.long() - closes.long()

    def _branch(self, s: AttributeState, mark: Tensor) -> None:
        """"(" waits for the first atom; ")" returns to the branch point."""
        back = mark == 4
        s.position = torch.where(mark == 3, BRANCH, s.position)
        entry = torch.where(back, s.residue | LEFT, s.atoms.gather(1, s.current[:, None])[:, 0])
        s.atoms.scatter_(1, s.current[:, None], entry[:, None])
        s.depth = (s.depth - back.long()).clamp(min=0)
        point = s.branch.gather(1, s.depth[:, None])[:, 0]
        s.current = torch.where(back, point, s.current)
        residue = s.atoms.gather(1, s.current[:, None])[:, 0] & BITS
        s.residue = torch.where(back, residue, s.residue)
        s.behind = s.behind - torch.where(back, self.free[residue], 0)
        s.owed = s.owed - torch.where(back, self.fill[residue], 0)
        s.position = torch.where(back, AFTER_BRANCH, s.position)
