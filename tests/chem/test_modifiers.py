import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.chem.modifiers import (
    Clipped,
    Gaussian,
    MaxGaussian,
    MinGaussian,
    arithmetic,
    geometric,
    unchanged,
)

ONE_SIGMA, TWO_SIGMA = math.exp(-0.5), math.exp(-2)


@pytest.mark.parametrize(
    ("modifier", "x", "expected"),
    [
        (Gaussian(3, 0.5), 3, 1),
        (Gaussian(3, 0.5), 2.5, ONE_SIGMA),
        (Gaussian(3, 0.5), 4, TWO_SIGMA),
        (MinGaussian(0.85, 0.1), 0.2, 1),
        (MinGaussian(0.85, 0.1), 0.85, 1),
        (MinGaussian(0.85, 0.1), 0.95, ONE_SIGMA),
        (MaxGaussian(100, 10), 250, 1),
        (MaxGaussian(100, 10), 100, 1),
        (MaxGaussian(100, 10), 80, TWO_SIGMA),
        (Clipped(0.75), 0, 0),
        (Clipped(0.75), 0.3, 0.4),
        (Clipped(0.75), 0.75, 1),
        (Clipped(0.75), 0.9, 1),
        (Clipped(0.75), -1, 0),
        (unchanged, 0.3, 0.3),
    ],
)
def test_by_hand(modifier, x, expected):
    assert modifier(x) == pytest.approx(expected, rel=1e-12)


numbers = st.floats(-1e6, 1e6)


@given(x=numbers, y=numbers, mu=numbers, sigma=st.floats(0.01, 1e3))
def test_laws(x, y, mu, sigma):
    low, high = sorted((x, y))
    near, small, large = Gaussian(mu, sigma), MinGaussian(mu, sigma), MaxGaussian(mu, sigma)
    assert all(0 <= modifier(x) <= 1 for modifier in (near, small, large, Clipped(sigma)))
    assert near(mu) == 1
    assert near(x) == small(x) * large(x)  # one of the two is 1
    assert small(low) >= small(high)
    assert large(low) <= large(high)
    assert Clipped(sigma)(low) <= Clipped(sigma)(high)


def test_means():
    assert geometric([0.25, 1]) == pytest.approx(0.5)
    assert geometric([0.5, 0.5, 0.5]) == pytest.approx(0.5)
    assert geometric([0, 1, 1]) == 0
    assert arithmetic([0, 1, 1, 1]) == pytest.approx(0.75)
    assert geometric({"a": 0.3}.values()) == arithmetic({"a": 0.3}.values()) == 0.3


@given(st.lists(st.just(0.0) | st.floats(1e-40, 1), min_size=1, max_size=6))
def test_means_lie_between_the_extremes(scores):
    assert min(scores) * (1 - 1e-9) <= geometric(scores) <= max(scores) * (1 + 1e-9)
    assert geometric(scores) <= arithmetic(scores) * (1 + 1e-9)
