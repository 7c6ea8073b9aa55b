"""Rows to a file of any kind, pictures included."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from molae.datasets.files import DataError
from molae.datasets.writers import open_writer

Row = Mapping[str, Any]

#: Molecules in one picture at most: more could not be looked at.
DRAWN = 1000


class Output(Protocol):
    """Something rows are written to; a context, whole or absent at its end."""

    count: int

    def write(self, row: Row) -> None:
        """Append one row."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, or throw away after an error."""


class Picture:
    """Rows drawn as molecules when the block ends well.

    Args:
        path: ``.png`` or ``.svg``.
        legend: The line under a molecule, from its row.
        per_row: Molecules beside each other.
    """

    def __init__(
        self, path: str | Path, legend: Callable[[Row], str] | None, per_row: int
    ) -> None:
        self.path, self.legend, self.per_row = path, legend, per_row
        self.count = 0
        self._rows: list[Row] = []
        parent = Path(path).parent
        if not parent.is_dir():
            raise DataError(f"{path}: the folder {parent} does not exist. Make it first.")

    def write(self, row: Row) -> None:
        """Keep one row.

        Raises:
            DataError: There are more than a picture can show.
        """
        if self.count == DRAWN:
            raise DataError(
                f"{self.path}: a picture shows at most {DRAWN} molecules; write .smi or .csv, or "
                "ask for fewer"
            )
        self._rows.append(dict(row))
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            return
        if not self._rows:
            raise DataError(f"{self.path}: there is no molecule to draw")
        from molae.chem.drawing import grid
        from molae.datasets.files import replacing

        legends = None if self.legend is None else [self.legend(row) for row in self._rows]
        with replacing(self.path) as part:
            grid([row["smiles"] for row in self._rows], part, legends, columns=self.per_row)


def open_output(
    path: str | Path,
    columns: Sequence[str] | Mapping[str, type] = ("smiles",),
    *,
    legend: Callable[[Row], str] | None = None,
    per_row: int = 5,
    format: str | None = None,
) -> Output:
    """What rows are written to, by suffix.

    Args:
        path: ``.smi .csv .tsv .sdf`` (also ``.gz``), ``.parquet``, ``.png`` or ``.svg``; ``-`` is
            standard output.
        columns: In order, with types where they are known.
        legend: For pictures: the line under a molecule.
        per_row: For pictures: molecules beside each other.
        format: For tables: see ``datasets.writers.open_writer``.

    Raises:
        DataError: Unknown suffix, or a place that cannot be written.
    """
    if os.fspath(path).lower().endswith((".png", ".svg")):
        return Picture(path, legend, per_row)
    return open_writer(path, columns, format)
