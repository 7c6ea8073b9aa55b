"""The fast parser gives the only derivation or none, and asking it first changes nothing."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.grammar import bottom_up
from molae.grammar.bottom_up import BottomUp, bottom_up_parser
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import DerivationError, Deriver, spell
from molae.grammar.tokens import Tokenizer
from molae.resources import grammar_text

ZINC = Grammar.from_text(grammar_text("zinc"), "zinc")
EQUATION = Grammar.from_text(grammar_text("equation"), "equation")
ROOT = Path(__file__).resolve().parents[2]

ODD = [
    "C",
    "[13CH4]",
    "[118C]",
    "[12C@@H2-]C",
    "[C@@]",
    "[NH4+]",
    "[N+2]",
    "[S-12]",
    "[nH+]",
    "C-1CCC-1",
    "C=1CC=1",
    "C12CC1C2",
    "C1(=O)CC1",
    "C/C=C\\C",
    "c1ccccc1-c1ccccc1",
    "CC(C)(C)C(=O)(=O)C",
    "C(C(C(C(C(C)))))",
    "C(-C)(=C)(#C)",
    "ClCBr",
    "[BrH]",
    "C=1=1-1C",
]
WRONG = ("", "C(", "C)", "CC(=O", "C9", "[C", "[CH0]", "C.C", "C C", "Cé", "C=", "[Na+]", "C%10C")

#: Not LL(1), with few and with many doubts on the way; every text has one derivation.
CERTAIN = [
    "S -> S 'a' | 'b'",
    "S -> 'a' S 'a' | 'b' S 'b' | 'a' | 'b'",  # LR(k) for no k
    "S -> X 'a' | Y 'b'\nX -> 'a' X | 'a'\nY -> 'a' Y | 'a'",  # reduce or reduce: known at the end
    "S -> 'a' A 'a' | 'b' A 'b' | 'a' B 'b'\nA -> 'a'\nB -> 'a'",  # LALR would do, SLR does not
]
DOUBTFUL = [
    "S -> S S | 'a' | 'b'",
    "S -> A | B\nA -> 'a' A | 'a'\nB -> 'a' B | 'a' | 'b'",
    "S -> 'a' S | 'a' S 'b' S | 'b'",  # the dangling else
    "S -> A 'b' | 'a' B\nA -> 'a' | 'a'\nB -> 'b' | 'a'",
]


def outcome(derive, text):
    """The derivation, or all that the error says."""
    try:
        return derive(text)
    except DerivationError as error:
        return str(error), error.position, error.token, error.expected


def words_of(grammar, text):
    return [-1 - token.terminal for token in Tokenizer(grammar)(text)]


def trees(grammar, length):
    """By text, its derivations as ``nltk.ChartParser`` lists them; equal rules count once."""
    from nltk import CFG, ChartParser

    parsed = CFG.fromstring(grammar.text)
    parser, rules = ChartParser(parsed), parsed.productions()
    letters = [t for t in grammar.terminals if any(t in p.rhs() for p in rules)]
    return {
        "".join(text): {tuple(map(rules.index, t.productions())) for t in parser.parse(text)}
        for size in range(1, length + 1)
        for text in itertools.product(letters, repeat=size)
    }


def compare(grammar, length):
    """Hold both parsers to NLTK's on all short texts.

    Returns how many texts have one derivation, and for how many of them the fast one gave it.
    """
    fast, deriver = BottomUp(grammar), Deriver(grammar)
    chart = Deriver(grammar, chart_only=True)
    certain = answered = 0
    for text, found in trees(grammar, length).items():
        rules = fast.parse(words_of(grammar, text))
        assert rules is None or {tuple(rules)} == found, text  # the only one, or no answer
        certain += len(found) == 1
        answered += rules is not None
        assert outcome(deriver, text) == outcome(chart, text)
        assert not found or tuple(deriver(text)) in found
    return certain, answered


@pytest.mark.parametrize("text", CERTAIN)
def test_the_only_derivation_is_found(text):
    certain, answered = compare(Grammar.from_text(text), 6)
    assert certain == answered > 2


@pytest.mark.parametrize("text", DOUBTFUL)
def test_of_several_derivations_the_chart_parser_chooses(text):
    grammar = Grammar.from_text(text)
    assert any(len(found) > 1 for found in trees(grammar, 5).values())
    certain, answered = compare(grammar, 5)
    assert certain == answered


@st.composite
def grammars(draw):
    """Rules of one to three symbols over {S, A, B, a, b}: ambiguous or not, looping or not."""
    symbol = st.sampled_from(["S", "A", "B", "'a'", "'b'"])
    side = st.lists(symbol, min_size=1, max_size=3).map(" ".join)
    sides = [draw(st.lists(side, min_size=1, max_size=3)) for _ in "SAB"]
    sides[draw(st.integers(0, 2))].append("'a'")
    lines = [f"{name} -> {' | '.join(s)}" for name, s in zip("SAB", sides, strict=True)]
    return Grammar.from_text("\n".join(lines))


@settings(max_examples=60, deadline=None)
@given(grammar=grammars())
def test_random_grammars(grammar):
    if bottom_up_parser(grammar) is None:  # loops: every text goes to the chart
        with pytest.raises(ValueError, match="itself"):
            BottomUp(grammar)
    else:
        compare(grammar, 4)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("S -> 'a' S B | 'b'\nB -> 'c' |", "B can become nothing"),
        ("S -> A | 'a'\nA -> B | 'b'\nB -> S", "itself: "),
        ("S -> S | 'a'", "itself: S -> S"),
    ],
)
def test_grammars_that_it_does_not_take(text, why):
    grammar = Grammar.from_text(text)
    with pytest.raises(ValueError, match=why):
        BottomUp(grammar)
    assert bottom_up_parser(grammar) is None
    assert spell(grammar, Deriver(grammar)("b" if "'b'" in text else "a")) in ("a", "b")


def test_an_automaton_may_be_too_large(monkeypatch):
    states = BottomUp(ZINC).states
    monkeypatch.setattr(bottom_up, "STATES", states)
    assert BottomUp(ZINC).states == states
    monkeypatch.setattr(bottom_up, "STATES", states - 1)
    with pytest.raises(ValueError, match="more than"):
        BottomUp(ZINC)


def test_doubts_without_end_are_given_up():
    # Of 40 letters each may be A's or B's: 2 ** 39 derivations, all open until the end is read.
    side = "'a' A | 'a' B"
    both = Grammar.from_text(f"S -> {side}\nA -> {side} | 'a'\nB -> {side} | 'a'")
    assert BottomUp(both).parse(words_of(both, "a" * 40)) is None
    assert outcome(Deriver(both), "a" * 12) == outcome(Deriver(both, chart_only=True), "a" * 12)
    # One derivation, but any letter may be the middle: more than can be followed at once.
    mirror = Grammar.from_text(CERTAIN[1])
    assert BottomUp(mirror).parse(words_of(mirror, "a" * 31)) == [0] * 15 + [2]
    long = "a" * (2 * bottom_up.FORKS + 9)
    assert BottomUp(mirror).parse(words_of(mirror, long)) is None
    assert Deriver(mirror)(long) == [0] * (bottom_up.FORKS + 4) + [2]


def test_long_texts():
    certain = Grammar.from_text("S -> 'a' S | 'b'")
    assert BottomUp(certain).parse(words_of(certain, "a" * 20_000 + "b")) == [0] * 20_000 + [1]


@pytest.fixture(scope="module")
def zinc():
    """The fast parser of ``zinc.cfg``, and the chart alone."""
    return BottomUp(ZINC), Deriver(ZINC, chart_only=True)


def test_molecules_rule_for_rule_as_the_chart(zinc):
    fast, chart = zinc
    with gzip.open(ROOT / "data" / "demo.smi.gz", "rt", encoding="utf-8") as file:
        texts = [line.split()[0] for line in itertools.islice(file, 0, 30_000, 300)]
    for text in (*ODD, *texts):
        assert fast.parse(words_of(ZINC, text)) == chart(text), text


def test_real_molecules_come_out_as_before(zinc, real_molecules):
    both = Deriver(ZINC)
    for text in real_molecules[::2]:  # many of which zinc.cfg does not know
        assert outcome(both, text) == outcome(zinc[1], text)


def test_the_chart_is_not_asked_where_it_need_not_be():
    deriver = Deriver(ZINC)
    for text in ODD:
        assert spell(ZINC, deriver(text)) == text
    assert "_nltk_grammar" not in vars(deriver)
    with pytest.raises(DerivationError):
        deriver("C(")
    assert "_nltk_grammar" in vars(deriver)


@pytest.mark.parametrize("text", WRONG)
def test_errors_are_those_of_the_chart(zinc, text):
    said = outcome(Deriver(ZINC), text)
    assert said == outcome(zinc[1], text)
    assert isinstance(said, tuple)
    assert said[0].endswith("^")


def test_blanks_are_skipped_as_before():
    both = Deriver(EQUATION), Deriver(EQUATION, chart_only=True)
    for text in ("x*x+1", " sin ( x ) / 3 ", "exp(x)+(2)", "x + y", "x +", ")"):
        assert outcome(both[0], text) == outcome(both[1], text)


def test_the_chart_parser_has_no_clock(monkeypatch):
    from nltk.parse import earleychart

    ticks = itertools.count(0, 100)  # 100 s go by whenever the time is asked
    monkeypatch.setattr(earleychart, "perf_counter", lambda: float(next(ticks)), raising=False)
    assert spell(EQUATION, Deriver(EQUATION, chart_only=True)("x+(1)")) == "x+(1)"
    with pytest.raises(DerivationError):  # Earley's finds the place
        Deriver(EQUATION)("x+")
    with pytest.raises(DerivationError):
        Deriver(Grammar.from_text("S -> 'a' S |"))("b")


def test_parsers_of_older_nltk_take_no_limit(monkeypatch):
    from nltk.parse import earleychart

    kind = earleychart.IncrementalChartParser
    begin = kind.__init__

    def old(self, grammar, strategy=earleychart.BU_LC_INCREMENTAL_STRATEGY):
        begin(self, grammar, strategy)

    monkeypatch.setattr(kind, "__init__", old)
    assert Deriver(EQUATION, chart_only=True)("x") == [3, 7]
