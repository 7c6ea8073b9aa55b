from __future__ import annotations

import numpy as np
import pytest

from molae.metrics.prd import prd, prd_curve


def test_equal_distributions():
    curve = prd_curve([0.2, 0.3, 0.5], [0.2, 0.3, 0.5])
    assert curve.f8 == pytest.approx(1, abs=1e-3)
    assert curve.f_eighth == pytest.approx(1, abs=1e-3)
    assert curve.precision.max() == 1
    assert curve.recall.max() == 1


def test_disjoint_distributions():
    curve = prd_curve([1.0, 0.0], [0.0, 1.0])
    assert curve.f8 == 0
    assert curve.f_eighth == 0
    assert not curve.precision.any()


def test_by_hand_half_of_the_reference():
    """g = (1, 0), r = (1/2, 1/2): at slope s precision is min(s/2, 1) and recall min(1/2, 1/s)."""
    curve = prd_curve([1.0, 0.0], [0.5, 0.5])
    assert curve.precision.max() == pytest.approx(1)
    assert curve.recall.max() == pytest.approx(0.5)
    best = (1 + 64) * 1 * 0.5 / (64 * 1 + 0.5)  # F_8 where precision is 1 and recall 1/2
    assert curve.f8 == pytest.approx(best, rel=1e-2)
    assert curve.f_eighth > 0.95  # all that is generated is real


def test_precision_and_recall_change_places():
    g, r = [0.7, 0.3, 0.0], [0.2, 0.3, 0.5]
    assert prd_curve(g, r).f8 == pytest.approx(prd_curve(r, g).f_eighth, abs=1e-6)


def test_of_features():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(600, 2)) + 10 * rng.integers(0, 2, (600, 1))
    near = rng.normal(size=(600, 2)) + 10 * rng.integers(0, 2, (600, 1))
    half = near[near.mean(1) < 5]  # one of two clouds
    far = near + 100
    same, fewer, none = (prd(x, real, runs=2) for x in (near, half, far))
    assert min(same.f8, same.f_eighth) > 0.85
    assert fewer.f_eighth > 0.8 > 0.65 > fewer.f8
    assert max(none.f8, none.f_eighth) < 1e-6


def test_the_seed_decides():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(100, 3)), rng.normal(size=(100, 3))
    assert prd(a, b, runs=1).f8 == prd(a, b, runs=1).f8
    assert prd(a, b, runs=1).f8 != prd(a, b, runs=1, seed=5).f8


def test_bad_input():
    with pytest.raises(ValueError, match="19 rows"):
        prd(np.zeros((19, 2)), np.zeros((30, 2)))
    with pytest.raises(ValueError, match="2 and 3 features"):
        prd(np.zeros((30, 2)), np.zeros((30, 3)))
    with pytest.raises(ValueError, match="add up"):
        prd_curve([0.5, 0.4], [0.5, 0.5])
    with pytest.raises(ValueError, match="shape"):
        prd_curve([1.0], [0.5, 0.5])


def test_the_order_of_the_larger_set_means_nothing():
    """A reference sorted by class is compared as a whole, and not by its first classes."""
    rng = np.random.default_rng(3)
    few, many = rng.permutation(np.repeat(np.arange(4), 50)), np.repeat(np.arange(4), 500)
    sets = (8.0 * np.eye(4)[which] + rng.normal(0, 0.1, (len(which), 4)) for which in (few, many))
    found = prd(*sets, clusters=4, runs=3)
    assert found.recall.max() > 0.9
    assert found.precision.max() > 0.9
