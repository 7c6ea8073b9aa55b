"""What was told: once each, with the last score, and failures as the worst."""

from __future__ import annotations

import math

import pytest
import torch

from molae.optimize.told import Told

NAN = math.nan


def told(*pairs):
    made = Told(2)
    for code, score in pairs:
        made.add(torch.tensor([code]), torch.tensor([score]))
    return made


def test_codes_are_kept_once_with_the_score_told_last():
    made = Told(2)
    z = torch.tensor([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]])
    made.add(z, torch.tensor([1.0, 5.0, 2.0]))
    made.add(z[1:2], torch.tensor([7.0]))
    assert made.z.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert made.y.tolist() == [2.0, 7.0]
    assert len(made) == 2


def test_a_failure_is_learnt_as_the_worst_that_was_seen():
    made = told(([0.0, 0.0], 3.0), ([1.0, 0.0], NAN), ([2.0, 0.0], -2.0))
    assert made.y[1].isnan()
    assert made.learnt.tolist() == [3.0, -2.0, -2.0]


def test_a_failure_that_is_told_a_number_later_has_that_number():
    assert told(([0.0, 0.0], NAN), ([0.0, 0.0], 4.0)).y.tolist() == [4.0]


def test_nothing_but_failures():
    assert told(([0.0, 0.0], NAN), ([1.0, 0.0], NAN)).learnt.tolist() == [0.0, 0.0]


def test_nothing_at_all():
    assert Told(3).learnt.shape == (0,)
    assert Told(3).knows(torch.zeros(2, 3)).tolist() == [False, False]


def test_float32_and_float64_and_both_zeros_are_the_same_code():
    made = told(([0.0, 0.1], 1.0))
    assert made.knows(torch.tensor([[-0.0, 0.1]])).all()
    assert made.knows(torch.tensor([[0.0, 0.1]]).double()).all()
    assert not made.knows(torch.tensor([[0.0, 0.1]], dtype=torch.float64)).any()  # not float32's


def test_state_is_all_there_is():
    made = told(([0.0, 0.0], 3.0), ([1.0, 0.0], NAN), ([2.0, 0.0], -2.0))
    again = Told(2)
    again.load_state(made.state())
    for one in (made, again):
        one.add(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.tensor([1.0, 0.5]))
    assert torch.equal(made.z, again.z)
    assert torch.equal(made.learnt, again.learnt)


def test_a_state_of_before_with_sums_of_scores():
    sums = {"total": torch.tensor([6.0, 0.0]).double(), "count": torch.tensor([2, 0])}
    made = Told(2)
    made.load_state({"z": torch.zeros(2, 2).double()} | sums)
    assert made.y[0] == 3.0
    assert made.y[1].isnan()


@pytest.mark.parametrize(
    ("z", "y", "said"),
    [
        (torch.zeros(2, 3), torch.zeros(2), r"\(n, 2\).*\(2, 3\)"),
        (torch.zeros(2, 2), torch.zeros(3), r"got \(2, 2\) and \(3,\)"),
        (torch.zeros(2), torch.zeros(2), "are expected"),
        (torch.full((1, 2), NAN), torch.zeros(1), "must be finite"),
        (torch.zeros(1, 2), torch.tensor([-math.inf]), "nan where there is none"),
    ],
)
def test_what_cannot_be_learnt_is_refused_and_leaves_nothing(z, y, said):
    made = Told(2)
    with pytest.raises(ValueError, match=said):
        made.add(z, y)
    assert len(made) == 0
