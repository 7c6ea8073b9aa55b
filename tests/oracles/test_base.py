import math
import pickle

import pytest

from molae.oracles.base import Answer, Oracle, OracleError, each_alone, failure


class Lengths(Oracle):
    """The length of a text; of none that holds a question mark."""

    def __init__(self, version=1):
        self.version = version
        self.calls = []

    @property
    def name(self):
        return "lengths"

    @property
    def columns(self):
        return ()

    @property
    def settings(self):
        return {"version": self.version}

    def answer(self, texts):
        return each_alone(self._ask, texts)

    def _ask(self, texts):
        self.calls.append(list(texts))
        if any("?" in text for text in texts):
            raise KeyError("?")
        return [Answer(len(text)) for text in texts]


def test_a_score_is_finite_or_there_is_an_error():
    assert not Answer(1.5).failed
    for value in (math.nan, math.inf, -math.inf):
        answer = Answer(value, {"part": 2.0})
        assert answer.failed
        assert math.isnan(answer.score)
        assert answer.error == f"the score is {value}"
        assert answer.parts == {"part": 2.0}
    assert Answer(math.nan, {}, "timeout").error == "timeout"
    with pytest.raises(ValueError, match="choose one"):
        Answer(1.0, {}, "timeout")


def test_answers_can_be_sent_to_other_processes():
    answer = Answer(0.5, {"qed": 0.5})
    assert pickle.loads(pickle.dumps(answer)) == answer


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (OracleError("it is broken"), "it is broken"),
        (SystemExit(3), "SystemExit: 3"),
        ("requirement mw<500 is not met", "requirement mw<500 is not met"),
        ("x" * 1000, "x" * 297 + "..."),
    ],
)
def test_failures_are_one_line(error, line):
    assert failure(error).error == line
    assert math.isnan(failure(error, {"a": 1.0}).score)


def test_one_bad_text_costs_only_itself():
    oracle = Lengths()
    answers = oracle.answer(["a", "?", "abc"])
    assert [answer.error for answer in answers] == [None, "KeyError: '?'", None]
    assert [answers[0].score, answers[2].score] == [1, 3]
    assert oracle.calls == [["a", "?", "abc"], ["a"], ["?"], ["abc"]]
    assert oracle.answer(["ab", "b"]) == [Answer(2), Answer(1)]
    assert len(oracle.calls) == 5  # nothing failed, so nothing is asked twice
    assert oracle.answer([]) == []


def test_keys_change_with_whatever_may_change_a_score():
    assert Lengths().key == Lengths().key
    assert Lengths(1).key != Lengths(2).key
    other = type("Others", (Lengths,), {})
    assert other().key != Lengths().key
