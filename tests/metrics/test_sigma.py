"""sigma_opt against the error that it is the root of, and where the likelihood is largest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from molae.datasets.images import ImageData
from molae.densities import StandardNormal
from molae.distributions import DeltaPosterior
from molae.metrics.sigma import quantised_nats, sigma_opt
from molae.models import Autoencoder
from molae.nn.image_likelihood import PixelModel


class Grey(nn.Module):
    """A decoder that puts out one grey, whatever the code."""

    def __init__(self, level, kind="gaussian"):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(math.log(level / (1 - level))))
        self.pixels = PixelModel(kind)

    def forward(self, z, context=None):
        return self.pixels(self.level.expand(*z.shape[:-1], 1, 4, 4))


class Nothing(nn.Module):
    def forward(self, x, context=None):
        return x.flatten(1)[:, :2]


class Point(nn.Module):
    def forward(self, h, context=None):
        return DeltaPosterior(h)


def model(level, kind="gaussian"):
    return Autoencoder(Nothing(), Point(), Grey(level, kind), StandardNormal(2))


@pytest.fixture(scope="module")
def data():
    values = np.random.default_rng(0).normal(140, 30, (40, 4, 4, 1))
    return ImageData(values.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli", "optimal"])
def test_it_is_the_root_of_the_mean_error(data, kind):
    wanted = np.sqrt(np.mean((data.pixels / 255.0 - 0.5) ** 2))
    made = model(0.5, kind).train()
    assert sigma_opt(made, data, batch_size=16) == pytest.approx(wanted, rel=1e-5)
    assert made.training


def test_likelihood_is_largest_there(data):
    made = model(0.6)
    best = sigma_opt(made, data)
    nats = [quantised_nats(made, data, factor * best) for factor in (0.8, 1.0, 1.25)]
    assert nats[1] < min(nats[0], nats[2])
    # Of a normal distribution, of values in steps of 1 / 255.
    wanted = 0.5 * math.log(2 * math.pi * best**2) + 0.5 + math.log(255)
    assert nats[1] == pytest.approx(wanted, abs=0.02)


def test_what_has_no_values_is_refused(data):
    with pytest.raises(ValueError, match="no images"):
        sigma_opt(model(0.5), data.subset([]))
    made = model(0.5).train()
    made.likelihood = lambda z, context=None: DeltaPosterior(z)
    with pytest.raises(ValueError, match="sigma_opt is for images"):
        sigma_opt(made, data)
    assert made.training
    with pytest.raises(ValueError, match="above 0"):
        quantised_nats(model(0.5), data, 0.0)
