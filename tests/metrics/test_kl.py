"""Average and marginal KL against integrals, their bounds, and posteriors without closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from molae.datasets.images import ImageData
from molae.densities import StandardNormal, density
from molae.densities.conditional import GivenNormal
from molae.distributions import DeltaPosterior, NoDensityError, NormalPosterior
from molae.metrics.kl import average_kl, divergences, posteriors_of
from molae.models import Autoencoder
from molae.nn.flow_heads import NvpHead
from molae.nn.heads import NormalHead
from molae.nn.image import ImageDecoder, ImageEncoder


def normals(means, scale):
    return NormalPosterior(torch.tensor(means, dtype=torch.float64).unsqueeze(1), scale)


def integrated(means, scale):
    """KL of a mixture of equal normals to N(0, 1), by quadrature."""
    z = np.linspace(-14, 14, 200_001)
    each = [np.exp(-0.5 * ((z - m) / scale) ** 2) / scale for m in means]
    q = np.mean(each, 0) / math.sqrt(2 * math.pi)
    log_p = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    return float(np.trapezoid(q * (np.log(np.maximum(q, 1e-300)) - log_p), z))


@pytest.mark.parametrize("scale", [0.2, 0.7, 1.3])
def test_marginal_is_the_integral(scale):
    means = [-1.0, 0.2, 0.5, 2.0]
    found = divergences([normals(means[:3], scale), normals(means[3:], scale)],
                        StandardNormal(1), draws=8000)  # fmt: skip
    exact = np.mean([0.5 * (scale**2 + m**2 - 1) - math.log(scale) for m in means])
    assert found.average == pytest.approx(exact)
    assert found.marginal == pytest.approx(integrated(means, scale), abs=4 * found.error)
    assert found.information == pytest.approx(found.average - found.marginal)
    assert 0 <= found.marginal <= found.average
    assert found.information <= math.log(4)
    assert found.error < 0.03
    assert (found.examples, found.draws) == (4, 8000)


def test_batches_may_have_priors_of_their_own():
    """A posterior that is its own prior costs nothing, in closed form or by draws."""
    one, two = normals([-1.0, 2.0], 0.4), normals([0.5], 0.4)
    own = [GivenNormal(one), StandardNormal(1)]
    exact = (0.5 * (0.4**2 + 0.25 - 1) - math.log(0.4)) / 3
    assert average_kl([one, two], own) == pytest.approx(exact)
    drawn = average_kl([Sampled(one), Sampled(two)], own, draws=4000)
    assert drawn == pytest.approx(exact, abs=0.03)
    with pytest.raises(ValueError, match="no examples"):
        average_kl([], [])


def test_codes_that_are_all_alike_say_nothing():
    found = divergences([normals([0.5] * 6, 0.3)], StandardNormal(1), draws=600)
    assert found.information == pytest.approx(0.0, abs=1e-9)
    assert found.marginal == pytest.approx(found.average)


def test_codes_that_are_told_apart_say_which():
    found = divergences([normals([-9.0, 0.0, 9.0], 0.1)], StandardNormal(1))
    assert found.information == pytest.approx(math.log(3))
    assert found.draws == 3


class Sampled:
    """A posterior whose KL nobody knows in closed form."""

    def __init__(self, inner):
        self.inner, self.center = inner, inner.center

    def rsample(self, shape=()):
        return self.inner.rsample(shape)

    def rsample_and_log_prob(self, shape=()):
        return self.inner.rsample_and_log_prob(shape)

    def log_prob(self, z):
        return self.inner.log_prob(z)


def test_other_posteriors_and_priors_are_estimated():
    posterior = normals([-1.0, 0.2, 0.5, 2.0], 0.4)
    mixed = density("gmm", components=2).fit(torch.randn(200, 1, dtype=torch.float64))
    for q, prior in ((Sampled(posterior), StandardNormal(1)), (posterior, mixed)):
        found = divergences([q], prior, draws=4000)
        z, log_q = posterior.rsample_and_log_prob((4000,))
        drawn = (log_q - prior.log_prob(z)).mean(1)
        wanted, error = float((log_q - prior.log_prob(z)).mean()), float(drawn.std()) / 30
        assert found.average == pytest.approx(wanted, abs=4 * error)
        assert 0 < found.marginal < found.average


def test_flows_have_a_marginal_too():
    """A flow that is the identity is a normal posterior; one that bends keeps the bounds."""
    torch.manual_seed(0)
    head, h = NvpHead(3, 2), torch.randn(6, 3)
    with torch.no_grad():
        flow, plain = head(h), head.base(h)
        one, two = (divergences([q], StandardNormal(2), 1200) for q in (flow, plain))
        for parameter in head.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        bent = divergences([head(h)], StandardNormal(2), 1200)
    apart = 3 * (one.error + two.error)
    assert one.information == pytest.approx(two.information, abs=apart)
    assert one.average == pytest.approx(two.average, abs=0.15)
    assert 0 < bent.marginal < bent.average
    assert bent.information <= math.log(6)


def test_draws_are_those_of_the_seed_and_of_every_example():
    posterior = normals([-3.0, 0.0, 3.0], 0.5)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, two, three = (divergences([posterior], StandardNormal(1), 7, s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one == two != three


def test_points_and_nothing_are_refused():
    with pytest.raises(NoDensityError):
        divergences([DeltaPosterior(torch.zeros(3, 2))], StandardNormal(2))
    with pytest.raises(ValueError, match="at least one"):
        divergences([normals([1.0], 1.0)], StandardNormal(1), draws=0)


def test_all_examples_of_a_data_set_are_encoded():
    torch.manual_seed(0)
    shape = (1, 8, 8)
    reads, writes = ImageEncoder(shape, hidden=8), ImageDecoder(shape, 2, hidden=8)
    model = Autoencoder(reads, NormalHead(reads.width, 2), writes, StandardNormal(2)).train()
    data = ImageData(np.random.default_rng(0).integers(0, 256, (11, 8, 8, 1), np.uint8))
    parts = posteriors_of(model, data, batch_size=4)
    assert model.training
    assert [len(part.center) for part in parts] == [4, 4, 3]
    with torch.no_grad():
        whole = model.eval().posterior(data.batch(range(11)).x)
    torch.testing.assert_close(torch.cat([part.center for part in parts]), whole.center)
    assert divergences(parts, model.prior).examples == 11
