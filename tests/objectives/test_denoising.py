"""The denoising autoencoder: what it corrupts, and the best denoiser of a Gaussian."""

from __future__ import annotations

import pytest
import torch

from molae.nn.heads import DeltaHead
from molae.objectives import AE, DAE, WithProperties
from molae.objectives.denoising import corrupt
from molae.types import PAD, Batch


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_noise_on_images():
    x = torch.full((200, 1, 8, 8), 0.5)
    u = uniform(*x.shape)
    u[0, 0, 0, 0] = 0.0  # whose quantile is infinite
    added = corrupt(x, "gaussian", 0.3, u) - x
    assert added.isfinite().all()
    assert added.std().item() == pytest.approx(0.3, rel=0.02)
    assert added.mean().item() == pytest.approx(0.0, abs=0.01)
    masked = corrupt(x, "masking", 0.3, u)
    assert set(masked.unique().tolist()) == {0.0, 0.5}
    assert (masked == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_entries_of_sequences_give_way_to_any():
    x = torch.full((500, 40), 3)
    x[:, 30:] = PAD
    seen = corrupt(x, "masking", 0.4, uniform(500, 40), 5)
    assert (seen[:, 30:] == PAD).all()
    shares = torch.bincount(seen[:, :30].flatten(), minlength=5) / 15_000
    expected = torch.tensor([0.08, 0.08, 0.08, 0.68, 0.08])
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)
    assert torch.equal(corrupt(x, "masking", 0.0, uniform(500, 40), 5), x)
    with pytest.raises(ValueError, match="use 'masking'"):
        corrupt(x, "gaussian", 0.4, uniform(500, 40), 5)


@pytest.mark.parametrize(("corruption", "level"), [("gaussian", 1.0), ("masking", 0.25)])
def test_the_best_denoiser_of_a_gaussian_is_learnt(lines, corruption, level):
    """x ~ N(0, 4). Of x + e it is 4 / 5 of it; of x or 0 it is x itself, where it is not 0."""
    model, goal = lines.linear(DeltaHead, 1, 1), DAE(corruption, level)
    lines.learn(model, goal, lambda: Batch(2 * torch.randn(512, 1)), 300)
    # The offset learns from both; E[x | x~] of masking is linear too, with slope 1.
    assert lines.slope(model) == pytest.approx(0.8 if corruption == "gaussian" else 1.0, abs=0.03)


def test_held_out_losses_are_clean(lines):
    model, x = lines.linear(DeltaHead, 3, 2), torch.randn(6, 3)
    goal = DAE(level=0.5)
    noisy = goal.terms(model, Batch(x), 0).parts["distortion"]
    still = goal.eval().terms(model, Batch(x), 0).parts["distortion"]
    plain = AE().terms(model, Batch(x), 0).parts["distortion"]
    assert torch.equal(still, plain)
    assert not torch.allclose(noisy, plain)


def test_with_properties_too(lines):
    model, x = lines.linear(DeltaHead, 3, 2), torch.randn(6, 3)
    model.predictor = torch.nn.Linear(2, 1)
    terms = WithProperties(DAE(), 1.0).terms(model, Batch(x, torch.zeros(6, 1)), 0)
    assert terms.parts.keys() >= {"distortion", "property"}


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="did you mean 'masking'"):
        DAE("mask")
    for settings in ({"level": 1.5}, {"level": -0.1}, {"corruption": "gaussian", "level": -1}):
        with pytest.raises(ValueError, match="level is"):
            DAE(**settings)
