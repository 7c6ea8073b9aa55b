"""Implicit autoencoders and adversarially learned inference: no distance, critics only."""

from __future__ import annotations

import importlib

import pytest
import torch

from molae.densities import StandardNormal
from molae.distributions import DeltaPosterior
from molae.nn.heads import DeltaHead
from molae.nn.implicit_heads import ImplicitHead
from molae.objectives import objective
from molae.types import Batch

#: Of the trainings of eight places.
STEPS = 2000


def stochastic(hidden, latent):
    """All but two numbers of a code are global."""
    return ImplicitHead(hidden, latent, noise=4, local=2)


@pytest.fixture(scope="module")
def trained(toys):
    """An implicit autoencoder of eight places, whose codes say one number of each example."""
    model, (x, _) = toys.autoencoder(2, 3, stochastic), toys.ring(2048)
    goal = objective("iae", hidden=[128, 128], weight=2.0)
    toys.train(model, goal, toys.Vectors(x), STEPS, rate=2e-3, schedule="cosine")
    return model, x


@pytest.mark.slow
def test_each_mode_has_its_share_and_not_so_with_a_plain_gan(toys, trained):
    """Makhzani's comparison: the same decoder, data and steps, half of a share or more."""
    model, x = trained
    plain = toys.autoencoder(2, 3, DeltaHead)
    gan = importlib.import_module("benchmarks.adversarial_toys").GAN()
    toys.train(plain, gan, toys.Vectors(x), STEPS, rate=2e-3, schedule="cosine")
    with torch.no_grad():
        theirs, mine = (m.likelihood(m.prior.sample(4000)).mean for m in (plain, model))
    assert toys.covered(mine) == 8
    assert sum(toys.modes(mine)) > 0.7 * 4000
    assert toys.covered(theirs) < 8


@pytest.mark.slow
def test_codes_look_like_the_prior(trained):
    model, x = trained
    with torch.no_grad():
        z = model.posterior(x).rsample()
    assert z.mean(0).abs().max() < 0.3
    assert (z.std(0) - 1).abs().max() < 0.3


@pytest.mark.slow
def test_reconstructions_are_drawn_where_there_is_local_noise(trained):
    model, x = trained
    posterior = model.posterior(x[:64])
    with torch.no_grad():
        spread = model.likelihood(posterior.rsample((20,))).mean.std(0)
    assert spread.mean() > 0.05


def test_critics_do_not_see_local_noise(toys):
    model, goal = toys.autoencoder(2, 3, stochastic), objective("iae")
    goal.prepare(model)
    assert goal.critic.latent == goal.code_critic.latent == 1
    pair = objective("ali")
    pair.prepare(model)
    assert pair.critic.latent == 1


def test_the_true_pair_moves_the_encoder_only_if_asked(toys):
    model, x = toys.autoencoder(2, 3, stochastic), toys.ring(16)[0]
    parts = {}
    for both in (True, False):
        goal = objective("iae", both=both)
        goal.prepare(model)
        parts[both] = goal.terms(model, Batch(x), 0).parts
    assert set(parts[True]) - set(parts[False]) == {"data"}
    parts[True]["data"].sum().backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert any((p.grad != 0).any() for p in model.encoder.parameters())


class Inverse(torch.nn.Module):
    """x = W z without noise, and z = W^-1 x, or ``turned`` times that."""

    def __init__(self, turned):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[1.0, 0.0], [0.8, 0.5]]))
        self.encoder, self.head, self.turned = torch.nn.Identity(), torch.nn.Identity(), turned
        self.encoder.shape, self.prior = (2,), StandardNormal(2)

    def posterior(self, x, context=None):
        return DeltaPosterior(self.turned * x @ self.weight.inverse().T)

    def likelihood(self, z, context=None):
        return Exact(z @ self.weight.T)


class Exact:
    def __init__(self, mean):
        self.mean = mean

    def log_prob(self, x):
        return -(x - self.mean).square().sum(-1)

    def outputs(self, x):
        return self.mean


@pytest.mark.parametrize(("turned", "lowest", "highest"), [(1.0, 0.4, 0.58), (-1.0, 0.8, 1.0)])
def test_only_encoder_and_decoder_that_are_inverse_fool_a_critic_of_pairs(turned, lowest, highest):
    """Turned around, codes look like the prior and draws like the data, but not together."""
    torch.manual_seed(0)
    model, goal = Inverse(turned), objective("ali", hidden=[64, 64], smoothness=0.0)
    goal.prepare(model)
    _, critic = goal.players(model)
    optimizer = critic.optimizer(critic.parameters, 2e-3)
    for step in range(250):
        batch = Batch(torch.randn(256, 2) @ model.weight.detach().T)
        terms = critic.terms(model, batch, step)
        optimizer.zero_grad()
        terms.loss().backward()
        optimizer.step()
    goal.eval()
    batch = Batch(torch.randn(4000, 2) @ model.weight.detach().T)
    right = critic.terms(model, batch, 0).logged["accuracy"].mean()
    assert lowest < right < highest
    assert (goal.terms(model, batch, 0).logged["distortion"].mean() < 1e-9) == (turned == 1.0)


@pytest.mark.parametrize("name", ["ali", "iae"])
def test_what_is_only_logged_costs_no_decoding(toys, name):
    model, goal = toys.autoencoder(2, 3, stochastic), objective(name)
    batch = Batch(toys.ring(8)[0])
    goal.prepare(model)
    decoded, decode = [], model.likelihood

    def counted(z, context=None):
        decoded.append(z)
        return decode(z, context)

    model.likelihood = counted
    shown = goal.terms(model, batch, 0).logged or {}
    assert len(decoded) == 1
    assert ("distortion" in shown) == (name == "iae")
    missed = goal.eval().terms(model, batch, 0).logged["distortion"]
    torch.testing.assert_close(missed, -decode(decoded[-1]).log_prob(batch.x).detach())


@pytest.mark.parametrize("name", ["ali", "iae"])
def test_they_are_for_images(name):
    assert type(objective(name)).media == ("images",)
