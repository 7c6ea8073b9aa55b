"""Sets of keys: a set like any other, in 8 bytes a key."""

from __future__ import annotations

import random
import tracemalloc

from molae.workflows.keys import WAITING, KeySet


def test_is_a_set():
    rng = random.Random(0)
    known, plain = KeySet([0, 2**64 - 1]), {0, 2**64 - 1}
    for _ in range(3 * WAITING):
        key = rng.choice((rng.getrandbits(64), rng.getrandbits(14), 2**53 + rng.getrandbits(3)))
        assert known.add(key) is (key not in plain)
        plain.add(key)
    assert len(known) == len(plain)
    assert set(known) == plain
    assert all(key in known for key in plain)
    assert not any(key ^ 1 in known for key in plain if key ^ 1 not in plain)
    assert "C" not in known
    assert not KeySet()


def test_memory():
    rng = random.Random(1)
    known, n = KeySet(), 8 * WAITING
    tracemalloc.start()
    try:
        for _ in range(n):
            known.add(rng.getrandbits(64))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    waiting = 100 * WAITING  # a set of these
    assert kept < 9 * n
    assert peak < 24 * n + waiting
    assert len(known) == n
