"""Molecules to files, one at a time; a file gets its name only when it is whole.

Other texts too. Where the first text is an image, the column is called ``image``.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import numpy as np

from molae.datasets.columns import IMAGE_NAME, known_column, name_column
from molae.datasets.files import DataError, Target, disc_error, explained
from molae.datasets.readers import BadLine
from molae.datasets.sources import file_format
from molae.pictures import is_image

#: Rows gathered before parquet writes them as one group.
GROUP = 16384

#: Characters of a bad line that are kept; table readers refuse cells beyond 131,072.
LONGEST = 100_000


class Writer:
    """Rows of one output, streamed; use it as a context.

    When the block ends well the file appears under its name, and replaces what was there. When it
    ends with an error (Ctrl-C and a full disc included) nothing is left behind and the old file
    stays.

    Args:
        path: A file, or ``-`` for standard output.
        columns: Columns in order, the SMILES column among them; a mapping to ``str``, ``int``,
            ``float`` or ``bool`` fixes their types, which only parquet asks for.

    Attributes:
        count: Rows written so far.

    Raises:
        DataError: The place cannot be written, or the disc is full.
    """

    def __init__(self, path: str | Path, columns: Sequence[str] | Mapping[str, type]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.types = dict(columns) if isinstance(columns, Mapping) else {}
        self.count = 0
        self._known = frozenset(self.columns)
        self._target: Any = self._place()
        self._open = True
        try:
            with explained(path):
                self._start(self._target.stream)
        except BaseException:
            self.abort()
            raise

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; a column that is not in it stays empty.

        Raises:
            DataError: It cannot be written.
            ValueError: It has a column that was not announced.
        """
        if not row.keys() <= self._known:
            extra = ", ".join(sorted(row.keys() - self._known))
            raise ValueError(f"{self.path}: unexpected column {extra}; expected {self.columns}")
        try:
            self._write(row)
        except BrokenPipeError:
            raise  # the reader of standard output has left
        except OSError as error:
            raise disc_error(error, self.path) from error
        self.count += 1

    def write_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append many rows; see ``write``."""
        for row in rows:
            self.write(row)

    def close(self) -> None:
        """Finish the file and give it its name; more calls do nothing.

        Raises:
            DataError: The last bytes could not be written; nothing is left behind.
        """
        if not self._open:
            return
        self._open = False
        try:
            with explained(self.path):
                self._end()
        except BaseException:
            self._discard()
            raise
        self._target.commit()

    def abort(self) -> None:
        """Throw away what was written."""
        if self._open:
            self._open = False
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _place(self) -> Any:
        """What is written to: a ``Target``, or what can be committed and aborted like one."""
        return Target(self.path)

    def _start(self, stream: IO[bytes]) -> None:
        raise TypeError("use open_writer, which chooses the writer by suffix")

    def _write(self, row: Mapping[str, Any]) -> None:
        raise TypeError("use open_writer, which chooses the writer by suffix")

    def _end(self) -> None:
        """Write what is still held back."""

    def _discard(self) -> None:
        self._target.abort()


class TextWriter(Writer):
    """Rows as lines of text: plain list, CSV, TSV or SDF, gzipped if the name ends in ``.gz``.

    Args:
        path: A file, or ``-`` for standard output.
        columns: See ``Writer``.
        format: ``smi``, ``csv``, ``tsv`` or ``sdf``. A ``smi`` of more than SMILES and name has a
            header and tabs, which ``read`` recognises.
    """

    def __init__(
        self, path: str | Path, columns: Sequence[str] | Mapping[str, type], format: str
    ) -> None:
        self.format = format
        super().__init__(path, columns)

    def _start(self, stream: IO[bytes]) -> None:
        self._zip: gzip.GzipFile | None = None
        if os.fspath(self.path).lower().endswith(".gz"):
            # No time stamp and no name inside: the same rows are the same bytes.
            self._zip = gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0)
        self._text = io.TextIOWrapper(
            cast("IO[bytes]", self._zip or stream), "utf-8", newline="", write_through=False
        )
        known = known_column(self.columns)
        self._smiles = self.columns[0 if known is None else known]
        named = name_column(self.columns)
        self._name = None if named is None else self.columns[named]
        self._plain = self.format == "smi" and not self._known - {self._smiles, self._name}
        self._csv = csv.writer(
            self._text, delimiter="," if self.format == "csv" else "\t", lineterminator="\n"
        )
        self._headed = self._plain or self.format == "sdf"

    def _head(self, row: Mapping[str, Any]) -> None:
        """The line above the first row, or above nothing, unless there is one."""
        if not self._headed:
            self._headed = True
            self._csv.writerow(headings(self.columns, self._smiles, row.get(self._smiles)))

    def _write(self, row: Mapping[str, Any]) -> None:
        self._head(row)
        if self._plain:
            name = "" if self._name is None else " ".join(_cell(row.get(self._name)).split())
            self._text.write(
                f"{row[self._smiles]}\t{name}\n" if name else f"{row[self._smiles]}\n"
            )
        elif self.format == "sdf":
            from molae.chem.sdf import write_sdf

            fields = {k: _cell(row.get(k)) for k in self.columns if k != self._name}
            name = "" if self._name is None else _cell(row.get(self._name))
            write_sdf(self._text, str(row[self._smiles]), name, fields)
        else:
            self._csv.writerow([_cell(row.get(column)) for column in self.columns])

    def _end(self) -> None:
        self._head({})
        self._text.flush()
        self._text.detach()  # closing it would close the target, or standard output
        if self._zip is not None:
            self._zip.close()

    def _discard(self) -> None:
        if os.fspath(self.path) != "-":
            super()._discard()
        _forget(self._text if hasattr(self, "_text") else None)


def headings(columns: Sequence[str], texts: str, first: object) -> list[str]:
    """Names of columns; that of the texts is ``image`` if the first of them is one."""
    pictured = isinstance(first, str) and is_image(first)
    return [IMAGE_NAME if pictured and name == texts else name for name in columns]


def _forget(text: io.TextIOWrapper | None) -> None:
    """Let go of a text layer without a word: its file is gone, and flushing would raise again."""
    if text is None:
        return
    try:
        text.detach()
    except (OSError, ValueError, zlib.error):
        return


def _cell(value: object) -> str:
    """A value as text: nothing for None and NaN, the shortest exact digits for numbers."""
    if value is None or value != value:
        return ""
    return str(value)


class ParquetWriter(Writer):
    """Rows in groups of parquet; types that are not given are taken from the first group."""

    def _start(self, stream: IO[bytes]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise DataError(
                f"{self.path}: writing parquet needs pyarrow. Install it with "
                "pip install 'molae[parquet]', or write .csv."
            ) from error
        self._arrow = pyarrow
        self._parquet: Any = None
        self._rows: dict[str, list[Any]] = {column: [] for column in self.columns}
        self._schema: Any = None

    def _write(self, row: Mapping[str, Any]) -> None:
        for column, values in self._rows.items():
            value = row.get(column)
            values.append(value.item() if isinstance(value, np.generic) else value)
        if len(self._rows[self.columns[0]]) >= GROUP:
            self._flush()

    def _flush(self) -> None:
        arrow = self._arrow
        try:
            if self._schema is None:
                self._schema = arrow.schema(self._fields())
                self._parquet = arrow.parquet.ParquetWriter(self._target.stream, self._schema)
            columns = dict(zip(self._schema.names, self._rows.values(), strict=True))
            table = arrow.Table.from_pydict(columns, schema=self._schema)
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise DataError(
                f"{self.path}: rows do not fit the column types taken from the first {GROUP} rows "
                f"({error}). Give the types: columns={{'name': float, ...}}."
            ) from error
        self._parquet.write_table(table)
        for values in self._rows.values():
            values.clear()

    def _fields(self) -> list[tuple[str, Any]]:
        """Names and types of the columns, from the first group."""
        known = known_column(self.columns)
        texts = self.columns[0 if known is None else known]
        names = headings(self.columns, texts, next(iter(self._rows[texts]), None))
        return [
            (name, self._type(column, values))
            for name, (column, values) in zip(names, self._rows.items(), strict=True)
        ]

    def _type(self, column: str, values: list[Any]) -> Any:
        arrow = self._arrow
        if column in self.types:
            kinds = {int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
            return kinds.get(self.types[column], arrow.string())
        found = arrow.infer_type(values)
        return arrow.string() if arrow.types.is_null(found) else found

    def _end(self) -> None:
        if self._schema is None or self._rows[self.columns[0]]:
            self._flush()
        self._parquet.close()

    def _discard(self) -> None:
        if getattr(self, "_parquet", None) is not None:
            try:
                self._parquet.close()
            except OSError:
                self._parquet.is_open = False  # or it tries again when it is collected
        super()._discard()


def open_writer(
    path: str | Path,
    columns: Sequence[str] | Mapping[str, type] = ("smiles",),
    format: str | None = None,
) -> Writer:
    """A writer by suffix: ``.smi .txt .csv .tsv .sdf`` (each also ``.gz``) and ``.parquet``.

    For images also ``.npz``, and a folder, see ``is_folder_name``.

    Args:
        path: A file, or ``-`` for standard output.
        columns: See ``Writer``.
        format: ``smi``, ``csv``, ``tsv``, ``sdf`` or ``parquet``, whatever the suffix says;
            ``smi`` for standard output if None.

    Raises:
        DataError: Unknown suffix, unwritable place, or a missing library.
    """
    if not columns:
        raise ValueError(f"{path}: no columns to write; expected at least the SMILES column")
    name = os.fspath(path)
    if format is None and (name.endswith(".npz") or is_folder_name(name)):
        from molae.datasets.image_writers import FolderWriter, NpzWriter

        return NpzWriter(path, columns) if name.endswith(".npz") else FolderWriter(path, columns)
    kind = format or ("smi" if name == "-" else file_format(path))
    if kind is None or (kind == "parquet" and name.endswith(".gz")):
        raise DataError(
            f"{name}: cannot tell the format from this name. "
            "Use .smi, .csv, .tsv or .sdf (also with .gz), or .parquet; for images also .png, "
            ".npz, or a folder, which has no dot in its name."
        )
    if kind == "parquet":
        return ParquetWriter(path, columns)
    if kind not in ("smi", "csv", "tsv", "sdf"):
        raise ValueError(f"unknown format {kind!r}; expected smi, csv, tsv, sdf or parquet")
    return TextWriter(path, columns, kind)


def is_folder_name(name: str) -> bool:
    """Whether an output is meant to be a folder: it ends with a slash, or has no suffix."""
    return name.endswith(("/", os.sep)) or (name != "-" and "." not in os.path.basename(name))


class RejectWriter:
    """What could not be used and why, as a table: file, line, text, token, reason.

    Args:
        path: A ``.csv`` or ``.tsv`` file (also ``.gz``); None counts only.

    Attributes:
        count: How many so far.
        reasons: How many by reason, as far as its colon: what follows is about one record.
    """

    COLUMNS = ("file", "line", "text", "token", "reason")

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self._writer = (
            None if path is None else TextWriter(path, self.COLUMNS, _table_format(path))
        )

    def write(self, file: str | Path, bad: BadLine) -> None:
        """Append one bad line of ``file``."""
        self.count += 1
        self.reasons[bad.reason.partition(":")[0]] += 1
        if self._writer is not None:
            row = bad._replace(text=bad.text[:LONGEST])._asdict()
            self._writer.write({"file": os.fspath(file), **row})

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)


def _table_format(path: str | Path) -> str:
    return "tsv" if file_format(path) == "tsv" else "csv"
