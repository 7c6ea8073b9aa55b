"""Constraints of GECO against sums that are written out, on images and on sequences."""

from __future__ import annotations

import math

import pytest
import torch

from molae.densities import StandardNormal
from molae.models import Autoencoder
from molae.names import CONSTRAINTS
from molae.nn.classifier import ImageClassifier
from molae.nn.heads import NormalHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.image_likelihood import PixelModel
from molae.objectives import GECO
from molae.objectives.constraints import (
    local_statistics,
    reconstruction_constraint,
    whitened_patches,
)
from molae.types import PAD, Batch


def given(pixels):
    """A likelihood whose reconstructions are known, (B, C, H, W) in (0, 1)."""
    return PixelModel()(torch.logit(pixels))


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    x, made = 0.1 + 0.8 * torch.rand(2, 3, 1, 12, 10, generator=generator)
    return x, made


def test_squared_error_is_a_mean_over_pixels(pair):
    x, made = pair
    each, count = reconstruction_constraint("re", 0.2).violation(given(made), Batch(x))
    torch.testing.assert_close(each, (x - made).square().flatten(1).mean(1) - 0.04)
    assert count.tolist() == [120.0] * 3


def test_local_statistics_are_those_of_windows(pair):
    x, made = pair
    found = local_statistics(x, 4).view(3, 2, 5, 4)
    assert len(x[0, 0].unfold(0, 4, 2).unfold(1, 4, 2)) == 5
    windows = x[:, 0].unfold(1, 4, 2).unfold(2, 4, 2).flatten(3)  # (B, 5, 4, 16)
    torch.testing.assert_close(found[:, 0], windows.mean(-1))
    spread = (windows.var(-1, correction=0) + 1e-4).sqrt()
    torch.testing.assert_close(found[:, 1], spread, rtol=1e-3, atol=1e-5)
    each, count = reconstruction_constraint("fre", 0.3).violation(given(made), Batch(x))
    wanted = (local_statistics(x, 4) - local_statistics(made, 4)).square().mean(1) - 0.09
    torch.testing.assert_close(each, wanted)
    assert count.tolist() == [40.0] * 3


def test_features_of_a_classifier():
    x, made = 0.1 + 0.8 * torch.rand(2, 2, 3, 20, 20)
    net = ImageClassifier.load("mnist")
    kept = reconstruction_constraint("fre", 0.3, "mnist")
    each, count = kept.violation(given(made), Batch(x))
    seen = [net(net.scaled(net.grey(each)))[0] for each in (x, made)]
    wanted = (seen[0] - seen[1]).square().mean(1) - 0.09
    torch.testing.assert_close(each, wanted, rtol=1e-3, atol=1e-4)
    assert count.tolist() == [64.0] * 2


def test_classes_are_those_of_labels_or_of_the_images():
    x, made = 0.1 + 0.8 * torch.rand(2, 4, 1, 28, 28)
    net, kept = ImageClassifier.load("mnist"), reconstruction_constraint("cla", 0.7)
    with torch.no_grad():
        shares, own = net(made)[1].softmax(-1), net(x)[1].argmax(-1)
    rows = torch.arange(4)
    for y, labels in (
        (torch.tensor([3, 1, 0, 9]), torch.tensor([3, 1, 0, 9])),
        (None, own),
        (torch.rand(4, 2), own),  # targets of something else
    ):
        each, count = kept.violation(given(made), Batch(x, y))
        torch.testing.assert_close(each, 0.7 - shares[rows, labels], rtol=1e-3, atol=1e-5)
        assert count.tolist() == [1.0] * 4
    with pytest.raises(ValueError, match="the classifier knows 10 classes"):
        kept.violation(given(made), Batch(x, torch.tensor([1, 2, 3, 10])))


def test_patches_correlate(pair):
    x, _ = pair
    patches, there = whitened_patches(x, 4)
    windows = x[:, 0].unfold(1, 4, 2).unfold(2, 4, 2).flatten(1, 2).flatten(2)  # (B, L, 16)
    centred = windows - windows.mean(-1, keepdim=True)
    white = centred / centred.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(patches, white.transpose(1, 2), rtol=1e-3, atol=1e-3)
    assert bool((there == 1).all())
    kept = reconstruction_constraint("pncc", 0.6, window=4)
    same = kept.violation(given(x), Batch(x))[0]
    brighter = kept.violation(given(0.2 + 0.5 * x), Batch(x))[0]
    negative = kept.violation(given(1 - x), Batch(x))[0]
    assert same.tolist() == pytest.approx([-0.4] * 3, abs=2e-3)
    assert brighter.tolist() == pytest.approx([-0.4] * 3, abs=5e-3)
    assert negative.tolist() == pytest.approx([1.6] * 3, abs=2e-3)


def test_patches_with_nothing_in_them_do_not_count():
    x = torch.zeros(2, 1, 16, 16)
    x[0, 0, :8, :8] = torch.rand(8, 8)
    kept = reconstruction_constraint("pncc", 0.6)
    made = x.clamp(1e-4, 1 - 1e-4)
    each = kept.violation(given(made), Batch(x))[0]
    assert each.tolist() == pytest.approx([-0.4, -0.4], abs=2e-3)
    noise = torch.rand(2, 1, 16, 16).clamp(0.01, 0.99)
    each = kept.violation(given(noise), Batch(x))[0]
    assert each[0] > 0.2
    assert each[1] == pytest.approx(-0.4)


class Known:
    """A likelihood of sequences with known answers."""

    def __init__(self, log_prob, hits):
        self.logs = torch.tensor(log_prob, requires_grad=True)
        self.hits = torch.tensor(hits)

    def log_prob(self, x):
        return self.logs

    def recovers(self, x):
        return self.hits


SEQUENCES = torch.tensor([[1, 2, 3, 4], [1, 2, PAD, PAD]])


def test_nats_are_counted_per_rule():
    likelihood = Known([-2.0, -0.5], [False, True])
    each, count = reconstruction_constraint("nats", 0.1).violation(likelihood, Batch(SEQUENCES))
    assert each.tolist() == pytest.approx([0.4, 0.15])
    assert count.tolist() == [4.0, 2.0]
    # So the mean over rules is that of the batch, 2.5 / 6, and lambda N C is in nats.
    mean = (count * each).sum().detach() / count.sum()
    assert mean.item() == pytest.approx(2.5 / 6 - 0.1)
    slope = torch.autograd.grad((count * each).sum(), likelihood.logs)[0]
    assert slope.tolist() == [-1.0, -1.0]


def test_exact_matches_have_their_own_value_and_the_gradient_of_the_likelihood():
    likelihood = Known([-2.0, -0.5], [False, True])
    each, count = reconstruction_constraint("exact", 0.9).violation(likelihood, Batch(SEQUENCES))
    assert each.tolist() == pytest.approx([0.9, -0.1])
    assert count.tolist() == [1.0, 1.0]
    assert torch.autograd.grad(each.sum(), likelihood.logs)[0].tolist() == [-1.0, -1.0]


IMAGES = [name for name in CONSTRAINTS if name not in ("nats", "exact")]


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_trained_under_each(name):
    """The Lagrangian, at a multiplier that is held, falls; and its gradient reaches all."""
    torch.manual_seed(0)
    shape = (1, 16, 16)
    reads = ImageEncoder(shape, hidden=16, multiplier=0.5)
    writes = ImageDecoder(shape, 3, hidden=16, multiplier=0.5)
    model = Autoencoder(reads, NormalHead(reads.width, 3), writes, StandardNormal(3)).train()
    goal = GECO(name, initial=100.0, warmup=100, decay=0.0)
    goal.prepare(model)
    batch = Batch(torch.rand(16, *shape).round())
    (player,) = goal.players(model)
    assert {id(p) for p in player.parameters} == {id(p) for p in model.parameters()}
    optimizer = torch.optim.Adam(player.parameters, 3e-3)
    losses = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = player.terms(model, batch, 0).parts
    assert all(part.dtype == torch.float32 for part in low.values())
    for step in range(20):
        loss = player.terms(model, batch, step).loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in player.parameters)
    assert sum(losses[-5:]) < sum(losses[:5])
    assert set(goal.state_dict()) == {"average", "log_multiplier"}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_every_name_has_a_tolerance(name):
    kept = reconstruction_constraint(name)
    assert kept.unit > 0
    assert reconstruction_constraint(name, 0.5).tolerance == 0.5
    with pytest.raises(ValueError, match="tolerance is 0"):
        reconstruction_constraint(name, 0.0)
    if kept.usual > 0.5:
        assert kept.unit == pytest.approx(1 - kept.usual)
        with pytest.raises(ValueError, match="below 1"):
            reconstruction_constraint(name, 1.0)


def test_what_makes_no_sense_is_refused(pair):
    x, made = pair
    with pytest.raises(ValueError, match="unknown constraint 'er'"):
        reconstruction_constraint("er")
    with pytest.raises(ValueError, match="'re' has no features"):
        reconstruction_constraint("re", features="mnist")
    with pytest.raises(ValueError, match="'cla' has no window"):
        reconstruction_constraint("cla", window=4)
    with pytest.raises(ValueError, match="at least 2"):
        reconstruction_constraint("pncc", window=1)
    with pytest.raises(ValueError, match="does not fit"):
        reconstruction_constraint("fre", window=11).violation(given(made), Batch(x))
    with pytest.raises(ValueError, match="nowhere"):
        reconstruction_constraint("cla", features="nowhere").violation(given(made), Batch(x))
    assert math.isclose(reconstruction_constraint("nats").unit, 0.1)
