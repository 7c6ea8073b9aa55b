"""Chains: stationary distributions in closed form, and real models of texts and images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from molae import load
from molae.densities import StandardNormal
from molae.distributions import DeltaPosterior
from molae.draws import normals
from molae.models import Autoencoder
from molae.objectives import AE, CAE, DAE
from molae.runs.run import Run
from molae.workflows.chains import chain

SPREAD, LEVEL = 2.0, 1.0


class Reads(nn.Module):
    """z = w x."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, x, context=None):
        return self.w * x


class Point(nn.Module):
    def forward(self, h, context=None):
        return DeltaPosterior(h)


class Normal:
    """x ~ N(mean, sigma^2), drawn as decoders do: keyed by seed and index."""

    def __init__(self, mean, sigma):
        self.mean, self.sigma = mean, sigma

    def mode(self):
        return self.mean

    def sample(self, seed, index, temperature=1.0):
        return self.mean + self.sigma * normals(seed, index, 1, 0).float()


class Writes(nn.Module):
    """x ~ N(c z, sigma^2)."""

    def __init__(self, c, sigma):
        super().__init__()
        self.c, self.sigma = c, sigma

    def forward(self, z, context=None):
        return Normal(self.c * z, self.sigma)


def line(goal, w, c, sigma=0.0):
    return Run(None, Autoencoder(Reads(w), Point(), Writes(c, sigma), StandardNormal(1)), goal, {})


def last(states):
    *_, end = states
    return end


@pytest.fixture(scope="module")
def denoiser():
    """The best one of x ~ N(0, 4) from x + e: x | x~ ~ N(4 / 5 x~, 4 / 5)."""
    share = SPREAD**2 / (SPREAD**2 + LEVEL**2)
    goal = DAE("gaussian", LEVEL)
    return line(goal, 0.5, 2 * share, math.sqrt(share) * LEVEL)


def test_the_best_denoiser_walks_to_the_data(denoiser):
    """From far away to N(0, 4), whatever it begins with; neighbours correlate by 4 / 5."""
    before, x = list(chain(denoiser, torch.full((4000, 1), 30.0), 40, seed=3))[-2:]
    assert x.mean().item() == pytest.approx(0.0, abs=0.12)
    assert x.std().item() == pytest.approx(SPREAD, rel=0.05)
    for width, share in ((0.5, 0.383), (1.0, 0.683), (2.0, 0.954)):
        inside = (x.abs() < width * SPREAD).float().mean().item()
        assert inside == pytest.approx(share, abs=0.025)
    both = torch.cat([before, x], 1).T
    assert both.corrcoef()[0, 1].item() == pytest.approx(0.8, abs=0.03)


def test_a_chain_does_not_depend_on_its_neighbours(denoiser):
    begin = torch.randn(5, 1)
    together = last(chain(denoiser, begin, 3, seed=1))
    alone = last(chain(denoiser, begin[3:4], 3, seed=1, index=torch.tensor([3])))
    torch.testing.assert_close(together[3:4], alone)
    assert not torch.allclose(together, last(chain(denoiser, begin, 3, seed=2)))
    steps = [float(x) for x in chain(denoiser, torch.zeros(1, 1), 6)]
    assert len(set(steps)) == 6


def test_the_chain_of_a_contractive_line_is_autoregressive():
    """x' = c w x + c w^2 noise e with z = w x, g = c z: its variance is known."""
    w, c, noise = 0.5, 1.6, 3.0
    run = line(CAE(), w, c)
    x = last(chain(run, torch.full((4000, 1), 5.0), 30, seed=1, noise=noise))
    spread = c * w**2 * noise / math.sqrt(1 - (c * w) ** 2)
    assert x.mean().item() == pytest.approx(0.0, abs=0.12)
    assert x.std().item() == pytest.approx(spread, rel=0.05)


def test_steps_follow_the_jacobian():
    """In more dimensions, against J J^T written out, through a net that is not linear."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

    class Bent(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = encoder

        def forward(self, x, context=None):
            return self.net(x)

    class Shows(nn.Module):
        def forward(self, z, context=None):
            return Normal(z, 0.0)

    model = Autoencoder(Bent(), Point(), Shows(), StandardNormal(2)).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    run = Run(None, model, AE(), {})
    far = last(chain(run, x, 1, "rifai", seed=5, noise=0.7))
    key = torch.arange(3) + (1 << 32)
    e = 0.7 * normals(5, key, 2, 1 << 27)
    for row in range(3):
        j = torch.autograd.functional.jacobian(encoder, x[row])
        torch.testing.assert_close(far[row], encoder(x[row]).detach() + j @ j.T @ e[row])


def test_molecules_walk_to_molecules():
    run = load("tiny", "cpu")
    run.objective = DAE(level=0.3)
    begin = run.codec.encode(["CCO", "c1ccccc1C(=O)N", "CC(C)N"])
    states = [run.spelling(run.codec.decode(x)) for x in chain(run, begin, 2, seed=1)]
    assert len(states) == 2
    assert all(text is not None for state in states for text in state)
    assert len({text for state in states for text in state}) > 2
    with pytest.raises(ValueError, match="sequences have none"):
        chain(run, begin, 2, "rifai")
    run.objective = AE()
    with pytest.raises(ValueError, match="objective 'dae'"):
        chain(run, begin, 2, "bengio")


def test_what_makes_no_sense_is_refused(denoiser):
    with pytest.raises(ValueError, match="did you mean 'rifai'"):
        chain(denoiser, torch.zeros(1, 1), 1, "rifay")
    with pytest.raises(ValueError, match="steps is -1"):
        chain(denoiser, torch.zeros(1, 1), -1)
    assert list(chain(denoiser, torch.zeros(1, 1), 0)) == []
