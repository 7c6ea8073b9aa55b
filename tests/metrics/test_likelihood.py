"""-log p(x) by importance sampling, on linear-Gaussian models where it is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from molae.densities import Gaussian, StandardNormal
from molae.distributions import (
    DeltaPosterior,
    ImplicitPosterior,
    NoDensityError,
    NormalPosterior,
)
from molae.metrics.likelihood import Around, importance_nll
from molae.nn.image_likelihood import PixelModel

X, D, NOISE = 5, 2, 0.6


class Linear(nn.Module):
    """x = W z + noise; q(z|x) is normal around the exact mean, wider than it should be."""

    def __init__(self, wider=1.4, point=False):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(X, D, generator=generator, dtype=torch.float64)
        self.wider, self.point = wider, point

    def posterior(self, x, context=None):
        precision = torch.eye(D) + self.weight.T @ self.weight / NOISE**2
        covariance = torch.linalg.inv(precision)
        mean = x @ self.weight @ covariance / NOISE**2
        if self.point:
            return DeltaPosterior(mean)
        return NormalPosterior(mean, self.wider * covariance.diagonal().sqrt())

    def likelihood(self, z, context=None):
        mean = z @ self.weight.T

        class Normals:
            def log_prob(self, x):
                return Normal(mean, NOISE).log_prob(x).sum(-1)

        return Normals()

    def evidence(self, x, prior=None):
        mean, tril = (torch.zeros(D), torch.eye(D)) if prior is None else prior
        mean, tril = mean.double(), tril.double()
        wide = self.weight @ tril
        covariance = wide @ wide.T + NOISE**2 * torch.eye(X)
        return MultivariateNormal(self.weight @ mean, covariance).log_prob(x)


@pytest.fixture
def x():
    return torch.randn(6, X, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_exact_value(x):
    torch.manual_seed(0)
    model = Linear()
    found = importance_nll(model, StandardNormal(D), x, 20_000, at_once=3_000)
    torch.testing.assert_close(found.nll, -model.evidence(x), atol=0.03, rtol=0)
    assert found.nll.dtype == torch.float64
    assert (found.minus_elbo > found.nll).all()
    assert ((found.effective > 1000) & (found.effective <= 20_000)).all()


def test_it_falls_with_the_samples(x):
    torch.manual_seed(0)
    model, many = Linear(2.0), x[:1].expand(3000, X)
    means = [
        importance_nll(model, StandardNormal(D), many, m, at_once=100).nll.mean()
        for m in (1, 3, 10, 100)
    ]
    assert all(low > high + 0.01 for low, high in pairwise(means))
    assert -model.evidence(x[:1]).item() - 0.01 < means[-1] < means[0]
    one = importance_nll(model, StandardNormal(D), many, 1)
    torch.testing.assert_close(one.nll, one.minus_elbo)
    assert torch.allclose(one.effective, torch.ones(3000).double())


def test_pieces_add_up(x):
    """Streamed, the sums are those of all samples at once."""

    class Fixed:
        """Gives draws out of a box, in order."""

        def __init__(self, posterior, box):
            self.posterior, self.box, self.first = posterior, box, 0
            self.center = posterior.center

        def rsample_and_log_prob(self, shape):
            z = self.box[self.first : self.first + shape[0]]
            self.first += shape[0]
            return z, self.posterior.log_prob(z)

    model = Linear(1.2)
    posterior = model.posterior(x)
    box = posterior.rsample((50,))
    found = []
    for at_once in (7, 50):
        model.posterior = lambda x, context=None: Fixed(posterior, box)
        told = []
        found.append(
            importance_nll(model, StandardNormal(D), x, 50, at_once=at_once, show=told.append)
        )
        assert told[-1] == 1.0
    log_w = model.likelihood(box).log_prob(x) + StandardNormal(D).log_prob(box)
    log_w = log_w - posterior.log_prob(box)
    for each in found:
        torch.testing.assert_close(each.nll, math.log(50) - log_w.logsumexp(0))
        torch.testing.assert_close(each.minus_elbo, -log_w.mean(0))
        torch.testing.assert_close(each.effective, 1 / log_w.softmax(0).square().sum(0))


def test_another_density_than_the_prior(x):
    torch.manual_seed(0)
    prior = Gaussian().fit(torch.randn(500, D) @ torch.tensor([[1.0, 0.4], [0.0, 0.6]]) + 0.5)
    model = Linear()
    found = importance_nll(model, prior, x, 20_000, at_once=5_000)
    truth = -model.evidence(x, (prior.mean, prior.scale_tril))
    torch.testing.assert_close(found.nll, truth, atol=0.03, rtol=0)


def test_points_are_refused_or_surrounded(x):
    torch.manual_seed(0)
    model = Linear(point=True)
    with pytest.raises(NoDensityError, match="name that density"):
        importance_nll(model, StandardNormal(D), x, 10)
    widths = [0.5**i for i in range(9)]
    found = importance_nll(model, StandardNormal(D), x, 40_000, at_once=5_000, widths=widths)
    torch.testing.assert_close(found.nll, -model.evidence(x), atol=0.1, rtol=0)


def test_the_density_around_a_point():
    """It integrates to one, and its draws have its variance."""
    torch.manual_seed(0)
    around = Around(torch.tensor([[1.0]], dtype=torch.float64), [0.5, 2.0])
    z, log_q = around.rsample_and_log_prob((40_000,))
    assert z.shape == (40_000, 1, 1)
    by_hand = 0.5 * (Normal(1.0, 0.5).log_prob(z).exp() + Normal(1.0, 2.0).log_prob(z).exp())
    torch.testing.assert_close(log_q, by_hand.log().squeeze(-1))
    assert z.var().item() == pytest.approx((0.25 + 4.0) / 2, rel=0.05)
    with pytest.raises(ValueError, match="above 0"):
        Around(torch.zeros(1, 1), [0.0])


def test_noise_on_the_data_does_not_depend_on_how_many_are_decoded_together():
    """One draw for an example: else pieces would average it away, and few of them less."""
    x, spread = torch.full((400, 1, 1, 1), 0.5), PixelModel("quantised", 0.003)

    class Blank:
        """Codes say nothing of the image."""

        def posterior(self, x, context=None):
            return NormalPosterior(torch.zeros(len(x), 1), 1.0)

        def likelihood(self, z, context=None):
            return spread(torch.zeros(*z.shape[:-1], 1, 1, 1))

    found = []
    for at_once in (1, 5, 20):
        torch.manual_seed(0)
        found.append(importance_nll(Blank(), StandardNormal(1), x, 20, at_once=at_once).nll)
    assert found[0].std() > 0.01
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_the_reason_is_that_of_the_posterior(x):
    model = Linear()
    model.posterior = lambda x, context=None: ImplicitPosterior(x[:, :D], lambda shape: x[:, :D])
    with pytest.raises(NoDensityError, match="posterior of this head has no density"):
        importance_nll(model, StandardNormal(D), x, 10)


def test_no_sample_is_refused(x):
    with pytest.raises(ValueError, match="1 or more"):
        importance_nll(Linear(), StandardNormal(D), x, 0)
