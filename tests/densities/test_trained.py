"""The loop that densities are trained by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from molae.densities.trained import Pace, mean_loss, train

PACE = Pace(epochs=40, batch_size=64, learning_rate=0.1, patience=3)


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def loss(self, w, _generator):
        return (w - self.place).square().sum(1)


def codes(rows=400):
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(0)).double() + 3.0


def test_the_best_weights_are_kept():
    model, w, seen = Point(), codes(), []

    def loss(x, generator):
        if not torch.is_grad_enabled() and len(x) == 40:  # the tenth that is held out
            seen.append(float(model.loss(x, generator).mean()))
        return model.loss(x, generator)

    told = []
    train(model, loss, w, PACE, 0, told.append)
    assert torch.allclose(model.place, w.mean(0), atol=0.1)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    assert mean_loss(model.loss, w[order[:40]], 0) == pytest.approx(min(seen))
    assert not model.place.requires_grad
    assert len(told) + 1 == len(seen) <= 41  # once before training


def test_it_ends_when_nothing_gets_better():
    model, told = Point(), []
    train(model, lambda x, g: model.loss(x, g) * 0 + 1.0, codes(), PACE, 0, told.append)
    # The first epoch is the best so far; then the learning rate is halved four times.
    assert len(told) == 1 + 4 * 3


def test_what_is_there_at_first_is_not_made_worse():
    model, w = Point(), codes()
    with torch.no_grad():
        model.place.copy_(w.mean(0))
    train(model, model.loss, w, Pace(3, 64, 50.0, 1), 0)
    assert torch.equal(model.place.data, w.mean(0))


def test_the_seed_decides():
    places = []
    for seed in (1, 1, 2):
        model = Point()
        train(model, model.loss, codes(), Pace(2, 64, 0.1, 3), seed)
        places.append(model.place)
    assert torch.equal(places[0], places[1])
    assert not torch.equal(places[0], places[2])


def test_losses_that_are_no_numbers():
    model = Point()
    with pytest.raises(ValueError, match=r"diverged.*learning_rate than 0.1"):
        train(model, lambda x, g: model.loss(x, g) * math.nan, codes(), PACE, 0)


def test_pace_is_checked():
    with pytest.raises(ValueError, match="epochs"):
        Pace(0, 1, 1.0, 1)
    with pytest.raises(ValueError, match="learning_rate"):
        Pace(1, 1, 0.0, 1)
