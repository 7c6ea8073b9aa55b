"""Free bits: what they change, and posterior collapse without them."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from molae.densities import StandardNormal
from molae.distributions import rate
from molae.models import Autoencoder
from molae.nn.heads import NormalHead
from molae.nn.image import ImageEncoder
from molae.nn.pixelcnn import PixelCNNDecoder
from molae.objectives import VAE
from molae.types import Batch


def parts(model, batch, free_bits):
    torch.manual_seed(0)
    return VAE(beta=0.5, free_bits=free_bits).terms(model, batch, 0)


def slope(model, terms):
    """The gradient of the rate's part with respect to the scale of q(z|x)."""
    return torch.autograd.grad(terms.parts["beta_rate"].sum(), model.scale)[0]


def test_above_them_nothing_changes(model, batch):
    mean = rate(model.posterior(batch.x), model.prior).mean().item()
    plain, free = parts(model, batch, 0.0), parts(model, batch, 0.9 * mean)
    assert torch.equal(plain.parts["beta_rate"], free.parts["beta_rate"])
    assert torch.equal(plain.loss(), free.loss())


def test_below_them_the_rate_costs_what_is_free_and_has_no_gradient(model, batch):
    mean = rate(model.posterior(batch.x), model.prior).mean().item()
    terms = parts(model, batch, 1.1 * mean)
    torch.testing.assert_close(terms.parts["beta_rate"], torch.full((4,), 0.55 * mean).double())
    assert not slope(model, terms).any()
    assert terms.logged["rate"].mean().item() == pytest.approx(mean)  # shown as it is


def test_the_mean_is_that_of_the_weighted_batch(model, batch):
    each = rate(model.posterior(batch.x), model.prior).detach()
    weight = torch.zeros(4).double()
    weight[each.argmax()] = 1.0
    one = Batch(batch.x, weight=weight)
    between = 0.5 * (each.mean() + each.max()).item()
    assert slope(model, parts(model, one, between)).any()
    assert not slope(model, parts(model, batch, between)).any()


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="free_bits"):
        VAE(free_bits=-1.0)
    assert VAE(free_bits=2.0).settings()["free_bits"] == 2.0


def trained(free_bits, steps=110):
    """A PixelVAE of black and white digits; the mean rate and bound of its last steps, in nats."""
    torch.manual_seed(0)
    x = (torch.tensor(load_digits().images[:512]) >= 8).float()[:, None]
    encoder = ImageEncoder((1, 8, 8), hidden=64)
    decoder = PixelCNNDecoder(
        (1, 8, 8), 4, likelihood="bernoulli", hidden=32, channels=8, layers=2, features=6
    )
    model = Autoencoder(encoder, NormalHead(64, 4), decoder, StandardNormal(4))
    objective, shown = VAE(free_bits=free_bits), []
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for step in range(steps):
        batch = Batch(x[torch.randint(len(x), (64,))])
        terms = objective.terms(model, batch, step)
        optimizer.zero_grad()
        terms.loss().backward()
        optimizer.step()
        shown.append([terms.logged["rate"].mean().item(), terms.logged["bound"].mean().item()])
    return torch.tensor(shown[-20:]).mean(0).tolist()


def test_a_decoder_that_needs_no_code_collapses_without_free_bits():
    collapsed, bound = trained(0.0)
    kept, other = trained(4.0)
    assert collapsed < 0.1
    assert 2.5 < kept < 6.0
    assert bound > -30  # it has learnt: a coin for each of 64 pixels costs 44 nats
    assert other > -32
