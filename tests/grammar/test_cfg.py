"""The rule table says what the text says, and errors point at the place."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest

from molae.grammar.cfg import NEVER, Grammar, GrammarError
from molae.resources import grammar_names, grammar_text

SMALL = """
#: spelling = text
#: note = any words
# a comment
S -> 'a' S B | B
B -> "it's" | \\
     'b'
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_table_follows_the_text():
    grammar = Grammar.from_text(SMALL, "small.cfg")
    texts = [grammar.rule_text(i) for i in range(grammar.size)]
    assert texts == ["S -> 'a' S B", "S -> B", 'B -> "it\'s"', "B -> 'b'"]
    assert grammar.nonterminals == ("S", "B")
    assert grammar.terminals == ("a", "it's", "b")
    assert grammar.rules[0].rhs == (-1, 0, 1)
    assert grammar.by_lhs(1) == [2, 3]
    assert grammar.min_steps.tolist() == [2, 1]
    assert grammar.directives == {"spelling": "text", "note": "any words"}
    assert grammar.name == "small.cfg"


def test_start_and_empty_rules():
    grammar = Grammar.from_text("%start B\nA -> 'a'\nB -> A |\n")
    assert grammar.nonterminals[grammar.start] == "B"
    assert grammar.rule_text(2) == "B ->"
    assert grammar.min_steps.tolist() == [1, 1]


@pytest.mark.parametrize("name", grammar_names())
def test_shipped_grammars_agree_with_nltk(name):
    from nltk import CFG

    grammar = Grammar.from_text(grammar_text(name), name)
    parsed = CFG.fromstring(grammar.text)
    written = [
        " ".join([str(p.lhs()), "->", *(_spell(s) for s in p.rhs())]) for p in parsed.productions()
    ]
    assert [grammar.rule_text(i) for i in range(grammar.size)] == written
    assert str(parsed.start()) == grammar.nonterminals[grammar.start]
    heads = [f"#: {key} = {value}" for key, value in grammar.directives.items()]
    assert Grammar.from_text("\n".join(heads + written), name).rules == grammar.rules


def _spell(symbol):
    if not isinstance(symbol, str):
        return str(symbol)
    return f'"{symbol}"' if "'" in symbol else f"'{symbol}'"


def test_zinc_is_the_published_table():
    grammar = Grammar.from_text(grammar_text("zinc"))
    assert grammar.size == 76  # padding included, as the paper counts
    assert np.flatnonzero(~grammar.finite).tolist() == [29, 31, 75]  # the masked ones, the padding
    assert grammar.rule_text(29) == "BACH -> charge class"


def test_rules_without_an_end():
    grammar = Grammar.from_text("S -> 'a' | L\nL -> 'x' L")
    assert grammar.min_steps.tolist() == [1, NEVER]
    assert grammar.finite.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("S -> 'a\n", 1, 6, "does not end"),
        ("S 'a'", 1, 3, "expected '->'"),
        ("S->'a'", 1, 2, "blank in front"),
        ("-> 'a'", 1, 1, "left side"),
        ("S -> 'a'\nS -> ''", 2, 6, "empty terminal"),
        ("S -> 'a' # why", 1, 10, "line of its own"),
        ("S -> 'a' -> 'b'", 1, 10, "second '->'"),
        ("S -> 'a' [0.5]", 1, 10, "probabilities"),
        ("S -> 'a' ;", 1, 10, "got ';'"),
        ("S -> 'a' \\\n | ?", 2, 4, "got '?'"),
        ("S -> 'a' SUM\nSUN -> 'b'", 1, 10, "did you mean SUN"),
        ("S -> 'a' \\", 1, 9, "joins nothing"),
        ("%begin S\nS -> 'a'", 1, 1, "%start"),
        ("%start T\nS -> 'a'", 1, 8, "no rule"),
        ("#: spelling = smiles\nS -> 'a'", 1, 15, "kekule, aromatic, text"),
    ],
)
def test_errors_point_at_the_place(text, line, column, word):
    with pytest.raises(GrammarError) as caught:
        Grammar.from_text(text, "my.cfg")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    message = str(error).split("\n")
    assert message[0].startswith(f"my.cfg:{line}:{column}: ")
    assert word in message[0]
    assert message[1].strip() == text.split("\n")[line - 1].strip()
    assert message[2].index("^") == column - 1 + 2  # two blanks of indentation
    assert str(copy.copy(error)) == str(error)  # comes back from a worker whole


def test_tabs_keep_the_caret_in_place():
    with pytest.raises(GrammarError) as caught:
        Grammar.from_text("\tS -> 'a' ;")
    assert str(caught.value).split("\n")[2] == "  \t         ^"


def test_empty_text():
    with pytest.raises(GrammarError, match="no rule found"):
        Grammar.from_text("# nothing here\n")


def test_saved_and_read_again():
    grammar = Grammar.from_text(SMALL, "small")
    again = Grammar.from_dict(json.loads(json.dumps(grammar.to_dict())))
    assert (again.rules, again.digest, again.name) == (grammar.rules, grammar.digest, "small")
    with pytest.raises(GrammarError, match="damaged"):
        Grammar.from_dict({**grammar.to_dict(), "text": SMALL + "S -> 'c'\n"})
    with pytest.raises(GrammarError, match="lacks digest"):
        Grammar.from_dict({"text": SMALL})


def test_cache_spares_nltk_and_is_not_believed_when_damaged(cache):
    Grammar.from_text(SMALL)
    (file,) = cache.rglob("*.json")
    code = (
        "import sys; from molae.grammar.cfg import Grammar; "
        f"g = Grammar.from_text({SMALL!r}); print(g.size, 'nltk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]
    for damage in ("{", "[]", '{"start": 9, "nonterminals": ["S"], "terminals": [], "rules": []}'):
        file.write_text(damage)
        assert Grammar.from_text(SMALL).size == 4


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("MOLAE_CACHE", str(blocked))
    assert Grammar.from_text(SMALL).size == 4
