"""Files in general: clear errors, digests, the cache folder, output that is whole or absent."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast


class DataError(ValueError):
    """Something is wrong with a data file; the message names the file and the remedy."""


def text_path(path: str | Path) -> str:
    """A path as it is shown to people; ``-`` is spelt out by the caller's direction."""
    return os.fspath(path)


def disc_error(error: OSError, path: str | Path) -> DataError:
    """What an operating-system error means for somebody who was writing ``path``."""
    name = text_path(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and os.path.isdir(name):
        return DataError(
            f"{name}: the disc is full; what was whole before is kept. Free some space, and give "
            "the command again."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"{name}: the disc is full; nothing unfinished is left under that name. "
            "Free some space or write to another disc."
        )
    if error.errno == errno.ENOENT:
        parent = os.path.dirname(name) or "."
        return DataError(f"{name}: the folder {parent} does not exist. Make it first.")
    if error.errno == errno.EISDIR:
        return DataError(f"{name}: this is a folder. Name a file in it instead.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataError(f"{name}: no permission to write here. Choose another place.")
    return DataError(f"{name}: cannot be written ({error.strerror or error}).")


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn operating-system errors inside into ``DataError`` about ``path``.

    A broken pipe is let through: the reader of standard output has left, which is no fault of
    the data.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise disc_error(error, path) from error


class Target:
    """A binary output that gets its name only when it is whole.

    Bytes go to a temporary file beside the final place; ``commit`` renames it, ``abort`` removes
    it. ``-`` is standard output; devices and pipes are written directly, since they cannot be
    renamed over.

    Raises:
        DataError: The place cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.stream: IO[bytes]
        self._temporary: str | None = None
        if text_path(path) == "-":
            self.stream = sys.stdout.buffer
            return
        # A link stays a link: what it points to is replaced.
        self._final = os.path.realpath(text_path(path))
        with explained(path):
            if os.path.isdir(self._final):
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            if os.path.exists(self._final) and not os.path.isfile(self._final):
                self.stream = open(self._final, "wb")  # noqa: SIM115
                return
            self._temporary = temporary_name(self._final)
            self.stream = open(self._temporary, "wb")  # noqa: SIM115

    def commit(self) -> None:
        """Finish the file and put it under its name.

        Raises:
            DataError: The last bytes could not be written; nothing is left behind.
        """
        try:
            with explained(self.path):
                self.stream.flush()
                if self._temporary is not None:
                    os.fsync(self.stream.fileno())
                if self.stream is not sys.stdout.buffer:
                    self.stream.close()
                if self._temporary is not None:
                    os.replace(self._temporary, self._final)
                    self._temporary = None
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Give up: remove what was written. What was under the name before stays."""
        if text_path(self.path) != "-":
            with suppress(OSError):  # closing flushes, and the disc may still be full
                self.stream.close()
        if self._temporary is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = None


def temporary_name(path: str) -> str:
    """A name beside ``path``, of this process only, that keeps its suffix (``.npy``, ``.png``)."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".part-{os.getpid()}-{name}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well, else it is removed.

    For libraries that want a file name (``numpy.save``, pictures). The suffix is kept.

    Raises:
        DataError: The place cannot be written.
    """
    final = os.path.realpath(text_path(path))
    with explained(path):
        if os.path.isdir(final):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        temporary = temporary_name(final)
        try:
            yield Path(temporary)
            os.replace(temporary, final)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def data_digest(path: str | Path) -> str:
    """The sha256 of a file's bytes as they lie on the disc, in hexadecimal.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise read_error(error, path) from error


def read_error(error: OSError, path: str | Path) -> DataError:
    """What an operating-system error means for somebody who was reading ``path``."""
    name = text_path(path)
    if error.errno == errno.ENOENT:
        return DataError(f"{name}: there is no such file.{_nearby(name)}")
    if error.errno == errno.EISDIR:
        return DataError(f"{name}: this is a folder, and a file was expected. Name a file in it.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return DataError(f"{name}: no permission to read this file.")
    return DataError(f"{name}: cannot be read ({error.strerror or error}).")


def _nearby(name: str) -> str:
    """A hint with the file of the same folder that is spelt most like ``name``."""
    from difflib import get_close_matches

    folder, last = os.path.split(name)
    if not os.path.isdir(folder or "."):
        return f" The folder {folder} does not exist either."
    try:
        close = get_close_matches(last, os.listdir(folder or "."), 1)
    except OSError:
        return ""
    return f" Did you mean {os.path.join(folder, close[0])}?" if close else ""


def cache_folder(*parts: str) -> Path:
    """A folder for things that can be made or fetched again, created if need be.

    ``MOLAE_CACHE`` names its root; else it is ``molae`` in ``XDG_CACHE_HOME`` or in ``~/.cache``.

    Raises:
        DataError: It cannot be created.
    """
    root = os.environ.get("MOLAE_CACHE")
    if not root:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        root = os.path.join(base, "molae")
    folder = Path(root, *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: the cache folder cannot be made ({error.strerror}). "
            "Set MOLAE_CACHE to a folder that can be written."
        ) from error
    return folder


def standard_input() -> IO[bytes]:
    """Standard input as bytes."""
    return cast("IO[bytes]", sys.stdin.buffer)
