import math
import pickle

import pytest

from molae.chem.requirements import parse_requirements
from molae.oracles import oracle
from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.required import Required


class Lengths(Oracle):
    """The length of a text, which is also its part ``tpsa``; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    @property
    def name(self):
        return "lengths"

    @property
    def columns(self):
        return ("tpsa", "own")

    def answer(self, texts):
        self.asked += texts
        return [
            failure("too odd", {"own": 1.0})
            if len(text) == 5
            else Answer(len(text), {"tpsa": -1.0, "own": 1.0})
            for text in texts
        ]


def test_only_what_meets_the_requirements_is_asked_about():
    inner = Lengths()
    required = Required(inner, parse_requirements(["mw<100, rings==0"]))
    texts = ["CCO", "C1CC1", "CCN", "CCCCCCCCCCC", "C1C", "CCCCC"]
    answers = required.answer(texts)
    assert inner.asked == ["CCO", "CCN", "CCCCC"]
    assert required.columns == ("mw", "rings", "tpsa", "own")
    assert [answer.error for answer in answers] == [
        None,
        "requirement rings==0 is not met",
        None,
        "requirement mw<100 is not met",
        "not a molecule: syntax: 'C1C'",
        "too odd",
    ]
    assert [answers[0].score, answers[2].score] == [3, 3]
    assert answers[0].parts["mw"] == pytest.approx(46.069, abs=1e-3)
    assert answers[0].parts["own"] == 1
    assert answers[1].parts["rings"] == 1
    assert answers[5].parts["mw"] == pytest.approx(72.15, abs=1e-2)
    assert all(math.isnan(answer.score) for answer in answers if answer.failed)


def test_parts_of_the_oracle_go_first_where_names_are_the_same():
    (answer,) = Required(Lengths(), parse_requirements(["tpsa<100"])).answer(["CCO"])
    assert answer.parts == {"tpsa": -1.0, "own": 1.0}


def test_filters_come_after_requirements():
    inner = Lengths()
    required = Required(inner, parse_requirements(["mw<150"]), ["brenk", "rings"])
    texts = ["CCO", "CC=O", "C1CCCCCCCC1", "CCCCCCCCCC=O"]
    answers = required.answer(texts)
    assert inner.asked == ["CCO"]
    assert required.columns == ("mw", "filter_brenk", "filter_rings", "tpsa", "own")
    assert [answer.error for answer in answers] == [
        None,
        "filter brenk: aldehyde",
        "filter rings: ring of more than 8 atoms",
        "requirement mw<150 is not met",
    ]
    passed = [(a.parts["filter_brenk"], a.parts["filter_rings"]) for a in answers]
    assert passed == [(1, 1), (0, 1), (1, 0), (0, 1)]
    with pytest.raises(ValueError, match="did you mean 'rings'"):
        Required(inner, [], ["ring"])


@pytest.mark.parametrize("text", ["qed", "median1", "nowhere"])
def test_all_oracles_take_filters(text, tmp_path):
    if text == "nowhere":
        (tmp_path / "own.py").write_text("def score(texts): return [1.0] * len(texts)\n")
        text = f"{tmp_path / 'own.py'}:score"
    plain, filtered = oracle(text), oracle(text, requirements=["mw<90"], filters=["brenk"])
    good, bad, large = filtered.answer(["CCO", "CC=O", "CCCCCCCC"])
    assert good.score == plain.answer(["CCO"])[0].score
    assert bad.error == "filter brenk: aldehyde"
    assert large.error == "requirement mw<90 is not met"
    assert (good.parts["filter_brenk"], bad.parts["filter_brenk"]) == (1, 0)
    assert len({plain.key, filtered.key, oracle(text, requirements=["mw<90"]).key}) == 3
    assert pickle.loads(pickle.dumps(filtered)).answer(["CC=O"]) == [bad]


def test_keys_and_copies():
    one = Required(Lengths(), parse_requirements(["mw<100"]))
    other = Required(Lengths(), parse_requirements(["mw<101"]))
    assert len({one.key, other.key, Lengths().key}) == 3
    assert one.name == "lengths"
    assert pickle.loads(pickle.dumps(one)).answer(["CCO"]) == one.answer(["CCO"])
