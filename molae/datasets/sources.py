"""Inputs as bytes and text: plain or gzipped, file or standard input, in any encoding."""

from __future__ import annotations

import codecs
import io
import os
from pathlib import Path
from typing import IO, cast

from molae.datasets.files import DataError, read_error, standard_input

#: What a file is, by its suffix (without ``.gz``). Anything else is read as
#: text, one molecule a line.
FORMATS = {
    ".smi": "smi",
    ".smiles": "smi",
    ".txt": "smi",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".sdf": "sdf",
    ".sd": "sdf",
    ".parquet": "parquet",
    ".pq": "parquet",
}

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_ZIP = b"PK\x03\x04"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def file_format(path: str | Path) -> str | None:
    """The format that a file's name promises (``.gz`` aside), or None."""
    base, suffix = os.path.splitext(os.fspath(path).lower())
    if suffix == ".gz":
        suffix = os.path.splitext(base)[1]
    return FORMATS.get(suffix)


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as Latin-1, where every byte is a character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("molae-latin-1", _as_latin_1)


class Source:
    """One opened input.

    Args:
        path: A file, or ``-`` for standard input. Gzip is recognised by its content, not by its
            name.

    Attributes:
        name: What messages call it.
        format: ``smi``, ``csv``, ``tsv``, ``sdf`` or ``parquet``.
        stream: The bytes, decompressed.

    Raises:
        DataError: Missing, a folder, unreadable, empty, or certainly not a molecule file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.name = "standard input" if os.fspath(path) == "-" else os.fspath(path)
        self.stream: io.BufferedReader
        self._size = 0
        self._closed = False
        self._text: io.TextIOWrapper | None = None
        self._raw = self._open()
        try:
            self.stream = self._decompressed(self._raw)
            head = self._head()
            self.format = _checked_format(self.name, file_format(path) or "smi", head)
        except BaseException:
            self.close()
            raise
        self._encoding = "utf-16" if head.startswith(_UTF16) else "utf-8-sig"

    def _open(self) -> io.BufferedReader:
        if os.fspath(self.path) == "-":
            stream: IO[bytes] = standard_input()
            if isinstance(stream, io.BufferedReader):
                return stream
            return io.BufferedReader(cast("io.RawIOBase", stream))
        try:
            raw = open(self.path, "rb")  # noqa: SIM115
            self._size = os.fstat(raw.fileno()).st_size
        except OSError as error:
            raise read_error(error, self.path) from error
        return raw

    def _decompressed(self, raw: io.BufferedReader) -> io.BufferedReader:
        self.gzipped = raw.peek(2)[:2] == _GZIP
        if not self.gzipped:
            return raw
        import gzip

        opened = gzip.GzipFile(fileobj=raw, mode="rb")
        return io.BufferedReader(cast("io.RawIOBase", opened), 1 << 16)

    def _head(self) -> bytes:
        import zlib

        try:
            return self.stream.peek(4096)[:4096]
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                f"{self.name}: damaged gzip file ({error}). Fetch it again."
            ) from error

    def text(self) -> io.TextIOWrapper:
        """The content as text: UTF-8 with or without mark, stray Latin-1 bytes, any line ends."""
        if self._text is None:
            self._text = io.TextIOWrapper(self.stream, self._encoding, "molae-latin-1")
        return self._text

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1; 0 while that cannot be known."""
        if not self._size or self._closed:
            return 0.0
        return min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._closed:
            return
        self._closed = True
        if os.fspath(self.path) != "-":
            self._raw.close()
            return
        # Layers that are collected close what is below them, so they let go of standard input.
        if self._text is not None:
            self._text.detach()
        if self._raw is not standard_input():
            self._raw.detach()


def _checked_format(name: str, promised: str, head: bytes) -> str:
    """The format, after a look at the first bytes."""
    if not head:
        raise DataError(f"{name}: the file is empty. Expected molecules, one SMILES per line.")
    if head.startswith(_PARQUET):
        return "parquet"
    if promised == "parquet":
        raise DataError(f"{name}: this is not a parquet file, whatever its name says.")
    if head.startswith(_ZIP):
        raise DataError(
            f"{name}: this is a zip archive or a spreadsheet. Unpack it, or save it as CSV."
        )
    if b"\0" in head and not head.startswith(_UTF16):
        raise DataError(f"{name}: this is not a text file. {expected()}")
    return promised


def expected() -> str:
    """One sentence about what can be read."""
    return "Expected .smi, .txt, .csv, .tsv, .sdf or .parquet, each also gzipped."
