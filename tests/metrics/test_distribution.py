"""Each metric against a case that was worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from molae.metrics import (
    count_similarity,
    internal_diversity,
    nearest_similarity,
    novelty,
    uniqueness,
    validity,
    wasserstein,
)
from molae.metrics.distribution import BLOCK


def bits(*rows):
    """Fingerprints of 1024 bits with the given ones set."""
    table = np.zeros((len(rows), 1024), np.uint8)
    for row, ones in zip(table, rows, strict=True):
        row[list(ones)] = 1
    return table


#: T(a, b) = 1/3, T(a, c) = 0, T(b, c) = 1/3.
A, B, C = (0, 1), (1, 2), (2, 3)


def test_validity_counts_draws():
    assert validity(["CC", None, "CO", None, "CC"]) == pytest.approx(3 / 5)


def test_uniqueness_counts_valid_draws_up_to_k():
    drawn = ["CC", "CC", "CO", "CN"]
    assert uniqueness(drawn) == pytest.approx(3 / 4)
    assert uniqueness(drawn, 2) == pytest.approx(1 / 2)
    with pytest.raises(ValueError, match="4 valid molecules; expected at least 5"):
        uniqueness(drawn, 5)


def test_novelty_counts_each_molecule_once():
    assert novelty(["CC", "CC", "CC", "CO", "CN"], {"CC", "CCC"}) == pytest.approx(2 / 3)


def test_internal_diversity_of_three():
    one, two = internal_diversity(bits(A, B, C))
    third = 1 / 3
    # Rows of T: (1, 1/3, 0), (1/3, 1, 1/3), (0, 1/3, 1).
    assert one == pytest.approx(1 - (3 + 4 * third) / 9)
    roots = [math.sqrt((1 + third**2) / 3), math.sqrt((1 + 2 * third**2) / 3)]
    assert two == pytest.approx(1 - (2 * roots[0] + roots[1]) / 3)
    assert internal_diversity(bits(A)) == [0.0, 0.0]


def test_internal_diversity_of_several_blocks():
    """Two kinds of molecules with nothing in common, in more rows than are compared at once."""
    n, k = BLOCK + 300, BLOCK - 100
    one, two = internal_diversity(np.concatenate((bits(A).repeat(k, 0), bits(C).repeat(n - k, 0))))
    shares = k / n, 1 - k / n
    assert one == pytest.approx(1 - sum(s * s for s in shares))
    assert two == pytest.approx(1 - sum(s * math.sqrt(s) for s in shares))


def test_similarity_to_the_nearest():
    reference = bits(B, (5, 6))
    assert nearest_similarity(bits(A, (5, 6), C), reference) == pytest.approx(
        (1 / 3 + 1 + 1 / 3) / 3
    )
    assert nearest_similarity(reference[1:], bits(A)) == 0.0


def test_cosine_of_counts():
    assert count_similarity({"a": 3, "b": 4}, {"b": 5, "c": 12}) == pytest.approx(20 / (5 * 13))
    assert count_similarity({"a": 3}, {"a": 7}) == pytest.approx(1)
    assert count_similarity({"a": 3}, {"b": 7}) == 0


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([0, 1], [2, 3], 2.0),
        ([3, 0], [1], 1.5),  # half the mass moves by 2, half by 1
        ([0, 0, 0, 4], [0, 4], 1.0),  # a quarter moves by 4
        ([5, 7], [7, 5], 0.0),
        ([1], [1], 0.0),
    ],
)
def test_wasserstein(a, b, distance):
    assert wasserstein(a, b) == pytest.approx(distance)
    assert wasserstein(b, a) == pytest.approx(distance)


def test_wasserstein_of_many_is_that_of_sorted_pairs():
    a, b = np.random.default_rng(0).normal(size=(2, 500))
    assert wasserstein(a, b) == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean())


@pytest.mark.parametrize(
    "call",
    [
        lambda: validity([]),
        lambda: uniqueness([]),
        lambda: novelty([], {"C"}),
        lambda: internal_diversity(bits()),
        lambda: nearest_similarity(bits(), bits(A)),
        lambda: nearest_similarity(bits(A), bits()),
        lambda: count_similarity({}, {"a": 1}),
        lambda: wasserstein([], [1.0]),
        lambda: wasserstein([1.0, float("nan")], [1.0]),
    ],
)
def test_nothing_to_measure_is_an_error(call):
    with pytest.raises(ValueError, match="expected"):
        call()
