"""Sequences in flat arrays agree with plain lists of lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.datasets.arrays import ArrayWriter, SequenceData, join
from molae.types import PAD

LISTS = st.lists(st.lists(st.integers(0, 65535), max_size=9), min_size=1, max_size=12)


def flat(lists, **options):
    rules = np.array([r for rules in lists for r in rules], np.uint16)
    offsets = np.cumsum([0] + [len(rules) for rules in lists]).astype(np.int64)
    return SequenceData(rules, offsets, **options)


@settings(deadline=None, max_examples=50)
@given(LISTS, st.data())
def test_batches_are_what_the_lists_say(lists, draw):
    data = flat(lists)
    rows = st.lists(st.integers(0, len(lists) - 1), max_size=20)
    chosen = draw.draw(rows)
    part = data.subset(chosen)
    assert part.lengths.tolist() == [len(lists[i]) for i in chosen]
    index = draw.draw(st.lists(st.integers(0, len(chosen) - 1), max_size=20)) if chosen else []
    batch = part.batch(np.array(index, np.int64))
    wanted = [lists[chosen[i]] for i in index]
    width = max((len(rules) for rules in wanted), default=0)
    assert batch.x.tolist() == [rules + [PAD] * (width - len(rules)) for rules in wanted]
    assert batch.x.shape == (len(index), width)
    assert str(batch.x.dtype) == "torch.int64"
    assert batch.index.tolist() == index
    assert [part[i].tolist() for i in index] == wanted


@settings(deadline=None, max_examples=50)
@given(st.lists(LISTS, min_size=1, max_size=4))
def test_joining_is_concatenation(many):
    whole = join([flat(lists) for lists in many])
    assert [whole[i].tolist() for i in range(len(whole))] == [r for lists in many for r in lists]


def test_joining_keeps_the_order_of_subsets_and_what_all_have():
    a = flat([[1], [2, 3]], keys=np.array([5, 6], np.uint64), weight=np.array([0.5, 1.0]))
    b = flat([[4]], keys=np.array([7], np.uint64))
    whole = join([a.subset([1, 0]), b])
    assert [s.tolist() for s in (whole[0], whole[1], whole[2])] == [[2, 3], [1], [4]]
    assert whole.keys.tolist() == [6, 5, 7]
    assert whole.weight is None
    with pytest.raises(ValueError, match="nothing to join"):
        join([])


def test_what_goes_with_an_example_follows_it():
    data = flat(
        [[1], [2, 3], []],
        y=np.array([[0.0], [1.0], [2.0]]),
        context=np.arange(3.0),
        weight=np.array([1.0, 2.0, 3.0]),
    )
    batch = data.subset(np.array([False, True, True])).batch([1, 0])
    assert batch.y.tolist() == [[2.0], [1.0]]
    assert batch.context.tolist() == [2.0, 1.0]
    assert batch.weight.tolist() == [3.0, 2.0]
    assert len(data.subset([])) == 0


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        SequenceData(np.zeros(3, np.uint16), np.array([0, 2], np.int64))
    with pytest.raises(ValueError, match="weight has 2 rows; expected 1"):
        flat([[1]], weight=np.ones(2))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 65535), max_size=50), max_size=5))
def test_arrays_grow_on_disc(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("grow") / "a.npy"
    with ArrayWriter(path, np.uint16) as writer:
        for piece in pieces:
            writer.append(np.array(piece, np.int64))
    found = np.load(path)
    assert found.dtype == np.uint16
    assert found.tolist() == [value for piece in pieces for value in piece]


def test_targets_are_of_the_rows_they_were_given_for():
    data = flat([[1], [2, 2], [3], [4]]).subset([2, 0, 3])
    y = np.array([[30.0], [10.0], [40.0]])
    labelled = data.with_targets(y)
    assert data.y is None
    assert np.array_equal(labelled.batch([0, 1, 2]).y.numpy(), y)
    part = labelled.subset([2, 0])
    assert part.batch([0, 1]).y.tolist() == [[40.0], [30.0]]
    assert part.batch([0, 1]).x.tolist() == [[4], [3]]
    with pytest.raises(ValueError, match="2 targets for 3 sequences"):
        data.with_targets(y[:2])
