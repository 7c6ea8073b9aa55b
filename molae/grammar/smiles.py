"""What SMILES tokens mean to valence and ring bonds, as lookup tables.

The context-free rules keep brackets, branches and bonds in order. Two things they cannot see, and
both are attributes of tokens, recognised by their spelling:

* **free valence.** The *residue* of an atom is a set of numbers, kept as bits: bit k is set if the
  atom may be left for good after taking bonds of order k more. An organic carbon starts with
  {0, 1, 2, 3, 4} (hydrogens fill any gap), ``[NH+]`` with {3}, ``[S]`` with {2, 4, 6}. Taking a
  bond of order k shifts the bits by k; an atom may be left when bit 0 is set. So bracket atoms end
  with exactly the valence that they declare, and no radical is drawn.
* **open ring bonds**, see ``attributes.py``.

``attribute_table.build`` turns both into one table ``cost[key, rule]``: how many steps taking a
rule adds to the shortest way to end the molecule, beyond what the context-free rules themselves
add, or ``FORBIDDEN``. A key stands for all that a choice may depend on (residue, pending bond
order, whether rings are open, whether a branch point behind has free valence, position), so
legality, valence and the step budget are one row look-up.

The idea of computing such attributes while a derivation grows is that of the syntax-directed VAE
(Dai et al. 2018, arXiv:1802.08786); exactness, the bound and the tables are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from molae.grammar.cfg import Grammar
from molae.grammar.valences import bracket_classes, organic_capacities

Ints = NDArray[np.int64]

#: In tables of int8: a rule that may not be taken. Sums of two stay below 128, and no sum of a
#: forbidden entry and a real one comes down to ``MAX_SLACK``.
FORBIDDEN = 63
MAX_SLACK = 40
#: Bits of a residue: sums of bond orders 0 to 8.
RESIDUES = 512
#: Positions inside a molecule. RING_OR_NEXT: after an atom, ring bonds may still come.
#: AFTER_BRANCH: no more ring bonds. BRANCH: after "(". START: before the first atom. DECADE: after
#: "%1". BRACKET: inside.
RING_OR_NEXT, AFTER_BRANCH, BRANCH, START, DECADE, BRACKET = range(6)
#: Steps that fill a residue whose nearest legal value is k bonds away: none, "C", "=C", "#C",
#: "(#C)C", "(#C)=C", "(#C)#C", "(#C)(#C)C", "(#C)(#C)=C".
FILL = (0, 1, 2, 2, 5, 6, 6, 9, 10)
#: Steps that close an open ring bond: "C1". (One more for a number above 9.)
CLOSE = 2
#: What open ring bonds may need beyond that, see ``attribute_table.py``: at an atom that can
#: neither lengthen the chain by "C" nor has it been paid for (WAIT), at one that can (NEXT), and
#: at a fresh atom that can close one at once (NOW: its "C" is written already).
WAIT, NEXT, NOW = 2, 0, -1

_BRACKET_ATOM = re.compile(r"\[(\d*)([A-Z][a-z]?)(@{0,2})(H\d*)?([+-]\d*)?\]")


def residue(sums: list[int] | tuple[int, ...]) -> int:
    """A set of bond sums as bits."""
    return sum(1 << k for k in sums)


def free_valence(bits: Ints) -> Ints:
    """The largest member of each residue, 0 for the empty one; any shape."""
    out = np.zeros_like(bits)
    for k in range(1, 10):
        out = np.where(bits >> k > 0, k, out)
    return out


def fill_steps(bits: Ints) -> Ints:
    """Fewest steps until an atom may be left, by its smallest member; 0 for the empty one."""
    out = np.zeros_like(bits)
    for k in range(8, -1, -1):
        out = np.where(bits >> k & 1 > 0, FILL[k], out)
    return out


#: The organic "I". RDKit reads a double bond between neutral iodine and oxygen as two charges if
#: all other neighbours of the iodine are oxygens too, whatever charge and bonds that oxygen has:
#: "C[O+]=I[O-]" is refused. So hypervalent iodine is written without brackets, and has no double
#: bond to an atom in brackets and none that closes a ring. Without the sum 4, which would need a
#: hydrogen at the iodine, its residues are told from those of "P".
IODINE = residue((0, 1, 2, 3, 5))
#: Residues of an iodine that can take a double bond; {0, 2} is also that of [S] with four bonds.
HYPERVALENT = tuple(IODINE >> order for order in range(4))


@dataclass(frozen=True)
class Token:
    """What a spelling may mean; which of these applies depends on the position.

    Attributes:
        capacity: Residue of a whole atom, 0 if the token is none.
        order: Bond order, 0 if the token is no bond.
        number: Ring-bond number, or 0.
        tens: First digit of a ring-bond number, or 0.
        digit: 0 to 9, or -1.
        mark: One of ``[ ] ( ) .``, or ``end`` for the empty spelling, or an empty string.
    """

    capacity: int = 0
    order: int = 0
    number: int = 0
    tens: int = 0
    digit: int = -1
    mark: str = ""


def read_token(spelling: str) -> Token | None:
    """The meaning of a token outside brackets; None if it is no Kekule SMILES token there."""
    organic = organic_capacities()
    if spelling in organic:
        return Token(capacity=IODINE if spelling == "I" else (2 << organic[spelling]) - 1)
    if spelling in ("[", "]", "(", ")", "."):
        return Token(mark=spelling)
    if spelling in ("=", "#", "/", "\\"):
        return Token(order={"=": 2, "#": 3}.get(spelling, 1))
    if re.fullmatch(r"\d", spelling):
        return Token(number=int(spelling), digit=int(spelling))
    if re.fullmatch(r"%[1-9]\d", spelling):
        return Token(number=int(spelling[1:]))
    if re.fullmatch(r"%[1-9]", spelling):
        return Token(tens=int(spelling[1:]))
    if match := _BRACKET_ATOM.fullmatch(spelling):
        return _fused_atom(match)
    return None


def _fused_atom(match: re.Match[str]) -> Token | None:
    """A bracket atom written as one token."""
    _, symbol, _, h, c = match.groups()
    hydrogens = 0 if not h else int(h[1:] or 1)
    charge = 0 if not c else int(c if len(c) > 1 else c + "1")
    sums = bracket_classes().get(symbol, {}).get((hydrogens, charge))
    return Token(capacity=residue(sums)) if sums else None


class Brackets:
    """The automaton of what may stand in a bracket, over the tokens that a grammar has.

    States 0 to 3: so many isotope digits read. Other states stand for all elements (or elements
    with hydrogens, or with charge) that behave alike.

    Attributes:
        step: Next state, (states, terminals) int64, -1 where there is none.
        capacity: Residue of the atom if the bracket ends now, (states,) int64, 0 if it may not.
    """

    def __init__(self, terminals: tuple[str, ...]) -> None:
        self.terminals = terminals
        self._ids: dict[object, int] = {f"isotope {n}": n for n in range(4)}
        self._capacity: list[int] = [0, 0, 0, 0]
        self._arrows: list[tuple[int, int, int]] = []
        for column, spelling in enumerate(terminals):
            if re.fullmatch(r"\d", spelling):
                self._digit(column, int(spelling))
            elif spelling in bracket_classes():
                state = self._element(spelling, bracket_classes()[spelling])
                self._arrows += [(n, column, state) for n in range(4)]
        self.capacity: Ints = np.array(self._capacity, dtype=np.int64)
        self.step: Ints = np.full((len(self._capacity), len(terminals)), -1, dtype=np.int64)
        for state, column, target in self._arrows:
            self.step[state, column] = target

    def _digit(self, column: int, digit: int) -> None:
        first = 0 if digit else 1  # an isotope does not begin with 0, and has three digits at most
        self._arrows += [(n, column, n + 1) for n in range(first, 3)]

    def _intern(self, key: object, capacity: int) -> tuple[int, bool]:
        new = key not in self._ids
        if new:
            self._ids[key] = len(self._capacity)
            self._capacity.append(capacity)
        return self._ids[key], new

    def _element(self, symbol: str, table: dict[tuple[int, int], list[int]]) -> int:
        here = residue(table.get((0, 0), []))
        chiral = symbol != "H"  # RDKit refuses a chiral hydrogen, and only that
        key = ("element", chiral, *sorted((k, tuple(v)) for k, v in table.items()))
        state, new = self._intern(key, here)
        if not new:
            return state
        for column, spelling in enumerate(self.terminals):
            if spelling in ("@", "@@") and chiral:
                self._arrows.append((state, column, state))
            elif re.fullmatch(r"H\d?", spelling):
                target = self._hydrogens(table, int(spelling[1:] or 1))
                self._arrows.append((state, column, target))
        self._charges(state, {c: sums for (h, c), sums in table.items() if h == 0})
        return state

    def _hydrogens(self, table: dict[tuple[int, int], list[int]], count: int) -> int:
        rest = {c: sums for (h, c), sums in table.items() if h == count}
        key = ("hydrogens", tuple(sorted((c, tuple(v)) for c, v in rest.items())))
        state, new = self._intern(key, residue(rest.get(0, [])))
        if new:
            self._charges(state, rest)
        return state

    def _charges(self, state: int, table: dict[int, list[int]]) -> None:
        for column, spelling in enumerate(self.terminals):
            if re.fullmatch(r"[+-]\d?", spelling):
                sums = table.get(int(spelling if len(spelling) > 1 else spelling + "1"), [])
                if sums:
                    target, _ = self._intern(("charge", tuple(sums)), residue(sums))
                    self._arrows.append((state, column, target))

    def closing(self) -> Ints:
        """Extra steps until the atom is whole and may be left: (states, 4 incoming orders, 2).

        The last axis says whether the atom must keep a free valence (rings are open and nothing
        behind it on the path has one). ``FORBIDDEN`` where no completion can carry the bond.
        """
        order = np.arange(4)[None, :, None]
        need = np.arange(2)[None, None, :]
        left = self.capacity[:, None, None] >> order
        fits = (left > 0) & (free_valence(left) >= need)
        best = np.where(fits, fill_steps(left), FORBIDDEN)
        # Elements come after isotope digits, hydrogens after elements, charges after both: three
        # rounds of relaxation reach every completion. An element costs no step beyond the
        # context-free minimum, everything else inside a bracket costs one.
        for _ in range(4):
            for state, _, target in self._arrows:
                free = state < 4 <= target
                best[state] = np.minimum(best[state], best[target] + (0 if free else 1))
        return np.minimum(best, FORBIDDEN)


@lru_cache(maxsize=8)
def _token_table(grammar: Grammar) -> tuple[Token | None, ...]:
    """The meaning of the token that each rule begins with, by rule."""
    out: list[Token | None] = []
    for rule in grammar.rules:
        spelled = [s for s in rule.rhs if s < 0]
        end = Token(mark="end")
        out.append(read_token(grammar.terminals[-1 - spelled[0]]) if spelled else end)
    return tuple(out)


def rule_tokens(grammar: Grammar) -> tuple[Token | None, ...]:
    """What each rule's token means outside brackets; None where it means nothing there."""
    return _token_table(grammar)
