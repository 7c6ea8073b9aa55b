"""Splits: stable, complete, and of the size asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.datasets.splits import split_by_count, split_by_text, text_key

SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
TEXTS = st.lists(st.text(max_size=5), max_size=60)


def parts_of(items, seed):
    split = split_by_text(items, SHARES, seed)
    return {items[i]: name for name, rows in split.items() for i in rows}, split


@settings(deadline=None, max_examples=50)
@given(TEXTS, TEXTS, st.integers(0, 99), st.randoms())
def test_items_keep_their_part_when_data_is_shuffled_and_grows(items, more, seed, random):
    before, split = parts_of(items, seed)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(len(items)))
    grown = items + more
    random.shuffle(grown)
    after, _ = parts_of(grown, seed)
    assert all(after[item] == part for item, part in before.items())


def test_shares_are_about_right_and_seeds_differ():
    items = [f"item {i}" for i in range(20_000)]
    split = split_by_text(items, SHARES)
    for name, share in SHARES.items():
        assert abs(len(split[name]) / 20_000 - share) < 0.012  # four standard deviations
    other = split_by_text(items, SHARES, seed=1)
    both = len(np.intersect1d(split["test"], other["test"]))
    assert 120 < both < 290  # independent: 200 expected


def test_keys_are_the_same_for_ever():
    # printf CCO | b2sum -l 64
    assert text_key("CCO").to_bytes(8, "little").hex() == "6d200b6f6c9553c3"
    assert text_key("CCO") != text_key("OCC")
    assert split_by_text(["CCO"] * 3, {"a": 0.5, "b": 0.5})["a"].size in (0, 3)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 200), st.integers(0, 99), st.data())
def test_counts_are_exact(n, seed, draw):
    a = draw.draw(st.integers(0, n))
    split = split_by_count(n, {"valid": a, "train": None}, seed)
    assert len(split["valid"]) == a
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(n))
    again = split_by_count(n, {"valid": a, "train": None}, seed)
    assert all(np.array_equal(split[k], again[k]) for k in split)


def test_impossible_wishes_are_refused():
    with pytest.raises(ValueError, match="ask for fewer"):
        split_by_count(3, {"a": 4})
    with pytest.raises(ValueError, match="only one part"):
        split_by_count(3, {"a": None, "b": None})
    with pytest.raises(ValueError, match="add up to 1"):
        split_by_text(["C"], {"a": 0.5, "b": 0.4})
