"""Images beside their source, decoded once: then mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from molae.codecs.images import ImageCodec
from molae.datasets.arrays import ArrayWriter
from molae.datasets.cache import Encoded, Progress, found_or_made, place_of
from molae.datasets.image_files import ImageSource, divided, nothing_in, open_images
from molae.datasets.images import ImageData, fitted_images
from molae.datasets.readers import BadLine
from molae.datasets.writers import RejectWriter

_ARRAYS: dict[str, type[np.generic]] = {
    "pixels.npy": np.uint8,
    "keys.npy": np.uint64,
    "lines.npy": np.int64,
}
#: Images between two reports of progress.
_STEP = 500


def cached_images(
    codec: ImageCodec,
    source: str | PathLike[str],
    *,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Encoded[ImageData]:
    """The images of a source, from the cache if this codec has read the same bytes before.

    It lies where that of sequences does, see ``molae.datasets.cache.cached``, and is as big as the
    pixels that the model sees.

    Args:
        codec: Brings images to size.
        source: See ``molae.datasets.image_files``.
        folder: Where to keep the cache instead.
        progress: Called now and then.

    Raises:
        DataError: The source cannot be read, there is no image in it, or the disc is full.
    """
    opened = open_images(source)
    known = {"digest": opened.digest(), "codec": codec.digest}
    path, part = divided(source)
    key = hashlib.sha256(json.dumps([known, part, path.suffix]).encode()).hexdigest()[:24]
    place = place_of(path.absolute() if path.exists() else None, folder) / key
    kept, fresh = found_or_made(
        place, known, _ARRAYS, lambda into: _write(into, codec, opened, progress)
    )
    data = ImageData(kept.arrays["pixels.npy"], keys=kept.arrays["keys.npy"])
    return kept.encoded(data, os.fspath(source), fresh=fresh)


class _PixelWriter(ArrayWriter):
    """Images (n, H, W, C) uint8 as ``.npy``, some at a time."""

    def __init__(self, path: Path, codec: ImageCodec) -> None:
        self.shape = (codec.height, codec.width, codec.channels)
        super().__init__(path, np.uint8)

    def _header(self) -> None:
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self.size, *self.shape)}
        np.lib.format.write_array_header_1_0(self._stream, facts)


def _write(
    folder: Path, codec: ImageCodec, source: ImageSource, progress: Progress | None
) -> dict[str, Any]:
    """Write the arrays and the rejects of a source; what must be known to read them again."""
    with ExitStack() as stack:
        pixels = stack.enter_context(_PixelWriter(folder / "pixels.npy", codec))
        keys, lines = (
            stack.enter_context(ArrayWriter(folder / name, _ARRAYS[name]))
            for name in ("keys.npy", "lines.npy")
        )
        rejects = stack.enter_context(RejectWriter(folder / "rejects.csv"))
        for row, found in enumerate(fitted_images(codec, source)):
            if isinstance(found, BadLine):
                rejects.write(source.name, found)
                continue
            pixels.append(found[0][None])
            keys.append(np.array([found[1]], np.uint64))
            lines.append(np.array([row + 1]))
            if progress is not None and row % _STEP == 0:
                progress(row + 1, (row + 1) / len(source))
        total = lines.size
    if not total:
        raise nothing_in(source, dict(rejects.reasons.most_common(3)))
    return {
        "source": source.name,
        "count": total,
        "rejected": rejects.count,
        "reasons": dict(rejects.reasons.most_common()),
    }
