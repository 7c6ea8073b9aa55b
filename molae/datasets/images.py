"""Images in memory: data sets as the loop wants them, and whole sources read at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.codecs.images import ImageCodec, unit
from molae.datasets.arrays import Rows, stacked
from molae.datasets.image_files import ImageSource, nothing_in, open_images
from molae.datasets.readers import BadLine
from molae.pictures import CROPS, Pixels, key_of
from molae.types import Batch

#: Images whose headers are looked at to see whether any has colours.
_PROBED = 200


class ImageData:
    """Many images of one size as the loop wants them: ``len``, ``batch``.

    Pixels stay bytes, in memory or on disc, until they are in a batch. A subset shares the array.

    Args:
        pixels: (n, H, W, C) uint8; may be a memory map.
        rows: Which images, in which order, (m,) int64; all if None.
        keys: 64-bit hashes of the images, (n,) uint64, for splits; or None.
        y: Targets, (n, ...), or None.

    Attributes:
        lengths: None: images are of one length.

    Raises:
        ValueError: The arrays do not fit one another.
    """

    lengths: None = None

    def __init__(
        self,
        pixels: Pixels,
        rows: Rows | None = None,
        *,
        keys: NDArray[np.uint64] | None = None,
        y: NDArray[Any] | None = None,
    ) -> None:
        if pixels.ndim != 4 or pixels.dtype != np.uint8:
            raise ValueError(
                f"an array of shape {pixels.shape} and type {pixels.dtype} holds no images; "
                "expected (n, H, W, C) uint8"
            )
        for name, values in (("keys", keys), ("y", y)):
            if values is not None and len(values) != len(pixels):
                raise ValueError(
                    f"{name} has {len(values)} rows; expected {len(pixels)}, one an image"
                )
        self.pixels, self.y = pixels, y
        self.rows: Rows = np.arange(len(pixels), dtype=np.int64) if rows is None else rows
        self._keys = keys

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def keys(self) -> NDArray[np.uint64] | None:
        """Hashes of the images, (m,) uint64, or None."""
        return None if self._keys is None else self._keys[self.rows]

    def subset(self, index: Sequence[int] | NDArray[Any]) -> ImageData:
        """Some images in the order given; a boolean array chooses where it is true."""
        rows = self.rows[np.asarray(index, dtype=None if len(index) else np.int64)]
        return ImageData(self.pixels, rows, keys=self._keys, y=self.y)

    def with_targets(self, y: NDArray[Any]) -> ImageData:
        """The same images with targets: a row of y for each of them, (m, ...).

        Raises:
            ValueError: There are more rows or fewer.
        """
        if len(y) != len(self):
            raise ValueError(f"{len(y)} targets for {len(self)} images; expected one for each")
        whole = np.zeros((len(self.pixels), *y.shape[1:]), dtype=y.dtype)
        whole[self.rows] = y
        return ImageData(self.pixels, self.rows, keys=self._keys, y=whole)

    def bytes(self, index: Sequence[int] | Rows) -> Pixels:
        """Some images as they are kept, (B, H, W, C) uint8."""
        return np.asarray(self.pixels[self.rows[np.asarray(index, dtype=np.int64)]])

    def array(self, index: Sequence[int] | Rows) -> NDArray[np.float32]:
        """Some images as models read them, (B, C, H, W) float32 from 0 to 1."""
        return unit(self.bytes(index))

    def batch(self, index: Sequence[int] | Rows) -> Batch:
        """The batch of some rows of this data set; ``Batch.index`` is ``index`` itself."""
        import torch

        index = np.asarray(index, dtype=np.int64)
        return Batch(
            x=torch.from_numpy(self.array(index)),
            y=None if self.y is None else torch.from_numpy(np.asarray(self.y[self.rows[index]])),
            index=torch.from_numpy(index.copy()),
        )

    def joined(self, others: Sequence[ImageData]) -> ImageData:
        """This data set and others behind it, in memory; see ``molae.datasets.arrays.join``."""
        parts = [self, *others]
        pixels = np.concatenate([part.pixels[part.rows] for part in parts])
        return ImageData(pixels, keys=stacked(parts, "_keys"), y=stacked(parts, "y"))


@dataclass(frozen=True)
class ImageArrays:
    """What ``read_images`` read.

    Attributes:
        pixels: (n, H, W, C) uint8.
        labels: (n,) int64, or None where the source has none.
        keys: (n,) uint64, hashes of the pixels as they are in the source.
        names: What the source calls each, or its number.
        classes: Names of the labels, or none.
        lost: How many could not be used, by reason.
    """

    pixels: Pixels
    labels: NDArray[np.int64] | None
    keys: NDArray[np.uint64]
    names: list[str]
    classes: tuple[str, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)

    def data(self) -> ImageData:
        """The images as a data set."""
        return ImageData(self.pixels, keys=self.keys)


def image_codec(
    source: ImageSource,
    size: int | tuple[int, int] | None = None,
    crop: str | None = None,
    channels: int | None = None,
) -> ImageCodec:
    """The codec that a source needs.

    Args:
        source: Where the images are.
        size: Height and width, or both in one number; images of another size are brought to it.
            None takes the size of the first image (the usual one of the crop), and images of
            another are rejected.
        crop: A name out of ``molae.pictures.CROPS``.
        channels: 1 or 3; None is 3 if any of the first images has colours.

    Raises:
        DataError: There is no image in it that can be read.
        ValueError: A size makes no sense, or there is no such crop.
    """
    if size is None and crop in CROPS:
        size = CROPS[crop][1]
    first = next((seen for seen in map(source.seen, range(len(source))) if seen is not None), None)
    if first is None:
        raise nothing_in(source, {"damaged": len(source)})
    if size is None:
        height, width = first.shape[:2]
    else:
        height, width = (size, size) if isinstance(size, int) else size
    if channels is None:
        channels = 3 if source.coloured(_PROBED) else 1
    return ImageCodec(height, width, channels, crop, resize=size is not None)


def fitted_images(
    codec: ImageCodec, source: ImageSource
) -> Iterator[tuple[Pixels, int] | BadLine]:
    """Every image of a source as a codec knows it, in order, one at a time.

    Yields:
        Pixels (H, W, C) uint8 and the hash of the image as it is in the source; or, for one that
        cannot be used, its number from 1, its name and the reason.
    """
    for row in range(len(source)):
        try:
            raw = source.pixels(row)
            fitted = codec.fit(raw)
        except ValueError as error:
            yield BadLine(row + 1, source.title(row), str(error))
        else:
            yield fitted, key_of(raw)


def gathered(
    codec: ImageCodec,
    source: ImageSource,
    reject: Callable[[BadLine], None] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ImageArrays:
    """All images of an open source that a codec can use, in memory; arguments as ``read_images``.

    Raises:
        DataError: There is none.
    """
    pixels = np.zeros((len(source), codec.height, codec.width, codec.channels), np.uint8)
    keys = np.zeros(len(source), np.uint64)
    kept = np.zeros(len(source), bool)
    reasons: Counter[str] = Counter()
    for row, found in enumerate(fitted_images(codec, source)):
        if isinstance(found, BadLine):
            reasons[found.reason.partition(":")[0]] += 1
            if reject is not None:
                reject(found)
            continue
        pixels[row], keys[row] = found
        kept[row] = True
        if progress is not None:
            progress(row + 1, (row + 1) / len(source))
    if not kept.any():
        raise nothing_in(source, reasons)
    rows = np.flatnonzero(kept)
    return ImageArrays(
        pixels if kept.all() else pixels[rows],
        None if source.labels is None else source.labels[rows],
        keys[rows],
        [source.title(row) or str(row + 1) for row in rows.tolist()],
        source.classes,
        dict(reasons),
    )


def read_images(
    source: str | PathLike[str],
    size: int | tuple[int, int] | None = None,
    crop: str | None = None,
    channels: int | None = None,
    reject: Callable[[BadLine], None] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ImageArrays:
    """All images of a source, in memory.

    Args:
        source: See ``molae.datasets.image_files``.
        size: See ``image_codec``.
        crop: See ``image_codec``.
        channels: See ``image_codec``.
        reject: Called with what cannot be read, in order.
        progress: ``progress(images so far, share of all from 0 to 1)``.

    Raises:
        DataError: The source cannot be read, or there is no image in it.
        ValueError: A size makes no sense, or there is no such crop.
    """
    opened = open_images(source)
    return gathered(image_codec(opened, size, crop, channels), opened, reject, progress)
