from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from molae.densities import Gaussian, GaussianMixture, StandardNormal
from molae.distributions import DeltaPosterior, NoDensityError, NormalPosterior, rate


def normal(rows=5, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    return NormalPosterior(mean, 0.2 + torch.rand(rows, size, generator=generator).double())


def fitted(density, size=3, rows=400):
    generator = torch.Generator().manual_seed(9)
    mix = torch.randn(size, size, generator=generator).double()
    return density.fit(torch.randn(rows, size, generator=generator).double() @ mix + 0.5)


def test_a_point_is_its_own_draw():
    code = torch.randn(4, 3)
    posterior = DeltaPosterior(code)
    assert torch.equal(posterior.center, code)
    assert torch.equal(posterior.rsample((2, 5)), code.expand(2, 5, 4, 3))
    assert torch.equal(posterior.penalty(), torch.zeros(4))


def test_a_point_has_no_density_and_says_what_to_use():
    posterior = DeltaPosterior(torch.zeros(4, 3))
    for ask in (
        lambda: posterior.log_prob(torch.zeros(4, 3)),
        posterior.rsample_and_log_prob,
        lambda: rate(posterior, StandardNormal(3)),
        lambda: rate(posterior, StandardNormal(3), posterior.rsample()),
    ):
        with pytest.raises(NoDensityError, match="'rae'"):
            ask()


def test_normal_agrees_with_torch():
    posterior = normal()
    reference = Independent(Normal(posterior.center, posterior.scale), 1)
    z, log_q = posterior.rsample_and_log_prob((7, 2))
    assert z.shape == (7, 2, 5, 3)
    assert torch.allclose(log_q, reference.log_prob(z))
    assert torch.allclose(posterior.log_prob(z), reference.log_prob(z))
    assert torch.allclose(posterior.entropy(), reference.entropy())
    assert torch.equal(posterior.penalty(), torch.zeros(5).double())


def test_draws_have_the_moments_and_carry_gradients():
    torch.manual_seed(0)
    mean = torch.tensor([[1.0, -2.0]], requires_grad=True)
    scale = torch.tensor([[0.5, 2.0]], requires_grad=True)
    z = NormalPosterior(mean, scale).rsample((40_000,))
    assert torch.allclose(z.mean(0), mean, atol=0.05)
    assert torch.allclose(z.std(0), scale, rtol=0.03)
    z.sum().backward()
    assert torch.allclose(mean.grad, torch.tensor(40_000.0))
    assert scale.grad is not None


def test_one_scale_for_all():
    mean = torch.randn(4, 3)
    same = NormalPosterior(mean, torch.full((4, 3), 0.7))
    for scale in (0.7, torch.tensor(0.7), torch.full((3,), 0.7)):
        posterior = NormalPosterior(mean, scale)
        assert posterior.scale.shape == (4, 3)
        assert torch.equal(posterior.entropy(), same.entropy())
    with pytest.raises(ValueError, match="above 0"):
        NormalPosterior(mean, 0.0)


def test_sixteen_bits_are_widened():
    code = torch.randn(4, 3).bfloat16()
    assert DeltaPosterior(code).center.dtype == torch.float32
    posterior = NormalPosterior(code, torch.ones(4, 3).bfloat16())
    assert posterior.rsample().dtype == torch.float32
    assert rate(posterior, StandardNormal(3)).dtype == torch.float32


def test_rate_to_the_standard_normal_is_the_known_formula():
    posterior = normal()
    mean, scale = posterior.center, posterior.scale
    expected = 0.5 * (mean**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
    assert torch.allclose(rate(posterior, StandardNormal(3)), expected)
    zero = NormalPosterior(torch.zeros(2, 3), 1.0)
    assert torch.allclose(rate(zero, StandardNormal(3)), torch.zeros(2), atol=1e-6)


def test_rate_to_a_gaussian_is_torchs():
    posterior, prior = normal(), fitted(Gaussian())
    q = torch.distributions.MultivariateNormal(
        posterior.center, scale_tril=torch.diag_embed(posterior.scale)
    )
    p = torch.distributions.MultivariateNormal(prior.mean, scale_tril=prior.scale_tril)
    assert torch.allclose(rate(posterior, prior), kl_divergence(q, p))


def test_rate_to_a_normal_distribution_of_each_example_is_torchs():
    posterior, prior = normal(), normal(seed=1)
    q, p = (Independent(Normal(each.center, each.scale), 1) for each in (posterior, prior))
    torch.testing.assert_close(rate(posterior, prior), kl_divergence(q, p))


@pytest.mark.parametrize("make", [lambda: StandardNormal(3), Gaussian])
def test_closed_form_is_the_mean_of_the_estimate(make):
    torch.manual_seed(1)
    posterior, prior = normal(), fitted(make())
    z = posterior.rsample((20_000,))
    draws = posterior.log_prob(z) - prior.log_prob(z)  # (20000, B)
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - rate(posterior, prior)).abs() < 4.5 * error).all()


def test_estimate_where_there_is_no_closed_form():
    posterior, prior = normal(), fitted(GaussianMixture(2))
    z = posterior.rsample((6,))
    assert torch.equal(rate(posterior, prior, z), posterior.log_prob(z) - prior.log_prob(z))
    assert rate(posterior, prior).shape == (5,)
    torch.manual_seed(3)
    draws = rate(posterior, prior, posterior.rsample((20_000,)))
    assert (draws.mean(0) > 0).all()
