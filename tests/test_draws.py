"""Counter-based uniform numbers, and draws of legal entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from molae.draws import choose, draw, greedy, inverted, uniforms
from molae.types import PAD


def test_uniforms_are_uniform():
    index, step = torch.arange(400)[:, None], torch.arange(250)[None]
    u = uniforms(7, index, step).double()
    assert u.shape == (400, 250)
    assert u.min() > 0
    assert u.max() < 1
    n = u.numel()
    assert abs(u.mean() - 1 / 2) < 4 / np.sqrt(12 * n)
    assert abs(u.var() - 1 / 12) < 4 / np.sqrt(180 * n)
    assert kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3
    # Neighbours in item and in step know nothing of each other.
    for first, second in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1])):
        pair = torch.stack([first.flatten(), second.flatten()])
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.02


@given(seed=st.integers(-(2**70), 2**70), index=st.integers(0, 2**62), step=st.integers(0, 10**6))
def test_uniforms_depend_on_nothing_but_the_key(seed, index, step):
    alone = uniforms(seed, torch.tensor([index]), torch.tensor([step]))
    index_of_three = torch.tensor([5, index, 9])
    together = uniforms(seed, index_of_three, torch.tensor([step, step, 0]))
    assert alone[0] == together[1]
    assert 0 < alone[0] < 1


def test_seed_item_and_step_all_matter():
    zero, one = torch.tensor([0]), torch.tensor([1])
    values = [
        uniforms(seed, index, step).item()
        for seed in (-1, 0, 1)
        for index in (zero, one)
        for step in (zero, one)
    ]
    assert len(set(values)) == len(values)


def test_the_entry_that_a_uniform_number_chooses():
    weights = torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 3.0, 1.0, 0.0]])
    for u, wanted in ((0.0, [0, 1]), (0.2, [0, 1]), (0.25, [2, 1]), (0.8, [3, 2]), (1.0, [3, 3])):
        both = torch.full((2,), u)
        assert inverted(weights, both).tolist() == wanted
        alone = [inverted(row, both[:1]).item() for row in weights]
        assert alone == wanted  # one row of weights for all
        assert inverted(weights[0], both).tolist() == wanted[:1] * 2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_are_the_softmax_of_what_is_legal(temperature):
    n = 40_000
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 1.5])
    allowed = torch.tensor([True, True, False, True, True])
    index = torch.arange(n)
    u = uniforms(3, index, torch.zeros_like(index))
    drawn = draw(logits.expand(n, 5), allowed.expand(n, 5), u, temperature)
    counts = torch.bincount(drawn, minlength=5)
    scores = (logits.double() / temperature).masked_fill(~allowed, -torch.inf)
    expected = torch.softmax(scores, 0) * n
    assert counts[2] == 0
    assert chisquare(counts[allowed], expected[allowed]).pvalue > 1e-3


@given(
    data=st.data(),
    size=st.integers(1, 7),
    temperature=st.sampled_from([1e-3, 0.1, 1.0, 10.0]),
    u=st.floats(2**-25, 1 - 2**-24, width=32),
)
def test_never_an_illegal_entry(data, size, temperature, u):
    extreme = st.sampled_from([-1e4, 1e4, -1.0, 0.0, 1.0, -1e30, 1e30])
    logits = torch.tensor([data.draw(st.lists(extreme, min_size=size, max_size=size))])
    legal = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    allowed = torch.tensor([legal])
    found = [draw(logits, allowed, torch.tensor([u]), temperature), greedy(logits, allowed)]
    for choice in found:
        if any(legal):
            assert legal[choice.item()]
        else:
            assert choice.item() == PAD


def test_entries_of_no_probability_are_not_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0]]).expand(500, 4)
    u = uniforms(0, torch.arange(500), torch.zeros(500, dtype=torch.int64))
    drawn = draw(logits, torch.ones(500, 4, dtype=torch.bool), u)
    assert set(drawn.tolist()) == {1, 3}


def test_only_legal_entries_of_no_probability():
    """Where the network rules out all that is legal, something legal is still taken."""
    logits = torch.tensor([[-torch.inf, -torch.inf, 0.0]])
    allowed = torch.tensor([[False, True, False]])
    assert greedy(logits, allowed).item() == 1
    assert draw(logits, allowed, torch.tensor([0.5])).item() == 1


def test_low_temperature_is_greedy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 9, generator=generator)
    allowed = torch.rand(200, 9, generator=generator) < 0.5
    index = torch.arange(200)
    cold = choose(logits, allowed, seed=1, index=index, step=index, temperature=1e-4)
    best = choose(logits, allowed, seed=None, index=index, step=index)
    assert torch.equal(cold, best)
    assert torch.equal(best, greedy(logits, allowed))
    assert torch.equal(best == PAD, ~allowed.any(1))


def test_a_draw_does_not_depend_on_the_batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 30, generator=generator)
    allowed = torch.rand(50, 30, generator=generator) < 0.7
    index, step = torch.arange(50), torch.full((50,), 4)
    whole = choose(logits, allowed, seed=9, index=index, step=step)
    order = torch.randperm(50, generator=generator)
    mixed = choose(logits[order], allowed[order], seed=9, index=index[order], step=step)
    assert torch.equal(mixed, whole[order])


def test_logits_are_not_changed():
    logits = torch.ones(2, 3)
    draw(logits, torch.tensor([[True, False, True]] * 2), torch.tensor([0.2, 0.8]), 2.0)
    assert torch.equal(logits, torch.ones(2, 3))
    draw(logits, torch.ones(2, 3, dtype=torch.bool), torch.tensor([0.2, 0.8]))
    assert torch.equal(logits, torch.ones(2, 3))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="above 0"):
        draw(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), torch.ones(1), temperature)
