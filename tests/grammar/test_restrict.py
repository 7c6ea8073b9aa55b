"""Restricted grammars: small, complete, and alike letter for letter."""

from __future__ import annotations

import pytest

from molae.chem.molecules import kekule
from molae.grammar.machine import GrammarConstraint
from molae.grammar.parser import deterministic_parser
from molae.grammar.restrict import CORE, TOKEN, restricted, tokens_in, tokens_of


def rules(grammar):
    return {grammar.rule_text(index) for index in range(grammar.size)}


def test_tokens_spell_the_text(real_molecules):
    for text in map(kekule, real_molecules):
        assert "".join(TOKEN.findall(text)) == text
    assert tokens_of(["[C@@H]1CCl%12", "BrB"]) == {"[C@@H]", "1", "C", "Cl", "%12", "Br", "B"}


def test_grammar_parses_what_it_was_made_of(real_molecules):
    texts = [kekule(text) for text in real_molecules]
    grammar = restricted(tokens_of(texts))
    parser = deterministic_parser(grammar)
    assert parser is not None
    parsed = parser.parse(texts)
    assert parsed.failures == {}
    # One rule a token, and one that ends the molecule.
    assert (parsed.rules >= 0).sum(1).tolist() == [len(TOKEN.findall(t)) + 1 for t in texts]


@pytest.mark.parametrize(
    ("few", "more"),
    [
        ((), ("N", "O")),
        (("N", "[O-]"), ("N", "[O-]", "[NH+]", ".", "/")),
        (("Cl", "3"), ("Cl", "7", "\\")),
        (("1",), ("%11",)),
    ],
)
def test_rules_in_common_are_the_same_letter_for_letter(few, more):
    small, large = restricted(few), restricted(more)
    assert rules(small) < rules(large)
    assert small.nonterminals == large.nonterminals


def test_the_grammar_does_not_depend_on_the_order_of_tokens():
    tokens = ["[O-]", "N", "[NH+]", "3", "Br", "/", "."]
    assert restricted(tokens).digest == restricted(tokens[::-1] + tokens).digest


def test_tokens_go_round():
    grammar = restricted({"N", "[O-]", "%10", "."})
    assert restricted(tokens_in(grammar)).digest == grammar.digest
    assert set(map(str, range(1, 10))) <= tokens_in(grammar)


def test_core_is_always_there_and_ends_every_molecule():
    grammar = restricted([])
    assert tokens_in(grammar) == CORE
    for steps in (2, 3, 8):
        state = GrammarConstraint(grammar, steps)
        assert state.allowed(state.start(1)).any()


@pytest.mark.parametrize("token", ["[CH9]", "[Xx]", "*", "c", "$", "[C:1]"])
def test_tokens_that_no_molecule_can_hold_are_left_out(token):
    assert restricted([token]).digest == restricted([]).digest


def test_spelling_is_kekule():
    assert restricted([]).directives == {"spelling": "kekule"}
