"""The table ``cost[key, rule]`` of SMILES attributes: valence, ring bonds and budget in one row.

For every key the table holds what each rule adds to a tight upper bound of the steps still needed,
beyond what the context-free rules add; ``FORBIDDEN`` where valence or open ring bonds exclude the
rule. ``base[key]`` is what a position itself owes (after "=", say, the cheapest atom that can take
the bond).

A key is a mixed-radix number, which ``Attributes._refresh`` in ``attributes.py`` computes from the
state of a molecule. Outside brackets its digits are, from the most significant one:

* the residue of the current atom, as its place in ``residue_id``;
* the pending bond order, of ``ORDERS``: 0 if none was written;
* the open ring bonds, of ``RINGS``: 0 none, 1 all opened at other atoms, 2 all opened at this
  atom, 3 some at either; 4 to 6 are 1 to 3 while no other may be opened;
* whether a branch point behind has free valence, of ``BEHIND``;
* the position, of ``POSITIONS``: ``RING_OR_NEXT`` to ``DECADE``.

From ``first_bracket_key`` on a key is inside brackets. Its digits are the state of the bracket
automaton, the order of the bond that leads to the atom (of 4), and whether the atom must keep a
free valence (of 2): ring bonds are open and nothing behind has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molae.grammar import smiles
from molae.grammar.attribute_state import BITS, LEFT
from molae.grammar.cfg import Grammar
from molae.grammar.smiles import (
    AFTER_BRANCH,
    BRANCH,
    CLOSE,
    DECADE,
    FORBIDDEN,
    HYPERVALENT,
    IODINE,
    NEXT,
    NOW,
    RESIDUES,
    RING_OR_NEXT,
    START,
    WAIT,
    Brackets,
    Ints,
    Token,
)

#: Radices of a key outside brackets, see above.
ORDERS, RINGS, BEHIND, POSITIONS = 4, 7, 2, 5


@dataclass(frozen=True)
class AttributeTable:
    """Look-up tables of one grammar. V rules, R residues, S bracket states, N keys.

    Attributes:
        cost: What each rule adds at each key, (N, V) int8.
        base: What the position of each key owes, (N,) int64.
        residue_id: Digit of every residue in a key, (512,) int64.
        first_bracket_key: Keys from here on are inside brackets.
        capacity: Residue of the atom that a rule's token writes, (V + 1,) int64; the last row of
            this and of all arrays by rule stands for "no rule".
        order, number, tens, digit: As in ``Token``, (V + 1,) int64.
        mark: 0 none, 1 "[", 2 "]", 3 "(", 4 ")", 5 ".", 6 end; (V + 1,) int64.
        bracket_step: Next bracket state, (S, V + 1) int64.
        bracket_capacity: Residue of the atom if the bracket ends there, (S,) int64.
        free, fill: Largest and cheapest member of every residue, (512,) int64.
        numbers: How many ring-bond numbers the grammar can write.
        spelled: Rules that write one digit of a number spelt digit by digit, (V + 1,) bool.
    """

    cost: NDArray[np.int8]
    base: Ints
    residue_id: Ints
    first_bracket_key: int
    capacity: Ints
    order: Ints
    number: Ints
    tens: Ints
    digit: Ints
    mark: Ints
    bracket_step: Ints
    bracket_capacity: Ints
    free: Ints
    fill: Ints
    numbers: int
    spelled: NDArray[np.bool_]

    def facts(self) -> Ints:
        """capacity, order, number, tens, digit and mark of each rule, (V + 1, 6) int64."""
        columns = (self.capacity, self.order, self.number, self.tens, self.digit, self.mark)
        return np.stack(columns, 1)

    def residue_facts(self) -> Ints:
        """free, fill, lengthens (0 or 1) and id of each residue, (512, 4) int64."""
        longer = lengthens(np.arange(RESIDUES)).astype(np.int64)
        return np.stack((self.free, self.fill, longer, self.residue_id), 1)

    def closing_facts(self) -> Ints:
        """What a ring bond of order 1 to 3 does to the atom where it closes: (512, 9) int64.

        Three columns say what is left free by order (-1: impossible), three by how much the steps
        to fill the atom change, and three whether the atom lengthens then.
        """
        residues = np.arange(RESIDUES)
        rests = [residues >> order for order in (1, 2, 3)]
        free = [np.where(rest > 0, self.free[rest], -1) for rest in rests]
        for more in free[1:]:
            more[np.array(HYPERVALENT)] = -1
        fill = [self.fill[rest] - self.fill[residues] for rest in rests]
        return np.stack([*free, *fill, *(lengthens(rest).astype(np.int64) for rest in rests)], 1)

    def raised(self) -> NDArray[np.int8]:
        """What it costs to raise the bond of an opener by 0 to 2, at entry * 3 + raise: (3072,).

        An atom that was left must remain complete, one that is returned to may be completed later.
        """
        entry, more = np.divmod(np.arange(2 * LEFT * 3), 3)
        bits, left = entry & BITS, entry >= LEFT
        after = bits >> more
        legal = np.where(left, (after & 1) > 0, after > 0)
        legal &= ~((more > 0) & np.isin(bits, [bits >> 1 for bits in HYPERVALENT]))
        change = np.where(left, 0, self.fill[after] - self.fill[bits])
        return np.where(legal, change, FORBIDDEN).astype(np.int8)


MARKS = {"": 0, "[": 1, "]": 2, "(": 3, ")": 4, ".": 5, "end": 6}
FREE: Ints = smiles.free_valence(np.arange(RESIDUES))
FILL: Ints = smiles.fill_steps(np.arange(RESIDUES))


def build(grammar: Grammar) -> AttributeTable:
    """Build the tables of a grammar whose rules begin with Kekule SMILES tokens."""
    return _Builder(grammar).table()


class _Builder:
    """Fills the table column by column; its arrays have one entry per key outside brackets."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.tokens = [token or Token() for token in smiles.rule_tokens(grammar)]
        spelled = [[s for s in rule.rhs if s < 0] for rule in grammar.rules]
        self.terminal = [-1 - s[0] if s else -1 for s in spelled]
        self.brackets = Brackets(grammar.terminals)
        self.closing = self.brackets.closing()
        self.residues = self._residues()
        shape = (len(self.residues), ORDERS, RINGS, BEHIND, POSITIONS)
        index, pending, rings, behind, self.position = (axis.ravel() for axis in np.indices(shape))
        self.residue = self.residues[index]
        self.iodine = np.isin(self.residue, HYPERVALENT)
        self.order = np.maximum(pending, 1)
        self.pending = pending
        self.tail = (self.position == RING_OR_NEXT) | (self.position == AFTER_BRANCH)
        self.leave = self.tail & (pending == 0) & ((self.residue & 1) > 0)
        self.open, self.full, self.behind = rings > 0, rings > 3, behind
        self.others, self.own = (rings % 3 == 1) | (rings % 3 == 0) & (rings > 0), rings % 3 != 1
        self.own = self.own & (rings > 0)
        self.strides = np.array([int(np.prod(shape[i + 1 :])) for i in range(5)])
        self.keys = np.arange(len(index))

    def _residues(self) -> Ints:
        seen = {1}
        for bits in [t.capacity for t in self.tokens] + self.brackets.capacity.tolist():
            while bits:
                seen.add(bits)
                bits >>= 1
        return np.array(sorted(seen), dtype=np.int64)

    def atom(self, capacity: int | None) -> Ints:
        """Cost of bonding a whole atom here; None for a bracket, whose capacity is not known yet.

        The reserve rule: while rings are open, some atom on the path keeps a free valence.
        """
        branch, start = self.position == BRANCH, self.position == START
        order = np.where(start, 0, self.order)
        parent = self.residue >> order
        may = np.where(self.tail, (parent & 1) > 0, np.where(branch, parent > 0, start))
        behind = self.behind + np.where(branch, FREE[parent], 0)
        owed = np.where(self.tail, 0, np.where(branch, FILL[parent], 0))
        owed = owed - np.where(start, 0, FILL[self.residue])
        needs = self.open & (behind == 0)
        double = (self.pending == 2) & ~start
        if capacity is None:
            may = may & ~(double & self.iodine)
        elif capacity == IODINE:  # after an atom that must take more, so one in brackets
            may = may & ~(double & (self.residue & 1 == 0))
        if capacity is None:  # the cheapest of the completions of the bracket
            new = self.closing[0, order, needs.astype(np.int64)]
            may = may & (new < FORBIDDEN)
            new = new + np.where(self.open, WAIT, 0)
        else:
            rest: Ints = np.asarray(capacity, dtype=np.int64) >> order
            may = may & (rest > 0) & (FREE[rest] >= needs)
            new = FILL[rest] + self.surcharge(rest)
        return np.where(may, owed + new, FORBIDDEN)

    def surcharge(self, rest: Ints) -> Ints:
        """What open rings need beyond two steps each, after a fresh atom with residue ``rest``."""
        at_once = self.others & (FREE[rest] >= 3) & (rest & 7 == 7)
        at_once = at_once & ~np.isin(rest, HYPERVALENT)
        price = np.where(at_once, NOW, np.where(lengthens(rest), NEXT, WAIT))
        return np.where(self.open, price, 0)

    def opening(self, ten: bool) -> Ints:
        """Cost of opening a ring bond here."""
        rest = self.residue >> self.order
        path = FREE[rest] + self.behind
        may = (self.position == RING_OR_NEXT) & ~self.full & (rest > 0) & (path > 0)
        may = may & (self.pending < 3)  # a triple bond is stated where the ring closes
        may = may & ~((self.pending == 2) & self.iodine)
        return np.where(may, CLOSE + ten + WAIT + FILL[rest] - FILL[self.residue], FORBIDDEN)

    def moved(self, values: Ints, axis: int, to: int) -> Ints:
        """``values`` at the same keys with one radix set to ``to``."""
        size = (len(self.residues), ORDERS, RINGS, BEHIND, POSITIONS)[axis]
        here = self.keys // self.strides[axis] % size
        moved: Ints = values[self.keys + (to - here) * self.strides[axis]]
        return moved

    def bases(self) -> Ints:
        """What a position owes: after a bond or "(" the cheapest continuation, after "%1" a ring.

        It includes the surcharge of open rings, so such a position does not owe that as well.
        """
        whole = [t.capacity for t in self.tokens if t.capacity]
        atoms = [self.atom(c) for c in sorted(set(whole))]
        cheapest = np.min([*atoms, self.atom(None)], axis=0)
        rings = self.opening(False) if any(t.number for t in self.tokens) else cheapest
        waits = (self.pending > 0) | (self.position == BRANCH)
        base = np.where(waits, np.minimum(cheapest, rings), 0)
        # A branch may begin with a bond, one step more, for atoms with much to fill.
        for order in sorted({t.order for t in self.tokens if t.order}):
            bonded = self.moved(base, 1, order) + 1
            first = (self.position == BRANCH) & (self.pending == 0)
            base = np.where(first, np.minimum(base, bonded), base)
        tens = self.moved(self.opening(True), 4, RING_OR_NEXT)
        return np.where(self.position == DECADE, np.where(tens < FORBIDDEN, tens, 0), base)

    def column(self, token: Token, base: Ints) -> Ints:
        """The whole column of one rule, before ``base`` is taken off."""
        if token.capacity:
            return self.atom(token.capacity)
        if token.order:
            may = (self.pending == 0) & (self.tail | (self.position == BRANCH))
            return np.where(may, self.moved(base, 1, token.order), FORBIDDEN)
        if token.tens:
            opening = self.moved(base, 4, DECADE)
            return np.where(self.opening(True) < FORBIDDEN, opening, FORBIDDEN)
        if token.number or token.digit >= 0:
            return self.number(token)
        return self.mark(token.mark, base)

    def number(self, token: Token) -> Ints:
        """The column of a ring-bond number, which may also be read as the second digit of one."""
        forbidden = np.full(len(self.keys), FORBIDDEN)
        ring = self.opening(token.number > 9) if token.number else forbidden
        decade = (self.position == DECADE) & (token.digit >= 0)
        second = self.moved(self.opening(True), 4, RING_OR_NEXT)
        return np.where(decade, second, ring)

    def mark(self, mark: str, base: Ints) -> Ints:
        """The column of a bracket, a branch, a dot or the end."""
        if mark == "[":
            return self.atom(None)
        if mark == "(":
            may = self.tail & (self.pending == 0) & (self.residue > 1)
            return np.where(may, self.moved(base, 4, BRANCH), FORBIDDEN)
        if mark == ")":
            back = np.where(self.open, WAIT, 0)
            return np.where(self.leave & (~self.open | (self.behind > 0)), back, FORBIDDEN)
        if mark in (".", "end"):
            return np.where(self.leave & ~self.open, 0, FORBIDDEN)
        return np.full(len(self.keys), FORBIDDEN)

    def inside(self) -> tuple[NDArray[np.int8], Ints]:
        """Rows and bases of the keys inside brackets: (S * 4 * 2, V) and (S * 4 * 2,)."""
        states = len(self.brackets.capacity)
        base = self.closing.reshape(states * 8)
        cost = np.full((states * 8, len(self.tokens)), FORBIDDEN, dtype=np.int64)
        order = np.tile(np.repeat(np.arange(4), 2), states)
        needs = np.tile(np.arange(2), states * 4)
        left = np.repeat(self.brackets.capacity, 8) >> order
        ends = np.where((left > 0) & (FREE[left] >= needs), FILL[left], FORBIDDEN)
        for rule, (token, terminal) in enumerate(zip(self.tokens, self.terminal, strict=True)):
            if token.mark == "]":
                cost[:, rule] = ends
            elif terminal >= 0:
                target = self.brackets.step[:, terminal]
                reached = np.where(target[:, None, None] >= 0, self.closing[target], FORBIDDEN)
                cost[:, rule] = reached.reshape(states * 8)
        return _relative(cost, base), np.where(base >= FORBIDDEN, 0, base)

    def table(self) -> AttributeTable:
        """All columns and all look-ups by rule, put together."""
        base = self.bases()
        outside = np.stack([self.column(token, base) for token in self.tokens], axis=1)
        inside, inside_base = self.inside()
        none = Token()
        rows = [*self.tokens, none]
        ids = np.zeros(RESIDUES, dtype=np.int64)
        ids[self.residues] = np.arange(len(self.residues))
        nowhere = np.full((len(self.brackets.capacity), 1), -1)
        step = np.concatenate([self.brackets.step[:, self.terminal], nowhere], 1)
        return AttributeTable(
            cost=np.concatenate([_relative(outside, base), inside]),
            base=np.concatenate([np.where(base >= FORBIDDEN, 0, base), inside_base]),
            residue_id=ids,
            first_bracket_key=len(self.keys),
            capacity=np.array([t.capacity for t in rows]),
            order=np.array([t.order for t in rows]),
            number=np.array([t.number for t in rows]),
            tens=np.array([t.tens for t in rows]),
            digit=np.array([t.digit for t in rows]),
            mark=np.array([MARKS[t.mark] for t in rows]),
            bracket_step=np.maximum(step, 0),
            bracket_capacity=self.brackets.capacity,
            free=FREE,
            fill=FILL,
            numbers=self._numbers(),
            spelled=np.array([*self._spelled(), False]),
        )

    def _spelled(self) -> list[bool]:
        """Rules of non-terminals that can write "0", so digits: ring-bond numbers begin at 1."""
        rules = self.grammar.rules
        zero = {r.lhs for r, t in zip(rules, self.tokens, strict=True) if t.digit == 0}
        return [r.lhs in zero and t.digit >= 0 for r, t in zip(rules, self.tokens, strict=True)]

    def _numbers(self) -> int:
        plain = {t.number for t in self.tokens if t.number}
        tens = {t.tens for t in self.tokens if t.tens}
        units = {t.digit for t in self.tokens if t.digit >= 0}
        return len(plain | {10 * t + u for t in tens for u in units})


def lengthens(rest: Ints) -> NDArray[np.bool_]:
    """Residues that take a plain "C", or whose filling is paid for already and ends in one."""
    longer: NDArray[np.bool_] = (rest & 2 > 0) | ((rest & 1) == 0) & (rest > 0)
    return longer


def _relative(cost: Ints, base: Ints) -> NDArray[np.int8]:
    """Costs beyond what the position already owes, as int8."""
    legal = (cost < FORBIDDEN) & (base[:, None] < FORBIDDEN)
    relative = np.where(legal, cost - base[:, None], FORBIDDEN)
    return relative.astype(np.int8)
