"""MIG and DCI of codes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from molae.datasets.sprites import factors
from molae.metrics.disentanglement import dci, mutual_information_gap

FACTORS = factors()
RNG = np.random.default_rng(0)


def test_factors_themselves_are_perfect():
    """In another order, on other scales, and with a dimension beside them that says nothing."""
    codes = np.c_[FACTORS[:, ::-1] * [3.0, -1.0, 0.1, 7.0], RNG.normal(size=len(FACTORS))]
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(1.0, abs=0.06)
    found = dci(codes, FACTORS)
    assert found.disentanglement == pytest.approx(1.0, abs=1e-6)
    assert found.completeness == pytest.approx(1.0, abs=1e-6)
    assert found.informativeness == 1.0
    wanted = np.vstack([np.eye(4)[::-1], np.zeros(4)])
    np.testing.assert_allclose(found.importance, wanted, atol=1e-6)


def test_noise_says_nothing():
    codes = RNG.normal(size=(len(FACTORS), 6))
    assert mutual_information_gap(codes, FACTORS) < 0.03
    found = dci(codes, FACTORS)
    assert found.disentanglement < 0.05
    assert found.completeness < 0.1
    assert found.informativeness < 0.35


def test_a_rotation_entangles():
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    spread = (FACTORS - FACTORS.mean(0)) / FACTORS.std(0)
    mixed = spread @ turn
    assert mutual_information_gap(mixed, FACTORS) < 0.3
    found = dci(mixed, FACTORS)
    assert found.disentanglement < 0.6
    assert found.informativeness > 0.4


def test_gap_by_hand():
    """Two bits: one dimension tells the first, two tell the second; the third is a copy."""
    v = np.array([[a, b] for a in (0, 1) for b in (0, 1)] * 5)
    codes = np.c_[v[:, 0], v[:, 1], v[:, 1]]
    assert mutual_information_gap(codes, v) == pytest.approx(0.5)
    # A dimension that is both at once tells all of each, and so leaves no gap to those.
    both = np.c_[codes[:, :2], 2 * v[:, 0] + v[:, 1]]
    assert mutual_information_gap(both, v) == pytest.approx(0.0, abs=1e-12)
    # Noisy by half: I(z; v) of a channel that flips a quarter of its bits.
    flips = np.array([0, 0, 0, 1] * 2)
    bit = np.repeat([0, 1], 4)
    gap = mutual_information_gap(np.c_[bit ^ flips, np.zeros(8)], bit[:, None])
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert gap == pytest.approx(1 - entropy)


def test_what_makes_no_sense_is_refused():
    for measure in (mutual_information_gap, dci):
        with pytest.raises(ValueError, match=r"\(N, D\) and \(N, K\)"):
            measure(np.zeros((5, 2)), np.zeros((4, 2)))
        with pytest.raises(ValueError, match="nan"):
            measure(np.full((768, 2), np.nan), FACTORS)
        with pytest.raises(ValueError, match="one value"):
            measure(np.zeros((9, 2)), np.zeros((9, 2)))
        with pytest.raises(ValueError, match="2"):
            measure(np.zeros((768, 1)), FACTORS)
