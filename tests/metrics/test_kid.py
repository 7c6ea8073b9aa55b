from __future__ import annotations

import numpy as np
import pytest

from molae.metrics.kid import BLOCKS, LEAST, kid, squared_mmd


def test_by_hand():
    """F = 1: k(x, y) = (xy + 1)^3. a = (0, 1), b = (1, 2)."""
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    within_a = 1.0  # k(0, 1)
    within_b = 27.0  # k(1, 2) = 3^3
    across = (1 + 1 + 8 + 27) / 4  # k(0, 1), k(0, 2), k(1, 1), k(1, 2)
    assert squared_mmd(a, b) == pytest.approx(within_a + within_b - 2 * across)


def test_is_zero_in_expectation_for_equal_distributions():
    """Small sets, where a biased estimate would be far above 0."""
    rng = np.random.default_rng(0)
    found = [kid(rng.normal(size=(40, 3)), rng.normal(size=(40, 3))).value for _ in range(300)]
    error = np.std(found) / 300**0.5
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0 < max(found)


def test_error_is_that_of_repetitions():
    """The one that is told is about the spread over fresh sets."""
    rng = np.random.default_rng(1)
    found = [kid(rng.normal(size=(200, 2)), rng.normal(0.5, 1, (200, 2))) for _ in range(100)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.3)


def test_value_of_shifted_points():
    """Constants: k is (x^2/1 + 1)^3 within and (xy + 1)^3 across, whatever the blocks."""
    a, b = np.full((LEAST, 1), 1.0), np.full((LEAST + 7, 1), 2.0)
    assert kid(a, b).value == pytest.approx(8 + 125 - 2 * 27)
    assert kid(a, b).error == 0


def test_the_seed_decides():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(100, 4)), rng.normal(size=(100, 4))
    assert kid(a, b) == kid(a, b)
    assert kid(a, b) != kid(a, b, seed=1)


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (np.zeros((2 * BLOCKS - 1, 2)), np.zeros((50, 2)), "19 rows; expected at least 20"),
        (np.zeros((50, 2)), np.zeros((50, 3)), "2 and 3 features"),
        (np.zeros(50), np.zeros((50, 3)), r"expected \(N, F\)"),
        (np.full((50, 2), np.nan), np.zeros((50, 2)), "nan"),
    ],
)
def test_bad_input(a, b, told):
    with pytest.raises(ValueError, match=told):
        kid(a, b)
