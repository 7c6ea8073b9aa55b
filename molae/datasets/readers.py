"""Molecules from files, one at a time: SMILES lists, tables, SDF and parquet, gzipped or not.

Other texts too, and images, whose text is a PNG in a data URI (see ``molae.pictures``).
"""

from __future__ import annotations

import csv
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from molae.datasets.columns import image_column, known_column, name_column, plain
from molae.datasets.files import DataError
from molae.datasets.image_files import ImageSource, is_image_source, open_images
from molae.datasets.sources import Source
from molae.datasets.tables import Table, delimited, delimiter_of, parquet
from molae.pictures import text_of

#: Characters that a cell may have: an image is a long text.
_LONGEST_CELL = 1 << 27


class Record(NamedTuple):
    """One molecule as it stands in the input.

    Attributes:
        line: Line of a text file, row of a parquet file, record of an SDF file or number of an
            image, from 1.
        smiles: The SMILES text, not checked.
        name: What the input calls it, or "".
        row: All cells of a table by column, or None for a plain list.
    """

    line: int
    smiles: str
    name: str
    row: dict[str, Any] | None


class BadLine(NamedTuple):
    """Something that could not be used; ``token`` is the offending piece, if known."""

    line: int
    text: str
    reason: str
    token: str = ""


class Reader(Iterator[Record]):
    """Iterate over the molecules of one input, holding no more than a few rows in memory.

    ::

        with Reader("library.csv.gz", column="Smiles") as reader:
            for record in reader:
                ...

    Args:
        path: A file, or ``-`` for standard input. Suffixes are listed in ``sources.FORMATS``; or
            a source of images, see ``molae.datasets.image_files``.
        column: Name or number (from 1) of the SMILES column of a table, of the field of an SDF
            file; guessed if None.
        whole_lines: Each line is one item as it stands, blanks included, without header, comments
            or names; for expressions and other texts. A table with a column ``image`` is read as
            a table all the same.
        reject: Called with each bad line. Without it they are counted, and a warning is given at
            the end.

    Attributes:
        columns: Columns of a table, fields of the first SDF record, or None for a plain list.
        column: The SMILES column, or None.
        count: Records given so far.
        bad: Bad lines so far.

    Raises:
        DataError: At once if the input is missing, empty, not a molecule file or without a SMILES
            column; while reading if it is damaged; at the end if it held nothing.
    """

    def __init__(
        self,
        path: str | Path,
        column: str | None = None,
        *,
        whole_lines: bool = False,
        reject: Callable[[BadLine], None] | None = None,
    ) -> None:
        self.path = path
        self.reject = reject
        self.columns: tuple[str, ...] | None = None
        self.column: str | None = None
        self.count = 0
        self.bad = 0
        self._first_bad: BadLine | None = None
        self._finished = False
        self._source: Source | _Images
        if is_image_source(path):
            self._source = _Images(open_images(path))
            self.name, self._records = self._source.name, self._pictures(self._source)
            return
        self._source = source = Source(path)
        self.name = source.name
        try:
            with _explained(self.name):
                self._records = (self._whole if whole_lines else self._opened)(source, column)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Record:
        try:
            record = next(self._records)
        except StopIteration:
            self._finish()
            raise
        except _DAMAGE as error:
            raise _damaged(self.name, error, self.count + self.bad) from error
        self.count += 1
        return record

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1; 0 where that cannot be known (a pipe)."""
        return 1.0 if self._finished else self._source.fraction

    def close(self) -> None:
        """Close the input."""
        self._source.close()

    def _finish(self) -> None:
        self._finished = True
        self.close()
        if not self.count and not self.bad:
            raise DataError(f"{self.name}: there is nothing in it but blank lines or comments.")
        if self._first_bad is not None and self.reject is None:
            first, self._first_bad = self._first_bad, None
            warnings.warn(
                f"{self.name}: {self.bad} records could not be read; the first is number "
                f"{first.line}: {first.reason}",
                stacklevel=3,
            )

    def _refuse(self, line: int, text: str, reason: str) -> None:
        self.bad += 1
        bad = BadLine(line, text, reason)
        if self.reject is not None:
            self.reject(bad)
        elif self._first_bad is None:
            self._first_bad = bad

    def _opened(self, source: Source, column: str | None) -> Iterator[Record]:
        if source.format == "sdf":
            return self._sdf(source, column)
        if source.format == "parquet":
            return self._table(parquet(source, column))
        lines = enumerate(source.text(), 1)
        first = next(((n, s) for n, s in lines if s.strip() and not s.startswith("#")), None)
        if first is None:
            return iter(())
        delimiter = delimiter_of(first[1], source.format, column)
        if delimiter is None:
            return self._list(chain([first], lines), _has_header(self.name, first[1], column))
        return self._table(delimited(self.name, first, (s for _, s in lines), delimiter, column))

    def _whole(self, source: Source, column: str | None) -> Iterator[Record]:
        if source.format == "parquet":
            return self._table(parquet(source, column))
        lines = ((n, line) for n, line in enumerate(source.text(), 1) if line.strip())
        first = next(lines, None)
        if first is None:
            return iter(())
        if (mark := _image_table(first[1])) is not None:
            rest = (s for _, s in lines)
            return _long_cells(self._table(delimited(self.name, first, rest, mark, column)))
        return (Record(n, line.strip(), "", None) for n, line in chain([first], lines))

    def _pictures(self, images: _Images) -> Iterator[Record]:
        """Images as texts; the line of each is its number."""
        source = images.source
        for row in range(len(source)):
            images.done = row + 1
            try:
                text = text_of(source.pixels(row))
            except ValueError as error:
                self._refuse(row + 1, source.title(row), str(error))
                continue
            yield Record(row + 1, text, source.title(row), None)

    def _list(self, lines: Iterable[tuple[int, str]], header: bool) -> Iterator[Record]:
        """SMILES, blank or tab, name."""
        if header:
            lines = islice(lines, 1, None)
        for number, line in lines:
            parts = line.split(None, 1)
            if not parts or line[0] == "#":
                continue
            yield Record(number, parts[0], parts[1].rstrip() if len(parts) > 1 else "", None)

    def _table(self, table: Table) -> Iterator[Record]:
        self.columns, at = table.columns, table.column
        self.column = self.columns[at]
        return self._rows(table, self.columns, at, name_column(self.columns))

    def _rows(
        self, table: Table, columns: tuple[str, ...], at: int, named: int | None
    ) -> Iterator[Record]:
        width = len(columns)
        for line, cells in table.rows:
            if len(cells) != width and (len(cells) < width or any(cells[width:])):
                reason = f"{len(cells)} cells where the table has {width} columns"
                self._refuse(line, _joined(cells), reason)
                continue
            cell = cells[at]
            smiles = cell.strip() if isinstance(cell, str) else ""
            if not smiles:
                self._refuse(line, _joined(cells), f"no text in column {columns[at]!r}")
                continue
            name = "" if named is None or cells[named] is None else str(cells[named])
            yield Record(line, smiles, name, dict(zip(columns, cells, strict=False)))

    def _sdf(self, source: Source, column: str | None) -> Iterator[Record]:
        from molae.chem.sdf import read_sdf

        entries = read_sdf(source.text())
        first = next(entries, None)
        if first is None:
            return iter(())
        self.columns = tuple(first.row)
        return self._sdf_records(chain([first], entries), column)

    def _sdf_records(self, entries: Iterable[Any], column: str | None) -> Iterator[Record]:
        for number, smiles, name, reason, row in entries:
            if column is not None:
                smiles, reason = row.get(column), f"no field {column!r}"
            if smiles:
                yield Record(number, smiles, name, row)
            else:
                self._refuse(number, name, reason)


class _Images:
    """A source of images as one opened input.

    Attributes:
        done: Images read so far.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source, self.name, self.done = source, source.name, 0

    @property
    def fraction(self) -> float:
        """How much of it has been read, 0 to 1."""
        return self.done / max(1, len(self.source))

    def close(self) -> None:
        """Nothing is left open between two images."""


def _long_cells(records: Iterator[Record]) -> Iterator[Record]:
    """Records of a table whose cells may be long; the limit of others shows a missing quote."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from records
    finally:
        csv.field_size_limit(before)


def _image_table(header: str) -> str | None:
    """What separates the cells of a table that has a column of images; None for anything else."""
    for mark in ",\t;":
        if image_column(next(csv.reader([header], delimiter=mark), [])) is not None:
            return mark
    return None


def _joined(cells: Sequence[Any]) -> str:
    return ",".join("" if cell is None else str(cell) for cell in cells)


def _has_header(source: str, first: str, column: str | None) -> bool:
    """Whether the first line of a plain list is a header; an error if there is no such column."""
    head = first.split(None, 1)[:1]
    if column is not None and plain(column) == plain(head[0]):
        return True
    if column is not None and column != "1" and known_column([column]) is None:
        raise DataError(
            f"{source}: there is no column {column!r}. This is a plain list of SMILES that begins "
            f"with {head[0][:40]!r}; leave the column out, or name a table."
        )
    return known_column(head) is not None


_DAMAGE = (EOFError, OSError, zlib.error, csv.Error, UnicodeError)


def _damaged(source: str, error: Exception, after: int) -> DataError:
    """What a failure in the middle of a file means."""
    where = f"{source}, after record {after}"
    if isinstance(error, csv.Error):
        return DataError(
            f"{where}: not a table that can be read ({error}). "
            "Look for a quotation mark that is opened and not closed."
        )
    return DataError(f"{where}: the file is damaged or cut off ({error}). Fetch it again.")


@contextmanager
def _explained(source: str) -> Iterator[None]:
    """Failures of the input inside become ``DataError``."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, DataError):
            raise
        raise _damaged(source, error, 0) from error


def read(
    path: str | Path,
    column: str | None = None,
    *,
    whole_lines: bool = False,
    reject: Callable[[BadLine], None] | None = None,
) -> Reader:
    """The molecules of a file or of standard input (``-``), streamed; see ``Reader``."""
    return Reader(path, column, whole_lines=whole_lines, reject=reject)


def smiles_of(records: Iterable[Record]) -> Iterator[str]:
    """Only the SMILES of records."""
    return (record.smiles for record in records)


def row_of(record: Record) -> Mapping[str, Any]:
    """The cells of a record; for a plain list its SMILES and its name."""
    if record.row is not None:
        return record.row
    return {"smiles": record.smiles, "name": record.name}
