"""Orthonormal axes, what a projection leaves out, and centres."""

from __future__ import annotations

import pytest
import torch

from molae.nn.stiefel import StiefelHead

H, D, F, B = 6, 3, 5, 7


@pytest.fixture
def head():
    torch.manual_seed(0)
    return StiefelHead(H, D, features=F)


def test_axes_are_orthonormal_and_stay_so(head):
    optimizer = torch.optim.SGD(head.parameters(), 0.5)
    h = torch.randn(B, H)
    for _ in range(3):
        optimizer.zero_grad()
        before = head.axes.detach()
        head(h).penalty().sum().backward()
        optimizer.step()
        assert not torch.allclose(head.axes, before)
        torch.testing.assert_close(head.axes.T @ head.axes, torch.eye(D))


def test_penalty_is_what_is_left(head):
    h = torch.randn(B, H)
    posterior = head(h)
    features = head.center(h)
    features = features - features.mean(0)
    torch.testing.assert_close(posterior.center, features @ head.axes)
    left = features.square().sum(1) - posterior.center.square().sum(1)
    torch.testing.assert_close(posterior.penalty(), left)
    assert (left > 0).all()


def test_evaluation_centres_by_the_running_mean(head):
    h = torch.randn(B, H)
    for _ in range(200):
        head(h)
    head.eval()
    mean = head.center(h).mean(0)
    torch.testing.assert_close(head.mean, mean)
    torch.testing.assert_close(head(h[:2]).center, head(h).center[:2])
    again = StiefelHead(H, D, features=F).eval()
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(h).center, head(h).center)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_batch_that_is_no_number_leaves_the_running_mean(head, broken):
    h = torch.randn(B, H)
    head(h)
    before = head.mean.clone()
    bad = h.clone()
    bad[2, 1] = broken
    head(bad)
    assert torch.equal(head.mean, before)
    head(h)
    assert not torch.equal(head.mean, before)


def test_too_few_features_are_refused():
    assert StiefelHead(H, D).features == 2 * D
    with pytest.raises(ValueError, match="expected 3 or more"):
        StiefelHead(H, D, features=2)
