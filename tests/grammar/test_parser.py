"""The deterministic parser and its lexer, against slow and simple ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.chem.molecules import kekule
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import derive
from molae.grammar.lexer import Lexer
from molae.grammar.parser import Parser, deterministic_parser
from molae.resources import grammar_text

MOLECULES = (
    "C",
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "F/C=C/F",
    "C[C@H](N)C(=O)[O-].[Na+]",
    "[13CH3][N+](C)(C)C",
    "C%10CCCCC%10",
    "OB(O)c1ccccc1",
    "C#CC#N",
    "ClC(Br)I",
    "O=S(=O)(N)c1ccc(N)cc1",
    "[2H]OC.[Zn+2].C[Si](C)(C)[Se]C",
)


TERMINALS = Grammar.from_text(grammar_text("smiles")).terminals


@pytest.fixture(scope="module")
def grammar():
    return Grammar.from_text(grammar_text("smiles"))


@pytest.fixture(scope="module")
def parser(grammar):
    return Parser(grammar)


def _production(grammar, index):
    """A rule as NLTK has it."""
    from nltk import Nonterminal, Production

    rule = grammar.rules[index]
    right = [
        Nonterminal(grammar.nonterminals[s]) if s >= 0 else grammar.terminals[-1 - s]
        for s in rule.rhs
    ]
    return Production(Nonterminal(grammar.nonterminals[rule.lhs]), right)


def _left_most(tree):
    """Productions of a tree in the order of a left-most derivation."""
    return tree.productions()


def test_derivations_are_those_of_nltk_rule_for_rule(grammar, parser):
    from nltk import CFG, ChartParser

    chart = ChartParser(CFG.fromstring(grammar.text))
    texts = [kekule(text) for text in MOLECULES]
    parsed = parser.parse(texts)
    assert parsed.failures == {}
    for row, text in enumerate(texts):
        ids = parser.lexer.read([text]).ids[0]
        words = [grammar.terminals[i] for i in ids]
        assert "".join(words) == text
        trees = list(chart.parse(words))
        assert len(trees) == 1
        rules = parsed.rules[row][parsed.rules[row] >= 0]
        assert [_production(grammar, r) for r in rules] == _left_most(trees[0])


def test_many_together_equal_one_by_one(parser, real_molecules):
    texts = [kekule(text) for text in real_molecules[:80]]
    together = parser.parse(texts).rules
    for row, text in enumerate(texts):
        alone = parser.parse([text]).rules[0]
        assert np.array_equal(together[row][together[row] >= 0], alone[alone >= 0])


@pytest.mark.parametrize(
    ("text", "place", "token", "expected"),
    [
        ("CC(C", 4, "", ")"),
        ("CC)C", 2, ")", "end of text"),
        ("C(=O)(", 6, "", "C"),
        ("Cc1ccccc1", 1, "c", "="),
        ("C==C", 2, "=", "C"),
        ("", 0, "", "C"),
        ("=C", 0, "=", "C"),
        ("C[Na", 4, "", "]"),
        ("CC*", 2, "*", "."),
        ("C%1", 3, "", "0"),
        ("C[N+5+]", 5, "+", "]"),
        ("CO\u00e9", 2, "\u00e9", "N"),
    ],
)
def test_failures_name_place_token_and_what_was_expected(parser, text, place, token, expected):
    parsed = parser.parse(["CC", text, "CO"])
    assert list(parsed.failures) == [1]
    failure = parsed.failures[1]
    assert failure.place == place
    assert failure.token == token
    assert expected in failure.expected
    assert f"position {place + 1}" in str(failure)
    assert (parsed.rules[0] >= 0).sum() == (parsed.rules[2] >= 0).sum() == 3


def test_a_bracket_atom_that_is_no_token_is_named_as_a_whole():
    """Models have the bracket atoms of their data as single tokens."""
    some = Parser(Grammar.from_text("S -> 'C' S | '[nH]' S | ", "some.cfg"))
    parsed = some.parse(["C[nH]C", "CC[Si]C", "C[Si", "C]"])
    found = {row: (failure.place, failure.token) for row, failure in parsed.failures.items()}
    assert found == {1: (2, "[Si]"), 2: (1, "["), 3: (1, "]")}


def test_nothing_to_parse(parser):
    parsed = parser.parse([])
    assert len(parsed.rules) == 0
    assert parsed.failures == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("S -> 'a' S | 'a'", "not deterministic"),
        ("S -> S 'a' | 'b'", "not deterministic"),
    ],
)
def test_grammars_that_need_another_parser(text, why):
    grammar = Grammar.from_text(text + "\n")
    with pytest.raises(ValueError, match=why):
        Parser(grammar)
    assert deterministic_parser(grammar) is None


@pytest.mark.parametrize(("name", "has"), [("smiles", True), ("zinc", False), ("equation", False)])
def test_which_shipped_grammars_are_deterministic(name, has):
    grammar = Grammar.from_text(grammar_text(name))
    assert (deterministic_parser(grammar) is not None) is has


def naive(terminals, text):
    """Maximal munch, one byte after the other: pairs of terminal and place, and where it stuck."""
    raw, place, found = text.encode(), 0, []
    while place < len(raw):
        fits = [i for i, t in enumerate(terminals) if t and raw.startswith(t.encode(), place)]
        if not fits:
            return found, place
        best = max(fits, key=lambda i: len(terminals[i].encode()))
        found.append((best, place))
        place += len(terminals[best].encode())
    return found, -1


def assert_same_tokens(terminals, texts):
    tokens = Lexer(terminals).read(texts)
    for row, text in enumerate(texts):
        found, stuck = naive(terminals, text)
        n = len(found)
        assert list(zip(tokens.ids[row, :n], tokens.places[row, :n], strict=True)) == found
        assert (tokens.ids[row, n:] == -1).all()
        assert tokens.stuck[row] == stuck


@given(
    terminals=st.lists(st.text("abc\u00e9", min_size=1, max_size=4), unique=True, max_size=6),
    texts=st.lists(st.text("abc\u00e9d", max_size=12), max_size=4),
)
def test_lexer_is_maximal_munch(terminals, texts):
    assert_same_tokens(terminals, texts)


@settings(max_examples=40)
@given(st.lists(st.text("CNlBr[]()=#123%0.@H+-", max_size=20), min_size=1, max_size=4))
def test_lexer_is_maximal_munch_on_the_tokens_of_smiles(texts):
    assert_same_tokens(TERMINALS, texts)


def _parsed(text, sentence):
    parsed = Parser(Grammar.from_text(text)).parse([sentence])
    return [r for r in parsed.rules[0].tolist() if r >= 0], parsed.failures


def test_an_empty_rule_is_taken_where_what_follows_may_follow():
    text = "S -> 'a' T U\nT -> 'b' | \nU -> 'c'\n"
    grammar = Grammar.from_text(text)
    for sentence in ("ac", "abc"):
        rules, failures = _parsed(text, sentence)
        assert not failures
        assert rules == derive(grammar, sentence)


def test_rules_that_begin_with_a_non_terminal_and_end_with_a_terminal():
    text = "S -> A 'b' B 'd'\nA -> 'a' | 'x' A 'y'\nB -> \n"
    grammar = Grammar.from_text(text)
    for sentence in ("abd", "xxayybd"):
        rules, failures = _parsed(text, sentence)
        assert not failures
        assert rules == derive(grammar, sentence)
    assert _parsed(text, "xabd")[1][0].expected == ("y",)


def test_blanks_mean_nothing_in_plain_texts():
    text = "S -> '1' T\nT -> '+' S | \n"
    rules, failures = _parsed(text, " 1 +\t1 ")
    assert not failures
    assert rules == _parsed(text, "1+1")[0]
