"""Fréchet distances against closed forms, and FCD where ChemNet is installed."""

from __future__ import annotations

import numpy as np
import pytest

from molae.metrics import Moments, fcd, frechet_distance
from molae.metrics.frechet import has_chemnet


def test_of_one_dimension():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    a = Moments(np.array([1.0]), np.array([[4.0]]))
    b = Moments(np.array([4.0]), np.array([[25.0]]))
    assert frechet_distance(a, b) == pytest.approx(9 + 9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_of_covariances_that_do_not_commute():
    """tr (C1 C2)^(1/2) of two dimensions is sqrt(tr C1 C2 + 2 sqrt(det C1 C2))."""
    c1, c2 = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[4.0, -1.0], [-1.0, 1.0]])
    shared = np.sqrt(np.trace(c1 @ c2) + 2 * np.sqrt(np.linalg.det(c1 @ c2)))
    expected = np.trace(c1) + np.trace(c2) - 2 * shared
    zero = np.zeros(2)
    assert frechet_distance(Moments(zero, c1), Moments(zero, c2)) == pytest.approx(expected)


def test_singular_covariances():
    """Fewer rows than features: the distance is that within the plane that they span."""
    rng = np.random.default_rng(0)
    plane, _ = np.linalg.qr(rng.normal(size=(40, 2)))  # (40, 2)
    flat = rng.normal(size=(2, 9, 2)) * [1.0, 3.0] + rng.normal(size=(2, 1, 2))
    low = [Moments.of(rows) for rows in flat]
    high = [Moments.of(rows @ plane.T) for rows in flat]
    assert frechet_distance(*high) == pytest.approx(frechet_distance(*low), abs=1e-5)


def test_moments():
    found = Moments.of([[0.0, 1.0], [2.0, 5.0]])
    assert found.mean.tolist() == [1.0, 3.0]
    assert found.covariance.tolist() == [[2.0, 4.0], [4.0, 8.0]]
    with pytest.raises(ValueError, match=r"expected \(N, D\), N at least 2"):
        Moments.of([[1.0, 2.0]])
    with pytest.raises(ValueError, match="same number"):
        frechet_distance(found, Moments.of([[1.0], [2.0]]))


@pytest.mark.skipif(has_chemnet(), reason="the extra fcd is installed")
def test_without_chemnet_it_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'molae\[fcd\]'"):
        fcd(["CC", "CO"], ["CC", "CN"])


@pytest.mark.skipif(not has_chemnet(), reason="needs the extra fcd")
def test_fcd_is_that_of_fcd_torch():
    import fcd_torch

    a = ["C" * n for n in range(1, 41)]
    b = [f"c1ccccc1{'C' * n}O" for n in range(1, 41)]
    assert fcd(a, a) == pytest.approx(0, abs=1e-3)
    assert fcd(a, b) == pytest.approx(fcd_torch.FCD()(a, b), abs=1e-3)
    with pytest.raises(ValueError, match="at least 2"):
        fcd(["C"], b)
