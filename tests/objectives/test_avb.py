"""Adversarial variational Bayes: the estimate of the rate, and a posterior that is not normal."""

from __future__ import annotations

import math

import pytest
import torch

from molae.distributions import ImplicitPosterior, NormalPosterior
from molae.nn.heads import NormalHead
from molae.nn.implicit_heads import ImplicitHead
from molae.objectives import objective
from molae.types import Batch


def gaussian(hidden, latent):
    """An implicit head that is linear in its noise: normal, whoever looks at it."""
    return ImplicitHead(hidden, latent, noise=3, layers=())


def exact_rate(model, x):
    """KL(q(z|x) || N(0, I)) of that head, (B,): its covariance is that of its noise's weights."""
    head = model.head
    weight = head.layers[0].weight[:, head.hidden :].double()
    covariance = weight @ weight.T
    squares = model.posterior(x).center.double().square().sum(1)
    size = len(covariance)
    return 0.5 * (covariance.trace() + squares - size - covariance.logdet())


@pytest.mark.parametrize("contrast", [0, 128])
def test_the_estimate_is_the_analytic_rate_of_a_normal_posterior(toys, contrast):
    model = toys.autoencoder(2, 2, gaussian)
    with torch.no_grad():
        weight = model.head.layers[0].weight
        weight[:, model.head.hidden :] = torch.tensor([[0.6, 0.0, 0.1], [0.4, 0.5, 0.0]])
        weight[:, : model.head.hidden] *= 2.0
    goal = objective("avb", contrast=contrast, hidden=[64, 64])
    goal.prepare(model)
    _, critic = goal.players(model)
    optimizer = critic.optimizer(critic.parameters, 2e-3)
    x, _ = toys.ring(2000, count=3, width=0.2)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / 400)
        optimizer.zero_grad()
        critic.terms(model, Batch(x[torch.randint(0, 2000, (256,))]), step).loss().backward()
        optimizer.step()
    with torch.no_grad():
        found = goal.terms(model, Batch(x), 0).logged["rate_estimate"].mean().item()
        wanted = exact_rate(model, x).mean().item()
    assert wanted > 0.5
    assert found == pytest.approx(wanted, rel=0.15, abs=0.05)


def test_adaptive_contrast_needs_no_critic_for_a_diagonal_normal(toys):
    """There log r - log p is the whole rate, and the logits of a critic at chance are 0."""
    model = toys.autoencoder(2, 2, NormalHead)
    goal = objective("avb")
    goal.prepare(model)
    for p in goal.parameters():
        p.data.zero_()
    x, _ = toys.ring(4000)
    batch = Batch(x.repeat(10, 1))
    with torch.no_grad():
        found = goal.terms(model, batch, 0).logged["rate_estimate"].mean()
        wanted = objective("vae").terms(model, batch, 0).logged["rate"].mean()
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.015)


@pytest.mark.parametrize("contrast", [8, 128])
def test_moments_out_of_draws_make_the_estimate_lower_as_is_said(toys, contrast):
    """1 / n for each number of a code and, with few draws and a critic at chance, a bit more."""
    mean, scale = torch.tensor([0.5, -1.0]), torch.tensor([0.3, 0.8])
    known = NormalPosterior(mean.expand(20_000, 2), scale)
    posterior = ImplicitPosterior(known.center, known.rsample)
    torch.manual_seed(0)
    z = known.rsample()
    goal = objective("avb", contrast=contrast)
    with torch.no_grad():
        _, estimated = goal._compared(posterior, z)
        _, exact = goal._compared(known, z)
    torch.testing.assert_close(exact, known.log_prob(z))
    lower = (exact - estimated).mean().item()
    assert 0.5 * 2 / contrast < lower < 2.5 * 2 / contrast


@pytest.mark.slow
def test_four_points_share_the_plane_without_gaps(toys):
    """Figure 5 of Mescheder et al.: normal posteriors overlap or leave gaps, others need not."""
    data, points = toys.Vectors(toys.FOUR.repeat(64, 1)), toys.FOUR
    models = {}
    for name, head, steps in (("vae", NormalHead, 200), ("avb", ImplicitHead, 600)):
        models[name] = toys.autoencoder(4, 2, head, sigma=None)
        settings = {"hidden": [64, 64], "pace": 3.0} if name == "avb" else {}
        goal = objective(name, **settings)
        toys.train(models[name], goal, data, steps, batch_size=256, rate=3e-3, schedule="cosine")
    shape = {name: toys.excess(model, points).abs().mean() for name, model in models.items()}
    assert shape["vae"] < 0.3
    assert shape["avb"] > 0.6
    likely = {name: toys.evidence(model, points).mean() for name, model in models.items()}
    assert likely["vae"] < likely["avb"] < -math.log(4)


def test_nothing_that_is_logged_is_called_a_bound(toys):
    model, goal = toys.autoencoder(2, 2, ImplicitHead), objective("avb", beta=0.5)
    goal.prepare(model)
    terms = goal.terms(model, Batch(toys.ring(8)[0]), 0)
    assert set(terms.parts) == {"distortion", "beta_estimate", "penalty"}
    assert set(terms.logged) == {"rate_estimate", "beta"}
    half = 0.5 * terms.logged["rate_estimate"]
    torch.testing.assert_close(terms.parts["beta_estimate"].detach(), half)
