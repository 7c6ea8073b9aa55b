"""What several workflows share: how many workers, progress over a file, molecules in chunks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from molae.datasets.files import DataError
from molae.datasets.readers import BadLine, Reader, Record
from molae.datasets.writers import RejectWriter
from molae.pictures import is_image

Item = TypeVar("Item")

#: Molecules read at once.
CHUNK = 4000

#: ``show(items so far, share of the file from 0 to 1)``
Show = Callable[[int, float], None]


def worker_count(workers: int | None) -> int:
    """Processes to use: as many as asked for, or as there are cores for this process.

    Raises:
        ValueError: Fewer than one.
    """
    if workers is not None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; expected at least 1")
        return workers
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@contextmanager
def bar(label: str, enabled: bool, items: str = "molecules") -> Iterator[Show]:
    """A bar on standard error while a file is read; nothing where that is no terminal."""
    console = Console(file=sys.stderr)
    if not enabled or not console.is_terminal:
        yield lambda _count, _share: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.fields[items]:,}} {items}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(label, total=1.0, items=0)
        yield lambda count, share: shown.update(task, completed=share, items=count)


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one shorter."""
    piece: list[Item] = []
    for item in items:
        piece.append(item)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


class NothingUsed(DataError):
    """Nothing in a file could be used; there is no output then, but there is a list of rejects."""


class Input:
    """Molecules of a file in chunks; what cannot be used goes to a table of rejects.

    Args:
        source: A file, or ``-`` for standard input.
        column: See ``readers.Reader``.
        rejects: Where to write what could not be used; None counts only.
        whole_lines: See ``readers.Reader``.

    Attributes:
        rejected: Counts of rejects, by reason in ``rejected.reasons``.
    """

    def __init__(
        self,
        source: str | Path,
        column: str | None = None,
        rejects: str | Path | None = None,
        *,
        whole_lines: bool = False,
    ) -> None:
        self.reader = Reader(source, column, whole_lines=whole_lines, reject=self.refuse)
        self.rejected = RejectWriter(rejects)
        self._molecules, self._images = not whole_lines, False

    def refuse(self, bad: BadLine) -> None:
        """Note something that cannot be used."""
        self.rejected.write(self.reader.name, bad)
        self._images |= is_image(bad.text)

    def chunks(self, size: int = CHUNK) -> Iterator[list[Record]]:
        """The records, some at a time."""
        return chunks(self.reader, size)

    def __enter__(self) -> Input:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reader.close()
        if isinstance(error, NothingUsed):
            self.rejected.close()
        else:
            self.rejected.__exit__(kind, error, trace)

    def nothing_used(self) -> NothingUsed:
        """The error where nothing at all could be used, with the reasons."""
        reasons = ", ".join(f"{n} {why}" for why, n in self.rejected.reasons.most_common(3))
        if self._molecules and self._images:
            return NothingUsed(f"{self.reader.name}: these are images, and this is of molecules")
        return NothingUsed(
            f"{self.reader.name}: none of its {self.rejected.count} records could be used "
            f"({reasons}); is this the right file and column?"
        )
