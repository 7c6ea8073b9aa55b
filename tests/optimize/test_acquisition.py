"""Acquisition functions against closed forms, and batches against one point after the other."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement, UpperConfidenceBound

from molae.optimize.acquisition import Acquisition
from molae.optimize.surrogates import exact_gp

BEST = 0.8


def cloud(n, seed=0, size=2):
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + torch.randn(n, size, generator=generator, dtype=torch.float64) / 8


@pytest.fixture(scope="module")
def model():
    x = cloud(12)
    return exact_gp(x, torch.sin(15 * x.sum(1)), 0)


def acquisition(name, beta=2.0, best=BEST, seed=0):
    return Acquisition(name, beta, best, seed)


@pytest.mark.parametrize("name", ["logei", "ucb"])
def test_one_point_is_that_of_the_closed_form(model, name):
    x = cloud(300, seed=1)
    if name == "logei":
        exact = LogExpectedImprovement(model, BEST)
    else:
        exact = UpperConfidenceBound(model, 2.0)
    with torch.no_grad():
        worth = exact(x[:, None])
    (chosen,) = acquisition(name).choose(model, x, 1)
    assert worth[chosen] >= worth.topk(4).values[-1]  # within the error of 128 draws


@pytest.mark.parametrize("name", ["logei", "ucb", "thompson"])
def test_a_batch_is_different_points_in_a_repeatable_order(model, name):
    x = cloud(60, seed=1)
    chosen = acquisition(name).choose(model, x, 20)
    assert len(set(chosen)) == 20
    assert chosen == acquisition(name).choose(model, x, 20)
    assert sorted(acquisition(name).choose(model, x[:7], 20)) == list(range(7))
    # One after the other: the first ones do not depend on how many follow.
    if name != "thompson":
        assert chosen[:5] == acquisition(name).choose(model, x, 5)


@pytest.mark.parametrize("name", ["logei", "ucb"])
def test_the_second_point_is_not_the_twin_of_the_first(model, name):
    x = cloud(40, seed=1)
    first, second = acquisition(name).choose(model, x, 2)
    twins = torch.cat([x, x[first : first + 1] + 1e-9])
    assert acquisition(name).choose(model, twins, 2)[1] not in (first, 40)
    assert second != first


def test_thompson_sampling_takes_the_best_of_each_draw(model):
    """Over many draws the shares are the probabilities of being best."""
    x = cloud(3, seed=2)
    with torch.no_grad():
        found = model.posterior(x)
        draws = found.rsample(torch.Size([20_000])).squeeze(-1)
    shares = torch.bincount(draws.argmax(1), minlength=3) / 20_000
    firsts = [acquisition("thompson", seed=s).choose(model, x, 1)[0] for s in range(300)]
    counted = torch.bincount(torch.tensor(firsts), minlength=3) / 300
    assert torch.allclose(counted, shares, atol=0.1)


def test_beta_weighs_doubt(model):
    x = cloud(300, seed=1)
    with torch.no_grad():
        found = model.posterior(x)
    bold = acquisition("ucb", beta=1e6).choose(model, x, 1)[0]
    shy = acquisition("ucb", beta=1e-9).choose(model, x, 1)[0]
    deviation = found.variance.sqrt().squeeze(1)
    assert deviation[bold] > 0.9 * deviation.max()
    assert shy == int(found.mean.argmax())


@pytest.mark.parametrize("name", ["logei", "ucb"])
def test_a_batch_moves_uphill_each_point_within_its_box(model, name):
    made, x = acquisition(name), cloud(5, seed=3)
    low, high = x - 0.05, x + 0.1
    low[0, 1] = high[0, 1] = x[0, 1]  # in one coordinate only
    moved = made.moved(model, x, low, high)
    assert moved.shape == x.shape
    assert (moved >= low).all()
    assert (moved <= high).all()
    assert made.worth(model, moved) > made.worth(model, x)


def test_thompson_sampling_stays_where_its_draws_are(model):
    x = cloud(5, seed=3)
    assert torch.equal(acquisition("thompson").moved(model, x, x - 0.1, x + 0.1), x)


def test_points_on_top_of_each_other(model):
    x = cloud(1, seed=4).repeat(50, 1) + 1e-12 * cloud(50)
    assert len(acquisition("logei").choose(model, x, 10)) == 10
