"""A linear-Gaussian autoencoder, whose every density is known in closed form."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from molae.densities import StandardNormal
from molae.distributions import DeltaPosterior, NormalPosterior
from molae.types import Batch

X, D, NOISE = 6, 3, 0.5


class NormalLikelihood:
    """x ~ N(mean, NOISE^2 I)."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def log_prob(self, x: Tensor) -> Tensor:
        squares = ((x - self.mean) / NOISE).square()
        return -0.5 * (squares + 2 * math.log(NOISE) + math.log(2 * math.pi)).sum(-1)

    def outputs(self, x: Tensor) -> Tensor:
        return self.mean


class LinearModel(nn.Module):
    """x = W z + c + noise with orthogonal columns of W, so that the exact q(z|x) is diagonal.

    ``encoder`` is the exact posterior mean. ``bend`` is put on top of the decoder's output.
    """

    def __init__(self, head: str = "normal", bend: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = head
        self.encoder, self.decoder = nn.Linear(X, D).double(), nn.Linear(D, X).double()
        self.encoder.shape, self.head = (X,), nn.Identity()
        self.bend = bend or nn.Identity()
        self.prior = StandardNormal(D)
        columns = torch.linalg.qr(torch.randn(X, D, dtype=torch.float64))[0]
        lengths = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        variance = 1 / (1 + lengths.square() / NOISE**2)
        with torch.no_grad():
            self.decoder.weight.copy_(columns * lengths)
            self.encoder.weight.copy_((variance * lengths / NOISE**2).unsqueeze(1) * columns.T)
            self.encoder.bias.copy_(-self.encoder.weight @ self.decoder.bias)
        self.scale = nn.Parameter(variance.sqrt())

    def posterior(self, x: Tensor, context: Tensor | None = None):
        mean = self.encoder(x)
        return DeltaPosterior(mean) if self.kind == "delta" else NormalPosterior(mean, self.scale)

    def prior_of(self, context: Tensor | None = None):
        return self.prior.given(context)

    def likelihood(self, z: Tensor, context: Tensor | None = None):
        return NormalLikelihood(self.bend(self.decoder(z)))

    def evidence(self, x: Tensor) -> Tensor:
        """log p(x), exactly."""
        weight = self.decoder.weight
        covariance = weight @ weight.T + NOISE**2 * torch.eye(X)
        return MultivariateNormal(self.decoder.bias, covariance).log_prob(x)


@pytest.fixture
def model():
    return LinearModel()


@pytest.fixture
def point_model():
    return LinearModel("delta")


@pytest.fixture
def bent_model():
    return LinearModel("delta", nn.Tanh())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(5)
    return Batch(torch.randn(4, X, generator=generator).double())


@pytest.fixture(scope="session")
def toys():
    """The toys of the benchmarks, whose folder is at the end of the path."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.toys")
    sys.path.remove(root)


@pytest.fixture(scope="session")
def lines():
    """The module ``lines.py`` beside this file."""
    path = Path(__file__).with_name("lines.py")
    spec = importlib.util.spec_from_file_location("objectives_lines", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
