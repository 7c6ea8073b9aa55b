"""Tables of molecules: delimited text and parquet, with the SMILES column found."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from molae.datasets.columns import (
    asked_column,
    known_column,
    listed,
    parses,
    parsing_column,
    plain,
)
from molae.datasets.files import DataError
from molae.datasets.sources import Source

#: Rows looked at to guess a column.
SAMPLE = 100


class Table(NamedTuple):
    """A table whose columns are settled; rows are (line, cells)."""

    columns: tuple[str, ...]
    column: int
    rows: Iterator[tuple[int, Sequence[Any]]]


def delimiter_of(first: str, promised: str, column: str | None) -> str | None:
    """What separates the cells, from the first line; None for a plain list of SMILES."""
    if promised == "tsv":
        return "\t"
    counts = {mark: first.count(mark) for mark in ",;\t"}
    likely = max(counts, key=lambda mark: counts[mark])
    if promised == "csv":
        return likely if counts[likely] else ","
    # A table under the name of a list, or on standard input: only if its header says so.
    if counts[likely]:
        header = next(csv.reader([first], delimiter=likely))
        asked = column is not None and plain(column) in [plain(cell) for cell in header]
        if asked or known_column(header) is not None:
            return likely
    return None


def delimited(
    source: str,
    first: tuple[int, str],
    rest: Iterable[str],
    delimiter: str,
    column: str | None,
) -> Table:
    """The table in delimited text; a first line without a header's names may be data already."""
    offset = first[0] - 1
    reader = csv.reader(chain([first[1]], rest), delimiter=delimiter)
    rows: Iterator[tuple[int, Sequence[Any]]] = (
        (reader.line_num + offset, cells) for cells in reader if cells
    )
    line, first_cells = next(rows)
    header = [str(cell) for cell in first_cells]
    if column is not None:
        asked = asked_column(source, header, column)
        at: int | None = asked
        headless = column.isdecimal() and parses(header[asked])
    else:
        at, headless = known_column(header), False
    if at is None:
        sample = list(islice(rows, SAMPLE))
        rows = chain(sample, rows)
        at = parsing_column([cells for _, cells in sample] or [header])
        headless = at is not None and at < len(header) and parses(header[at])
    at = _found(source, header, at)
    if headless:
        rows = chain([(line, header)], rows)
        header = [str(i + 1) for i in range(len(header))]
    return Table(tuple(header), at, rows)


def _found(source: str, columns: Sequence[str], at: int | None) -> int:
    if at is None or at >= len(columns):
        raise DataError(
            f"{source}: no column looks like SMILES. {listed(columns)} "
            "Say which one it is (--column NAME)."
        )
    return at


def parquet(source: Source, column: str | None) -> Table:
    """The table in a parquet file, read in batches of rows."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{source.name}: reading parquet needs pyarrow. Install it with "
            "pip install 'molae[parquet]', or convert the file to CSV."
        ) from error
    try:
        # Parquet is read from its end: what cannot be searched is taken into memory first.
        whole = source.gzipped or not source.stream.seekable()
        stream = pyarrow.BufferReader(source.stream.read()) if whole else source.stream
        file = pyarrow.parquet.ParquetFile(stream)
    except pyarrow.ArrowException as error:
        raise DataError(f"{source.name}: damaged parquet file ({error}).") from error
    columns = tuple(str(name) for name in file.schema_arrow.names)
    rows = _parquet_rows(source.name, file, pyarrow.ArrowException)
    if column is not None:
        return Table(columns, asked_column(source.name, columns, column), rows)
    at = known_column(columns)
    if at is None:
        sample = list(islice(rows, SAMPLE))
        rows = chain(sample, rows)
        at = parsing_column([cells for _, cells in sample])
    return Table(columns, _found(source.name, columns, at), rows)


def _parquet_rows(
    source: str, file: Any, failure: type[Exception]
) -> Iterator[tuple[int, Sequence[Any]]]:
    number = 0
    try:
        for batch in file.iter_batches(batch_size=8192):
            for cells in zip(*(values.to_pylist() for values in batch.columns), strict=True):
                number += 1
                yield number, cells
    except failure as error:
        raise DataError(
            f"{source}: damaged parquet file at row {number + 1} ({error})."
        ) from error
