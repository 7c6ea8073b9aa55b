"""Images in memory: data sets as the loop wants them, and whole sources read at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
        context: What models are conditioned on, (n, ...), or None: context images as bytes,
            (n, H, W, K) uint8, or numbers, (n, C).

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
        context: NDArray[Any] | None = None,
    ) -> None:
        if pixels.ndim != 4 or pixels.dtype != np.uint8:
            raise ValueError(
                f"an array of shape {pixels.shape} and type {pixels.dtype} holds no images; "
                "expected (n, H, W, C) uint8"
            )
        for name, values in (("keys", keys), ("y", y), ("context", context)):
            if values is not None and len(values) != len(pixels):
                raise ValueError(
                    f"{name} has {len(values)} rows; expected {len(pixels)}, one an image"
                )
        self.pixels, self.y, self.context = pixels, y, context
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
        return ImageData(self.pixels, rows, keys=self._keys, y=self.y, context=self.context)

    def with_targets(self, y: NDArray[Any]) -> ImageData:
        """The same images with targets: a row of y for each of them, (m, ...).

        Raises:
            ValueError: There are more rows or fewer.
        """
        if len(y) != len(self):
            raise ValueError(f"{len(y)} targets for {len(self)} images; expected one for each")
        whole = np.zeros((len(self.pixels), *y.shape[1:]), dtype=y.dtype)
        whole[self.rows] = y
        return ImageData(self.pixels, self.rows, keys=self._keys, y=whole, context=self.context)

    def with_context(self, context: NDArray[Any]) -> ImageData:
        """The same images with contexts: a row for each of the whole array's, (n, ...)."""
        return ImageData(self.pixels, self.rows, keys=self._keys, y=self.y, context=context)

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
            context=None if self.context is None else torch.from_numpy(self._told(index)),
            index=torch.from_numpy(index.copy()),
        )

    def _told(self, index: Rows) -> NDArray[np.float32]:
        """Contexts of some images: (B, C) as they are, images (B, K, H, W) from 0 to 1."""
        found = np.asarray(self.context)[self.rows[index]]
        return unit(found) if found.ndim == 4 else found.astype(np.float32)

    def joined(self, others: Sequence[ImageData]) -> ImageData:
        """This data set and others behind it, in memory; see ``molae.datasets.arrays.join``."""
        parts = [self, *others]
        pixels = np.concatenate([part.pixels[part.rows] for part in parts])
        keys, y, context = (stacked(parts, name) for name in ("_keys", "y", "context"))
        return ImageData(pixels, keys=keys, y=y, context=context)


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
        context: Context images beside each, (n, H, W, K) uint8, or numbers (n, C); or None.
    """

    pixels: Pixels
    labels: NDArray[np.int64] | None
    keys: NDArray[np.uint64]
    names: list[str]
    classes: tuple[str, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)
    context: NDArray[Any] | None = None

    def data(self) -> ImageData:
        """The images as a data set."""
        return ImageData(self.pixels, keys=self.keys, context=self.context)


def image_codec(
    source: ImageSource,
    size: int | tuple[int, int] | None = None,
    crop: str | None = None,
    channels: int | None = None,
) -> ImageCodec:
    """The codec that a source needs.

    Args:
        source: Where the images are.
        size: Height and width, or both in one number; images of another size are brought to it,
            see ``molae.pictures.framed``: smaller ones are set on black and not enlarged.
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
    first = source.first()
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
    codec: ImageCodec, source: ImageSource, rows: Iterable[int] | None = None
) -> Iterator[tuple[Pixels, int] | BadLine]:
    """Every image of a source (or those of some rows) as a codec knows it, one at a time.

    Yields:
        Pixels (H, W, C) uint8 and the hash of the image as it is in the source, which is what
        decides whether it is held out, see ``ImageEncoding.keys``; or, for one that cannot be
        used, its number from 1, its name and the reason.
    """
    for row in range(len(source)) if rows is None else rows:
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
    chosen: Rows | None = None,
) -> ImageArrays:
    """Images of an open source that a codec can use, in memory; see ``read_images``.

    Args:
        codec: Brings images to size.
        source: Where they are.
        reject: Called with what cannot be read.
        progress: Told how far it is.
        chosen: Rows of the source that are looked at; None for all.

    Raises:
        DataError: There is none.
    """
    wanted = np.arange(len(source)) if chosen is None else chosen
    pixels = np.zeros((len(wanted), codec.height, codec.width, codec.channels), np.uint8)
    keys = np.zeros(len(wanted), np.uint64)
    kept = np.zeros(len(wanted), bool)
    reasons: Counter[str] = Counter()
    for number, found in enumerate(fitted_images(codec, source, wanted.tolist())):
        if isinstance(found, BadLine):
            reasons[found.reason.partition(":")[0]] += 1
            if reject is not None:
                reject(found)
            continue
        pixels[number], keys[number] = found
        kept[number] = True
        if progress is not None:
            progress(number + 1, (number + 1) / len(wanted))
    if not kept.any():
        raise nothing_in(source, reasons)
    rows = wanted[kept]
    return ImageArrays(
        pixels if kept.all() else pixels[kept],
        None if source.labels is None else source.labels[rows],
        keys[kept],
        [source.title(row) or str(row + 1) for row in rows.tolist()],
        source.classes,
        dict(reasons),
        None if source.context is None else source.context[rows],
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
