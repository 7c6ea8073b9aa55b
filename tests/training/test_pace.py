from __future__ import annotations

import pytest

from molae.training.pace import FLOOR, Stopwatch, check_schedule, rate_factor


def test_cosine_rises_falls_and_ends_at_the_floor():
    factors = [rate_factor(step, 100, 10, "cosine") for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(FLOOR)


def test_warm_up_is_at_most_a_tenth():
    assert rate_factor(2, 20, 100, "constant") == 1.0
    assert rate_factor(0, 1, 100, "cosine") == 1.0


def test_no_fall_before_the_end_is_known():
    assert rate_factor(50, None, 100, "cosine") == pytest.approx(0.51)
    assert rate_factor(5000, None, 100, "cosine") == 1.0


def test_unknown_schedule():
    with pytest.raises(ValueError, match="'cosine' and 'constant'"):
        check_schedule("cosin")


def test_steps_that_fit():
    watch = Stopwatch(100.0)
    for _ in range(30):
        watch.add(10.0, 0.1)
    assert watch.ready(3.0)
    assert watch.steps_left(10.0, 10.0, 0.0) == pytest.approx(900, abs=1)
    assert watch.steps_left(10.0, 10.0, 0.1) == pytest.approx(450, abs=1)
    assert watch.steps_left(10.0, 200.0, 0.0) == 0


def test_lengths_measured_by_chance_do_not_mislead():
    watch = Stopwatch(1000.0)
    for i in range(30):  # short batches only, time = cells / 1000
        watch.add(10.0 + i % 10, (10.0 + i % 10) / 1000)
    assert watch.seconds_per_step(100.0) == pytest.approx(0.1, rel=1e-6)


def test_slow_steps_are_ready_in_time():
    watch = Stopwatch(20.0)
    for _ in range(4):
        watch.add(1.0, 1.0)
    assert watch.ready(4.0)
    watch = Stopwatch(20.0)
    watch.add(1.0, 4.0)
    assert not watch.ready(4.0)
    assert watch.ready(8.0)
    assert watch.steps_left(1.0, 8.0, 0.0) == 3
    assert Stopwatch(20.0).ready(30.0) is False  # not one step yet
