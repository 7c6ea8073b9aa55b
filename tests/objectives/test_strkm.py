"""The Stiefel-restricted kernel machine against PCA."""

from __future__ import annotations

import pytest
import torch

from molae.nn.stiefel import StiefelHead
from molae.objectives import StRKM
from molae.types import Batch

X, D, N = 5, 2, 256


@pytest.fixture(scope="module")
def data():
    """Rotated normal data about a mean, with clearly different variances, float32."""
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(X, X, generator=generator))[0]
    scales = torch.tensor([2.0, 1.4, 0.6, 0.4, 0.2])
    return (torch.randn(N, X, generator=generator) * scales) @ turn.T + 1.5


@pytest.fixture(scope="module")
def principal(data):
    """Projector on the two first principal axes, and the variance that they leave out."""
    values, axes = torch.linalg.eigh(data.T.cov(correction=0))
    return axes[:, -D:] @ axes[:, -D:].T, values[:-D].sum().item()


def test_fixed_features_are_analysed(lines, data, principal):
    """Where the features are the data, the second term alone is PCA."""
    model = lines.linear(lambda h, d: StiefelHead(h, d, features=X), X, D)
    with torch.no_grad():
        model.head.center.weight.copy_(torch.eye(X))
        model.head.center.bias.zero_()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "head.free")
    # A decoder that stands still has a say in the first, which is to count for nothing.
    lines.learn(model, StRKM(weight=1e5), lambda: Batch(data), 300, 0.05)
    axes = model.head.axes.detach()
    torch.testing.assert_close(axes @ axes.T, principal[0], atol=2e-3, rtol=0)
    left = model.head.train()(data).penalty().mean().item()
    assert left == pytest.approx(principal[1], rel=1e-3)


def test_learnt_features_reconstruct_as_well_as_pca(lines, data, principal):
    model = lines.linear(StiefelHead, X, D)
    lines.learn(model, StRKM(weight=0.5), lambda: Batch(data), 600, 0.05)
    z = model.encode(data)
    error = (model.likelihood(z).mean - data).square().sum(1).mean().item()
    assert principal[1] < error * (1 + 1e-4)
    assert error < 1.02 * principal[1]
    assert model.posterior(data).penalty().mean() < 0.01 * z.square().sum(1).mean()
    # In the plane of PCA: what is decoded moves along no other direction.
    moved = model.decoder.layer.weight.detach()
    torch.testing.assert_close(principal[0] @ moved, moved, atol=0.05, rtol=0)


def test_terms_by_hand(lines, data):
    model = lines.linear(StiefelHead, X, D).eval()
    terms = StRKM(weight=3.0).eval().terms(model, Batch(data), 0)
    posterior = model.posterior(data)
    torch.testing.assert_close(terms.parts["pca"], 3 * posterior.penalty())
    missed = -model.likelihood(posterior.center).log_prob(data)
    torch.testing.assert_close(terms.parts["distortion"], missed)
    noisy = StRKM(noise=0.5).terms(model, Batch(data), 0).parts["distortion"]
    assert not torch.allclose(noisy, missed)
    with pytest.raises(ValueError, match="below 0"):
        StRKM(noise=-1.0)
