"""The report finds what is there, and only that."""

from __future__ import annotations

import pytest

from molae.grammar.cfg import Grammar
from molae.grammar.report import report
from molae.resources import grammar_text


def _report(text):
    return report(Grammar.from_text(text, "test.cfg"))


def test_a_clean_greibach_grammar():
    found = _report("S -> 'a' S B | 'b'\nB -> 'c' |\n")
    assert found.greibach
    assert found.empty_rules == 1
    assert (found.shortest, found.longest) == (1, None)
    assert found.unreachable == found.unproductive == ()
    assert found.left_recursion == found.loops == found.duplicates == ()


def test_look_ahead_sees_through_empty_rules():
    # After S -> 'a' S B, a 'c' may end B's first or begin the next: FIRST and FOLLOW meet at 'c'.
    found = _report("S -> 'a' S B | 'b'\nB -> 'c' |\n")
    assert found.conflict is not None
    assert (found.conflict.token, found.conflict.rules) == ("'c'", (2, 3))
    assert _report("S -> 'a' B\nB -> 'c' |\n").deterministic


def test_first_conflict_is_named():
    found = _report("S -> 'x' A | 'y'\nA -> 'a' 'b' | 'a' 'c'")
    assert not found.deterministic
    assert str(found.conflict) == "at 'a' both 'A -> 'a' 'b'' and 'A -> 'a' 'c'' may replace A"


def test_lengths_of_a_finite_grammar():
    found = _report("S -> A 'b' | 'c' A A\nA -> | 'a'")
    assert (found.shortest, found.longest) == (2, 3)


def test_recursion_that_cannot_end_sets_no_length():
    found = _report("S -> 'a' | L\nL -> 'x' L")
    assert (found.shortest, found.longest) == (1, 1)
    assert found.unproductive == ("L",)


def test_a_grammar_of_nothing():
    found = _report("S -> 'a' S")
    assert not found.generates
    assert (found.shortest, found.longest) == (None, None)
    assert "can never be finished" in str(found)


def test_faults():
    found = _report("S -> A S 'b' | A\nA -> | 'a' | A A | 'a'\nB -> B 'x'")
    assert found.unreachable == ("B",)
    assert found.unproductive == ("B",)
    assert found.left_recursion == (("S", "S"), ("A", "A"), ("B", "B"))  # S too: A can be nothing
    assert found.loops == (("A", "A"),)
    assert found.duplicates == ("A -> 'a'",)


def test_indirect_left_recursion():
    found = _report("S -> A 'x' | 'x'\nA -> C\nC -> S 'y'")
    assert found.left_recursion == (("S", "A", "C", "S"),)
    assert found.loops == ()


@pytest.mark.parametrize(
    ("name", "rules", "shortest", "recursive"),
    [("zinc", 76, 5, True), ("equation", 11, 2, True)],
)
def test_published_grammars(name, rules, shortest, recursive):
    found = _report(grammar_text(name))
    assert (found.rules, found.shortest, found.longest) == (rules, shortest, None)
    assert bool(found.left_recursion) == recursive
    assert not found.deterministic


def test_lines_are_plain_text():
    for line in _report(grammar_text("zinc")).lines():
        assert "\n" not in line
        assert line == line.strip()
