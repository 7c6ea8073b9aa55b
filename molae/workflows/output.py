"""Rows to a file of any kind, pictures included."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from molae.datasets.columns import known_column
from molae.datasets.files import DataError, replacing
from molae.datasets.writers import open_writer
from molae.pictures import is_image, save_png, sheet

Row = Mapping[str, Any]

#: Molecules or images in one picture at most: more could not be looked at.
DRAWN = 1000
#: Molecules beside each other, unless something else is asked for.
PER_ROW = 5


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
    """Rows drawn as molecules, or images in a grid, when the block ends well.

    Args:
        path: ``.png``; or ``.svg`` for molecules.
        columns: See ``open_output``.
        legend: The line under a molecule, from its row.
        per_row: Molecules or images beside each other; None for ``PER_ROW`` molecules, and for a
            grid of images that is as square as it can be.
        below: The column of what is shown under each image, if anything is.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str],
        legend: Callable[[Row], str] | None,
        per_row: int | None,
        below: str | None = None,
    ) -> None:
        self.path, self.legend, self.per_row, self.below = path, legend, per_row, below
        known = known_column(columns)
        self.column = columns[0 if known is None else known]
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
                f"{self.path}: a picture shows at most {DRAWN}; ask for fewer, or write a table "
                "(.csv), a list (.smi) or for images .npz or a folder"
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
            raise DataError(f"{self.path}: there is nothing to draw")
        texts = [row[self.column] for row in self._rows]
        with replacing(self.path) as part:
            if is_image(texts[0] or ""):
                self._sheet(texts, part)
            else:
                self._drawing(texts, part)

    def _sheet(self, texts: Sequence[str], part: Path) -> None:
        """Images side by side; they need no legend to be told apart."""
        check_suffix(self.path, images=True)
        below = [] if self.below is None else [row[self.below] for row in self._rows]
        save_png(sheet(texts, self.per_row, below), part)

    def _drawing(self, texts: Sequence[str], part: Path) -> None:
        """Molecules, drawn."""
        from molae.chem import drawing

        legends = None if self.legend is None else [self.legend(row) for row in self._rows]
        drawing.grid(texts, part, legends, columns=self.per_row or PER_ROW)


def check_suffix(path: str | Path, *, images: bool) -> None:
    """Refuse early, before anything is computed, what cannot show images.

    Raises:
        DataError: There are images to be written, and this is for lines.
    """
    if images and os.fspath(path).lower().endswith(".svg"):
        raise DataError(f"{path}: images have pixels; write .png")


def open_output(
    path: str | Path,
    columns: Sequence[str] | Mapping[str, type] = ("smiles",),
    *,
    legend: Callable[[Row], str] | None = None,
    per_row: int | None = None,
    below: str | None = None,
    format: str | None = None,
) -> Output:
    """What rows are written to, by suffix.

    Args:
        path: ``.smi .csv .tsv .sdf`` (also ``.gz``), ``.parquet``, ``.png`` or ``.svg``; for
            images also ``.npz`` or a folder, with a slash at its end; ``-`` is standard output.
        columns: In order, with types where they are known.
        legend: For pictures: the line under a molecule.
        per_row: For pictures: molecules or images beside each other, see ``Picture``.
        below: For pictures of images: the column of what is shown under each.
        format: For tables: see ``datasets.writers.open_writer``.

    Raises:
        DataError: Unknown suffix, or a place that cannot be written.
    """
    if os.fspath(path).lower().endswith((".png", ".svg")):
        return Picture(path, list(columns), legend, per_row, below)
    return open_writer(path, columns, format)
