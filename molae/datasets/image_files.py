"""Where images come from: folders, single files, arrays in ``.npz``, idx files, CIFAR-10, digits.

A source is named by its path. A colon and a word behind it choose a part: ``mnist.npz:x_test``
one array, ``train`` or ``test`` a part of what has such. Without it that is what is for training.
``digits`` (where there is no file of that name) are the 1,797 handwritten digits of scikit-learn,
and ``sprites`` are drawn by ``molae.datasets.sprites``.
"""

from __future__ import annotations

import abc
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.datasets import image_archives as archives
from molae.datasets.files import DataError, data_digest, read_error
from molae.datasets.sprites import sprites
from molae.pictures import Pixels, coloured, read_image

Labels = NDArray[np.int64]

#: Suffixes of files that hold one image each.
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"
)  # fmt: skip
#: The names of the data sets that are built in.
DIGITS = "digits"
BUILT_IN = (DIGITS, "sprites")
#: What a folder holds beside its images that is no part of them.
_CACHE = ".molae-cache"
#: Entries of a folder looked at to see whether there are images in it.
_LOOKED_AT = 10_000


class ImageSource(abc.ABC):
    """Images that can be read one by one.

    Attributes:
        name: What messages call it.
        labels: A number for each image, (n,) int64, or None.
        classes: Names of the labels, or none.
        context: What is known beside each image: images (n, H, W, K) uint8, numbers (n, C), or
            None.
    """

    name: str
    labels: Labels | None = None
    context: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()

    @abc.abstractmethod
    def __len__(self) -> int:
        """n, the images that there should be."""

    @abc.abstractmethod
    def pixels(self, row: int) -> Pixels:
        """An image, (H, W, C) uint8.

        Raises:
            ValueError: It cannot be read; the message is a few words, a colon, the detail.
        """

    @abc.abstractmethod
    def title(self, row: int) -> str:
        """What the source calls an image, or ""."""

    @abc.abstractmethod
    def coloured(self, most: int) -> bool:
        """Whether any of the first images has colours."""

    @abc.abstractmethod
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""

    def seen(self, row: int) -> Pixels | None:
        """An image, or None where it cannot be read."""
        try:
            return self.pixels(row)
        except ValueError:
            return None

    def first(self) -> Pixels | None:
        """The first image that can be read, or None."""
        return next((seen for seen in map(self.seen, range(len(self))) if seen is not None), None)


class ArraySource(ImageSource):
    """Images in one array.

    Args:
        name: What messages call it.
        images: (n, H, W, C) uint8.
        labels: (n,) int64, or None.
        classes: Names of the labels.
        path: The file that they are from; None for what ships with a library.
        context: See ``ImageSource``.
    """

    def __init__(
        self,
        name: str,
        images: Pixels,
        labels: Labels | None = None,
        classes: tuple[str, ...] = (),
        path: Path | None = None,
        context: NDArray[Any] | None = None,
    ) -> None:
        self.name, self.images, self.labels, self.classes = name, images, labels, classes
        self.path, self.context = path, context

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> Pixels:
        """See ``ImageSource``."""
        image: Pixels = self.images[row]
        return image

    def title(self, row: int) -> str:
        """See ``ImageSource``; an array has no names."""
        return ""

    def coloured(self, most: int) -> bool:
        """See ``ImageSource``: whether there are three channels."""
        return bool(self.images.shape[-1] == 3)

    def digest(self) -> str:
        """See ``ImageSource``: that of the file, or of the pixels where there is none."""
        if self.path is not None and self.path.is_file():
            return data_digest(self.path)
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()


class FileSource(ImageSource):
    """Images in a file each; where all lie in sub-folders, the first of these is the label.

    Args:
        name: What messages call them.
        root: The folder.
        files: Their paths below the root, in order.
    """

    def __init__(self, name: str, root: Path, files: list[str]) -> None:
        self.name, self.root, self.files = name, root, files
        first = [Path(file).parts[0] if len(Path(file).parts) > 1 else "" for file in files]
        if all(first):
            self.classes = tuple(sorted(set(first)))
            number = {name: i for i, name in enumerate(self.classes)}
            self.labels = np.array([number[name] for name in first], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def pixels(self, row: int) -> Pixels:
        """See ``ImageSource``."""
        return read_image(self.root / self.files[row])

    def title(self, row: int) -> str:
        """See ``ImageSource``: the path below the root."""
        return self.files[row]

    def coloured(self, most: int) -> bool:
        """See ``ImageSource``: by the headers."""
        return any(coloured(self.root / file) for file in self.files[:most])

    def digest(self) -> str:
        """See ``ImageSource``: of names and bytes."""
        whole = hashlib.sha256()
        for file in self.files:
            whole.update(f"{Path(file).as_posix()}\0{data_digest(self.root / file)}\n".encode())
        return whole.hexdigest()


def nothing_in(source: ImageSource, reasons: Mapping[str, int] | None = None) -> DataError:
    """The error for a source of which no image can be used; reasons with how many each."""
    counts = ", ".join(f"{reason} ({n})" for reason, n in (reasons or {}).items())
    why = f": {counts}" if counts else ""
    return DataError(
        f"{source.name}: none of its {len(source)} images could be used{why}. Are these images, "
        "and of the right size?"
    )


# Which is which ----------------------------------------------------------------------------------


def is_image_source(source: str | PathLike[str]) -> bool:
    """Whether there are images under a name, by what is there and by its first bytes."""
    path, _ = divided(source)
    name = os.fspath(path)  # of any length: it may be a text that names nothing
    if os.path.isdir(name):
        return _kind_of_folder(path) is not None
    if os.path.isfile(name):
        return name.lower().endswith(SUFFIXES) or archives.is_archive(path)
    return name in BUILT_IN


def divided(source: str | PathLike[str]) -> tuple[Path, str | None]:
    """A source as its path and the part that is asked for, or None."""
    name = os.fspath(source)
    if os.path.exists(name):
        return Path(name), None
    path, mark, part = name.rpartition(":")
    # A colon behind the drive of a path on Windows divides nothing.
    if mark and part and not {"/", "\\"} & set(part) and len(path) > 1:
        return Path(path), part
    return Path(name), None


def open_images(source: str | PathLike[str]) -> ImageSource:
    """The images of a source.

    Raises:
        DataError: It is missing, damaged as a whole, holds no images, or has no such part.
    """
    path, part = divided(source)
    name = os.fspath(source)
    if path.is_dir():
        return _folder(name, path, part)
    if name in BUILT_IN and not path.exists():
        return ArraySource(name, *(_digits() if name == DIGITS else sprites()))
    if not path.is_file():
        raise read_error(FileNotFoundError(errno.ENOENT, "missing"), path)
    if path.suffix.lower() in SUFFIXES:
        _no_part(name, part)
        return FileSource(name, path.parent, [path.name])
    if not archives.is_archive(path):
        raise DataError(
            f"{name}: no images are found in this file. Expected an image, arrays in .npz, idx "
            "files, cifar-10-binary.tar.gz, or a folder."
        )
    found = archives.read_archive(path, part)
    return ArraySource(name, found.images, found.labels, found.classes, path, found.context)


def source_digest(source: str | PathLike[str]) -> str:
    """SHA-256 of what a source holds; for a file that of its bytes.

    Raises:
        DataError: It cannot be read.
    """
    path, _ = divided(source)
    if path.is_file():
        return data_digest(path)
    return open_images(source).digest()


def _no_part(name: str, part: str | None) -> None:
    if part is not None:
        raise DataError(f"{name}: there is no part {part!r} in it; leave it out.")


def _folder(name: str, path: Path, part: str | None) -> ImageSource:
    kind = _kind_of_folder(path)
    if kind == "archive":
        found = archives.read_folder(path, part)
        return ArraySource(name, found.images, found.labels, found.classes)
    _no_part(name, part)
    if kind is None:
        raise DataError(
            f"{name}: there are no images in this folder. Expected {', '.join(SUFFIXES)}, in it "
            "or in its sub-folders, or idx files, or the .bin files of CIFAR-10."
        )
    files = sorted(file for file in _files(path) if file.lower().endswith(SUFFIXES))
    return FileSource(name, path, files)


def _kind_of_folder(path: Path) -> str | None:
    """What a folder holds: ``archive`` (idx or CIFAR-10), ``files``, or None for no images."""
    if archives.is_folder(path):
        return "archive"
    for seen, file in enumerate(_files(path)):
        if file.lower().endswith(SUFFIXES):
            return "files"
        if seen >= _LOOKED_AT:
            break
    return None


def _files(root: Path) -> Iterator[str]:
    """Paths below a folder, without hidden ones and caches."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f[0] != "." and not f.endswith(_CACHE))
        below = os.path.relpath(folder, root)
        for file in sorted(files):
            if file[0] != ".":
                yield file if below == "." else os.path.join(below, file)


def _digits() -> tuple[Pixels, Labels, tuple[str, ...]]:
    """The digits of scikit-learn, 8 by 8; its 17 shades from 0 to 16 become 0 to 255."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)[..., None]
    return pixels, found.target.astype(np.int64), tuple(map(str, range(10)))
