"""Text and derivation are the same thing: NLTK agrees, and spelling undoes deriving."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.grammar.cfg import Grammar
from molae.grammar.derivation import (
    DerivationError,
    Deriver,
    SpellingError,
    derive,
    spell,
    tokenize,
)
from molae.resources import grammar_text

ZINC = Grammar.from_text(grammar_text("zinc"), "zinc")
EQUATION = Grammar.from_text(grammar_text("equation"), "equation")

MOLECULES = [
    "CCO",
    "CC(=O)Oc1ccccc1C(=O)O",  # aspirin
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",  # caffeine
    "C[C@H](N)C(=O)O",
    "ClC/C=C\\CBr",
    "N#Cc1ccc(F)cc1",
    "C[NH+]1CCN(C)CC1",
    "O=S(=O)([O-])c1ccsc1",
    "[O-][N+](=O)c1ccccc1I",
    "C[C@@]1(O)CC[C@@H]2CC=C12",
    "CP(C)(=S)OC1CCCCC-1",
    "[13CH4]",
]
EXPRESSIONS = [
    "x",
    "1 + x",
    "x * 2 / 3",
    "sin ( x )",
    "exp ( x ) + sin ( 1 )",
    "( x + 1 ) * ( x )",
    "1 / 3 + ( x ) + sin ( x * x )",
    "sin ( exp ( x ) )",
    "x + x + ( x ) + ( x + x )",
    "3 * exp ( ( x / 2 ) )",
    "x/1+sin(3)+sin(x*x)",
    "( ( 2 ) )",
]


@pytest.fixture(scope="module")
def reference():
    """NLTK's own parser of a grammar, and its rules' ids."""
    from nltk import CFG, ChartParser

    made = {}
    for grammar in (ZINC, EQUATION):
        parsed = CFG.fromstring(grammar.text)
        made[grammar.name] = ChartParser(parsed), parsed.productions()
    return made


@pytest.mark.parametrize(
    ("grammar", "text"),
    [(ZINC, text) for text in MOLECULES] + [(EQUATION, text) for text in EXPRESSIONS],
)
def test_rule_for_rule_as_nltk(grammar, text, reference):
    parser, productions = reference[grammar.name]
    words = [grammar.terminals[token.terminal] for token in tokenize(grammar, text)]
    (tree,) = parser.parse(words)  # one tree: the text is not ambiguous
    rules = derive(grammar, text)
    assert rules == [productions.index(p) for p in tree.productions()]
    assert spell(grammar, rules) == text.replace(" ", "")


def test_left_most_order():
    rules = [EQUATION.rule_text(i) for i in derive(EQUATION, "x+1")]
    assert rules == ["S -> S '+' T", "S -> T", "T -> 'x'", "T -> '1'"]


def _random_derivation(grammar, seed, limit):
    """A left-most derivation drawn uniformly by rule, that turns short after ``limit`` rules."""
    rng = np.random.default_rng(seed)
    rules, stack = [], [grammar.start]
    while stack:
        symbol = stack.pop()
        if symbol < 0:
            continue
        choices = [i for i in grammar.by_lhs(symbol) if grammar.finite[i]]
        if len(rules) >= limit:
            cost = [
                sum(grammar.min_steps[s] for s in grammar.rules[i].rhs if s >= 0) for i in choices
            ]
            choices = [i for i, c in zip(choices, cost, strict=True) if c == min(cost)]
        rules.append(int(rng.choice(choices)))
        stack.extend(reversed(grammar.rules[rules[-1]].rhs))
    return rules


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.integers(0, 25))
def test_deriving_undoes_spelling(seed, limit):
    rules = _random_derivation(EQUATION, seed, limit)
    assert derive(EQUATION, spell(EQUATION, rules)) == rules


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.integers(0, 60))
def test_deriving_undoes_spelling_of_smiles(seed, limit):
    rules = _random_derivation(ZINC, seed, limit)
    text = spell(ZINC, rules)
    assert spell(ZINC, derive(ZINC, text)) == text


AWKWARD = [
    "S -> A B 'c' | B\nA -> 'a' A |\nB -> A 'b' | ",
    "S -> S S | 'a' | ",
    "S -> A S 'b' | A\nA -> | 'a' | A A",
    "S -> X X X 'c' | S\nX -> Y | 'a'\nY -> | 'b' | X",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_empty_rules_loops_and_ambiguity(text):
    from nltk import CFG
    from nltk.parse.chart import LeafEdge, TopDownChartParser

    grammar = Grammar.from_text(text)
    deriver, parser = Deriver(grammar), TopDownChartParser(CFG.fromstring(text))
    for length in range(5):
        for words in itertools.product(grammar.terminals, repeat=length):
            edges = parser.chart_parse(list(words)).edges()
            member = any(
                edge.is_complete()
                and not isinstance(edge, LeafEdge)
                and edge.span() == (0, length)
                and str(edge.lhs()) == "S"
                for edge in edges
            )
            try:
                rules = deriver("".join(words))
            except DerivationError:
                assert not member
            else:
                assert member
                assert spell(grammar, rules) == "".join(words)


def test_of_several_derivations_the_shortest_then_the_first():
    grammar = Grammar.from_text(
        "S -> A | B | 'a' 'b' 'c'\nA -> 'a' C\nB -> 'a' C\nC -> 'b' 'c' | 'b'"
    )
    assert derive(grammar, "abc") == [2]
    assert grammar.rule_text(derive(grammar, "ab")[0]) == "S -> A"
    doubled = Grammar.from_text("S -> 'a' | 'a'")
    assert derive(doubled, "a") == [0]


@pytest.mark.parametrize(
    ("grammar", "text", "position", "token", "expected"),
    [
        (ZINC, "CC(=O", 5, "", "')'"),
        (ZINC, "CC)C", 2, ")", "end"),
        (ZINC, "CCXC", 2, "X", "'C'"),
        (ZINC, "C[NH", 4, "", "']'"),
        (ZINC, "", 0, "", "'C'"),
        (ZINC, "C C", 1, " ", "end"),
        (EQUATION, "x + ", 4, "", "'sin'"),
        (EQUATION, "x + + x", 4, "+", "'x'"),
        (EQUATION, "sin x", 4, "x", "'('"),
        (EQUATION, "x + y", 4, "y", "'x'"),
    ],
)
def test_errors_point_at_the_place(grammar, text, position, token, expected):
    with pytest.raises(DerivationError) as caught:
        derive(grammar, text)
    error = caught.value
    assert (error.position, error.token) == (position, token)
    assert expected in error.expected
    message = str(error).split("\n")
    assert message[1] == f"  {text}"
    assert message[2] == " " * (position + 2) + "^"
    again = copy.copy(error)
    assert (str(again), again.text) == (str(error), text)


def test_expected_is_what_goes_on():
    with pytest.raises(DerivationError) as caught:
        derive(EQUATION, "sin x")
    assert caught.value.expected == ("'('",)
    with pytest.raises(DerivationError) as caught:
        derive(EQUATION, "x )")
    assert caught.value.expected == ("'*'", "'+'", "'/'", "end")


def test_long_texts_are_shown_around_the_caret():
    with pytest.raises(DerivationError) as caught:
        derive(EQUATION, "x+" * 100 + "+" + "x" * 100)
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 100
    assert shown[caret.index("^")] == "+"
    assert caught.value.position == 200


def test_maximal_munch():
    grammar = Grammar.from_text("S -> 'C' S | 'Cl' S | 'l' S | '@' S | '@@' S | ")
    words = [grammar.terminals[token.terminal] for token in tokenize(grammar, "CCl@@@C")]
    assert words == ["C", "Cl", "@@", "@", "C"]


def test_blanks_that_are_tokens_are_kept():
    grammar = Grammar.from_text("S -> 'a' ' ' S | 'a'")
    assert spell(grammar, derive(grammar, "a a")) == "a a"


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ([], "incomplete"),
        ([0], "incomplete"),
        ([7], "left-most"),
        ([3, 7, 7], "complete already"),
        ([99], "no rule 99"),
        ([-1], "no rule -1"),
    ],
)
def test_spelling_wants_a_whole_derivation(rules, word):
    with pytest.raises(SpellingError, match=word):
        spell(EQUATION, rules)
