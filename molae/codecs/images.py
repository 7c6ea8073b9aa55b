"""Images: the codec between their texts and tensors of pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.codecs.base import EncodeError, Reject
from molae.pictures import (
    CROPS,
    Pixels,
    cropped,
    framed,
    in_channels,
    key_of,
    pixels_of,
    text_of,
)

#: Values that are in memory together as numbers, at most.
_VALUES = 1 << 25


@dataclass(frozen=True)
class ImageEncoding:
    """Images of one size.

    Attributes:
        pixels: (n, H, W, C) uint8.
        kept: (n,) int64, which of the given items these are.
        rejects: The others.
        keys: A 64-bit number for each image as it was given, before it was brought to size.
    """

    pixels: Pixels
    kept: NDArray[np.int64]
    rejects: list[Reject]
    keys: list[int]

    def padded(self) -> Tensor:
        """What an encoder reads, (n, C, H, W) float32 from 0 to 1; no image needs padding."""
        return torch.from_numpy(unit(self.pixels))

    def hashes(self) -> list[int]:
        """See ``keys``: what is split by them stays where it is at any size and in any file."""
        return self.keys


class ImageCodec:
    """Texts of images (a PNG in a data URI each, see ``molae.pictures``) to pixels and back.

    Args:
        height: H, pixels.
        width: W, pixels.
        channels: C, 1 for grey or 3 for red, green and blue.
        crop: A name out of ``molae.pictures.CROPS``: cut an image of another size so at first.
        resize: Bring images of another size to this one, see ``molae.pictures.framed``; otherwise
            they are rejected.

    Attributes:
        spelling: ``text``: images are no molecules.
        medium, items, entry: Words for what is encoded, see ``SequenceCodec``.
        exact: False, an image comes back more or less.
        longest: "", images are of one length.
        at_once: How many are decoded together, or are in memory as tensors.

    Raises:
        ValueError: A size is below 1, or there are other channels than 1 or 3, or no such crop.
    """

    spelling, items, entry = "text", "images", "values"
    medium: Literal["images"] = "images"
    exact = False
    longest = ""

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        crop: str | None = None,
        resize: bool = False,
    ) -> None:
        if height < 1 or width < 1 or channels not in (1, 3):
            raise ValueError(
                f"images of {height} by {width} pixels with {channels} channels; expected at "
                "least 1 by 1, and 1 or 3 channels"
            )
        if crop is not None and crop not in CROPS:
            raise ValueError(f"there is no crop {crop!r}: expected one of {', '.join(CROPS)}")
        self.height, self.width, self.channels = height, width, channels
        self.crop, self.resize = crop, resize
        self.at_once = max(1, min(8192, _VALUES // self.size))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def size(self) -> int:
        """Values in an image, C H W."""
        return self.channels * self.height * self.width

    @property
    def entries(self) -> list[str]:
        """None: what images are made of does not grow with the data."""
        return []

    @property
    def slots(self) -> dict[str, Any]:
        """What encoders and decoders are built for, by the names of their arguments."""
        return {"shape": self.shape}

    @property
    def counts(self) -> dict[str, int]:
        """What is to be known of it in numbers."""
        return {"height": self.height, "width": self.width, "channels": self.channels}

    @property
    def expresses(self) -> str:
        """What an image is like, in words."""
        colours = "colour" if self.channels == 3 else "grey"
        return f"{colours} images, {self.height} x {self.width} pixels, 8 bits a value"

    @property
    def limits(self) -> str:
        """What becomes of images of another size."""
        if self.resize:
            return "larger images are scaled down to this size, smaller ones set on black"
        return "images of another size are rejected"

    def groups(self, x: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (n, C, H, W) in groups that are encoded together: rows (m,), and those."""
        for rows in torch.split(torch.arange(len(x)), most):
            yield rows, x[rows]

    def agreement(
        self, given: Sequence[str | None], found: Sequence[str | None]
    ) -> dict[str, Any]:
        """How well images came back, for a card.

        Returns:
            ``squared_error``: its mean over images and values, which are from 0 to 1.
        """
        pairs = zip(given, found, strict=True)
        errors = [
            np.square(pixels_of(a) - pixels_of(b).astype(np.float64)).mean()
            for a, b in pairs
            if a is not None and b is not None
        ]
        return {"squared_error": float(np.mean(errors)) / 255**2}

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides how an image is encoded."""
        known = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``from_dict``."""
        return {
            "kind": "images",
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "crop": self.crop,
            "resize": self.resize,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The codec that ``to_dict`` described."""
        return cls(
            int(saved["height"]),
            int(saved["width"]),
            int(saved["channels"]),
            saved.get("crop"),
            bool(saved.get("resize", False)),
        )

    def fit(self, pixels: Pixels) -> Pixels:
        """One image as the model knows it, (h, w, c) uint8 -> (H, W, C) uint8.

        One of the right size stays as it is, whatever the crop: it has been cut before, or was
        drawn by a model.

        Raises:
            ValueError: It cannot be; the message is a few words, a colon, the detail.
        """
        wanted = (self.height, self.width)
        if pixels.shape[:2] != wanted:
            if self.crop is not None:
                pixels = cropped(pixels, CROPS[self.crop][0])
            if not self.resize and pixels.shape[:2] != wanted:
                height, width = pixels.shape[:2]
                raise ValueError(
                    f"wrong size: {height} by {width} pixels, expected {self.height} by "
                    f"{self.width}"
                )
            pixels = framed(pixels, *wanted)
        return in_channels(pixels, self.channels)

    def surrounds(self, pixels: Pixels) -> bool:
        """Whether ``fit`` sets an image on black, being smaller: it enlarges none."""
        cut = pixels.shape[:2] if self.crop is None else (CROPS[self.crop][0],) * 2
        return pixels.shape[:2] != self.shape[1:] and (cut[0] < self.height or cut[1] < self.width)

    def parse(
        self, items: Sequence[str], workers: int = 1, prepared: bool = False
    ) -> ImageEncoding:
        """Read the images that can be read, and say why the others cannot.

        Args:
            items: Texts.
            workers: As other codecs have it; images are read in this process.
            prepared: The images have the right size and channels already.
        """
        found: list[Pixels] = []
        kept: list[int] = []
        keys: list[int] = []
        rejects: list[Reject] = []
        for row, item in enumerate(items):
            try:
                raw = pixels_of(item.strip())
                found.append(self.fit(raw))
            except ValueError as error:
                rejects.append(Reject(row, item, "", str(error)))
            else:
                kept.append(row)
                keys.append(key_of(raw))
        pixels = np.zeros((len(found), self.height, self.width, self.channels), np.uint8)
        if found:
            np.stack(found, out=pixels)
        return ImageEncoding(pixels, np.array(kept, dtype=np.int64), rejects, keys)

    def encode(self, items: Sequence[str]) -> Tensor:
        """Pixels (n, C, H, W) float32 from 0 to 1.

        Raises:
            EncodeError: If an item cannot be encoded; ``parse`` goes on instead.
        """
        encoding = self.parse(items)
        if encoding.rejects:
            raise EncodeError(encoding.rejects)
        return encoding.padded()

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of pixels (n, C, H, W), rounded to 8 bits; what is beyond 0 and 1 is cut off."""
        return [text_of(image) for image in eight_bits(x)]


def unit(pixels: Pixels) -> NDArray[np.float32]:
    """Bytes as numbers from 0 to 1, channels first: (n, H, W, C) -> (n, C, H, W) float32."""
    first = np.ascontiguousarray(np.moveaxis(pixels, -1, 1))
    return np.divide(first, 255, dtype=np.float32)


def eight_bits(x: Tensor) -> Pixels:
    """The other way, rounded: (n, C, H, W) -> (n, H, W, C) uint8; cut off below 0 and above 1.

    Numbers that are none (NaN) become black.
    """
    whole = (x.detach().float().nan_to_num(0.0).clamp(0, 1) * 255).round()
    return np.ascontiguousarray(whole.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
