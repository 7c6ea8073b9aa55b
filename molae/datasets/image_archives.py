"""Many images in one file: arrays in ``.npz``, idx files (MNIST), the binary form of CIFAR-10."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from molae.datasets.files import DataError, read_error
from molae.pictures import Pixels

#: What arrays of images are called, the likeliest first, with what their labels are called.
_NAMES = {
    "x_train": "y_train",
    "train_images": "train_labels",
    "images": "labels",
    "x": "y",
    "data": "labels",
    "arr_0": "arr_1",
}
_PARTS = {"train": ("x_train", "train_images"), "test": ("x_test", "test_images")}
#: Files of idx: unsigned bytes in three dimensions, or four with channels.
_IDX = (b"\0\0\x08\x03", b"\0\0\x08\x04")
_IDX_LABELS = b"\0\0\x08\x01"
_IDX_NAME = re.compile(r"images[-.]idx[34](-ubyte)?(\.gz)?$")
_IDX_PARTS = {"train": "train", "test": "t10k"}
#: CIFAR-10: a byte for the label, then 32 by 32 red, green and blue.
_CIFAR = 1 + 3 * 32 * 32
_CIFAR_PARTS = {
    "train": re.compile(r"(^|/)data_batch_[1-5]\.bin$"),
    "test": re.compile(r"(^|/)test_batch\.bin$"),
}
_CIFAR_CLASSES = "batches.meta.txt"
_TAR = (".tar.gz", ".tgz", ".tar")
_GZIP = b"\x1f\x8b"


class Archive(NamedTuple):
    """Images (n, H, W, C) uint8, their labels (n,) int64 or None, the labels' names, contexts."""

    images: Pixels
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...] = ()
    context: NDArray[Any] | None = None


def is_archive(path: Path) -> bool:
    """Whether a file holds images in a form that is known here; ``.npz`` is known by its name."""
    name = path.name.lower()
    if name.endswith(".npz"):
        return True
    if name.endswith(_TAR):
        return "cifar" in name
    if name.endswith(".bin"):
        return any(known.search(path.name) for known in _CIFAR_PARTS.values())
    return bool(_IDX_NAME.search(path.name)) or _beginning(path) in _IDX


def is_folder(path: Path) -> bool:
    """Whether a folder holds idx files or the unpacked CIFAR-10."""
    return bool(_idx_files(path) or _bins(path))


def read_archive(path: Path, part: str | None) -> Archive:
    """The images of one file.

    Raises:
        DataError: It is damaged, holds no images, or has no such part.
    """
    name = path.name.lower()
    try:
        if name.endswith(".npz"):
            return _npz(path, part)
        if name.endswith(_TAR):
            return _cifar_archive(path, part or "train")
        if part is not None:
            raise DataError(f"{path}: there is no part {part!r} in it; leave it out.")
        if name.endswith(".bin"):
            return _cifar(str(path), path.read_bytes(), ())
        return _idx(path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise read_error(error, path) from error
        raise DataError(f"{path}: damaged or cut off ({error}). Fetch it again.") from error


def read_folder(path: Path, part: str | None) -> Archive:
    """The images of a folder of idx files, or of the unpacked CIFAR-10; for training by default.

    Raises:
        DataError: They are damaged, or there is no such part.
    """
    wanted = part or "train"
    found = _idx_files(path)
    if found:
        prefix = _IDX_PARTS.get(wanted, wanted)
        chosen = [file for file in found if file.name.startswith(prefix)]
        if len(found) == 1 and part is None:
            chosen = found
        if not chosen:
            raise _no_such_part(str(path), wanted, [file.name for file in found])
        return read_archive(chosen[0], None)
    bins = [file for file in _bins(path) if _cifar_pattern(str(path), wanted).search(file.name)]
    if not bins:
        raise _no_such_part(str(path), wanted, [file.name for file in _bins(path)])
    classes = path / _CIFAR_CLASSES
    names = classes.read_text("utf-8", "replace") if classes.is_file() else ""
    return _cifar(str(path), b"".join(file.read_bytes() for file in bins), tuple(names.split()))


def _no_such_part(name: str, part: str, there: list[str]) -> DataError:
    listed = ", ".join(there) or "nothing"
    return DataError(f"{name}: there is no part {part!r} in it; found {listed}.")


# npz ---------------------------------------------------------------------------------------------


def _npz(path: Path, part: str | None) -> Archive:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            name = _chosen(str(path), arrays, part)
            images = as_images(f"{path}:{name}", np.asarray(arrays[name]))
            labels = _labels(arrays, name, len(images))
            context = _context(str(path), arrays, len(images)) if name == "images" else None
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: cannot be read as arrays ({error}). Objects in it are not loaded, since "
            "that would execute code: save plain numbers."
        ) from error
    return Archive(images, labels, context=context)


def _context(path: str, arrays: Mapping[str, Any], n: int) -> NDArray[Any] | None:
    """What is known beside the images, images (n, H, W, K) uint8 or numbers (n, C); or None."""
    if "context" not in arrays:
        return None
    values = np.asarray(arrays["context"])
    images = values.ndim == 4 and values.dtype == np.uint8
    numbers = values.ndim == 2 and values.dtype.kind in "iubf" and bool(np.isfinite(values).all())
    if len(values) != n or not (images or numbers) or not values.size:
        raise DataError(
            f"{path}: the array 'context', of shape {values.shape} and type {values.dtype}, is no "
            f"context of {n} images. Expected images (n, H, W, K) uint8, or finite numbers (n, C)."
        )
    return values


def _chosen(path: str, arrays: Mapping[str, Any], part: str | None) -> str:
    """The array that is meant, by its name."""
    there: list[str] = list(arrays)
    if part is not None:
        wanted: list[str] = [part, *_PARTS.get(part, ())]
        for name in wanted:
            if name in there:
                return name
        raise _no_such_part(path, part, there)
    for name in _NAMES:
        if name in there:
            return name
    if len(there) == 1:
        return there[0]
    raise DataError(
        f"{path}: which of its arrays are the images? Found {', '.join(there) or 'none'}. Say so "
        f"with a colon, such as {path}:{there[0] if there else 'images'}."
    )


def _labels(arrays: Mapping[str, Any], name: str, n: int) -> NDArray[np.int64] | None:
    """The labels beside an array of images, or None."""
    likely = _NAMES.get(name) or (f"y{name[1:]}" if name.startswith("x") else "labels")
    if name.endswith("_images"):
        likely = name.removesuffix("_images") + "_labels"
    if likely not in arrays:
        return None
    values = np.asarray(arrays[likely])
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.shape != (n,) or values.dtype.kind not in "iub":
        return None
    return values.astype(np.int64)


def as_images(name: str, values: NDArray[Any]) -> Pixels:
    """An array as images (n, H, W, C) uint8.

    Args:
        name: What messages call it.
        values: (n, H, W), (n, H, W, C) or (n, C, H, W) with C of 1 or 3: bytes, whole numbers from
            0 to 255, or fractions from 0 to 1.

    Raises:
        DataError: The shape or the numbers are others.
    """
    shape = values.shape
    if values.ndim == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        values = np.moveaxis(values, 1, -1)
    elif values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or values.shape[3] not in (1, 3) or not values.size:
        raise DataError(
            f"{name}: an array of shape {shape} holds no images. Expected (n, H, W), or "
            "(n, H, W, C) with 1 or 3 channels."
        )
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "iubf":
        raise DataError(f"{name}: pixels of type {values.dtype}; expected uint8, or fractions.")
    low, high = float(values.min()), float(values.max())
    top = 1 if values.dtype.kind in "bf" else 255
    if not (low >= 0 and high <= top):
        raise DataError(
            f"{name}: pixels of type {values.dtype} from {low:g} to {high:g}; expected 0 to {top}."
        )
    scaled = values if top == 255 else np.round(values.astype(np.float32) * 255)
    return scaled.astype(np.uint8)


# idx ---------------------------------------------------------------------------------------------


def _opened(path: Path) -> IO[bytes]:
    """A file, unpacked if it is gzipped, whatever its name."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path) if packed else open(path, "rb"))


def _beginning(path: Path) -> bytes:
    """The first four bytes of what is in a file, or none where it cannot be read."""
    try:
        with _opened(path) as stream:
            return stream.read(4)
    except (OSError, EOFError, zlib.error):
        return b""


def _idx_files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if _IDX_NAME.search(file.name))


def _numbers(path: Path, kinds: tuple[bytes, ...]) -> NDArray[np.uint8]:
    """The array in an idx file: a magic number, the sizes (big-endian), the bytes."""
    with _opened(path) as stream:
        data = stream.read()
    if data[:4] not in kinds:
        raise DataError(f"{path}: this is no idx file of the kind that its name says.")
    dims = data[3]
    sizes = np.frombuffer(data[4 : 4 + 4 * dims], ">u4").tolist()
    flat = np.frombuffer(data, np.uint8, offset=min(len(data), 4 + 4 * dims))
    if len(sizes) != dims or len(flat) != int(np.prod(sizes, dtype=np.int64)):
        raise DataError(
            f"{path}: damaged or cut off: {len(flat)} bytes for an array of {sizes}. Fetch it "
            "again."
        )
    return flat.reshape(sizes)


def _idx(path: Path) -> Archive:
    images = as_images(str(path), _numbers(path, _IDX))
    beside = re.sub(r"images([-.]idx)[34]", r"labels\g<1>1", path.name)
    stem = beside.removesuffix(".gz")
    for name in (stem, f"{stem}.gz"):
        file = path.with_name(name)
        if name != path.name.removesuffix(".gz") and file.is_file():
            labels = _numbers(file, (_IDX_LABELS,))
            if len(labels) == len(images):
                return Archive(images, labels.astype(np.int64))
    return Archive(images, None)


# CIFAR-10 ----------------------------------------------------------------------------------------


def _bins(path: Path) -> list[Path]:
    known = _CIFAR_PARTS.values()
    return sorted(f for f in path.iterdir() if any(kind.search(f.name) for kind in known))


def _cifar_pattern(name: str, part: str) -> re.Pattern[str]:
    if part not in _CIFAR_PARTS:
        raise DataError(f"{name}: there is no part {part!r} in it; expected train or test.")
    return _CIFAR_PARTS[part]


def _cifar_archive(path: Path, part: str) -> Archive:
    """The public archive in its binary version, read without unpacking it."""
    pattern, pieces, classes = _cifar_pattern(str(path), part), dict[str, bytes](), b""
    with tarfile.open(path) as tar:
        names = []
        for member in tar:
            names.append(os.path.basename(member.name))
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is not None and pattern.search(member.name):
                pieces[member.name] = stream.read()
            elif stream is not None and names[-1] == _CIFAR_CLASSES:
                classes = stream.read()
    if not pieces and any(name in ("data_batch_1", "test_batch") for name in names):
        raise DataError(
            f"{path}: this is the Python version of CIFAR-10, a pickle, which molae does not "
            "read because that would execute code. Take cifar-10-binary.tar.gz from the same "
            "place (molae data get cifar-10)."
        )
    if not pieces:
        raise _no_such_part(str(path), part, names)
    whole = b"".join(pieces[name] for name in sorted(pieces))
    return _cifar(str(path), whole, tuple(classes.decode("utf-8", "replace").split()))


def _cifar(name: str, data: bytes, classes: tuple[str, ...]) -> Archive:
    if not data or len(data) % _CIFAR:
        raise DataError(
            f"{name}: damaged or cut off: {len(data)} bytes, expected a multiple of {_CIFAR}. "
            "Fetch it again."
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, _CIFAR)
    images = np.moveaxis(rows[:, 1:].reshape(-1, 3, 32, 32), 1, -1)
    return Archive(np.ascontiguousarray(images), rows[:, 0].astype(np.int64), classes)
