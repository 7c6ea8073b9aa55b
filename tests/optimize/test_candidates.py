"""Points to choose from: how many coordinates change, and how they are spread."""

from __future__ import annotations

import pytest
import torch

from molae.optimize.candidates import around, redrawn
from molae.optimize.scales import SIDE


def points(n, size, low, high, center=0.5, seed=0):
    ends = (torch.full((n, size), v, dtype=torch.float64) for v in (center, low, high))
    return redrawn(*ends, seed)


def test_about_twenty_coordinates_change_and_at_least_one():
    changed = (points(2000, 56, 0.0, 1.0) != 0.5).sum(1)
    assert changed.double().mean().item() == pytest.approx(20, abs=0.5)
    assert (points(500, 400, 0.0, 1.0) != 0.5).any(1).all()


@pytest.mark.parametrize("size", [1, 2, 20])
def test_in_few_dimensions_all_change(size):
    assert (points(100, size, 0.0, 1.0) != 0.5).all()


def test_they_stay_in_the_box():
    x = points(500, 8, 0.3, 0.6)
    assert x.min() >= 0.3
    assert x.max() <= 0.6


def test_a_wide_box_is_filled_as_codes_are_spread():
    x = SIDE * (points(4096, 4, 0.0, 1.0) - 0.5)
    assert torch.allclose(x.mean(0), torch.zeros(4, dtype=torch.float64), atol=0.01)
    assert torch.allclose(x.std(0), torch.ones(4, dtype=torch.float64), atol=0.01)


def test_a_narrow_box_is_filled_evenly():
    x = (points(4096, 4, 0.5, 0.52) - 0.5) / 0.02
    assert torch.allclose(x.mean(0), torch.full((4,), 0.5, dtype=torch.float64), atol=0.01)
    assert torch.allclose(x.std(0), torch.full((4,), 12**-0.5, dtype=torch.float64), atol=0.01)


@pytest.mark.parametrize("center", [-3.0, 4.0])
def test_far_away_they_stay_in_the_box_too(center):
    x = points(64, 4, center - 0.1, center + 0.1, center)
    assert (x >= center - 0.1).all()
    assert (x <= center + 0.1).all()


def test_they_follow_from_the_seed():
    assert torch.equal(points(20, 30, 0.0, 1.0), points(20, 30, 0.0, 1.0))
    assert not torch.equal(points(20, 30, 0.0, 1.0), points(20, 30, 0.0, 1.0, seed=1))


def test_around_several_points_near_and_far():
    best = torch.tensor([[0.2, 0.2], [0.8, 0.8]], dtype=torch.float64)
    x = around(best, 400, 0)
    gaps = (x[:, None] - best).abs().amax(-1)  # (400, 2)
    distance, which = gaps.min(1)
    assert 100 < int(which.sum()) < 300
    assert distance.max() <= 0.4
    assert distance.min() < 0.01
    assert distance.quantile(0.9) > 0.1
