"""Codes that are drawn by a net: clusters, style and local noise."""

from __future__ import annotations

import pytest
import torch

from molae.densities import StandardNormal
from molae.distributions import NoDensityError, rate
from molae.nn.implicit_heads import ImplicitHead


def test_shapes_and_float32_under_autocast():
    torch.manual_seed(0)
    head, h = ImplicitHead(6, 4, noise=3), torch.randn(5, 6)
    exact = head(h)
    assert exact.center.shape == exact.rsample().shape == (5, 4)
    assert exact.rsample((2, 3)).shape == (2, 3, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(h).center, exact.center)
        assert head(h.bfloat16()).rsample().dtype == torch.float32


def test_noise_reaches_codes_in_ways_that_depend_on_the_features():
    torch.manual_seed(0)
    head = ImplicitHead(6, 4, noise=3)
    draws = head(torch.randn(2, 6)).rsample((500,))
    spread = draws.std(0)
    assert (spread > 0.01).all()
    assert not torch.allclose(spread[0], spread[1], rtol=0.02)
    still = ImplicitHead(6, 4, noise=0)(torch.randn(2, 6))
    assert torch.equal(still.rsample((2,)), still.center.expand(2, 2, 4))


def test_clusters_style_and_local_noise_lie_side_by_side():
    torch.manual_seed(0)
    posterior = ImplicitHead(6, 9, clusters=3, local=2)(torch.randn(4000, 6))
    z = posterior.rsample()
    torch.testing.assert_close(z[:, :3].sum(1), torch.ones(4000))
    assert (z[:, :3] > 0).all()
    assert (posterior.center[:, 7:] == 0).all()
    assert z[:, 7:].mean(0).abs().max() < 0.1
    torch.testing.assert_close(torch.cov(z[:, 7:].T), torch.eye(2), atol=0.1, rtol=0)
    assert torch.corrcoef(z.T)[:7, 7:].abs().max() < 0.1


def test_gradients_reach_features_and_weights():
    head, h = ImplicitHead(6, 5, clusters=2, local=1), torch.randn(3, 6, requires_grad=True)
    head(h).rsample()[:, 1:].square().sum().backward()
    assert (h.grad != 0).any()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_there_is_no_density():
    posterior = ImplicitHead(6, 4)(torch.randn(5, 6))
    for asked in (posterior.rsample_and_log_prob, lambda: posterior.log_prob(posterior.center)):
        with pytest.raises(NoDensityError, match="avb"):
            asked()
    with pytest.raises(NoDensityError, match="avb"):
        rate(posterior, StandardNormal(4))
    assert (posterior.penalty() == 0).all()


@pytest.mark.parametrize(
    "settings", [{"noise": -1}, {"clusters": 1}, {"clusters": 3, "local": 2}, {"local": 4}]
)
def test_what_has_no_room_is_refused(settings):
    with pytest.raises(ValueError, match="clusters"):
        ImplicitHead(6, 4, **settings)
