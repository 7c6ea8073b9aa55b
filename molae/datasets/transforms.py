"""Data sets made of images of digits and their labels, as *Taming VAEs* has them.

Rezende and Viola, *Taming VAEs*, 2018, section 4: MNIST-triplets, MNIST-sum, MNIST-rotate, and
the Color-MNIST of Metz, Poole, Pfau and Sohl-Dickstein, *Unrolled Generative Adversarial
Networks*, ICLR 2017. Indices and the rule of the angles could not be read in our copy of the
paper, nor could the colours; what is meant by each here stands with it. In all of them every image
is the target once, in its order, so that what is held out by targets stays held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from molae.datasets.files import explained, replacing
from molae.datasets.images import ImageArrays
from molae.names import TRANSFORMS, pick
from molae.pictures import Pixels

Labels = NDArray[np.int64]

#: Sums are taken modulo this, and a whole turn has so many steps.
MODULUS = 10


def transformed(name: str, images: ImageArrays, seed: int = 0) -> ImageArrays:
    """One of the data sets, made of labelled images.

    Args:
        name: A key of ``molae.names.TRANSFORMS``.
        images: n images of digits with labels from 0 to 9, of all that are needed.
        seed: Of everything that is drawn: equal arguments give equal images.

    Returns:
        n images with labels, and context images where the data set has some.

    Raises:
        ValueError: There is no such data set, or these images cannot be made one of.
    """
    made = _MADE[pick(TRANSFORMS, name, "transform")]
    labels = images.labels
    if labels is None:
        raise ValueError(f"{name!r} is made of images with labels, and these have none")
    if len(labels) and not (labels.min() >= 0 and labels.max() < MODULUS) and name != "colour":
        raise ValueError(
            f"{name!r} is made of digits: labels are from {labels.min()} to {labels.max()}, "
            f"expected 0 to {MODULUS - 1}"
        )
    return made(images, labels, np.random.default_rng(_mixed(name, seed)))


def save_images(images: ImageArrays, path: str | Path) -> None:
    """Write images, labels and contexts to a file that ``molae train`` reads (.npz).

    Raises:
        DataError: It cannot be written.
    """
    arrays = {"images": images.pixels, "labels": images.labels, "context": images.context}
    there = {name: values for name, values in arrays.items() if values is not None}
    with explained(path), replacing(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **there)  # type: ignore[arg-type]


def triplets(images: ImageArrays, labels: Labels, rng: np.random.Generator) -> ImageArrays:
    """MNIST-triplets: three digits side by side, (n, H, 3 W, C); the label is the third's.

    label_3 = (label_1 + label_2) mod 10. The model is to learn them together.
    """
    first, second = _addends(labels, rng)
    rows = (first, second, np.arange(len(labels)))
    return replace(images, pixels=np.concatenate([images.pixels[row] for row in rows], axis=2))


def sums(images: ImageArrays, labels: Labels, rng: np.random.Generator) -> ImageArrays:
    """MNIST-sum: the third digit of a triplet; its context are the other two, (n, H, W, 2 C)."""
    rows = _addends(labels, rng)
    return replace(images, context=np.concatenate([images.pixels[row] for row in rows], axis=3))


def rotated(images: ImageArrays, labels: Labels, rng: np.random.Generator) -> ImageArrays:
    """MNIST-rotate: a digit turned about its centre; context (n, H, W, 2 C).

    The context is another instance of the same digit, upright, and a third digit of any label l.
    The target is turned counter-clockwise by 36 l degrees, so that ten labels share a whole turn:
    our rule, the paper's could not be read. What turns out of the picture is lost, what comes in
    is black, and values between pixels are interpolated linearly.
    """
    _check(labels, np.bincount(labels, minlength=MODULUS) > 1, "another image of the label")
    by_label = _by_label(labels)
    rows = np.arange(len(labels))
    twins = np.array([_another(by_label[label], row, rng) for row, label in enumerate(labels)])
    third = rng.integers(len(labels), size=len(labels))
    angles = labels[third] * (360 // MODULUS)
    turned = [turn(images.pixels[row], float(angles[row])) for row in rows]
    context = np.concatenate([images.pixels[twins], images.pixels[third]], axis=3)
    return replace(images, pixels=np.stack(turned), context=context)


def coloured(images: ImageArrays, labels: Labels, rng: np.random.Generator) -> ImageArrays:
    """Color-MNIST: white becomes one random colour, black another, (n, H, W, 3).

    Both are uniform in the cube of red, green and blue, independently of each other and of the
    label; shades between are mixed linearly. Images that have colours are made grey first.
    """
    grey = images.pixels.astype(np.float32).mean(3, keepdims=True) / 255  # (n, H, W, 1)
    front, back = rng.integers(0, 256, (2, len(labels), 1, 1, 3)).astype(np.float32)
    mixed = np.round(back + grey * (front - back)).astype(np.uint8)
    return replace(images, pixels=mixed)


def turn(pixels: Pixels, degrees: float) -> Pixels:
    """An image turned counter-clockwise about its centre, (H, W, C) uint8 -> the same shape."""
    channels = [
        np.asarray(Image.fromarray(channel).rotate(degrees, Image.Resampling.BILINEAR))
        for channel in np.moveaxis(pixels, -1, 0)
    ]
    return np.stack(channels, -1)


_Made = Callable[[ImageArrays, Labels, np.random.Generator], ImageArrays]
_MADE: dict[str, _Made] = {
    "triplets": triplets,
    "sum": sums,
    "rotate": rotated,
    "colour": coloured,
}


def _addends(labels: Labels, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Rows of two digits that add up to each digit, (n,) both: uniform among all such firsts.

    Raises:
        ValueError: There are no two for some digit.
    """
    by_label = _by_label(labels)
    there = np.array([len(rows) > 0 for rows in by_label])
    number = np.arange(MODULUS)
    # Which first addends have a second, by the sum: (10, 10) bool.
    pairs = there & there[(number[:, None] - number) % MODULUS]
    _check(labels, pairs.any(1), "two digits that add up to the label")
    firsts = np.zeros_like(labels)
    for label in np.unique(labels):
        rows = np.flatnonzero(pairs[label][labels])
        mine = labels == label
        firsts[mine] = rng.choice(rows, int(mine.sum()))
    wanted = (labels - labels[firsts]) % MODULUS
    seconds = np.array([rng.choice(by_label[label]) for label in wanted], dtype=np.int64)
    return firsts, seconds


def _check(labels: Labels, fine: NDArray[np.bool_], what: str) -> None:
    """Refuse labels (n,) that have no partner among the images, by label (10,)."""
    lacking = [int(label) for label in np.unique(labels) if not fine[label]]
    if lacking or not len(labels):
        listed = ", ".join(map(str, lacking)) or "all"
        raise ValueError(f"among {len(labels)} images there is not {what} {listed}: give more")


def _by_label(labels: Labels) -> list[Labels]:
    return [np.flatnonzero(labels == label) for label in range(MODULUS)]


def _another(rows: Labels, row: int, rng: np.random.Generator) -> int:
    """One of some rows, uniformly, but not a given one of them (rows ascend)."""
    place = int(rng.integers(len(rows) - 1))
    return int(rows[place + (rows[place] >= row)])


def _mixed(name: str, seed: int) -> list[int]:
    """A seed that differs from one data set to the other."""
    return [seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")]
