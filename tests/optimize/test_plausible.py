"""The plausible set: a closed form, and codes that are pulled into it."""

from __future__ import annotations

import math

import pytest
import torch

from molae.densities import Gaussian, GaussianMixture, StandardNormal
from molae.optimize.plausible import Plausible

D = 6


def codes(n=3000, size=D, seed=0):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def mixture():
    z = torch.cat([codes(800) + 4.0, codes(800, seed=1) - 4.0])
    return GaussianMixture(components=2).fit(z), z


def test_the_threshold_of_a_normal_distribution():
    """In two dimensions half the squared radius is exponential: 1 % are beyond ln 100."""
    made = Plausible(StandardNormal(2), 0.01, codes(200_000, 2), 0)
    assert made.threshold.item() == pytest.approx(-math.log(2 * math.pi) + math.log(0.01), abs=0.2)
    edge = math.sqrt(2 * math.log(100))
    assert made.holds(torch.tensor([[0.95 * edge, 0.0], [0.0, -1.05 * edge]])).tolist() == [1, 0]


@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_that_share_of_the_codes_is_outside(share):
    z = codes()
    made = Plausible(Gaussian().fit(z), share, z, 0)
    assert made.holds(z).double().mean().item() == pytest.approx(1 - share, abs=1e-3)
    assert made.holds(made.kept).all()


def test_nothing_is_outside_of_a_share_of_nought():
    made = Plausible(StandardNormal(D), 0.0, codes(), 0)
    z = 1e6 * codes(20)
    assert made.holds(z).all()
    assert torch.equal(made.pulled(z, codes(20)), z)


def test_pulled_codes_are_on_the_way_and_as_far_as_halves_go(mixture):
    made = Plausible(*[mixture[0], 0.05, mixture[1], 0])
    anchor = made.kept[:1].expand(50, -1)
    z = 30.0 * codes(50, seed=2)
    pulled = made.pulled(z, anchor)
    assert made.holds(pulled).all()
    share = (pulled - anchor).norm(dim=1) / (z - anchor).norm(dim=1)
    rest = pulled - anchor - share[:, None] * (z - anchor)
    assert rest.abs().max() < 1e-3
    halvings = -share.log2()
    assert torch.allclose(halvings, halvings.round(), atol=1e-3)
    further = anchor + (2 * share)[:, None] * (z - anchor)
    assert not made.holds(further[share < 1]).any()


def test_plausible_codes_stay(mixture):
    made = Plausible(*[mixture[0], 0.05, mixture[1], 0])
    assert torch.equal(made.pulled(made.kept[:20], made.kept[20:40]), made.kept[:20])


def test_at_last_they_are_the_anchor():
    """Where nothing on the way is plausible: the middle between two far clusters."""
    density = Gaussian().fit(1e-4 * codes())
    made = Plausible(density, 0.01, 1e-4 * codes(), 0)
    z = torch.full((1, D), 5.0)
    assert torch.equal(made.pulled(z, made.kept[:1]), made.kept[:1])


def test_draws_are_plausible_and_numbered(mixture):
    made = Plausible(*[mixture[0], 0.3, mixture[1], 0])
    drawn = made.draws(60, 5, 0)
    assert made.holds(drawn).all()
    assert torch.equal(made.draws(20, 5, 30), drawn[30:50])
    assert not torch.equal(made.draws(20, 6, 30), drawn[30:50])
    plain = mixture[0].sample_rows(5, torch.arange(60))
    stay = made.holds(plain)
    assert 0 < int(stay.sum()) < 60
    assert torch.equal(drawn[stay], plain[stay])


def test_draws_of_a_density_that_does_not_fit_the_codes():
    """The prior over codes that shrank: no draw of it is as likely as they are."""
    z = 0.05 * codes()
    made = Plausible(StandardNormal(D), 0.01, z, 0)
    drawn = made.draws(100, 0, 0)
    assert made.holds(drawn).all()
    assert len(drawn.unique(dim=0)) == 100


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_out_of_range(share):
    with pytest.raises(ValueError, match="0 to below 1"):
        Plausible(StandardNormal(D), share, codes(), 0)


def test_many_codes_are_judged_by_some_of_them():
    z = codes(15_000, 2)
    few = Plausible(StandardNormal(2), 0.01, z, 0)
    assert len(few.kept) == 2000
    assert few.threshold.item() == pytest.approx(
        Plausible(StandardNormal(2), 0.01, z, 1).threshold.item(), abs=0.3
    )
