"""An oracle asked about many texts: in this process, in several, or on a dask cluster.

Answers are handed on as they arrive, so that whoever writes them down loses little when something
stops. A worker process that dies (killed, out of memory, a crash in somebody's C library) costs
the text that killed it, and not the campaign.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import suppress
from functools import partial
from itertools import chain
from time import perf_counter
from types import TracebackType
from typing import Any

from molae.oracles.base import Answer, Oracle, each_alone, failure

#: Seconds below which handing over costs too much, and above which nothing is tried out.
QUICK, SLOW = 0.5, 60.0
#: A size is better than another where a text takes less than this share of the time.
GAIN = 0.75
#: Seconds after which idle worker processes end; the next texts start new ones.
IDLE = 300.0
#: Seconds to wait for a scheduler.
PATIENCE = 10.0
#: Seconds between two looks for Ctrl-C. Where the system hands the signal to another thread, a
#: wait without end in the main thread would not notice it.
ALERT = 0.5

#: What a task gives back: seconds, answers.
Timed = tuple[float, list[Answer]]


class Pace:
    """How many texts to hand over at a time, learnt from how long they take.

    What is finished inside a piece is lost if it is killed, so pieces are small where texts are
    expensive: one, above a minute always. They grow while a piece takes less than half a second,
    against which the transfer is nothing, and while a text gets clearly cheaper in a larger piece.

    Where an oracle takes texts together nothing is learnt: a program that takes a minute to start
    would pay that for every text.

    Args:
        fixed: The size, for good; None to learn it.

    Attributes:
        size: Texts to hand over now.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self.size = fixed or 1
        self._fixed = fixed is not None
        self._each: dict[int, float] = {}

    def took(self, count: int, seconds: float) -> None:
        """Learn from a piece of ``count`` texts; one of another size than now says nothing."""
        if self._fixed or count != self.size:
            return
        each = self._each[count] = seconds / count
        smaller, larger = self._each.get(count // 2), self._each.get(2 * count)
        if seconds < QUICK:
            self.size *= 2
        elif smaller is not None and each > GAIN * smaller:
            self.size //= 2
        elif seconds < SLOW and (larger is None or larger < GAIN * each):
            self.size *= 2


class Workers:
    """Where an oracle is asked; processes stay for the next texts.

    Args:
        oracle: What is asked. With more than one worker it is sent to other processes, which must
            be able to import what it is made of.
        workers: Processes of this machine (loky). With 1 everything happens here, and a crash of
            the oracle is a crash of all.
        scheduler: Address of a dask scheduler, such as ``tcp://node1:8786``; its cluster, on which
            molae must be installed, then does the work, and ``workers`` means nothing.
        piece: Texts to hand over at once, at most, to an oracle that takes them together; None
            for all that fall to a worker. Others are given as many as ``Pace`` finds best.

    Raises:
        ValueError: ``workers`` or ``piece`` is less than 1, or nobody answers at the address.
        ImportError: A scheduler is named and dask is not installed.
    """

    def __init__(
        self,
        oracle: Oracle,
        workers: int = 1,
        scheduler: str | None = None,
        piece: int | None = None,
    ) -> None:
        for name, number in (("workers", workers), ("piece", piece)):
            if number is not None and number < 1:
                raise ValueError(f"{name} is {number}: expected at least 1")
        self.oracle = oracle
        self._pace = Pace((piece or sys.maxsize) if oracle.together else None)
        self._place: _Processes | _Cluster | None = None
        if scheduler is not None:
            self._place = _Cluster(scheduler)
        elif workers > 1:
            self._place = _Processes(workers)

    def arriving(self, texts: Sequence[str]) -> Iterator[dict[int, Answer]]:
        """Answers as they arrive, by index into ``texts``: every index once.

        Raises:
            RuntimeError: The oracle cannot be brought to the workers, or the cluster is gone: no
                fault of a text.
        """
        if self._place is None:
            return self._here(texts)
        return self._away(self._place, texts)

    def close(self) -> None:
        """End the worker processes, or leave the cluster."""
        if self._place is not None:
            self._place.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _here(self, texts: Sequence[str]) -> Iterator[dict[int, Answer]]:
        start = 0
        while start < len(texts):
            piece = range(start, min(start + self._pace.size, len(texts)))
            seconds, answers = _ask(self.oracle, [texts[i] for i in piece])
            self._pace.took(len(piece), seconds)
            start = piece.stop
            yield dict(zip(piece, answers, strict=True))

    def _away(
        self, place: _Processes | _Cluster, texts: Sequence[str]
    ) -> Iterator[dict[int, Answer]]:
        todo = deque(range(len(texts)))
        # Texts that were under way when a worker died. One of them may have killed it, so they
        # are asked about one by one, with nothing else under way.
        suspects: deque[int] = deque()
        alone: int | None = None
        flying: dict[Future[Timed], list[int]] = {}
        try:
            while todo or suspects or flying:
                for piece in self._pieces(todo, place.slots() - len(flying)):
                    flying[self._send(place, texts, piece)] = piece
                if not flying:
                    alone = suspects.popleft()
                    flying[self._send(place, texts, [alone])] = [alone]
                for future in wait(flying, ALERT, FIRST_COMPLETED).done:
                    piece = flying.pop(future)
                    death = _death(future, place)
                    if death is None:
                        yield dict(zip(piece, self._timed(future), strict=True))
                    elif piece == [alone]:
                        yield {piece[0]: failure(death)}
                    else:
                        suspects.extend(piece)
        except BaseException:  # Ctrl-C may come between the start of a task and its being noted
            place.abandon()
            raise

    def _pieces(self, todo: deque[int], slots: int) -> Iterator[list[int]]:
        """Work for so many slots, cut so that the last texts are shared out evenly."""
        for left in range(slots, 0, -1):
            if not todo:
                return
            size = min(self._pace.size, math.ceil(len(todo) / left))
            yield [todo.popleft() for _ in range(size)]

    def _send(
        self, place: _Processes | _Cluster, texts: Sequence[str], piece: list[int]
    ) -> Future[Timed]:
        return place.submit(self.oracle, [texts[i] for i in piece])

    def _timed(self, future: Future[Timed]) -> list[Answer]:
        seconds, answers = future.result()
        self._pace.took(len(answers), seconds)
        return answers


def spread(
    oracle: Oracle, texts: Sequence[str], workers: int = 1, scheduler: str | None = None
) -> list[Answer]:
    """An answer for each text, in order, whatever the number of workers.

    Args:
        oracle: What is asked.
        texts: N texts.
        workers: As in ``Workers``.
        scheduler: As in ``Workers``.

    Raises:
        ValueError, ImportError, RuntimeError: As ``Workers`` and ``Workers.arriving``.
    """
    with Workers(oracle, workers, scheduler) as crew:
        arrived = dict(chain.from_iterable(some.items() for some in crew.arriving(texts)))
    return [arrived[index] for index in range(len(texts))]


def _ask(oracle: Oracle, texts: Sequence[str]) -> Timed:
    """What a worker does. An oracle that raises after all is asked about each text by itself."""
    start = perf_counter()
    answers = each_alone(partial(_answers, oracle), texts)
    return perf_counter() - start, answers


def _answers(oracle: Oracle, texts: Sequence[str]) -> list[Answer]:
    answers = list(oracle.answer(texts))
    if len(answers) != len(texts):
        raise ValueError(f"{oracle.name} gave {len(answers)} answers for {len(texts)} texts")
    return answers


def _death(future: Future[Timed], place: _Processes | _Cluster) -> str | None:
    """How a worker died over a task, or None if it did not.

    Raises:
        RuntimeError: The task failed by no fault of its texts, which would befall all others,
            too.
    """
    try:
        error = future.exception()
    except CancelledError as cancelled:  # by nobody here
        raise RuntimeError(_lost(place.name)) from cancelled
    if error is None:
        return None
    if isinstance(error, place.deaths):
        signals = re.findall(r"\b[A-Z]+\(-?\d+\)", str(error))  # as loky shows exit codes
        how = ", ".join(dict.fromkeys(signals)) or type(error).__name__
        return f"the worker process died ({how})"
    raise RuntimeError(
        f"{place.name}: the oracle cannot be asked there ({type(error).__name__}: {error}). "
        "Is what it is made of installed there, and can it be sent to another process?"
    ) from error


def _lost(name: str) -> str:
    return (
        f"{name}: the connection is lost. The answers that arrived are not; go on when the "
        "scheduler is there again."
    )


class _Processes:
    """Worker processes on this machine: loky's, as it comes with joblib.

    ``joblib.Parallel`` would give up everything under way when one worker dies, without saying
    what that was; its executor tells.
    """

    name = "worker processes"

    def __init__(self, workers: int) -> None:
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        self.deaths: type[BaseException] = TerminatedWorkerError
        self._workers = workers
        self._pool: Any = None

    def slots(self) -> int:
        """Tasks to have under way: no more than run, so that a death has few suspects."""
        return self._workers

    def submit(self, oracle: Oracle, texts: list[str]) -> Future[Timed]:
        """Start a task; in new processes, where a death has broken up the old ones."""
        future: Future[Timed]
        try:
            future = self._running().submit(_ask, oracle, texts)
        except BrokenExecutor:
            self.abandon()
            future = self._running().submit(_ask, oracle, texts)
        return future

    def abandon(self) -> None:
        """Kill whatever still runs."""
        self._end(kill=True)

    def close(self) -> None:
        """End the processes, which have nothing to do any more."""
        self._end(kill=False)

    def _end(self, kill: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=kill)

    def _running(self) -> Any:
        if self._pool is None:
            from joblib import cpu_count
            from joblib.externals.loky import ProcessPoolExecutor

            # Each process gets its share of the cores, unless the user said otherwise.
            share = str(max(1, cpu_count() // self._workers))
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            self._pool = ProcessPoolExecutor(
                self._workers,
                timeout=IDLE,
                # Ctrl-C goes to all processes of a terminal; what it means is decided here.
                initializer=_deaf,
                env={name: share for name in names if name not in os.environ},
            )
        return self._pool


def _deaf() -> None:
    """Let a worker process ignore Ctrl-C."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Cluster:
    """A dask cluster that already exists.

    Its own executor is used rather than joblib's dask backend, which waits for ever for a task
    whose worker died (joblib 1.6: the callback is left out where a future ends with an error).
    """

    def __init__(self, address: str) -> None:
        try:
            from dask.distributed import Client, KilledWorker
        except ImportError as error:
            raise ImportError(
                f"a dask scheduler ({address}) needs dask, which is not installed: "
                "pip install 'molae[dask]', or leave the scheduler out and use workers."
            ) from error
        self.name = f"dask cluster at {address}"
        self.deaths: type[BaseException] = KilledWorker
        try:
            self._client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no dask scheduler answers at {address!r} ({error}). Start one with "
                "`dask scheduler`, which prints its address, such as tcp://192.168.0.1:8786."
            ) from error
        # Not pure: the same text may be asked about again, after a failure.
        self._executor = self._client.get_executor(pure=False)

    def slots(self) -> int:
        """Tasks to have under way: one to each thread, and the next one at hand.

        Raises:
            RuntimeError: The scheduler is gone.
        """
        try:
            threads: int = sum(self._client.nthreads().values())
        except OSError as error:
            raise RuntimeError(_lost(self.name)) from error
        return max(1, 2 * threads)

    def submit(self, oracle: Oracle, texts: list[str]) -> Future[Timed]:
        """Start a task."""
        future: Future[Timed] = self._executor.submit(_ask, oracle, texts)
        return future

    def abandon(self) -> None:
        """Cancel whatever still runs."""
        with suppress(OSError):  # the scheduler may be what is lost
            self._executor.shutdown(wait=False)
        self._executor = self._client.get_executor(pure=False)

    def close(self) -> None:
        """Leave the cluster, which goes on without us."""
        with suppress(OSError):
            self._executor.shutdown(wait=False)
            self._client.close()
