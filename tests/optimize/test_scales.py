"""Whitened codes and scores by rank, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from molae.optimize.scales import SIDE, Whitening, normal_scores


def codes(n=4000, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, size, generator=generator, dtype=torch.float64)
    return z @ torch.randn(size, size, generator=generator, dtype=torch.float64) + 5.0


def test_codes_come_out_white_about_the_middle_of_a_cube():
    z = codes()
    x = SIDE * (Whitening.of(z).coordinates(z) - 0.5)
    assert torch.allclose(x.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-10)
    covariance = x.T @ x / len(x)
    assert torch.allclose(covariance, torch.eye(3, dtype=torch.float64), atol=1e-8)


def test_there_and_back():
    made = Whitening.of(codes())
    z = codes(seed=1)
    assert torch.allclose(made.codes(made.coordinates(z)), z, atol=1e-10)
    assert made.coordinates(z.float()).dtype == torch.float64


def test_uncorrelated_dimensions_stay_what_they_are():
    """Each is moved and scaled on its own, in its own place."""
    z = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.1], [0.0, -0.1]]) + 7.0
    made = Whitening.of(z)
    there = made.coordinates(torch.tensor([[7.0 + math.sqrt(2.0), 7.0]], dtype=torch.float64))
    assert torch.allclose(there, torch.tensor([[0.5 + 1.0 / SIDE, 0.5]], dtype=torch.float64))


def test_correlated_dimensions_stay_as_close_as_they_can():
    """Closed form: P^(-1/2) of two dimensions with correlation r has equal diagonal entries."""
    r = 0.6
    root = torch.linalg.cholesky(torch.tensor([[1.0, r], [r, 1.0]], dtype=torch.float64))
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).double() @ root.T
    white = SIDE * (Whitening.of(z).coordinates(torch.eye(2, dtype=torch.float64)) - 0.5)
    a, b = (0.5 * (s / math.sqrt(1 + r) + t / math.sqrt(1 - r)) for s, t in ((1, 1), (1, -1)))
    assert torch.allclose(white, torch.tensor([[a, b], [b, a]], dtype=torch.float64))


def test_codes_in_a_plane_are_whitened_within_it():
    z = codes(size=2)
    z = torch.cat([z, z[:, :1] + z[:, 1:], torch.ones(len(z), 1)], 1)
    made = Whitening.of(z)
    x = made.coordinates(z)
    assert x.isfinite().all()
    assert torch.allclose(made.codes(x), z, atol=1e-6)
    assert (SIDE * x.std(0) < 1.01).all()


def test_fewer_codes_than_dimensions():
    z = codes(n=3, size=10)
    assert torch.allclose(Whitening.of(z).codes(Whitening.of(z).coordinates(z)), z, atol=1e-6)


@pytest.mark.parametrize("z", [torch.zeros(1, 2), torch.ones(5, 2), torch.tensor([[math.nan, 0]])])
def test_what_cannot_be_whitened(z):
    with pytest.raises(ValueError, match="whitening"):
        Whitening.of(z)


# Scores ------------------------------------------------------------------------------------------


def test_normal_quantiles_of_ranks():
    found = normal_scores(torch.tensor([3.0, -60.0, 4.0, 100.0]))
    quarter = torch.special.ndtri(torch.tensor([0.375, 0.125, 0.625, 0.875], dtype=torch.float64))
    assert found.dtype == torch.float64
    assert torch.allclose(found, quarter / quarter.square().mean().sqrt())


def test_only_the_order_counts():
    y = codes(50, 1).squeeze(1)
    assert torch.equal(normal_scores(y), normal_scores(y.exp()))
    outlier = torch.where(y == y.min(), -1e9, y)
    assert torch.equal(normal_scores(y), normal_scores(outlier))


def test_mean_and_variance_are_standard_with_equal_scores_too():
    found = normal_scores(torch.tensor([1.0, 2.0, 2.0, 2.0, 5.0, 0.0, 0.0]))
    assert found.mean().item() == pytest.approx(0, abs=1e-12)
    assert found.square().mean().item() == pytest.approx(1)
    assert found[1] == found[2] == found[3]
    assert found[5] == found[6] < found[0] < found[1] < found[4]


@pytest.mark.parametrize("n", [1, 2, 9])
def test_without_differences_there_is_nothing_to_learn(n):
    assert normal_scores(torch.full((n,), 3.5)).tolist() == [0.0] * n
