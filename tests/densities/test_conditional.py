"""The prior that depends on a context: closed forms, draws, learning, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from molae.densities import ConditionalNormal
from molae.distributions import NormalPosterior, rate
from molae.models import Autoencoder
from molae.nn.heads import NormalHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.objectives import GECO, IWAE, VAE, WithProperties
from molae.types import Batch

B, C, D = 6, 3, 2


def prior(moved=True):
    """One that is told C numbers."""
    torch.manual_seed(0)
    made = ConditionalNormal(hidden=8, dim=D)
    made.attach(ImageEncoder((1, 8, 8), hidden=4, context=C), torch.nn.Identity())
    if moved:
        torch.nn.init.normal_(made.net[-1].weight)
    return made


def true(given):
    return Independent(Normal(given.each.center, given.each.scale), 1)


def test_at_first_it_is_standard_normal():
    given = prior(moved=False).given(torch.randn(B, C))
    z = torch.randn(5, B, D)
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    assert torch.allclose(given.log_prob(z), expected)


def test_densities_and_rates_are_those_of_the_context():
    context = torch.randn(B, C)
    given = prior().given(context)
    assert (given.each.center[0] != given.each.center[1]).all()
    z = torch.randn(5, B, D)
    assert torch.allclose(given.log_prob(z), true(given).log_prob(z), atol=1e-5)
    q = NormalPosterior(torch.randn(B, D), torch.rand(B, D) + 0.1)
    expected = kl_divergence(Independent(Normal(q.center, q.scale), 1), true(given))
    assert torch.allclose(rate(q, given), expected, rtol=1e-4)
    half = prior().given(context[2:4])
    assert torch.allclose(half.log_prob(z[:, 2:4]), given.log_prob(z)[:, 2:4])


def test_draws_follow_their_context():
    given = prior().given(torch.randn(1, C).expand(20_000, C))
    z = given.sample(20_000, torch.Generator().manual_seed(1))
    mean, scale = given.each.center[0], given.each.scale[0]
    assert ((z.mean(0) - mean).abs() < 5 * scale / math.sqrt(20_000)).all()
    assert torch.allclose(z.std(0), scale, rtol=0.05)
    rows = prior().given(torch.randn(B, C))
    drawn = rows.sample_rows(3, torch.arange(B))
    assert (drawn == rows.sample_rows(3, torch.arange(B))).all()


@torch.no_grad()
def test_draws_do_not_depend_on_how_many_there_are():
    made, index = prior(), torch.arange(300)
    context = torch.randn(300, C)
    whole = made.given(context).sample_rows(7, index)
    for size in (1, 13, 300):
        parts = [made.given(context[i]).sample_rows(7, i) for i in index.split(size)]
        assert torch.equal(torch.cat(parts), whole)
    assert made.given(context[:0]).sample_rows(7, index[:0]).shape == (0, D)


def model(reader=None):
    torch.manual_seed(0)
    width = C if reader is None else reader.width
    encoder = ImageEncoder((1, 8, 8), hidden=8, multiplier=0.25, context=width)
    decoder = ImageDecoder((1, 8, 8), D, hidden=8, multiplier=0.25, context=width)
    made = ConditionalNormal(hidden=8, dim=D)
    made.attach(encoder, torch.nn.Identity())
    torch.nn.init.normal_(made.net[-1].weight)
    return Autoencoder(encoder, NormalHead(encoder.width, D), decoder, made, reader=reader)


@pytest.mark.parametrize(
    "goal", [VAE(), IWAE(samples=3), GECO()], ids=lambda goal: type(goal).__name__
)
def test_objectives_with_a_rate_learn_it(goal):
    told = model().train()
    goal.prepare(told)
    batch = Batch(torch.rand(B, 1, 8, 8), context=torch.eye(C).repeat(2, 1))
    goal.players(told)[0].terms(told, batch, 0).loss().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in told.prior.parameters())


def test_the_rate_of_a_bound_is_against_the_context():
    told = model().eval()
    batch = Batch(torch.rand(B, 1, 8, 8), context=torch.eye(C).repeat(2, 1))
    found = VAE().terms(told, batch, 0).logged["rate"]
    posterior = told.posterior(batch.x, batch.context)
    each = Independent(Normal(posterior.center, posterior.scale), 1)
    assert torch.allclose(
        found, kl_divergence(each, true(told.prior_of(batch.context))), rtol=1e-4
    )


def test_context_images_become_features():
    told = model(ImageEncoder((2, 8, 8), hidden=20, multiplier=0.25)).train()
    batch = Batch(torch.rand(B, 1, 8, 8), context=torch.rand(B, 2, 8, 8))
    VAE().terms(told, batch, 0).loss().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in told.reader.layers[0].parameters())
    told.eval()
    with torch.no_grad():
        features = told.reader(batch.context)
        assert features.shape == (B, 5)
        assert torch.equal(told.reader(batch.context[4:]), features[4:])
        z = torch.randn(4, B, D)
        assert told.likelihood(z, batch.context).mode().shape == (4, B, 1, 8, 8)
        assert told.prior_of(batch.context).log_prob(z).shape == (4, B)
        with pytest.raises(ValueError, match=r"images \(C, H, W\) = \(1, 8, 8\)"):
            told.posterior(batch.x, batch.context[:, :1])


def test_properties_are_learnt_beside_it():
    told = model()
    told.predictor = torch.nn.Linear(D, 1)
    batch = Batch(torch.rand(B, 1, 8, 8), torch.rand(B, 1), torch.eye(C).repeat(2, 1))
    assert "property" in WithProperties(VAE()).terms(told, batch, 0).parts


def test_what_it_needs():
    made = prior()
    for ask in (lambda: made.given(None), lambda: made.log_prob(torch.zeros(1, D))):
        with pytest.raises(ValueError, match="no context"):
            ask()
    with pytest.raises(ValueError, match="cannot be fitted"):
        made.fit(torch.randn(9, D))
    with pytest.raises(ValueError, match="--condition label"):
        ConditionalNormal(dim=D).attach(ImageEncoder((1, 8, 8)), torch.nn.Identity())
    with pytest.raises(ValueError, match="hidden"):
        ConditionalNormal(hidden=0)
