"""Densities through decoders: a linear one in closed form, and a real one's Jacobian."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from molae.densities import Gaussian, StandardNormal
from molae.metrics.injective import pushed_forward
from molae.models import Autoencoder
from molae.nn.heads import DeltaHead
from molae.nn.image import ImageDecoder, ImageEncoder

N, D = 6, 3


class Plane:
    """x = W z + b, whose encoder finds the nearest point of the plane."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(N, D, generator=generator, dtype=torch.float64)
        self.offset = torch.randn(N, generator=generator, dtype=torch.float64)

    def encode(self, x, context=None):
        return (x - self.offset) @ torch.linalg.pinv(self.weight).T

    def likelihood(self, z, context=None):
        class Points:
            mean = z @ self.weight.T + self.offset

        return Points()


@pytest.fixture
def plane():
    return Plane()


def test_density_on_a_plane_is_known(plane):
    """In coordinates along an orthonormal basis of the plane, images of N(0, I) are normal."""
    z = torch.randn(5, D, dtype=torch.float64)
    x = plane.likelihood(z).mean
    found = pushed_forward(plane, StandardNormal(D), x)
    basis, r = torch.linalg.qr(plane.weight)
    flat = MultivariateNormal(torch.zeros(D, dtype=torch.float64), r @ r.T)
    torch.testing.assert_close(found.on_surface, flat.log_prob((x - plane.offset) @ basis))
    torch.testing.assert_close(found.residual, torch.zeros_like(found.residual))
    assert (found.bound < found.on_surface).all()
    assert (found.values, found.dimensions) == (N, D)


def test_equal_stretching_makes_the_bound_tight(plane):
    plane.weight = 1.7 * torch.linalg.qr(plane.weight)[0]
    found = pushed_forward(plane, StandardNormal(D), torch.randn(4, N, dtype=torch.float64))
    torch.testing.assert_close(found.bound, found.on_surface)
    torch.testing.assert_close(
        found.log_volume, torch.full((4,), D * math.log(1.7), dtype=torch.float64)
    )


def test_with_little_noise_it_is_the_evidence(plane):
    """log p(x) of x = W z + b + sigma e, for a prior that was fitted; the error is O(sigma^2)."""
    codes = (
        torch.randn(500, D, dtype=torch.float64) @ torch.diag(torch.tensor([2.0, 1, 0.5])).double()
    )
    prior = Gaussian().fit(codes)
    mean, covariance = codes.mean(0), None
    errors = []
    for sigma in (0.1, 0.01):
        x = plane.likelihood(codes[:6]).mean + sigma * torch.randn(6, N, dtype=torch.float64)
        found = pushed_forward(plane, prior, x)
        covariance = codes.T.cov(correction=0)
        spread = plane.weight @ covariance @ plane.weight.T + sigma**2 * torch.eye(N)
        exact = MultivariateNormal(plane.weight @ mean + plane.offset, spread).log_prob(x)
        errors.append((found.in_space(sigma) - exact).abs().max().item())
    assert errors[1] < 0.01
    assert errors[1] < 0.05 * errors[0]
    with pytest.raises(ValueError, match="above 0"):
        found.in_space(0.0)


def test_jacobian_of_a_net():
    torch.manual_seed(0)
    options = {"hidden": 64, "multiplier": 0.5}
    reads, writes = ImageEncoder((1, 8, 8), **options), ImageDecoder((1, 8, 8), 2, **options)
    net = Autoencoder(reads, DeltaHead(reads.width, 2), writes, StandardNormal(2)).double().eval()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    found = pushed_forward(net, StandardNormal(2), x)
    for row, z in enumerate(net.encode(x).detach()):
        j = torch.autograd.functional.jacobian(
            lambda code: net.likelihood(code[None]).mean.flatten(), z
        )
        square = j.T @ j
        assert found.log_volume[row].item() == pytest.approx(0.5 * square.logdet().item())
        bound = 0.5 * 2 * math.log(square.trace().item() / 2)
        assert found.log_volume_bound[row].item() == pytest.approx(bound)


def test_a_collapsed_dimension_and_no_surface_at_all(plane):
    plane.weight[:, 0] = 0
    x = torch.randn(2, N, dtype=torch.float64)
    found = pushed_forward(plane, StandardNormal(D), x)
    assert (found.log_volume < -30).all()
    assert found.bound.isfinite().all()

    class Words(nn.Module):
        def encode(self, x, context=None):
            return x[:, :D]

        def likelihood(self, z, context=None):
            return object()

    with pytest.raises(ValueError, match="no surface"):
        pushed_forward(Words(), StandardNormal(D), x)
