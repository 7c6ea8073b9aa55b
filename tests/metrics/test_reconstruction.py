"""Shares of what comes back, counted by hand."""

from __future__ import annotations

import math

import pytest

from molae.metrics.reconstruction import decoding_share, exact_share, interval


def test_exact():
    assert exact_share(["CCO", "CCN", "C", "CC"], ["CCO", "CN", None, "CC"]) == 0.5
    assert exact_share(["CCO"], ["CCO"]) == 1.0
    assert exact_share([], []) is None


def test_what_could_not_be_encoded_is_a_miss():
    assert exact_share(["CCO", "CCN"], ["CCO", "CCN"], lost=2) == 0.5
    assert exact_share([], [], lost=3) == 0.0


def test_nothing_is_never_what_was_wanted():
    assert exact_share([None], [None]) == 0.0


def test_every_decoding_counts():
    found = ["CCO", "CCO", "C", "CCN", None, "C"]
    assert decoding_share(["CCO", "CCN"], found, 3) == pytest.approx(3 / 6)
    assert decoding_share(["CCO", "CCN"], found, 3, lost=1) == pytest.approx(3 / 9)
    assert decoding_share([], [], 50, lost=1) == 0.0
    assert decoding_share([], [], 50) is None


def test_decodings_belong_to_their_own_text():
    assert decoding_share(["A", "B"], ["B", "B", "A", "A"], 2) == 0.0
    assert decoding_share(["A", "B"], ["A", "A", "B", "B"], 2) == 1.0


@pytest.mark.parametrize(("found", "each"), [(["A"] * 3, 2), (["A"], 0), ([], 1)])
def test_lists_that_do_not_fit(found, each):
    with pytest.raises(ValueError, match="decodings of 1 texts"):
        decoding_share(["A"], found, each)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (5, 10), (1, 1), (950, 1000)])
def test_interval(hits, count):
    """Its ends are the shares p of which this one is just 1.96 standard deviations away."""
    share = hits / count
    low, high = interval(share, count)
    assert 0 <= low <= share <= high <= 1
    for p in (low, high):
        if 0 < p < 1:
            away = abs(share - p) / math.sqrt(p * (1 - p) / count)
            assert away == pytest.approx(1.959964, abs=1e-6)
    assert (low == 0, high == 1) == (hits == 0, hits == count)


def test_interval_shrinks_like_the_normal_one():
    low, high = interval(0.3, 1_000_000)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.3 * 0.7 / 1e6), rel=1e-3)
    assert low < 0.3 < high


@pytest.mark.parametrize(("share", "count"), [(0.5, 0), (-0.1, 10), (1.1, 10), (math.nan, 10)])
def test_no_interval(share, count):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        interval(share, count)
