"""The vector-quantised autoencoder: parts, scale, and that it learns."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from molae.densities import StandardNormal, density
from molae.models import Autoencoder
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.quantiser import VectorQuantiser
from molae.objectives import objective
from molae.types import Batch


def model(latent=8, **settings):
    torch.manual_seed(0)
    encoder = ImageEncoder((1, 8, 8), hidden=64)
    head = VectorQuantiser(64, latent, **{"entries": 64} | settings)
    decoder = ImageDecoder((1, 8, 8), latent, hidden=64)
    return Autoencoder(encoder, head, decoder, StandardNormal(latent))


def digits(count=1024):
    return torch.tensor(load_digits().images[:count], dtype=torch.float32)[:, None] / 16


def test_parts_and_what_is_logged():
    made, batch = model().eval(), Batch(digits(16))
    terms = objective("vqvae").terms(made, batch, 0)
    assert set(terms.parts) == {"distortion", "penalty"}
    assert set(terms.logged) == {"code_norm", "perplexity"}
    assert 1 <= terms.logged["perplexity"] <= 64
    posterior = made.posterior(batch.x)
    torch.testing.assert_close(terms.parts["penalty"], posterior.penalty())
    assert torch.equal(made.encode(batch.x), posterior.center)


def test_the_penalty_has_the_scale_of_the_distortion():
    """Both are sums: of images or codes that are repeated, both are repeated."""
    made, x = model().eval(), digits(16)
    before = objective("vqvae").terms(made, Batch(x), 0).loss()
    again = objective("vqvae").terms(made, Batch(x.repeat(3, 1, 1, 1)), 0).loss()
    torch.testing.assert_close(before, again)  # a mean over examples, and only over them
    error = (made.head.center(made.encoder(x)) - made.encode(x)).square().sum(1)
    squares = (made.decode(made.encode(x)) - x).square().flatten(1).sum(1)
    constant = 0.5 * 64 * torch.log(torch.tensor(torch.pi))
    torch.testing.assert_close(before, (squares + constant + 0.25 * error).mean())


def test_it_learns_digits_and_draws_them_from_the_indices():
    made, x, goal = model(), digits(), objective("vqvae")
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    for step in range(150):
        terms = goal.terms(made, Batch(x[torch.randint(len(x), (64,))]), step)
        optimizer.zero_grad()
        terms.loss().backward()
        optimizer.step()
    made.eval()
    with torch.no_grad():
        z = made.encode(x)
        error = (made.decode(z) - x).square().mean()
        used = made.posterior(x).logged()["perplexity"]
    assert error < 0.6 * (x - x.mean(0)).square().mean()
    assert used > 16
    fitted = density("indices", hidden=32, epochs=6, learning_rate=1e-2).fit(z)
    assert fitted.described().startswith("4 groups of ")
    drawn = fitted.sample_rows(0, torch.arange(50))
    same = (drawn.view(-1, 1, 2) == made.head.codebook).all(-1)
    assert same.any(1).all()  # what is drawn is quantised
    assert made.decode(drawn).shape == (50, 1, 8, 8)
    independent = density("indices", hidden=32, epochs=1, learning_rate=1e-9).fit(z)
    assert fitted.log_prob(z).mean() > independent.log_prob(z).mean() + 0.3


def test_settings():
    assert objective("vqvae", weight=0.1).settings() == {"weight": 0.1}
    with pytest.raises(ValueError, match="weight"):
        objective("vqvae", weight=-1.0)
