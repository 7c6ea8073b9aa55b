from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.training.sampler import CHUNK, Buckets, ahead, in_order, share


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 700), st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_epoch_holds_each_example_once_in_even_batches(n, size, with_lengths, epoch):
    lengths = np.random.default_rng(n).integers(1, 50, n) if with_lengths else None
    batches = Buckets(n, lengths, size, seed=3).epoch(epoch)
    assert sorted(np.concatenate(batches)) == list(range(n))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_order_depends_on_seed_and_epoch_alone():
    a, b, c = (Buckets(200, None, 16, seed) for seed in (0, 0, 1))
    b.batch(70)
    for step in (0, 5, 40):
        assert np.array_equal(a.batch(step), b.batch(step))
    assert not np.array_equal(a.batch(0), c.batch(0))
    assert not np.array_equal(a.batch(0), a.batch(a.steps))


def test_buckets_waste_little_padding():
    lengths = np.random.default_rng(0).integers(1, 100, 16 * CHUNK * 2)
    plain, sorted_ = Buckets(len(lengths), None, 16), Buckets(len(lengths), lengths, 16)
    padded = [len(b) * lengths[b].max() for b in plain.epoch(0)]
    assert sorted_.mean_cells() * sorted_.steps < 1.1 * lengths.sum() < sum(padded)
    # and the batches do not come sorted
    longest = [lengths[b].max() for b in sorted_.epoch(0)]
    assert longest != sorted(longest)


def test_without_lengths_a_batch_is_a_fair_sample():
    lengths = np.arange(1600)

    def spread(given):
        return np.mean([lengths[batch].std() for batch in Buckets(1600, given, 32).epoch(0)])

    assert spread(lengths) < 20
    assert spread(None) > 0.9 * lengths.std()


def test_in_order_covers_all():
    batches = in_order(10, np.arange(10)[::-1], 4)
    assert [list(b) for b in batches] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_shares_make_up_the_batch(n):
    parts = [share(np.arange(n), rank, 3) for rank in range(3)]
    assert sorted(np.concatenate([part for part, real in parts if real])) == list(range(n))
    assert all(len(part) for part, _ in parts)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_ahead_is_the_same_sequence(depth):
    items = ahead(lambda step: step * step, 4, depth)
    assert list(islice(items, 5)) == [16, 25, 36, 49, 64]
    items.close()


def test_ahead_passes_errors_on():
    def make(step):
        raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        next(ahead(make, 0, 2))


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="no examples"):
        Buckets(0, None, 4)
    with pytest.raises(ValueError, match="batch_size"):
        Buckets(4, None, 0)
