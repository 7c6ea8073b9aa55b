from __future__ import annotations

import math

import pytest
import torch

from molae.distributions import NoDensityError
from molae.objectives import VAE, Linear, objective
from molae.types import Batch


def repeated(batch, times):
    return Batch(batch.x.repeat_interleave(times, 0))


def bound(model, batch, times=20_000):
    """Mean bound of every example and its standard error, each (B,)."""
    torch.manual_seed(1)
    with torch.no_grad():
        terms = VAE().terms(model, repeated(batch, times), 0)
    draws = -sum(terms.parts.values()).view(-1, times)
    assert torch.allclose(draws, terms.logged["bound"].view(-1, times))
    return draws.mean(1), draws.std(1) / math.sqrt(times)


def test_bound_is_the_evidence_at_the_exact_posterior(model, batch):
    value, error = bound(model, batch)
    assert ((value - model.evidence(batch.x)).abs() < 4.5 * error).all()


def test_bound_is_below_the_evidence_by_the_kl_to_the_exact_posterior(model, batch):
    exact = model.posterior(batch.x)
    exact_mean, exact_scale = exact.center.detach(), exact.scale.detach().clone()
    with torch.no_grad():
        model.scale.mul_(1.5)
        model.encoder.bias.add_(0.3)
    mine = model.posterior(batch.x)
    ratio = (mine.scale / exact_scale).square()
    shift = ((mine.center - exact_mean) / exact_scale).square()
    gap = 0.5 * (ratio + shift - 1 - ratio.log()).sum(-1).detach()
    value, error = bound(model, batch)
    assert (gap > 0.1).all()
    assert ((model.evidence(batch.x) - gap - value).abs() < 4.5 * error).all()


def test_parts_and_what_is_logged(model, batch):
    terms = VAE(beta=0.25).terms(model, batch, 0)
    assert set(terms.parts) == {"distortion", "beta_rate", "penalty"}
    assert all(part.shape == (4,) for part in terms.parts.values())
    assert torch.allclose(terms.parts["beta_rate"], 0.25 * terms.logged["rate"])
    assert terms.logged["beta"].item() == 0.25
    assert not any(value.requires_grad for value in terms.logged.values())


def test_beta_follows_its_schedule(model, batch):
    made = VAE(beta=Linear(0.0, 2.0, steps=10))
    for step, beta in ((0, 0.0), (5, 1.0), (10, 2.0), (99, 2.0)):
        terms = made.terms(model, batch, step)
        assert torch.allclose(terms.parts["beta_rate"], beta * terms.logged["rate"])


def test_noise_is_scaled_for_the_decoder_and_not_for_the_rate(model, batch):
    """With 0.01 as the Grammar VAE was published, with 0 exactly the mean is decoded."""
    center = model.posterior(batch.x).center
    full = {}
    for scale in (0.0, 0.01, 1.0):
        torch.manual_seed(4)
        terms = VAE(beta=0.5, noise_scale=scale).terms(model, batch, 0)
        torch.manual_seed(4)
        z = model.posterior(batch.x).rsample()
        missed = -model.likelihood(center + scale * (z - center)).log_prob(batch.x)
        assert torch.allclose(terms.parts["distortion"], missed)
        full[scale] = terms
    assert torch.equal(full[0.0].parts["beta_rate"], full[1.0].parts["beta_rate"])
    exact = -model.likelihood(center).log_prob(batch.x)
    assert torch.allclose(full[0.0].parts["distortion"], exact)
    assert not torch.allclose(full[1.0].parts["distortion"], exact)


def test_one_fixed_variance_leaves_the_rate_of_the_mean(model, batch):
    """cvvae: the rate is 0.5 ||mean||^2 and D times what a variance costs."""
    scale = 0.1
    with torch.no_grad():
        model.scale.fill_(scale)
    terms = objective("cvvae", beta=2.0).terms(model, batch, 0)
    mean = model.posterior(batch.x).center
    variance = mean.shape[1] * (0.5 * (scale**2 - 1) - math.log(scale))
    expected = 0.5 * mean.square().sum(-1) + variance
    assert torch.allclose(terms.parts["beta_rate"], 2.0 * expected)


def test_weights_of_examples_reach_the_loss(model, batch):
    terms = VAE().terms(model, batch, 0)
    weight = torch.tensor([0.0, 1.0, 0.0, 3.0])
    each = sum(terms.parts.values())
    assert torch.allclose(terms.loss(), each.mean())
    assert torch.allclose(terms.loss(weight), (each[1] + 3 * each[3]) / 4)


def test_gradient_vanishes_at_the_exact_posterior(model, batch):
    """The bound is tight there, so no change of q raises it."""
    torch.manual_seed(2)
    terms = VAE().terms(model, repeated(batch, 50_000), 0)
    terms.loss().backward()
    assert model.scale.grad.abs().max() < 0.03
    assert model.encoder.bias.grad.abs().max() < 0.03


def test_a_point_is_refused_with_a_sentence(point_model, batch):
    with pytest.raises(NoDensityError, match="'rae'"):
        VAE().terms(point_model, batch, 0)


def test_player_moves_model_and_objective(model):
    (player,) = VAE().players(model)
    assert player.name == "autoencoder"
    assert {id(p) for p in player.parameters} == {id(p) for p in model.parameters()}
    model.decoder.requires_grad_(False)
    (player,) = VAE().players(model)
    assert len(player.parameters) == len(list(model.parameters())) - 2
