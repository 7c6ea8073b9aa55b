"""The trust region: lengths as published, boxes, restarts."""

from __future__ import annotations

import pytest
import torch

from molae.optimize.region import FIRST, SHORTEST, TrustRegion

D = 5


def middle(size=D):
    return torch.full((size,), 0.5, dtype=torch.float64)


def judged(region, *rounds):
    for improved, points in rounds:
        region.judge(improved, points, middle())
    return region.length


def test_three_improvements_in_a_row_double_the_length_up_to_a_limit():
    region = TrustRegion(D)
    assert judged(region, (True, 1), (True, 1)) == FIRST
    assert judged(region, (True, 1)) == 1.6
    assert judged(region, *[(True, 1)] * 3) == 1.6


def test_a_failure_between_them_counts_from_the_start():
    assert judged(TrustRegion(D), (True, 1), (True, 1), (False, 1), (True, 1)) == FIRST


def test_as_many_failures_as_dimensions_halve_the_length():
    region = TrustRegion(D)
    assert judged(region, (False, 4)) == FIRST
    assert judged(region, (False, 1)) == FIRST / 2
    assert judged(region, (False, 4), (True, 1), (False, 4)) == FIRST / 2
    assert judged(TrustRegion(D), (False, 500)) == FIRST / 2  # once a round
    assert judged(TrustRegion(1), (False, 3)) == FIRST  # four at least


def test_a_region_that_is_too_short_is_given_up():
    region = TrustRegion(D)
    lengths = [judged(region, (False, D)) for _ in range(7)]
    assert lengths[:-1] == [FIRST / 2**k for k in range(1, 7)]
    assert all(length >= SHORTEST for length in lengths)
    assert lengths[-1] == FIRST
    assert region.restarts == 1
    assert torch.equal(region.left[0], middle())


def test_points_near_to_a_centre_given_up_do_not_count():
    region = TrustRegion(8)
    x = middle(8) + torch.tensor([[0.0], [0.24], [0.26]], dtype=torch.float64) * torch.eye(8)[0]
    assert region.counts(x).all()
    for _ in range(7):
        region.judge(False, 8, middle(8))
    # sqrt(8 / 2) standard deviations of an eighth: a quarter.
    assert region.counts(x).tolist() == [False, False, True]


def test_a_box_has_the_length_and_ends_with_the_cube():
    region = TrustRegion(2)
    low, high = region.box(torch.tensor([0.5, 0.8], dtype=torch.float64))
    assert low.tolist() == pytest.approx([0.1, 0.4])
    assert high.tolist() == pytest.approx([0.9, 1.0])
    for _ in range(2):
        region.judge(False, 4, middle(2))
    low, high = region.box(middle(2))
    assert torch.allclose(high - low, torch.full((2,), 0.2, dtype=torch.float64))
    assert torch.allclose(0.5 * (low + high), middle(2))


def test_a_centre_outside_of_the_cube_is_in_its_box():
    low, high = TrustRegion(2).box(torch.tensor([1.3, -0.2], dtype=torch.float64))
    assert high.tolist() == pytest.approx([1.3, 0.2])
    assert low.tolist() == pytest.approx([0.9, -0.2])


def test_state_is_all_there_is():
    region = TrustRegion(D)
    judged(region, *[(False, D)] * 9, (True, 1), (True, 1))
    again = TrustRegion(D)
    again.load_state(region.left, region.state())
    rounds = [(True, 1), (False, 3), (False, 2)]
    assert [judged(again, one) for one in rounds] == [judged(region, one) for one in rounds]
    assert again.restarts == region.restarts == 1
