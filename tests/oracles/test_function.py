import math
import pickle
import subprocess
import sys

import pytest

from molae.oracles.base import Answer
from molae.oracles.function import Function

SCORES = """
import dataclasses, sys
import neighbour

calls = []

@dataclasses.dataclass
class Result:
    value: float

class Holder:
    @staticmethod
    def method(texts):
        return (neighbour.one(text) for text in texts)

def lengths(texts):
    calls.append(list(texts))
    if "bad" in texts:
        raise ValueError("a bad one")
    if "exit" in texts:
        sys.exit(4)
    return [Result(len(text)).value for text in texts]

def dicts(texts):
    return [{"score": len(text), "first": ord(text[0])} for text in texts]

dicts.parts = ("first", "second")

def few(texts):
    return [1.0 for text in texts if text != "lost"]

def single(texts):
    return 1.0

def one_dict(texts):
    return {"score": 1.0}

def odd(texts):
    values = {"none": None, "nan": float("nan"), "inf": float("inf"), "word": "high",
              "keys": {"value": 1}, "part": {"score": 1, "pose": "up"}, "many": [1, 2]}
    return [values.get(text, 1) for text in texts]

number = 3

def misdeclared(texts):
    return [0.0]

misdeclared.parts = "first"
"""


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.py"
    path.write_text(SCORES)
    (tmp_path / "neighbour.py").write_text("def one(text):\n    return len(text) + 0.5\n")
    return path


def test_numbers(scores):
    oracle = Function(f"{scores}:lengths")
    assert oracle.name == f"{scores}:lengths"
    assert oracle.columns == ()
    assert oracle.answer(["C", "CCO"]) == [Answer(1), Answer(3)]
    assert oracle.answer([]) == []


def test_a_generator_of_a_method_and_a_module_beside_the_file(scores):
    assert Function(f"{scores}:Holder.method").answer(["CC"]) == [Answer(2.5)]


def test_dicts_with_parts(scores):
    oracle = Function(f"{scores}:dicts")
    assert oracle.columns == ("first", "second")
    (answer,) = oracle.answer(["A"])
    assert answer.score == 1
    assert list(answer.parts) == ["first", "second"]
    assert answer.parts["first"] == 65
    assert math.isnan(answer.parts["second"])


@pytest.mark.parametrize(
    ("bad", "error"), [("bad", "ValueError: a bad one"), ("exit", "SystemExit: 4")]
)
def test_an_exception_costs_one_text(scores, bad, error):
    answers = Function(f"{scores}:lengths").answer(["C", bad, "CCO"])
    assert [answer.error for answer in answers] == [None, error, None]
    assert [answers[0].score, answers[2].score] == [1, 3]


def test_a_wrong_number_of_results_costs_one_text(scores):
    answers = Function(f"{scores}:few").answer(["C", "lost", "CC"])
    assert [answer.failed for answer in answers] == [False, True, False]
    assert answers[1].error.endswith("returned 0 results; expected a list of 1 numbers or dicts")


@pytest.mark.parametrize("name", ["single", "one_dict"])
def test_something_else_than_a_list(scores, name):
    (answer,) = Function(f"{scores}:{name}").answer(["C"])
    assert "returned" in answer.error
    assert "expected a list of 1 numbers" in answer.error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("none", "score is None, expected a number"),
        ("nan", "the score is nan"),
        ("inf", "the score is inf"),
        ("word", "score is 'high', expected a number"),
        ("keys", "returned a dict without 'score', with value"),
        ("part", "pose is 'up', expected a number"),
        ("many", "score is [1, 2], expected a number"),
    ],
)
def test_a_wrong_result_costs_its_text(scores, text, error):
    good, bad = Function(f"{scores}:odd").answer(["C", text])
    assert good.score == 1
    assert error in bad.error
    assert math.isnan(bad.score)


def test_an_installed_module():
    assert Function("math:fsum").name == "math:fsum"
    (answer,) = Function("statistics:mean").answer(["C"])
    assert answer.failed  # it takes numbers


def test_a_module_in_the_current_folder(scores):
    code = (
        "from molae.oracles.function import Function;"
        "print(Function('scores:lengths').answer(['CCO'])[0].score)"
    )
    out = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=scores.parent, capture_output=True, text=True
    )
    assert out.stdout.strip() == "3.0", out.stderr


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("{folder}/none.py:f", "there is no such file"),
        ("{folder}/scores.py:length", "did you mean 'lengths'"),
        ("{folder}/scores.py:number", "is of type int, expected a function"),
        ("{folder}/scores.py:misdeclared", "expected a list of names"),
        ("{folder}/broken.py:f", "cannot be imported: SyntaxError"),
        ("{folder}/stops.py:f", "cannot be imported: SystemExit: 1"),
        ("{folder}/needs.py:f", "cannot be imported: ModuleNotFoundError: No module named 'nil_'"),
        ("{folder}/empty.py:f", "it defines no function"),
        ("nil_package.nil:f", "there is no module 'nil_package'"),
        ("json.nil:f", "there is no module 'json.nil'"),
        ("json:loadz", "did you mean 'load' or 'loads'"),
        (":f", "expected package.module:function"),
        ("json", "expected package.module:function"),
    ],
)
def test_what_cannot_be_found_is_said_at_once(scores, target, problem):
    folder = scores.parent
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "stops.py").write_text("raise SystemExit(1)\n")
    (folder / "needs.py").write_text("import nil_\n")
    (folder / "empty.py").write_text("")
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the parameter is the match
        Function(target.format(folder=folder))
    assert problem in str(error.value)


def test_the_key_is_of_the_source(scores):
    before = Function(f"{scores}:lengths")
    assert Function(f"{scores}:lengths").key == before.key
    assert Function(f"{scores}:few").key != before.key
    scores.write_text(SCORES.replace("len(text))", "10 * len(text))"))
    after = Function(f"{scores}:lengths")
    assert after.key != before.key
    assert after.answer(["C"]) == [Answer(10)]


def test_a_copy_finds_the_function_again(scores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    oracle = Function("scores.py:lengths")
    oracle.answer(["C"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    copy = pickle.loads(pickle.dumps(oracle))
    assert copy.key == oracle.key
    assert copy.answer(["CC"]) == [Answer(2)]


def test_a_function_as_it_is():
    def lengths(texts):
        return [{"score": len(text), "first": ord(text[0])} for text in texts]

    lengths.parts = ("first",)
    oracle = Function(lengths)
    assert oracle.name.endswith("test_function:test_a_function_as_it_is.<locals>.lengths")
    assert oracle.columns == ("first",)
    assert oracle.answer(["CC"]) == [Answer(2, {"first": 67.0})]
    assert Function(lengths).key != oracle.key == oracle.key  # no cache may mix it up
    sent = pickle.loads(pickle.dumps(Function(math.fsum)))
    assert sent.name == "math:fsum"
    with pytest.raises(ValueError, match="the oracle is of type list; expected its name"):
        Function([1.0])
