from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity as Reference

from molae.densities import Gaussian, KernelDensity
from molae.densities.kernel import _BANDWIDTHS


def gauss(rows=800, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.tril(torch.rand(size, size, generator=torch.Generator().manual_seed(9)) + 0.2)
    return torch.randn(rows, size, generator=generator).double() @ mix.double().T + 2.0


def test_is_scikit_learns_on_whitened_codes():
    z, new = gauss(), gauss(50, seed=1)
    made = KernelDensity(0.4, shrink=False, jitter=1e-12).fit(z)
    tril = torch.linalg.cholesky(torch.cov(z.T, correction=0))
    white = [torch.linalg.solve(tril, (x - z.mean(0)).T).T.numpy() for x in (z, new)]
    reference = Reference(kernel="gaussian", bandwidth=0.4).fit(white[0])
    expected = reference.score_samples(white[1]) - tril.diagonal().log().sum().item()
    assert np.allclose(made.log_prob(new).numpy(), expected, atol=1e-4)


def test_scott():
    made = KernelDensity("scott").fit(gauss())
    assert float(made.width_of_kernels) == pytest.approx(800 ** (-1 / 7))


@pytest.mark.parametrize("shrink", [True, False])
def test_the_likeliest_bandwidth_is_that_of_a_direct_sum(shrink):
    z = gauss(40, 2)
    made = KernelDensity(shrink=shrink).fit(z)
    w = made.points
    values = []
    for h in _BANDWIDTHS:
        stretch = math.sqrt(1 + h * h) if shrink else 1.0
        total = 0.0
        for i in range(40):
            rest = torch.cat([w[:i], w[i + 1 :]]) / stretch
            kernels = torch.distributions.Normal(w[i], h / stretch).log_prob(rest).sum(1)
            total += float(kernels.logsumexp(0))
        values.append(total)
    assert float(made.width_of_kernels) == _BANDWIDTHS[int(np.argmax(values))]


@pytest.mark.parametrize("shrink", [True, False])
def test_the_spread_of_draws(shrink):
    z = gauss(3000)
    made = KernelDensity(0.8, shrink=shrink).fit(z)
    drawn = made.sample_rows(0, torch.arange(40_000)).double()
    expected = torch.cov(z.T) * (1.0 if shrink else 1 + 0.8**2)
    assert torch.allclose(torch.cov(drawn.T), expected, rtol=0.05, atol=0.02)
    assert torch.allclose(drawn.mean(0), z.mean(0), atol=0.05)


def test_a_known_gaussian():
    z, new = gauss(3000, 2), gauss(500, 2, seed=1)
    truth = Gaussian().fit(gauss(100_000, 2, seed=2))
    made = KernelDensity().fit(z)
    assert (made.log_prob(new) - truth.log_prob(new)).abs().mean() < 0.1


def test_a_ring_is_not_filled():
    angle = 2 * math.pi * torch.rand(1000, generator=torch.Generator().manual_seed(0))
    z = torch.stack([angle.cos(), angle.sin()], 1)
    made = KernelDensity().fit(z)
    assert made.log_prob(torch.zeros(1, 2)) < made.log_prob(z).mean() - 10
    radius = made.sample_rows(0, torch.arange(1000)).norm(dim=1)
    assert radius.min() > 0.8
    assert radius.max() < 1.2


def test_codes_are_kept_up_to_a_number():
    made = KernelDensity(rows=100).fit(gauss())
    assert made.points.shape == (100, 3)
    assert "100 codes kept" in made.described()
    assert made.state_dict()["points"].shape == (100, 3)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="did you mean 'scott'"):
        KernelDensity("scot")
    for wrong in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="above 0"):
            KernelDensity(wrong)
    with pytest.raises(ValueError, match="rows"):
        KernelDensity(rows=1)
