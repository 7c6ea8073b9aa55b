"""The arrays that ``kernel.py`` works on: tables of a grammar, and states of derivations."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

Array = Any  # Numba's functions take arrays, and mypy need not know of which shape.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
#: Put into its callers: tables are passed by value, which costs more than most of these do.
part = njit(inline="always", **OPTIONS)


def compiled(function: Any) -> Any:
    """Compile when first called, and keep that on disc for other processes.

    Beside this file or else in the user's cache folder; where neither can be written, not at all.
    Numba looks at the age of this file only: touch it when a constant that it imports changes.
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # Numba found no place
        return njit(**OPTIONS)(function)


class Tables(NamedTuple):
    """A grammar in arrays. V rules, N non-terminals, S bracket states.

    Attributes:
        cost: Price of a rule by non-terminal on top, (N + 1, V) int32; the last row is for the
            empty stack.
        window: First rule and end of the rules that may have a price there, (N + 1, 2) int64.
        own: Price of each rule, (V,) int64.
        pushed: Non-terminals that a rule pushes, the first one last, (V, W) int64.
        pushes: How many these are, (V,) int64.
        ceiling: Above this a rule is forbidden.
        budget: Whether the steps count.
        tracked: Whether valence and ring bonds are known; what follows is empty if not.
        slots: Ring bonds that may be open at a time.
        first_bracket_key: See ``AttributeTable``, as for all below.
        prices: ``cost`` there, (keys, V) int8.
        base: (keys,) int64.
        residue: free, fill, lengthens and id of each residue, (512, 4) int64.
        closing: (512, 9) int64.
        raised: (3072,) int8.
        facts: capacity, order, number, tens, digit, mark of each rule, (V + 1, 6) int64.
        reads: Ring-bond number that a rule writes, (2, V) int16; in row 1 its digit, if that
            can be a second one. -1 if none.
        tens: First digit that a rule writes, (V,) int16, 0 if none.
        bracket_step: (S, V + 1) int64.
        bracket_capacity: (S,) int64.
    """

    cost: Array
    window: Array
    own: Array
    pushed: Array
    pushes: Array
    ceiling: int
    budget: bool
    tracked: bool
    slots: int
    first_bracket_key: int
    prices: Array
    base: Array
    residue: Array
    closing: Array
    raised: Array
    facts: Array
    reads: Array
    tens: Array
    bracket_step: Array
    bracket_capacity: Array


#: Columns of ``Rows.counts``; see ``MachineState`` and ``AttributeState``.
HEIGHT, SLACK, POSITION, PENDING, RESIDUE, CURRENT, COUNT, DEPTH = range(8)
BEHIND_FREE, OPEN_RINGS, RING_COUNT, DECADE_READ, IN_BRACKET, OWED, OWN_RINGS = range(8, 15)
COUNTS = 15
#: Rows of ``Rows.slots``.
NUMBER, ATOM, ORDER, BLOCKED = range(4)
#: Columns of ``Tables.residue``.
FREE, FILL, LENGTHENS, ID = range(4)
#: Columns of ``Tables.facts`` and their marks.
CAPACITY, BOND, RING, TENS, DIGIT, MARK = range(6)
OPENS_BRACKET, ENDS_BRACKET, OPENS_BRANCH, ENDS_BRANCH, DOT = range(1, 6)


class Rows(NamedTuple):
    """n derivations in the making: the state of ``machine.py``, packed.

    Attributes:
        counts: (n, COUNTS) int32.
        stack: (n, depth) int16 non-terminals.
        atoms: (n, A) int16 residues of atoms.
        branch: (n, D) int16 atoms to return to.
        slots: (n, 4, K) int16 open ring bonds.
    """

    counts: Array
    stack: Array
    atoms: Array
    branch: Array
    slots: Array
