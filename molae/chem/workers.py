"""A long list through one function, in chunks, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items that one job works on: a few hundred milliseconds, against which the transfer is nothing.
CHUNK = 1000


def map_chunks(
    function: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    workers: int = 1,
    chunk: int = CHUNK,
) -> Iterator[Result]:
    """``function`` of each chunk of ``items``, in order, as they become ready.

    Args:
        function: Importable, so that another process can find it. What it returns is sent back
            between processes: plain numbers, strings and arrays, not RDKit objects.
        items: What to work on.
        workers: Processes (joblib, loky). With 1 everything happens here; RDKit holds Python's
            lock, so threads would gain nothing.
        chunk: Items handed over at a time.

    Raises:
        ValueError: If ``workers`` is less than 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}: expected at least 1")
    pieces = [items[i : i + chunk] for i in range(0, len(items), chunk)]
    if workers == 1 or len(pieces) < 2:
        yield from map(function, pieces)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=workers, return_as="generator")
    yield from parallel(delayed(function)(piece) for piece in pieces)
