"""Images to files: an array in ``.npz``, or a folder with a PNG each."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from molae.datasets.columns import known_column
from molae.datasets.files import DataError, explained, temporary_name
from molae.datasets.writers import Writer
from molae.pictures import Pixels, pixels_of, save_png

#: How many digits the number of an image in a folder has.
_DIGITS = 6


class NpzWriter(Writer):
    """Images as the array ``images`` (n, H, W, C) uint8, numbers of other columns beside it."""

    def _start(self, stream: Any) -> None:
        self._images: list[Pixels] = []
        self._text = _text_column(self.columns)
        self._others: dict[str, list[Any]] = {
            name: [] for name, kind in self.types.items() if kind in (int, float, bool)
        }

    def _write(self, row: Mapping[str, Any]) -> None:
        image = _image_of(row, self._text, self.path)
        if self._images and image.shape != self._images[0].shape:
            raise DataError(
                f"{self.path}: image {self.count + 1} is {image.shape}, and the others are "
                f"{self._images[0].shape}; an array holds one size, write a folder instead."
            )
        self._images.append(image)
        for name, values in self._others.items():
            values.append(np.nan if row.get(name) is None else row[name])

    def _end(self) -> None:
        if not self._images:
            raise DataError(f"{self.path}: there is no image to write.")
        arrays: dict[str, Any] = {"images": np.stack(self._images)}
        arrays |= {name: np.array(values) for name, values in self._others.items()}
        whole = io.BytesIO()  # what is written to cannot always be searched
        np.savez_compressed(whole, **arrays)
        self._target.stream.write(whole.getbuffer())


class _Folder:
    """A folder that gets its name only when it is whole, as ``files.Target`` is for files.

    Raises:
        DataError: The place cannot be written, or holds something.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.final = os.path.realpath(os.fspath(path))
        if os.path.exists(self.final) and not os.path.isdir(self.final):
            raise DataError(f"{path}: this is a file, and a folder was asked for.")
        if os.path.isdir(self.final) and os.listdir(self.final):
            raise DataError(f"{path}: this folder is not empty. Name another, or empty it.")
        self.temporary = Path(temporary_name(self.final))
        self.stream = io.BytesIO()  # nothing is written to it
        with explained(path):
            self.temporary.mkdir()

    def commit(self) -> None:
        """Put the folder under its name."""
        try:
            with explained(self.path):
                with suppress(FileNotFoundError):
                    os.rmdir(self.final)
                os.rename(self.temporary, self.final)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.temporary, ignore_errors=True)


class FolderWriter(Writer):
    """Images as ``000001.png``, ``000002.png``, ... in a folder; other columns are left out."""

    _target: _Folder

    def _place(self) -> _Folder:
        return _Folder(self.path)

    def _start(self, stream: Any) -> None:
        self._text = _text_column(self.columns)

    def _write(self, row: Mapping[str, Any]) -> None:
        image = _image_of(row, self._text, self.path)
        save_png(image, self._target.temporary / f"{self.count + 1:0{_DIGITS}d}.png")


def _text_column(columns: tuple[str, ...]) -> str:
    known = known_column(columns)
    return columns[0 if known is None else known]


def _image_of(row: Mapping[str, Any], column: str, path: object) -> Pixels:
    """The image of a row.

    Raises:
        DataError: Its text is none.
    """
    try:
        return pixels_of(str(row.get(column)))
    except ValueError as error:
        raise DataError(
            f"{path}: only images can be written here, and this is {str(row.get(column))[:40]!r} "
            f"({error}). Write .csv or .smi."
        ) from error
