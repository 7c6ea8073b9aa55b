"""The vector quantiser: rounding, its gradient, its scale, and the codebook that follows."""

from __future__ import annotations

import pytest
import torch

from molae.densities import StandardNormal
from molae.distributions import NoDensityError, nearest_entry, rate
from molae.nn.quantiser import VectorQuantiser


def head(**settings):
    torch.manual_seed(0)
    return VectorQuantiser(6, 4, **{"entries": 8, "group": 2} | settings)


def test_codes_are_entries_of_the_codebook():
    made, h = head().eval(), torch.randn(5, 6)
    posterior = made(h)
    assert posterior.indices.shape == (5, 2)
    entries = made.codebook[posterior.indices].flatten(1)
    assert torch.equal(posterior.center, entries)  # to the last bit
    distances = torch.cdist(made.center(h).view(-1, 2), made.codebook)
    assert torch.equal(posterior.indices.flatten(), distances.argmin(1))
    assert torch.equal(posterior.rsample((3,)), posterior.center.expand(3, 5, 4))
    with pytest.raises(NoDensityError):
        rate(posterior, StandardNormal(4))


def test_rows_do_not_depend_on_the_batch():
    made, h = head(entries=100).eval(), torch.randn(300, 6)
    whole = made(h).indices
    groups = made.center(h).view(-1, 2)
    one_by_one = [nearest_entry(row[None], made.codebook) for row in groups]
    assert torch.equal(torch.cat(one_by_one), whole.flatten())


def test_gradients_pass_straight_through():
    made, h = head(commitment=0.0).eval(), torch.randn(5, 6)
    slope = torch.randn(5, 4)
    (made(h).center * slope).sum().backward()
    rounded = made.center.weight.grad.clone()
    made.center.weight.grad = None
    (made.center(h) * slope).sum().backward()
    torch.testing.assert_close(rounded, made.center.weight.grad)


def test_the_commitment_is_a_sum_over_the_code():
    """As distortions are sums over the event: twice as long a code weighs twice as much."""
    h = torch.randn(7, 6)
    made = head(commitment=0.25).eval()
    posterior = made(h)
    expected = 0.25 * (made.center(h) - posterior.center).square().sum(-1)
    torch.testing.assert_close(posterior.penalty(), expected)
    twice = VectorQuantiser(6, 8, entries=8, group=2).eval()
    twice.sums.copy_(made.sums)
    with torch.no_grad():
        for mine, theirs in zip(twice.center.parameters(), made.center.parameters(), strict=True):
            mine.copy_(torch.cat([theirs, theirs]))
    torch.testing.assert_close(twice(h).penalty(), 2 * posterior.penalty())
    slope = torch.autograd.grad(posterior.penalty().sum(), made.center.bias)[0]
    error = (made.center(h) - posterior.center).sum(0)
    torch.testing.assert_close(slope, 0.5 * error)


def test_the_codebook_is_a_moving_average():
    made = head(entries=2, group=4, decay=0.5, restart=0.01).train()
    made.counts.fill_(1.0)
    made.sums.copy_(torch.tensor([[5.0] * 4, [-5.0] * 4]))
    h = torch.randn(6, 6)
    e, which = made.center(h).detach(), made(h).indices[:, 0]
    assert 0 < which.sum() < 6
    for k, before in ((0, 5.0), (1, -5.0)):
        mine = e[which == k]
        count = 0.5 + 0.5 * len(mine)
        torch.testing.assert_close(made.counts[k], torch.tensor(count))
        torch.testing.assert_close(made.codebook[k], (0.5 * before + 0.5 * mine.sum(0)) / count)


def test_only_training_moves_the_codebook():
    made, h = head(), torch.randn(5, 6)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    made.eval()(h)
    with torch.no_grad():
        made.train()(h)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    made(h)
    assert not torch.equal(made.sums, before["sums"])
    assert {"sums", "counts"} <= set(before)  # what a checkpoint holds
    assert made.sums.dtype == made.counts.dtype == torch.float32
    assert not list(set(dict(made.named_parameters())) - {"center.weight", "center.bias"})


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_batch_that_is_no_number_moves_nothing(broken):
    made, h = head().train(), torch.randn(5, 6)
    made(h)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    bad = h.clone()
    bad[2, 1] = broken
    made(bad)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    made(h)
    assert not torch.equal(made.sums, before["sums"])


def test_the_codebook_finds_clusters():
    """Four clusters in the plane, sixteen entries that start on codes, none of them lost."""
    made = VectorQuantiser(2, 2, entries=16, group=2, decay=0.9).train()
    with torch.no_grad():
        made.center.weight.copy_(torch.eye(2))
        made.center.bias.zero_()
    generator = torch.Generator().manual_seed(0)
    middles = torch.tensor([[3.0, 3.0], [3.0, -3.0], [-3.0, 3.0], [-3.0, -3.0]])
    for _ in range(60):
        which = torch.randint(4, (256,), generator=generator)
        made(middles[which] + 0.1 * torch.randn(256, 2, generator=generator))
    assert (made.codebook.abs() - 3.0).abs().max() < 0.5
    which = torch.randint(4, (2000,), generator=generator)
    posterior = made.eval()(middles[which] + 0.1 * torch.randn(2000, 2, generator=generator))
    assert posterior.logged()["perplexity"] > 10
    assert posterior.penalty().mean() < 0.25 * 2 * 0.1**2


def test_perplexity():
    made = head(entries=4, group=4).eval()
    made.sums.copy_(4 * torch.eye(4))
    with torch.no_grad():
        made.center.weight.zero_()
        made.center.weight[:, :4] = torch.eye(4)
        made.center.bias.zero_()
    h = torch.zeros(4, 6)
    h[torch.arange(4), torch.tensor([0, 0, 1, 1])] = 1.0
    shown = made(h).logged()["perplexity"]
    torch.testing.assert_close(shown, torch.tensor(2.0))


def test_float32_under_autocast():
    made, h = head().eval(), torch.randn(5, 6)
    exact = made(h)
    with torch.autocast("cpu", torch.bfloat16):
        again = made.train()(h)
    assert torch.equal(exact.indices, again.indices)
    assert again.center.dtype == made.sums.dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"group": 3}, "one of 1, 2, 4"),
        ({"entries": 1}, "2 or more"),
        ({"decay": 1.0}, "between 0 and 1"),
        ({"commitment": -1.0}, "not below 0"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(ValueError, match=words):
        head(**settings)
    assert VectorQuantiser(6, 3).group == 1
    assert VectorQuantiser(6, 8).group == 2
