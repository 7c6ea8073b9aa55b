"""Sprites: small grey images of one shape each, of which every factor is known.

One image for each combination of shape, size, and place across and down: 3 x 4 x 8 x 8 of them,
16 by 16 pixels. They are for measures of disentanglement (``molae.metrics.disentanglement``), in
the spirit of dSprites (Matthey et al., 2017), and drawn here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from molae.pictures import Pixels

#: What varies, and how many values each factor has.
FACTORS: dict[str, int] = {"shape": 3, "scale": 4, "x": 8, "y": 8}
#: Names of the shapes, by their number.
SHAPES = ("square", "disc", "triangle")
#: Pixels on a side, and points in a pixel on a side, whose mean is its grey.
SIDE, _FINE = 16, 4
#: Smallest and largest half width, and first and last place, in pixels.
_SIZES, _PLACES = (2.0, 4.0), (4.25, 11.75)


def factors() -> NDArray[np.int64]:
    """Values of shape, scale, x and y of each image, (768, 4); the last changes fastest."""
    values = np.meshgrid(*(np.arange(count) for count in FACTORS.values()), indexing="ij")
    return np.stack([value.ravel() for value in values], 1).astype(np.int64)


def sprites() -> tuple[Pixels, NDArray[np.int64], tuple[str, ...]]:
    """Images (768, 16, 16, 1) in the order of ``factors``, numbers of their shapes, and names."""
    rows = factors()
    images = np.stack([_drawn(*map(int, row)) for row in rows])
    return images[..., None], rows[:, 0], SHAPES


def _drawn(shape: int, scale: int, x: int, y: int) -> Pixels:
    """One image, (16, 16) uint8, white on black."""
    half = np.linspace(*_SIZES, FACTORS["scale"])[scale]
    points = (np.arange(SIDE * _FINE) + 0.5) / _FINE
    across = (points - np.linspace(*_PLACES, FACTORS["x"])[x])[None, :]
    down = (points - np.linspace(*_PLACES, FACTORS["y"])[y])[:, None]
    inside = (
        np.maximum(abs(across), abs(down)) < half,
        across**2 + down**2 < half**2,
        (abs(down) < half) & (2 * abs(across) < half + down),  # its tip is above
    )[shape]
    grey = inside.reshape(SIDE, _FINE, SIDE, _FINE).mean((1, 3))
    pixels: Pixels = np.round(255 * grey).astype(np.uint8)
    return pixels
