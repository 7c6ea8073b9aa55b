"""The fixed-point iteration where its end is known: two points, one Gaussian, and beyond."""

from __future__ import annotations

import math

import pytest
import torch

from molae.metrics.fixed_points import (
    critical_temperatures,
    fixed_points,
    last_temperature,
    lipschitz,
    reconstructions,
    tiles,
)

EXACT = {"smoothing": 0.0, "steps": 3000, "tolerance": 1e-9}


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)


def cold_magnet(a, beta):
    """The largest root of g = a tanh(a g / beta), by iteration from above."""
    g = a
    for _ in range(100_000):
        g = a * math.tanh(a * g / beta)
    return g


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9])
def test_two_points_are_a_magnet(beta):
    """Data -1 and 1, half of the tiles on each side: g = tanh(g / beta), error 1 - g^2."""
    found = fixed_points(column(-1, 1), column(-0.7, -0.2, 0.2, 0.7), beta, **EXACT)
    g = cold_magnet(1.0, beta)
    assert found.converged
    assert found.points.flatten().tolist() == pytest.approx([-g, -g, g, g], abs=1e-5)
    assert found.error == pytest.approx(1 - g**2, abs=1e-5)


def test_beyond_its_temperature_a_magnet_has_nothing_left():
    data = column(-1, 1)
    assert last_temperature(data) == pytest.approx(1.0)
    found = fixed_points(data, column(-0.7, -0.2, 0.2, 0.7), 1.05, **EXACT)
    assert found.points.abs().max() < 1e-6
    assert found.error == pytest.approx(1.0)


def test_one_gaussian_is_filled_up_like_water():
    """Rate and distortion of a Gaussian: in each direction min(beta, variance) is lost."""
    side = 16
    quantiles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    line = torch.special.ndtri(quantiles)
    data = torch.cartesian_prod(line, 0.4 * line)
    variances = data.var(0, unbiased=False)
    centres = tiles(12)
    for beta in (0.12, 0.5, 1.5):
        found = fixed_points(data, centres, beta, smoothing=0.0, steps=300, tolerance=1e-5)
        wanted = float(variances.clamp(max=beta).sum())
        assert found.error == pytest.approx(wanted, rel=0.06)


def test_error_is_the_expected_one():
    """Against sums over data and tiles that are written out."""
    torch.manual_seed(0)
    data, g, beta = torch.randn(5, 2).double(), torch.randn(3, 2).double(), 0.7
    new, error = reconstructions(data, g, beta)
    total, above, below = 0.0, torch.zeros(3, 2).double(), torch.zeros(3).double()
    for x in data:
        kernel = torch.stack([torch.exp(-(x - each).square().sum() / (2 * beta)) for each in g])
        m = kernel / kernel.mean()
        total += sum(m[a] / 3 * (x - g[a]).square().sum() for a in range(3)) / 5
        above += m.unsqueeze(1) * x
        below += m
    assert error == pytest.approx(float(total))
    torch.testing.assert_close(new, above / below.unsqueeze(1))


@pytest.fixture(scope="module")
def clusters():
    """Nine points as three groups of three."""
    coarse = [complex(math.cos(t), math.sin(t)) for t in (0.3, 2.4, 4.5)]
    points = [0.6 * c + 0.15 * f for c in coarse for f in coarse]
    return torch.tensor([[p.real, p.imag] for p in points], dtype=torch.float64)


def test_components_merge_as_it_gets_warmer(clusters):
    start = tiles(10)
    counts = []
    for beta in (0.001, 0.02, 0.5):
        found = fixed_points(clusters, start, beta, smoothing=0.5, steps=800, tolerance=1e-8)
        counts.append(len(found.distinct()))
    assert counts == [9, 3, 1]


def test_temperatures_of_two_points_are_found():
    betas = torch.linspace(0.6, 1.4, 41).tolist()
    start = column(-0.7, -0.2, 0.2, 0.7)
    errors = [fixed_points(column(-1, 1), start, beta, **EXACT).error for beta in betas]
    found, bend = critical_temperatures(betas, errors, 1)
    assert found == pytest.approx([1.0], abs=0.03)
    assert len(bend) == len(betas)
    assert abs(bend[-2]) < 1e-3


def test_reconstructions_stay_in_the_hull_of_the_data(clusters):
    found = fixed_points(clusters, 3 * tiles(6), 0.05)
    low, high = clusters.min(0).values, clusters.max(0).values
    new = reconstructions(clusters, found.points, 0.05)[0]
    assert ((new >= low) & (new <= high)).all()


def test_a_projection_keeps_means_and_lowers_slopes(clusters):
    centres = tiles(10)
    for radius in (None, 0.4):
        weak, strong = (lipschitz(centres, strength, radius) for strength in (1.0, 20.0))
        for each in (weak, strong):
            torch.testing.assert_close(each.sum(1), torch.ones(100, dtype=torch.float64))
            torch.testing.assert_close(each, each.T)
        free, held, tight = (
            fixed_points(clusters, centres, 0.01, projection=p) for p in (None, weak, strong)
        )
        slopes = [_steepest(each.points, centres) for each in (free, held, tight)]
        assert slopes[0] > 1.5 * slopes[1] > 1.5 * slopes[2]
    still = lipschitz(centres, 0.0)
    torch.testing.assert_close(still, torch.eye(100, dtype=torch.float64))


def _steepest(g, centres):
    """The largest slope between two neighbours."""
    apart = torch.cdist(centres, centres)
    near = (apart > 0) & (apart < 0.3)
    return float((torch.cdist(g, g)[near] / apart[near]).max())


def test_what_makes_no_sense_is_refused(clusters):
    with pytest.raises(ValueError, match="beta is 0"):
        fixed_points(clusters, tiles(4), 0.0)
    with pytest.raises(ValueError, match=r"\(n, d\) and \(K, d\)"):
        fixed_points(clusters, column(1, 2), 0.1)
    with pytest.raises(ValueError, match="larger radius"):
        lipschitz(tiles(4), 1.0, 0.1)
    with pytest.raises(ValueError, match="0 or more"):
        lipschitz(tiles(4), -1.0)
    with pytest.raises(ValueError, match="5 or more"):
        critical_temperatures([1, 2], [1, 2])
