"""Which examples are in which step: buckets of similar length, told by seed and step alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from molae.types import Batch

Index = NDArray[np.int64]
Item = TypeVar("Item")

#: How many batches are sorted by length together. Large enough that a batch wastes little
#: padding, small enough that batches of one epoch differ from those of the next.
CHUNK = 50


class Data(Protocol):
    """What ``fit`` trains on."""

    @property
    def lengths(self) -> NDArray[np.integer] | None:
        """Length of each example, (N,), or None where all are equal (images)."""

    def __len__(self) -> int:
        """N, the number of examples."""

    def batch(self, index: Index) -> Batch:
        """The examples of these rows, (B,), as one batch in main memory."""


class Buckets:
    """The order of the data, by step.

    Every epoch holds each example once. It is shuffled by (seed, epoch); runs of ``CHUNK`` batches
    are sorted by length and cut, and the batches are shuffled again. The sizes of two batches
    differ by at most one, so that no tiny batch is left over.

    Attributes:
        steps: Batches in an epoch.
    """

    def __init__(
        self,
        count: int,
        lengths: NDArray[np.integer] | None = None,
        batch_size: int = 256,
        seed: int = 0,
    ) -> None:
        if count < 1:
            raise ValueError("there is nothing to train on: the data set has no examples")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.count = count
        self.lengths = None if lengths is None else np.asarray(lengths)
        self.seed = seed
        self.steps = -(-count // batch_size)
        self._bounds = np.arange(self.steps + 1, dtype=np.int64) * count // self.steps
        self._epoch = -1
        self._order: list[Index] = []

    def epoch(self, epoch: int) -> list[Index]:
        """All batches of one epoch, in order, each (B,) int64."""
        rng = np.random.default_rng([self.seed, epoch])
        rows = rng.permutation(self.count)
        batches: list[Index] = []
        for first in range(0, self.steps, CHUNK):
            bounds = self._bounds[first : first + CHUNK + 1]
            chunk = rows[bounds[0] : bounds[-1]]
            if self.lengths is not None:
                chunk = chunk[np.argsort(self.lengths[chunk], kind="stable")]
            batches.extend(np.split(chunk, bounds[1:-1] - bounds[0]))
        return [batches[i] for i in rng.permutation(self.steps)]

    def batch(self, step: int) -> Index:
        """The rows of one step, (B,) int64; steps count on through the epochs."""
        epoch, position = divmod(step, self.steps)
        if epoch != self._epoch:
            self._order, self._epoch = self.epoch(epoch), epoch
        return self._order[position]

    def cells(self, index: Index) -> float:
        """Size of a padded batch, rows x longest: what its time is roughly linear in."""
        longest = 1 if self.lengths is None else int(self.lengths[index].max())
        return float(len(index) * longest)

    def mean_cells(self) -> float:
        """``cells`` averaged over an epoch."""
        return float(np.mean([self.cells(index) for index in self.epoch(0)]))


def in_order(count: int, lengths: NDArray[np.integer] | None, batch_size: int) -> list[Index]:
    """Batches for evaluation: each example once, sorted by length."""
    rows = np.arange(count, dtype=np.int64)
    if lengths is not None:
        rows = np.argsort(np.asarray(lengths), kind="stable").astype(np.int64)
    return [rows[i : i + batch_size] for i in range(0, count, batch_size)]


def share(index: Index, rank: int, world: int) -> tuple[Index, float]:
    """One process's part of a global batch, and 1, or 0 where the part is only a stand-in.

    A process for which nothing is left computes on the first example with weight 0, so that all
    processes make the same calls.
    """
    part = index[rank::world]
    return (part, 1.0) if len(part) else (index[:1], 0.0)


def ahead(make: Callable[[int], Item], start: int, depth: int) -> Generator[Item, None, None]:
    """``make(start), make(start + 1), ...``; a thread makes ``depth`` of them ahead (0: none)."""
    step = start
    if depth == 0:
        while True:
            yield make(step)
            step += 1
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="molae-batches") as pool:
        waiting: deque[Future[Item]] = deque()
        while True:
            while len(waiting) <= depth:
                waiting.append(pool.submit(make, step))
                step += 1
            yield waiting.popleft().result()
