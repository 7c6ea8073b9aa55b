from __future__ import annotations

import numpy as np
import pytest

from molae.metrics.manifold import manifold, nearest, nearest_ratio, radii


def test_by_hand():
    """k = 1 on a line. Reference 0, 1, 10: balls of radius 1, 1, 9. Generated 0.5, 30, 31.

    0.5 lies in the balls of 0 and of 1, and not in that of 10 (9.5 away); 30 and 31 in none. The
    balls of the generated ones have radius 29.5, 1 and 1: all three of the reference lie in that
    of 0.5. Of the reference's balls those of 0 and 1 have a generated point inside.
    """
    generated, reference = np.array([[0.5], [30.0], [31.0]]), np.array([[0.0], [1.0], [10.0]])
    assert np.allclose(radii(reference, 1), [1, 1, 81])
    found = manifold(generated, reference, k=1)
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == 1
    assert found.density == pytest.approx(2 / 3)
    assert found.coverage == pytest.approx(2 / 3)


def test_as_its_definition_in_more_dimensions():
    """Against loops over all pairs, with more points than are looked at together."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(700, 4)) + 100, 0.7 * rng.normal(size=(610, 4)) + 100.3
    k = 5
    gap = np.linalg.norm(a[:, None] - b[None], axis=2)  # (700, 610)
    reach_a = np.sort(np.linalg.norm(a[:, None] - a[None], axis=2), 1)[:, k]
    reach_b = np.sort(np.linalg.norm(b[:, None] - b[None], axis=2), 1)[:, k]
    found = manifold(a, b, k)
    assert found.precision == pytest.approx((gap < reach_b).any(1).mean())
    assert found.recall == pytest.approx((gap < reach_a[:, None]).any(0).mean())
    assert found.density == pytest.approx((gap < reach_b).sum() / (k * len(a)))
    assert found.coverage == pytest.approx((gap.min(0) < reach_b).mean())
    assert np.allclose(nearest(a, b), gap.min(1))


def test_equal_distributions_and_far_ones():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(1000, 3)), rng.normal(size=(1000, 3))
    same, far = manifold(a, b), manifold(a + 100, b)
    assert same.density == pytest.approx(1, abs=0.1)
    assert min(same.precision, same.recall, same.coverage) > 0.9
    assert far == type(far)(0, 0, 0, 0)


def test_collapse_is_seen_by_recall_and_coverage_only():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(500, 2))
    found = manifold(0.01 * rng.normal(size=(500, 2)), real)
    assert found.precision > 0.95
    assert found.density == pytest.approx(1, abs=0.3)
    assert found.recall < 0.1
    assert found.coverage < 0.1


def test_copies_of_training_points_are_near_zero():
    rng = np.random.default_rng(3)
    train, held, new = (rng.normal(size=(400, 3)) for _ in range(3))
    assert nearest_ratio(train[:100], held, train) == pytest.approx(0, abs=1e-6)
    assert nearest_ratio(new, held, train) == pytest.approx(1, abs=0.15)
    assert nearest_ratio(new + 50, held, train) > 10
    assert nearest_ratio(new, np.zeros((3, 3)), np.zeros((2, 3))) is None


def test_bad_input():
    with pytest.raises(ValueError, match="more than k = 5"):
        manifold(np.zeros((5, 2)), np.zeros((9, 2)))
    with pytest.raises(ValueError, match="2 and 3 features"):
        manifold(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(ValueError, match="at least one"):
        nearest(np.zeros((0, 2)), np.zeros((9, 2)))
