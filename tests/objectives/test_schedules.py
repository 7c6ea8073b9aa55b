from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.objectives.schedules import Constant, Cyclical, Linear, plain, schedule, settled

ALL = [Constant(0.3), Linear(0.1, 0.9, 50), Cyclical(0.1, 0.7, 40, 0.25, 2)]


@pytest.mark.parametrize("made", ALL)
def test_written_down_and_read_again(made):
    assert schedule(json.loads(json.dumps(plain(made)))) == made
    assert schedule(made) is made


def test_a_number_is_constant():
    assert schedule(2) == Constant(2.0)
    assert plain(schedule(2)) == 2.0


@given(st.integers(0, 1000))
def test_linear_rises_to_its_end(step):
    made = Linear(0.0, 2.0, 100)
    assert made(step) == pytest.approx(2.0 * min(step, 100) / 100)


@given(st.integers(0, 399))
def test_cyclical_has_its_period(step):
    made = Cyclical(0.0, 1.0, period=100, ramp=0.5, cycles=4)
    assert made(step) == made(step % 100)
    assert 0.0 <= made(step) <= 1.0
    assert made(step % 100) == (1.0 if step % 100 >= 50 else (step % 100) / 50)
    assert made(400 + step) == 1.0


def test_where_schedules_end():
    assert [settled(made) for made in ALL] == [0.3, 0.9, 0.7]
    assert settled(0.2) == 0.2
    assert settled({"schedule": "linear", "end": 0.4, "steps": 7}) == pytest.approx(0.4)


def test_mistakes_are_answered():
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        schedule({"schedule": "liner"})
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        schedule({"schedule": "linear", "step": 5})
    with pytest.raises(TypeError, match="a number, a table or a function"):
        schedule("linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be saved"):
        plain(lambda step: 1.0)
    with pytest.raises(ValueError, match="steps"):
        Linear(steps=0)
    with pytest.raises(ValueError, match="ramp"):
        Cyclical(ramp=0.0)
