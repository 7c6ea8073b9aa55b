"""Weights by rank, by hand; and what is drawn by them."""

import math

import numpy as np
import pytest

from molae.workflows.campaign.ranks import draw, effective, rank_weights, spread_weights


def test_weights_are_those_of_the_paper():
    """N = 4, k = 0.25: 1 / (1 + rank)."""
    weights = rank_weights(np.array([-1.0, 7.0, 0.0, 3.5]), 0.25)
    assert weights == pytest.approx(np.array([1 / 4, 1, 1 / 3, 1 / 2]) / (25 / 12))


def test_equal_scores_have_the_same_weight():
    """The rank is the number of better ones: 0, 1, 1, 3."""
    weights = rank_weights(np.array([2.0, 1.0, 1.0, 0.0]), 0.25)
    assert weights == pytest.approx(np.array([1, 1 / 2, 1 / 2, 1 / 4]) / 2.25)


def test_weights_do_not_depend_on_the_scale_of_scores():
    scores = np.random.default_rng(0).normal(size=50)
    assert np.array_equal(rank_weights(scores, 1e-3), rank_weights(np.exp(3 * scores), 1e-3))


def test_an_infinite_k_weighs_all_alike():
    assert rank_weights(np.arange(5.0), math.inf) == pytest.approx(np.full(5, 0.2))


def test_half_of_the_weight_is_on_three_in_a_hundred():
    """As the docstring of Retrainer says of k = 1e-3; a batch of 64 is worth three rows."""
    weights = rank_weights(np.arange(100_000.0), 1e-3)[::-1]  # the best first
    assert weights[:3000].sum() == pytest.approx(0.5, abs=0.01)
    assert 64 * effective(weights) / len(weights) == pytest.approx(3, abs=0.1)


def test_effective_number_of_rows():
    assert effective(np.full(8, 1 / 8)) == pytest.approx(8)
    assert effective(np.array([0.5, 0.5, 0.0, 0.0])) == pytest.approx(2)


def test_weights_are_spread_until_they_are_worth_enough():
    scores = np.arange(300.0)
    weights = spread_weights(scores, 1e-3, 66)
    assert 66 <= effective(weights) < 180  # and no flatter than they have to be
    assert np.array_equal(np.argsort(weights), np.arange(300))
    assert np.array_equal(spread_weights(scores, 1e-3, 5), rank_weights(scores, 1e-3))


def test_each_row_is_drawn_as_often_as_its_weight_says():
    weights = rank_weights(np.random.default_rng(0).normal(size=200), 1e-2)
    total = np.zeros(200)
    for seed in range(400):
        counts = np.bincount(draw(weights, 500, np.random.default_rng(seed)), minlength=200)
        assert np.abs(counts - 500 * weights).max() < 1
        total += counts
    assert total / 400 == pytest.approx(500 * weights, abs=0.12)  # four standard errors


def test_a_draw_is_told_by_its_generator():
    weights = rank_weights(np.arange(20.0), 1e-2)
    one, two, three = (draw(weights, 7, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)
