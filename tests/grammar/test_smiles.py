"""What tokens mean: residues, bracket atoms, and the table of costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.grammar import attribute_table
from molae.grammar.attribute_table import lengthens
from molae.grammar.cfg import Grammar
from molae.grammar.smiles import (
    FILL,
    FORBIDDEN,
    MAX_SLACK,
    Brackets,
    fill_steps,
    free_valence,
    read_token,
    residue,
    rule_tokens,
)
from molae.grammar.valences import bracket_classes, organic_capacities
from molae.resources import grammar_text


@pytest.fixture(scope="module")
def grammar():
    return Grammar.from_text(grammar_text("smiles"))


@pytest.fixture(scope="module")
def brackets(grammar):
    return Brackets(grammar.terminals)


@given(st.sets(st.integers(0, 8)))
def test_residues_are_sets(sums):
    bits = np.array([residue(sorted(sums))])
    assert free_valence(bits)[0] == max(sums, default=0)
    assert fill_steps(bits)[0] == (FILL[min(sums)] if sums else 0)
    for order in (1, 2, 3):
        left = {s - order for s in sums if s >= order}
        assert bits[0] >> order == residue(sorted(left))


def test_filling_costs_what_the_shortest_continuation_costs():
    """FILL counts the tokens of the cheapest bonds that sum up to so many."""
    spelled = ["", "C", "=C", "#C", "(#C)C", "(#C)=C", "(#C)#C", "(#C)(#C)C", "(#C)(#C)=C"]
    assert tuple(map(len, spelled)) == FILL


@pytest.mark.parametrize("spelling", [*"CNOSPFIB", "Cl", "Br"])
def test_organic_atoms_take_anything_up_to_their_capacity(spelling):
    token = read_token(spelling)
    assert token is not None
    sums = set(range(organic_capacities()[spelling] + 1))
    assert token.capacity == residue(sorted(sums - {4} if spelling == "I" else sums))


@pytest.mark.parametrize(
    ("spelling", "sums"),
    [
        ("[NH+]", [3]),
        ("[O-]", [1]),
        ("[C@@H]", [3]),
        ("[C@H]", [3]),
        ("[13C]", [4]),
        ("[2H]", [1]),
        ("[Na+]", [0]),
        ("[S]", [2, 4, 6]),
        ("[NH4+]", [0]),
        ("[N+]", [4]),
    ],
)
def test_fused_bracket_atoms(spelling, sums):
    token = read_token(spelling)
    assert token is not None
    assert token.capacity == residue(sums)


@pytest.mark.parametrize(
    "spelling",
    ["[C+9]", "[Xx]", "[CH9]", "[H+2]", "[FH5]", "c", "*", "$", "-", ":", "[C:1]"],
)
def test_what_no_molecule_can_hold_is_no_atom(spelling):
    token = read_token(spelling)
    assert token is None or token.capacity == 0


@pytest.mark.parametrize(
    ("spelling", "fields"),
    [
        ("=", {"order": 2}),
        ("#", {"order": 3}),
        ("/", {"order": 1}),
        ("\\", {"order": 1}),
        ("7", {"number": 7, "digit": 7}),
        ("0", {"number": 0, "digit": 0}),
        ("%12", {"number": 12}),
        ("%4", {"tens": 4}),
        ("(", {"mark": "("}),
        (".", {"mark": "."}),
    ],
)
def test_other_tokens(spelling, fields):
    token = read_token(spelling)
    assert {name: getattr(token, name) for name in fields} == fields


def _walk(brackets, spellings):
    """The state after some tokens inside a bracket; None where one is refused."""
    state = 0
    for spelling in spellings:
        state = int(brackets.step[state, brackets.terminals.index(spelling)])
        if state < 0:
            return None
    return state


def _tokens(symbol, hydrogens, charge):
    """Tokens of a bracket atom."""
    h = [] if not hydrogens else ["H"] if hydrogens == 1 else [f"H{hydrogens}"]
    size = "" if abs(charge) == 1 else str(abs(charge))
    return [symbol, *h, *([("+" if charge > 0 else "-") + size] if charge else [])]


def test_the_automaton_of_brackets_has_the_capacities_of_the_table(brackets):
    for symbol, table in bracket_classes().items():
        for (hydrogens, charge), sums in table.items():
            state = _walk(brackets, _tokens(symbol, hydrogens, charge))
            assert state is not None, (symbol, hydrogens, charge)
            assert brackets.capacity[state] == residue(sums), (symbol, hydrogens, charge)


def test_the_automaton_of_brackets_refuses_what_is_not_in_the_table(brackets):
    charges = [int(f"{t[0]}{t[1:] or 1}") for t in brackets.terminals if t[0] in "+-"]
    for symbol in ("C", "N", "F", "H", "Fe", "Xe"):
        table = bracket_classes()[symbol]
        for hydrogens in range(7):
            for charge in [0, *charges]:
                state = _walk(brackets, _tokens(symbol, hydrogens, charge))
                capacity = 0 if state is None else brackets.capacity[state]
                assert bool(capacity) == ((hydrogens, charge) in table)


def test_isotopes_have_at_most_three_digits_and_begin_with_none_of_zero(brackets):
    assert _walk(brackets, ["1", "3", "C"]) == _walk(brackets, ["C"])
    assert _walk(brackets, ["2", "3", "8", "U"]) is not None
    assert _walk(brackets, ["1", "0", "C"]) is not None
    assert _walk(brackets, ["0", "C"]) is None
    assert _walk(brackets, ["1", "2", "3", "4", "C"]) is None


def test_chirality_leaves_the_capacity_alone(brackets):
    assert _walk(brackets, ["C", "@@", "H"]) == _walk(brackets, ["C", "H"])
    assert _walk(brackets, ["H", "@"]) is None


def test_closing_is_the_shortest_completion(brackets):
    """By brute force over what may follow, for atoms that must carry a bond of each order."""
    closing = brackets.closing()
    assert closing.shape == (len(brackets.capacity), 4, 2)
    carbon = _walk(brackets, ["C"])
    assert closing[carbon, 1, 0] == min(FILL[3], 1 + FILL[2], 1 + FILL[1], 1 + FILL[0])
    oxide = _walk(brackets, ["O", "-"])
    assert closing[oxide, 1, 0] == 0
    assert closing[oxide, 2, 0] == FORBIDDEN
    assert closing[oxide, 1, 1] == FORBIDDEN  # nothing is left for an open ring
    # Some completion of a bracket that has just been opened carries any bond.
    assert (closing[0] < FORBIDDEN).all()


def test_costs_fit_their_type(grammar):
    table = attribute_table.build(grammar)
    assert table.cost.shape[1] == grammar.size
    legal = table.cost[table.cost < FORBIDDEN].astype(int)
    assert legal.min() > -MAX_SLACK
    assert legal.max() < MAX_SLACK
    assert 2 * FORBIDDEN < 128
    assert FORBIDDEN + legal.min() > MAX_SLACK
    assert (table.base < FORBIDDEN).all()


def test_every_rule_has_a_meaning_inside_or_outside_brackets(grammar, brackets):
    for index, token in enumerate(rule_tokens(grammar)):
        first = grammar.rules[index].rhs[:1]
        inside = first and brackets.step[:, -1 - first[0]].max() >= 0
        assert token is not None or inside, grammar.rule_text(index)


def test_atoms_that_lengthen():
    sums = [[], [0], [0, 1], [1], [2], [0, 2], [0, 1, 2, 3]]
    found = lengthens(np.array([residue(s) for s in sums]))
    assert found.tolist() == [False, False, True, True, True, False, True]
