"""Distributions of the values of a pixel: masses that add up, draws that follow them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from molae.nn.pixel_values import BinaryValues, LogisticMixture, log_mass


def drawn_parameters(values, rows=3, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, values.size, 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 4.0])
def test_256_masses_add_up_to_one(log_scale):
    every = torch.linspace(-1, 1, 256, dtype=torch.float64)
    for center in (-2.0, -0.3, 0.0, 0.9, 5.0):
        masses = log_mass(every, torch.tensor(center), torch.tensor(log_scale).double()).exp()
        assert masses.sum().item() == pytest.approx(1.0, abs=1e-9)


def test_a_mass_is_a_difference_of_two_sigmoids():
    value, center, scale = torch.tensor(101 / 127.5 - 1).double(), 0.1, 0.3
    edges = (value + torch.tensor([1.0, -1.0]).double() / 255 - center) / scale
    expected = torch.sigmoid(edges[0]) - torch.sigmoid(edges[1])
    log_scale = torch.tensor(scale).double().log()
    torch.testing.assert_close(log_mass(value, torch.tensor(center), log_scale), expected.log())


def test_no_gradient_is_lost_far_away():
    center = torch.tensor(-0.9, requires_grad=True)
    value = log_mass(torch.tensor(0.5), center, torch.tensor(-7.0))
    value.backward()
    assert value.isfinite()
    assert center.grad.isfinite()
    assert center.grad > 0


def test_channels_of_a_mixture_add_up_to_one():
    """Over 256 x 256 values of two channels; the second depends on the first."""
    values = LogisticMixture(2, 3)
    parameters = drawn_parameters(values, 1)
    levels = torch.arange(256).double() / 255
    x = torch.cartesian_prod(levels, levels).view(-1, 2, 1, 1)
    masses = values.log_prob(parameters.expand(len(x), -1, 1, 1), x).exp().view(256, 256)
    assert masses.sum().item() == pytest.approx(1.0, abs=1e-9)
    given = masses / masses.sum(1, keepdim=True)
    assert (given[20] - given[230]).abs().sum() > 0.05


def test_binary_channels_add_up_to_one():
    values = BinaryValues(3)
    parameters = drawn_parameters(values, 1, 2.0)
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).double().view(8, 3, 1, 1)
    masses = values.log_prob(parameters.expand(8, -1, 1, 1), x).exp()
    assert masses.sum().item() == pytest.approx(1.0)
    grey = values.log_prob(parameters.expand(8, -1, 1, 1), 0.4 * x + 0.3)  # 0.3 and 0.7
    torch.testing.assert_close(grey.exp(), masses)


@pytest.mark.parametrize(
    "values", [BinaryValues(2), LogisticMixture(2, 3)], ids=["bernoulli", "logistic"]
)
def test_draws_have_the_expected_values(values):
    rows = 40_000
    parameters = drawn_parameters(values, 1, 0.8, seed=3).expand(rows, -1, 1, 1)
    u = torch.rand(rows, 3, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    drawn = values.choose(parameters[..., 0, 0], u.double(), 1.0)
    assert torch.equal((255 * drawn).round(), (255 * drawn).round().clamp(0, 255))
    torch.testing.assert_close((255 * drawn).round() / 255, drawn)
    # The masses, by enumeration of the first channel.
    count = 2 if isinstance(values, BinaryValues) else 256
    levels = torch.linspace(0, 1, count, dtype=torch.float64)
    x = torch.cartesian_prod(levels, levels).view(-1, 2, 1, 1)
    masses = values.log_prob(parameters[:1].expand(len(x), -1, 1, 1), x).exp()
    masses = masses.view(count, count)
    for axis in (0, 1):
        share = masses.sum(1 - axis)
        mean = (share * levels).sum()
        spread = (share * (levels - mean).square()).sum().sqrt()
        assert abs(drawn[:, axis].mean() - mean) < 4 * spread / rows**0.5
        torch.testing.assert_close(drawn[:, axis].std(), spread, rtol=0.02, atol=0)
    product = (masses * torch.outer(levels, levels)).sum()
    assert abs((drawn[:, 0] * drawn[:, 1]).mean() - product) < 0.01


@pytest.mark.parametrize(
    "values", [BinaryValues(2), LogisticMixture(2, 3)], ids=["bernoulli", "logistic"]
)
def test_the_likeliest_value_of_each_channel_in_turn(values):
    parameters = drawn_parameters(values, 5, 1.5, seed=1)
    best = values.choose(parameters[..., 0, 0], None, 1.0)
    count = 2 if isinstance(values, BinaryValues) else 256
    levels = torch.linspace(0, 1, count, dtype=torch.float64)
    for row in range(5):
        x = torch.cartesian_prod(levels, levels).view(-1, 2, 1, 1)
        one = parameters[row : row + 1].expand(len(x), -1, 1, 1)
        masses = values.log_prob(one, x).view(count, count)
        first = masses.logsumexp(1).argmax()
        torch.testing.assert_close(best[row, 0], levels[first])
        torch.testing.assert_close(best[row, 1], levels[masses[first].argmax()])


def test_a_mixture_begins_evenly():
    values, layer = LogisticMixture(1, 4), nn.Conv2d(3, 12, 1)
    values.start(layer)
    x = torch.arange(256).view(-1, 1, 1, 1) / 255
    masses = values.log_prob(layer(torch.zeros(256, 3, 1, 1)), x).exp()[1:-1]
    assert masses.max() < 2 * masses.min()
