"""Free valence and open ring bonds of many molecules at once, one tensor operation for all.

The state of a batch (``AttributeState``) has one row per molecule. Atoms are numbered as they are
written; ``residue`` (see ``smiles.py``) says what an atom may still take, for the current atom
and, in ``atoms``, for all before it. Open ring bonds stand in slots (``slot_atom`` and so on).
When a ring closes at the current atom, its possible partners are the openers in the slots, and the
forbidden ones are itself, its parent and the partners already closed here: flags in
``slot_blocked``, so no adjacency matrix is needed, because ring bonds come before branches (the
atom has no other neighbour yet).

Reserve rule: while ring bonds are open, some atom on the path (the current one, or a branch point
to return to) keeps a free valence, so that there is always an atom to close them at.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.grammar.attribute_state import BITS, LEFT, MAX_RINGS, NUMBERS, SLOTS, AttributeState
from molae.grammar.attribute_table import (
    BEHIND,
    ORDERS,
    POSITIONS,
    RINGS,
    AttributeTable,
)
from molae.grammar.smiles import (
    AFTER_BRANCH,
    BRACKET,
    BRANCH,
    CLOSE,
    DECADE,
    FORBIDDEN,
    MAX_SLACK,
    RING_OR_NEXT,
    START,
    WAIT,
    Ints,
)


def _runs(facts: Ints, chosen: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Runs of neighbouring rules whose facts count up by one: (which rules, which facts)."""
    runs: list[tuple[slice, slice]] = []
    for rule in np.flatnonzero(chosen[:-1]):
        fact = int(facts[rule])
        if runs and runs[-1][0].stop == rule and runs[-1][1].stop == fact:
            rules, values = runs.pop()
            runs.append((slice(rules.start, int(rule) + 1), slice(values.start, fact + 1)))
        else:
            runs.append((slice(int(rule), int(rule) + 1), slice(fact, fact + 1)))
    return runs


def _lowest_zero(size: int) -> Ints:
    """The place of the lowest bit that is 0, of all numbers below ``size``; (size,) int64."""
    numbers = np.arange(size)
    lowest = ~numbers & (numbers + 1)
    places: Ints = np.round(np.log2(lowest)).astype(np.int64)
    return places


class Attributes:
    """The tensor side of an ``AttributeTable``, on one device."""

    def __init__(self, table: AttributeTable, device: torch.device | str) -> None:
        self.device = device
        self.slots = max(1, min(SLOTS, table.numbers))
        self.first_bracket_key = table.first_bracket_key
        self.cost = torch.from_numpy(table.cost).to(device)
        self.base = torch.from_numpy(table.base).to(device)
        self.bracket_step = torch.from_numpy(table.bracket_step).to(device)
        self.bracket_capacity = torch.from_numpy(table.bracket_capacity).to(device)
        # Facts that are asked for together stand in one table: one look-up instead of several.
        self.rule_facts = torch.from_numpy(table.facts()).to(device)
        self.residue_facts = torch.from_numpy(table.residue_facts()).to(device)
        self.closing_facts = torch.from_numpy(table.closing_facts()).to(device)
        self.raised = torch.from_numpy(table.raised()).to(device)
        self.lowest_free = torch.from_numpy(_lowest_zero(1 << self.slots)).to(device)
        self.places = torch.arange(self.slots, dtype=torch.int32, device=device)
        self.has_brackets = bool((table.mark == 1).any())
        self.has_decades = bool((table.tens > 0).any())
        self.has_rings = table.numbers > 0
        self.number_runs = _runs(table.number, (table.number > 0) & ~table.spelled)
        self.decade_runs = _runs(table.tens, table.tens > 0)
        self.digit_runs = _runs(table.digit, table.spelled)

    def start(self, n: int, max_steps: int) -> AttributeState:
        """n empty molecules."""

        def zeros(*shape: int, fill: int = 0, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.full((n, *shape), fill, dtype=dtype, device=self.device)

        k, short = self.slots, torch.int16
        state = AttributeState(
            position=zeros(fill=START),
            pending=zeros(),
            residue=zeros(fill=1),
            current=zeros(),
            count=zeros(),
            atoms=zeros(max_steps + 2, dtype=short),
            branch=zeros(max_steps // 2 + 2),
            depth=zeros(),
            behind=zeros(),
            slot_atom=zeros(k, fill=-1, dtype=short),
            slot_number=zeros(k, dtype=short),
            slot_order=zeros(k, dtype=short),
            slot_blocked=zeros(k, dtype=torch.bool),
            slots_used=zeros(),
            ring_count=zeros(),
            rings=zeros(),
            decade=zeros(),
            bracket=zeros(),
            owed=zeros(),
            key=zeros(),
            close_cost=zeros(k, dtype=torch.int8),
            debt=zeros(),
        )
        self._refresh(state)
        return state

    def _facts(self, residue: Tensor) -> tuple[Tensor, ...]:
        """free valence, steps to fill, lengthens (0 or 1), id of residues of any shape."""
        rows = self.residue_facts.index_select(0, residue.reshape(-1))
        return rows.view(*residue.shape, 4).unbind(-1)

    def _refresh(self, s: AttributeState) -> None:
        """Derive ``key`` (as ``attribute_table.py`` lays it out), ``close_cost`` and ``debt``."""
        own = (s.slot_atom == s.current.to(torch.int16)[:, None]).float().sum(1)  # fast for floats
        some = s.rings > 0
        full = (s.rings >= self.slots) | (s.ring_count >= MAX_RINGS)
        kind = 1 + (own > 0).long() + ((own > 0) & (own < s.rings)) + 3 * full
        _, fill, _, residue_id = self._facts(s.residue)
        key = (residue_id * ORDERS + s.pending) * RINGS + kind * some
        key = (key * BEHIND + (s.behind > 0)) * POSITIONS + s.position.clamp(max=POSITIONS - 1)
        owes = s.position != START
        if self.has_brackets:
            inside = s.position == BRACKET
            needs = some & (s.behind == 0)
            inner = self.first_bracket_key + (s.bracket * 4 + s.pending) * 2 + needs
            key = torch.where(inside, inner, key)
            s.debt = s.owed + fill * (owes & ~inside) + WAIT * (inside & some)
        else:
            s.debt = s.owed + fill * owes
        s.key = key
        base = self.base.index_select(0, key)
        s.debt = s.debt + base
        if self.has_rings:
            self._price_closings(s, own > 0, base)

    def _price_closings(self, s: AttributeState, own: Tensor, base: Tensor) -> None:
        """What it costs to close each open ring bond at the current atom, or ``FORBIDDEN``.

        An opener that stated an order closes with that; one that stated none closes with the order
        written here, for which it may have to raise its own bond (``raised``).
        """
        free, fill, grows = self.closing_facts.index_select(0, s.residue).view(-1, 3, 3).unbind(1)
        last = (s.rings == 1)[:, None]
        path = free + s.behind[:, None]  # (n, 3): by order
        ready = ((s.position == RING_OR_NEXT) | (s.position == DECADE))[:, None]
        may = (free >= 0) & (last | (path > 0)) & ready
        surcharge = WAIT * ((own[:, None] | (grows == 0)) & ~last)
        price = torch.where(may, fill + surcharge - CLOSE - base[:, None], FORBIDDEN)
        here = (s.pending - 1).clamp(min=0)[:, None]  # bonds beyond a single one
        small = torch.where(s.pending[:, None] < 2, price[:, :1], FORBIDDEN).to(torch.int8)
        double = (s.pending[:, None] == 0) | (s.pending[:, None] == 2)
        double = torch.where(double, price[:, 1:2], FORBIDDEN).to(torch.int8)
        unstated = price.gather(1, here).to(torch.int8)
        stated = s.slot_order
        cost = torch.where(stated == 0, unstated, torch.where(stated == 1, small, double))
        partner = s.atoms.gather(1, s.slot_atom.clamp(min=0).long())
        more = here.int() * (stated == 0)
        lift = self.raised.index_select(0, (partner * 3 + more).view(-1)).view(partner.shape)
        poor = (here > 0) & ~last & (path.gather(1, here) <= here)
        legal = (s.slot_number > 0) & ~s.slot_blocked & (cost < FORBIDDEN) & (lift < FORBIDDEN)
        legal &= ~(poor & (partner < LEFT) & (stated == 0))
        cost = cost + lift - (s.slot_number > 9).to(torch.int8)
        s.close_cost = torch.where(legal, cost, FORBIDDEN)

    def allowed(self, s: AttributeState, grammar_cost: Tensor, slack: Tensor | None) -> Tensor:
        """Legal rules, (n, V) bool.

        Args:
            s: The state.
            grammar_cost: (n, V) int8, steps that the context-free rules add.
            slack: (n,) steps to spare as far as the context-free rules know; None for no budget.
        """
        cost = self.cost.index_select(0, s.key)
        cost += grammar_cost
        if slack is None:
            limit = torch.full_like(s.debt, MAX_SLACK)
        else:
            limit = (slack - s.debt).clamp(-MAX_SLACK, MAX_SLACK)
        limit = limit.to(torch.int8)[:, None]
        if not self.has_rings:
            return cost <= limit
        # Free slots have number 0, which no rule can read.
        where, price = s.slot_number.long(), s.close_cost
        taken = torch.zeros(len(cost), NUMBERS, dtype=torch.bool, device=self.device)
        taken.scatter_(1, where, True)
        closing = torch.full((len(cost), NUMBERS), FORBIDDEN, dtype=torch.int8, device=self.device)
        closing.scatter_(1, where, price)
        # A number that is open cannot be opened again: it is priced as closing.
        here = (s.position == RING_OR_NEXT)[:, None]
        for rules, numbers in self.number_runs:
            close = closing[:, numbers] + grammar_cost[:, rules]
            cost[:, rules] = torch.where(taken[:, numbers] & here, close, cost[:, rules])
        if not self.has_decades:
            return cost <= limit
        here = (s.position == DECADE)[:, None]
        second = s.decade[:, None] * 10 + torch.arange(10, device=self.device)
        own, close = taken.gather(1, second) & here, closing.gather(1, second)
        for rules, digits in self.digit_runs:
            replaced = close[:, digits] + grammar_cost[:, rules]
            cost[:, rules] = torch.where(own[:, digits], replaced, cost[:, rules])
        allowed = cost <= limit
        self._decades(allowed, where, price, grammar_cost, limit)
        return allowed

    def takes(
        self, s: AttributeState, rule: Tensor, grammar_cost: Tensor, slack: Tensor | None
    ) -> Tensor:
        """Whether one given rule is legal in each row, (n,) bool: ``allowed`` for less work.

        Args:
            s: The state.
            rule: (n,) int64.
            grammar_cost: (n,) steps that the context-free rules add.
            slack: As for ``allowed``.
        """
        cost = self.cost.view(-1).index_select(0, s.key * self.cost.shape[1] + rule)
        cost = cost.long() + grammar_cost
        limit = MAX_SLACK if slack is None else (slack - s.debt).clamp(max=MAX_SLACK)
        if not self.has_rings:
            return cost <= limit
        _, _, number, tens, digit, _ = self.rule_facts.index_select(0, rule).unbind(1)
        number = number * (s.position == RING_OR_NEXT)
        second = (s.position == DECADE) & (digit >= 0)
        number = torch.where(second, s.decade * 10 + digit, number)[:, None]
        match = (s.slot_number == number) & (number > 0)
        close = torch.where(match, s.close_cost, FORBIDDEN).amin(1) + grammar_cost
        legal = torch.where(match.any(1), close, cost) <= limit
        if not self.has_decades:
            return legal
        decade = (s.slot_number // 10 == tens[:, None]) & (tens > 0)[:, None]
        best = torch.where(decade, s.close_cost, FORBIDDEN).amin(1) + grammar_cost
        spare = decade.sum(1) < 10
        return torch.where(tens > 0, (legal & spare) | (best <= limit), legal)

    def _decades(
        self, allowed: Tensor, number: Tensor, price: Tensor, grammar_cost: Tensor, limit: Tensor
    ) -> None:
        """Amend "%1" to "%9": legal if a number of theirs can be opened or can be closed."""
        decade = number // 10
        count = torch.zeros(len(number), 10, dtype=torch.int8, device=self.device)
        count.scatter_add_(1, decade, torch.ones_like(price))
        best = torch.full_like(count, FORBIDDEN)
        best.scatter_reduce_(1, decade, price, "amin")
        spare = count < 10  # ten open numbers leave none to open
        for rules, tens in self.decade_runs:
            close = best[:, tens] + grammar_cost[:, rules] <= limit
            allowed[:, rules] = (allowed[:, rules] & spare[:, tens]) | close

    def advance(self, s: AttributeState, rule: Tensor) -> None:
        """Take a rule (n,) int64 in every row, in place; V (no rule) leaves a row as it is."""
        facts = self.rule_facts.index_select(0, rule)
        capacity, order, number, tens, digit, mark = facts.unbind(1)
        if self.has_brackets or self.has_decades:
            inside, decade = s.position == BRACKET, s.position == DECADE
            outside = ~(inside | decade)
            second = torch.where(decade & (digit >= 0), s.decade * 10 + digit, 0)
            number = number * outside + second
            capacity, order, tens = capacity * outside, order * outside, tens * outside
            inner_mark, mark = mark * inside, mark * outside
        self._atom(s, capacity, mark)
        if self.has_brackets:
            self._inside(s, rule, inside, inner_mark)
        if self.has_rings:
            self._ring(s, number)
        self._branch(s, mark)
        s.pending = torch.where(order > 0, order, s.pending)
        if self.has_decades:
            s.decade = torch.where(tens > 0, tens, s.decade)
            s.position = torch.where(tens > 0, DECADE, s.position)
        s.position = torch.where(mark >= 5, START, s.position)
        self._refresh(s)

    def _atom(self, s: AttributeState, capacity: Tensor, mark: Tensor) -> None:
        """A new atom, or the bracket of one, bonded to the current atom."""
        bracket = mark == 1
        atom = (capacity > 0) | bracket
        start, branch = s.position == START, s.position == BRANCH
        order = s.pending.clamp(min=1) * ~start
        parent = s.residue >> order
        # The current atom's own entry is free to hold anything until it is left.
        leave = parent | (LEFT * ~branch)
        kept = torch.where(atom & ~start, leave, s.residue)
        s.atoms.scatter_(1, s.current[:, None], kept.to(torch.int16)[:, None])
        push = atom & branch
        free, fill, _, _ = self._facts(parent)
        top = s.branch.gather(1, s.depth[:, None])
        s.branch.scatter_(1, s.depth[:, None], torch.where(push[:, None], s.current[:, None], top))
        s.depth = s.depth + push
        s.behind = s.behind + free * push
        s.owed = s.owed + fill * push
        blocked = s.slot_atom == s.current.to(torch.int16)[:, None]
        s.slot_blocked = torch.where(atom[:, None], blocked, s.slot_blocked)
        s.current = torch.where(atom, s.count, s.current)
        s.count = s.count + atom
        s.residue = torch.where(atom, torch.where(bracket, 1, capacity >> order), s.residue)
        s.pending = torch.where(atom, order * bracket, s.pending)
        s.position = torch.where(atom, RING_OR_NEXT + BRACKET * bracket, s.position)
        if self.has_brackets:
            s.bracket = s.bracket * ~bracket

    def _inside(self, s: AttributeState, rule: Tensor, inside: Tensor, mark: Tensor) -> None:
        """One token inside a bracket; "]" completes the atom."""
        ends = mark == 2
        left = self.bracket_capacity.index_select(0, s.bracket) >> s.pending
        s.residue = torch.where(ends, left, s.residue)
        s.bracket = torch.where(inside & ~ends, self.bracket_step[s.bracket, rule], s.bracket)
        s.pending = s.pending * ~ends
        s.position = torch.where(ends, RING_OR_NEXT, s.position)

    def _ring(self, s: AttributeState, number: Tensor) -> None:
        """A ring-bond number (0: none): close the bond if it is open, else open it."""
        any_ring = number > 0
        closes, place, stated, partner = self._find(s, number)
        opens = any_ring & ~closes
        more = (s.pending - 1).clamp(min=0) * (closes & (stated == 0))
        self._raise(s, torch.where(closes, partner, s.current), more, closes)
        s.owed = s.owed + (CLOSE + (number > 9).long()) * (opens.long() - closes.long())
        at = (self.places == place[:, None].int()) & any_ring[:, None]
        opened = opens[:, None]
        bonded = torch.where(closes, partner, -2).to(torch.int16)[:, None]
        s.slot_blocked = s.slot_blocked | (s.slot_atom == bonded) | (at & opened)
        short = torch.stack([s.current, number, s.pending]).to(torch.int16)[:, :, None]
        s.slot_atom = torch.where(at, torch.where(opened, short[0], -1), s.slot_atom)
        s.slot_number = torch.where(at, torch.where(opened, short[1], 0), s.slot_number)
        s.slot_order = torch.where(at, short[2], s.slot_order)
        s.slots_used = s.slots_used ^ (any_ring.long() << place)
        order = torch.maximum(s.pending, stated).clamp(min=1)
        s.residue = torch.where(any_ring, s.residue >> order, s.residue)
        s.pending = s.pending * ~any_ring
        s.position = torch.where(any_ring, RING_OR_NEXT, s.position)
        s.rings = s.rings + opens.long() - closes.long()
        s.ring_count = (s.ring_count + opens) * (s.rings > 0)

    def _find(self, s: AttributeState, number: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where a ring-bond number is open, all (n,).

        Returns:
            Whether it is (closes), its slot or else the one to open it in, the order that its
            opener stated, and the opener; the last two are 0 where it is not open.
        """
        sought = torch.where(number > 0, number, -1).to(torch.int16)[:, None]
        # Opener, order and place of a slot in one number, so that one reduction finds all three.
        code = (s.slot_atom.int() * 4 + s.slot_order) * SLOTS + self.places
        found = torch.where(s.slot_number == sought, code, -1).amax(1).long()
        closes = found >= 0
        found = found.clamp(min=0)
        spare = self.lowest_free.index_select(0, s.slots_used)
        place = torch.where(closes, found % SLOTS, spare)
        return closes, place, found // SLOTS % 4, found // (4 * SLOTS)

    def _raise(self, s: AttributeState, atom: Tensor, more: Tensor, closes: Tensor) -> None:
        """Raise the bond that an opener (n,) paid for by ``more``, where a ring closes."""
        target = atom[:, None]
        entry = s.atoms.gather(1, target)[:, 0].long()
        bits = (entry & BITS) >> more
        s.atoms.scatter_(1, target, (bits | (entry & LEFT)).to(torch.int16)[:, None])
        waits = closes & (entry < LEFT)
        refill = self._facts(bits)[1] - self._facts(entry & BITS)[1]
        s.behind = s.behind - more * waits
        s.owed = s.owed + refill * waits

    def _branch(self, s: AttributeState, mark: Tensor) -> None:
        """Wait for the first atom after "("; return to the branch point at ")"."""
        back = mark == 4
        here = s.current[:, None]
        old = s.atoms.gather(1, here)[:, 0]
        entry = torch.where(back, (s.residue | LEFT).to(torch.int16), old)
        s.atoms.scatter_(1, here, entry[:, None])
        s.depth = (s.depth - back.long()).clamp(min=0)
        point = s.branch.gather(1, s.depth[:, None])[:, 0]
        s.current = torch.where(back, point, s.current)
        residue = s.atoms.gather(1, s.current[:, None])[:, 0].long() & BITS
        s.residue = torch.where(back, residue, s.residue)
        free, fill, _, _ = self._facts(residue)
        s.behind = s.behind - free * back
        s.owed = s.owed - fill * back
        s.position = torch.where(mark == 3, BRANCH, torch.where(back, AFTER_BRANCH, s.position))
