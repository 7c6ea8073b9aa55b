"""Images as text and as arrays of bytes: what everything else needs to know of pixels.

An image is text wherever texts go: a PNG in a data URI. Pixels are bytes, (H, W, C), with one
channel for grey or three for red, green and blue.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

#: How the text of every image begins.
PREFIX = "data:image/png;base64,"
#: Crops by name: the side of the square that is cut out of the middle, and the side that it is
#: scaled to unless another is asked for. ``celeba`` is what WAE and RAE train on (Tolstikhin et
#: al., 2018; Ghosh et al., 2020).
CROPS = {"celeba": (140, 64)}

#: Shade of the lines of a grid, and their width in pixels.
_LINE, _GAP = 128, 1
#: Modes of Pillow with more than one channel of colour; all others are read as grey.
_COLOURED = {"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"}


def text_of(pixels: Pixels) -> str:
    """An image as text: (H, W) or (H, W, 1 or 3) uint8 -> a PNG in a data URI.

    The same pixels give the same text (of one release of the compression library: compare images
    of different machines by ``key_of``).

    Raises:
        ValueError: The array is no image of bytes.
    """
    stream = io.BytesIO()
    _image(pixels).save(stream, format="PNG", compress_level=9)
    return PREFIX + base64.b64encode(stream.getvalue()).decode("ascii")


def is_image(text: str) -> bool:
    """Whether a text says that it is an image; it may still be a damaged one."""
    return text.startswith(PREFIX)


def pixels_of(text: str) -> Pixels:
    """The image in a text: a data URI of a PNG -> (H, W, C) uint8, C = 1 or 3.

    Raises:
        ValueError: It is none; the message is a few words, a colon, the detail.
    """
    if not is_image(text):
        raise ValueError(f"no image: expected a text that begins with {PREFIX}")
    try:
        data = base64.b64decode(text[len(PREFIX) :].strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"damaged image: {error}") from error
    return read_image(io.BytesIO(data), formats=("PNG",))


def read_image(source: str | Path | IO[bytes], formats: tuple[str, ...] | None = None) -> Pixels:
    """The image in a file, (H, W, C) uint8, upright; of an animation the first.

    16 bits a channel become 8, transparency shows white, palettes their colours; a palette or RGB
    image that is all grey stays RGB.

    Args:
        source: A path or a stream.
        formats: Names of Pillow's formats that are allowed; None for all that it knows.

    Raises:
        ValueError: It is none; the message is a few words, a colon, the detail.
    """
    try:
        with Image.open(source, formats=formats) as image:
            return _pixels(ImageOps.exif_transpose(image))
    except _Refused:
        raise
    # The readers of Pillow raise whatever damaged bytes lead them into, struct.error for one.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        raise ValueError(f"damaged image: {_plain(error)}") from error


class _Refused(ValueError):
    """An image whose values have no meaning here; the message says why."""


def _plain(error: BaseException) -> str:
    """What Pillow says, without the address of the stream that it was reading."""
    said = str(error)
    return "not in a known format" if "cannot identify image" in said else said or repr(error)


def _pixels(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16") or image.mode == "I":
        return _eight_bits(image)
    if image.mode == "F":
        raise _Refused("unknown range: the pixels are fractions of nothing that is known")
    kind = "RGB" if image.mode in _COLOURED else "L"
    if "A" in image.getbands() or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        image = Image.alpha_composite(white, clear)
    pixels = np.array(image.convert(kind))
    return pixels.reshape(*pixels.shape[:2], -1)


def _eight_bits(image: Image.Image) -> Pixels:
    """A grey image of 16 bits: its white, 65535, becomes 255."""
    values = np.array(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise _Refused("unknown range: the pixels are whole numbers beyond 16 bits")
    return ((values * 255 + 32767) // 65535).astype(np.uint8)[..., None]


def coloured(path: str | Path) -> bool:
    """Whether the image in a file has colours, by its header; False where it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.mode in _COLOURED
    except Exception:  # see ``read_image``, which says what is wrong with it
        return False


def key_of(pixels: Pixels) -> int:
    """A 64-bit number that depends on the pixels (H, W, C) and nothing else (BLAKE2b)."""
    code = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=8)
    code.update(np.ascontiguousarray(pixels).tobytes())
    return int.from_bytes(code.digest(), "little")


def _image(pixels: Pixels) -> Image.Image:
    """An array as Pillow's image."""
    shape, kind = pixels.shape, pixels.dtype
    flat = pixels[..., 0] if pixels.ndim == 3 and shape[2] == 1 else pixels
    fits = flat.ndim == 2 or (flat.ndim == 3 and shape[2] == 3)
    if kind != np.uint8 or not fits or not pixels.size:
        raise ValueError(
            f"an array of shape {shape} and type {kind} is no image; expected (H, W), (H, W, 1) "
            "or (H, W, 3) uint8"
        )
    return Image.fromarray(np.ascontiguousarray(flat))


# Size and channels -------------------------------------------------------------------------------


def cropped(pixels: Pixels, side: int) -> Pixels:
    """The square in the middle of an image, (H, W, C) -> (side, side, C).

    Raises:
        ValueError: The image is smaller; the message is a few words, a colon, the detail.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"too small to crop: {height} by {width}, and the crop is {side}")
    return centred(pixels, side, side)


def centred(pixels: Pixels, height: int, width: int) -> Pixels:
    """The middle of an image in a frame: cut where it is larger, black around where smaller."""
    out = np.zeros((height, width, pixels.shape[2]), np.uint8)
    to_rows, from_rows = _overlap(height, pixels.shape[0])
    to_columns, from_columns = _overlap(width, pixels.shape[1])
    out[to_rows, to_columns] = pixels[from_rows, from_columns]
    return out


def _overlap(frame: int, side: int) -> tuple[slice, slice]:
    """Where the middle of a side lies in a frame, and which part of the side that is."""
    common = min(frame, side)
    inside, cut = (frame - common) // 2, (side - common) // 2
    return slice(inside, inside + common), slice(cut, cut + common)


def framed(pixels: Pixels, height: int, width: int) -> Pixels:
    """An image at another size, (H, W, C) -> (height, width, C).

    A larger one is scaled down (Lanczos, as published) until it just covers the frame, and its
    middle is taken; a smaller one is not scaled but set on black, as 28 by 28 digits are at 32 by
    32.
    """
    share = max(height / pixels.shape[0], width / pixels.shape[1])
    if share < 1:
        size = [max(1, round(share * side)) for side in pixels.shape[1::-1]]  # W, H
        small = _image(pixels).resize((size[0], size[1]), Image.Resampling.LANCZOS)
        pixels = np.asarray(small).reshape(size[1], size[0], -1)
    return centred(pixels, height, width)


def in_channels(pixels: Pixels, channels: int) -> Pixels:
    """(H, W, C) -> (H, W, channels): grey three times over, or colours as their luminance."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(_image(pixels).convert("L"))[..., None]


# Many in one -------------------------------------------------------------------------------------


def grid(images: Sequence[Pixels], columns: int | None = None, *, scale: int = 1) -> Pixels:
    """Many images in one, row by row, with thin grey lines between them.

    Args:
        images: (H, W) or (H, W, 1 or 3) each; where sizes differ, each is in the middle of a cell
            of the largest height and width.
        columns: Images beside each other; None makes the grid as square as it can be.
        scale: Each pixel becomes so many, in both directions.

    Returns:
        (H', W', C) uint8, with C = 3 if any image has colours.

    Raises:
        ValueError: There are no images, or ``columns`` or ``scale`` is below 1.
    """
    if not len(images):
        raise ValueError("there is no image to show; expected at least one")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    if columns < 1 or scale < 1:
        raise ValueError(f"columns is {columns} and scale {scale}; expected at least 1")
    cells = [image if image.ndim == 3 else image[..., None] for image in images]
    height, width, channels = (max(cell.shape[axis] for cell in cells) for axis in range(3))
    height, width, columns = height * scale, width * scale, min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, channels)
    sheet = np.full(shape, _LINE, np.uint8)
    for i, cell in enumerate(cells):
        large = in_channels(cell, channels).repeat(scale, 0).repeat(scale, 1)
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = centred(large, height, width)
    return sheet


def enlarged(height: int, width: int, least: int = 64) -> int:
    """The scale at which an image can be looked at: its longer side has about ``least`` pixels."""
    return max(1, least // max(height, width))


def sheet(texts: Sequence[str], columns: int | None = None, below: Sequence[str] = ()) -> Pixels:
    """Images, given as texts, in a grid that is large enough to be looked at.

    Args:
        texts: The images.
        columns: See ``grid``.
        below: What goes under each, in a row of its own; none, or as many.

    Raises:
        ValueError: As ``pixels_of`` and ``grid``.
    """
    images = [pixels_of(text) for text in texts]
    if below:
        columns = min(columns or math.ceil(math.sqrt(2 * len(images))), len(images))
        images = _interleaved(images, [pixels_of(text) for text in below], columns)
    return grid(images, columns, scale=enlarged(*images[0].shape[:2]) if images else 1)


def _interleaved(above: list[Pixels], below: list[Pixels], columns: int) -> list[Pixels]:
    """Rows of some images, each followed by a row of others; what is left of a row is grey."""
    cells: list[Pixels] = []
    for first in range(0, len(above), columns):
        for images in (above, below):
            row = images[first : first + columns]
            blanks = columns - len(row)
            cells += row + [np.full_like(above[0], _LINE)] * blanks
    return cells


def save_png(pixels: Pixels, target: str | Path | IO[bytes]) -> None:
    """Write an image, (H, W) or (H, W, 1 or 3) uint8, as PNG.

    Raises:
        OSError: The place cannot be written.
    """
    _image(pixels).save(target, format="PNG", optimize=True)
