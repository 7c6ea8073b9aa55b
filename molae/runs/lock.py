"""One training in a folder at a time, and one of whatever else holds a lock there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from molae.runs.folder import CONFIG, LOCK, RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``checkpoint/lock`` in a run's folder, which is made if need be.

    The lock goes with the process, however it ends; its file stays after a kill, and then tells
    that what lies beside it is of a training that had only begun. Where the system or the file
    system has no locks, only the file is written.

    Raises:
        RunError: A training holds it.
        OSError: The folder cannot be written.
    """
    try:
        with locked(folder / LOCK, "this training"):
            yield
    finally:
        _tidy(folder)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a file, in a folder of the folder that is worked in; else as ``exclusive``.

    Args:
        path: The file; its folder is made if need be.
        what: What messages call the work, such as "this training".

    Raises:
        RunError: Another process holds it.
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = _held(path, what)
    try:
        yield
    finally:
        # Before it is let go of, so that nobody's lock but ours is taken away.
        with suppress(OSError):
            path.unlink()
        stream.close()


def _held(path: Path, what: str) -> IO[str]:
    """The file, open, locked and with our number in it."""
    while True:
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            _lock(stream, path, what)
            # Whoever held it may have taken the file away between our two steps.
            if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                stream.truncate(0)
                stream.write(f"{os.getpid()}\n")
                stream.flush()
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()


def _lock(stream: IO[str], path: Path, what: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        number = stream.read().strip() or "unknown"
        raise RunError(
            f"{what} is running already (process {number}) in {path.parent.parent}: wait "
            "for it, or choose another folder with -o"
        ) from error
    except OSError:
        return  # a file system without locks, as some of networks are


def _tidy(folder: Path) -> None:
    """Take away the folders that were made for the lock, where nothing came to lie in them."""
    if not (folder / CONFIG).exists():
        for empty in (folder / "checkpoint", folder):
            with suppress(OSError):
                empty.rmdir()
