"""Sets of many 64-bit keys, in little more memory than the keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

#: Keys that wait in a Python set (about 75 bytes each) before they are packed.
WAITING = 1 << 14


class KeySet:
    """Keys from 0 to 2^64 - 1, such as ``text_key`` makes them.

    All but the last few lie in sorted arrays of 8 bytes a key, each at least twice as long as the
    next, so that there are few and a key is moved rarely; while two are merged, keys take twice
    as much.

    Args:
        keys: To begin with.
    """

    def __init__(self, keys: Iterable[int] = ()) -> None:
        self._blocks: list[NDArray[np.uint64]] = []
        self._waiting: set[int] = set()
        for key in keys:
            self.add(key)

    def add(self, key: int) -> bool:
        """Add a key; whether it is new."""
        if key in self:
            return False
        self._waiting.add(key)
        if len(self._waiting) >= WAITING:
            self._pack()
        return True

    def __contains__(self, key: object) -> bool:
        if key in self._waiting:
            return True
        if not isinstance(key, int):
            return False
        wanted = np.uint64(key)  # of the arrays' own type, or they would be converted
        for block in self._blocks:
            at = block.searchsorted(wanted)
            if at < len(block) and block[at] == wanted:
                return True
        return False

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[int]:
        for block in self._blocks:
            yield from map(int, block)
        yield from self._waiting

    def _pack(self) -> None:
        new = np.fromiter(self._waiting, np.uint64, len(self._waiting))
        self._waiting.clear()
        new.sort()
        while self._blocks and len(self._blocks[-1]) < 2 * len(new):
            new = np.concatenate([self._blocks.pop(), new])
            new.sort()
        self._blocks.append(new)
