"""All numbers that compare a set of images with a reference, and why one of them is missing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from molae.metrics import kid as kernel
from molae.metrics.features import FeatureNet, PixelComponents
from molae.metrics.frechet import Moments, frechet_distance
from molae.metrics.kid import kid
from molae.metrics.manifold import NEIGHBORS, manifold, nearest_ratio
from molae.metrics.prd import CLUSTERS, prd

#: Images on each side that neighbours are looked for among: their time grows with the square.
LOOKED_AT = 5000
#: Images whose nearest training image is looked for, and images beside each feature that it takes
#: before the bias of a Fréchet distance can be neglected.
NEAREST, ENOUGH = 2000, 50

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass
class ImageComparison:
    """Metrics of a set of images beside a reference.

    Attributes:
        values: By name out of ``molae.names.IMAGE_METRICS``; None where it cannot be said.
        notes: Why a value is None, or what to mind about it.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class ImageYardstick:
    """A reference that several sets of images are held against; it is looked at once.

    Args:
        net: What makes features.
        reference: Real images that were not learnt from, (m, H, W, C) uint8.
        train: Images that were learnt from, (t, H, W, C), or None where they are not known.
        seed: Of what is drawn: blocks, clusters, and images where not all are looked at.

    Raises:
        ValueError: There are fewer than two images in the reference.
    """

    def __init__(
        self, net: FeatureNet, reference: Pixels, train: Pixels | None = None, seed: int = 0
    ) -> None:
        if len(reference) < 2:
            raise ValueError(f"{len(reference)} images to compare with; expected at least 2")
        self.net, self.seed = net, seed
        self.reference = net.features(reference)  # (m, F)
        self.moments = Moments.of(self.reference)
        self.plain = None if net.name == "pca" else PixelComponents.of(reference)
        self.plain_moments = None
        if self.plain is not None:
            self.plain_moments = Moments.of(self.plain.features(reference))
        self.train = None if train is None or not len(train) else net.features(train)

    def columns(self) -> list[str]:
        """Names of all that is measured, in order."""
        pixels = [] if self.plain is None else [self.plain.fd]
        own = ["kid", "kid_error", "prd_f8", "prd_f1_8"]
        shares = ["precision", "recall", "density", "coverage"]
        return [self.net.fd, *pixels, *own, *shares, "nearest_train"]

    def measure(self, pixels: Pixels) -> ImageComparison:
        """Every metric of some images (n, H, W, C).

        Raises:
            ValueError: They are of another size than the reference.
        """
        found = ImageComparison(dict.fromkeys(self.columns()))
        features = self.net.features(pixels)
        self._frechet(found, self.net.fd, features, self.moments)
        if self.plain is not None and self.plain_moments is not None:
            plain = self.plain.features(pixels)
            self._frechet(found, self.plain.fd, plain, self.plain_moments)
        self._kernel(found, features)
        self._clusters(found, features)
        self._neighbors(found, features)
        self._copies(found, features)
        return found

    def _frechet(self, found: ImageComparison, name: str, features: Floats, real: Moments) -> None:
        if not self._enough(found, (name,), features, 2):
            return
        found.values[name] = frechet_distance(Moments.of(features), real)
        fewer = min(len(features), len(self.reference))
        if fewer < ENOUGH * features.shape[1]:
            found.notes[name] = (
                f"too high by an amount that depends on the number of images ({fewer:,}, for "
                f"{features.shape[1]:,} features); compare it only with values from as many"
            )

    def _kernel(self, found: ImageComparison, features: Floats) -> None:
        if self._enough(found, ("kid", "kid_error"), features, kernel.LEAST):
            value, error = kid(features, self.reference, seed=self.seed)
            found.values |= {"kid": value, "kid_error": error}

    def _clusters(self, found: ImageComparison, features: Floats) -> None:
        if self._enough(found, ("prd_f8", "prd_f1_8"), features, CLUSTERS):
            curve = prd(features, self.reference, seed=self.seed)
            found.values |= {"prd_f8": curve.f8, "prd_f1_8": curve.f_eighth}

    def _neighbors(self, found: ImageComparison, features: Floats) -> None:
        names = ("precision", "recall", "density", "coverage")
        if not self._enough(found, names, features, NEIGHBORS + 1):
            return
        most = min(LOOKED_AT, len(features), len(self.reference))
        near = manifold(self._some(features, most), self._some(self.reference, most))
        found.values |= {name: getattr(near, name) for name in names}

    def _copies(self, found: ImageComparison, features: Floats) -> None:
        if self.train is None:
            found.notes["nearest_train"] = "needs the images that were learnt from"
            return
        if not self._enough(found, ("nearest_train",), features, 1):
            return
        some, held = self._some(features, NEAREST), self._some(self.reference, NEAREST)
        found.values["nearest_train"] = nearest_ratio(some, held, self.train)
        if found.values["nearest_train"] is None:
            found.notes["nearest_train"] = "the reference is among what was learnt from"

    def _some(self, features: Floats, most: int) -> Floats:
        """At most so many rows, chosen at random."""
        return np.random.default_rng(self.seed).permutation(features)[:most]

    def _enough(
        self, found: ImageComparison, names: tuple[str, ...], features: Floats, least: int
    ) -> bool:
        """Whether there are enough images on both sides; notes where there are not."""
        for side, where in ((features, "were generated"), (self.reference, "in the reference")):
            if len(side) < least:
                why = f"needs at least {least} images; {len(side)} {where}"
                found.notes |= dict.fromkeys(names, why)
                return False
        return True


def squared_error(pixels: Pixels, again: Pixels) -> Floats:
    """Mean squared error of the values of each image: (n, H, W, C) twice -> (n,), 0 to 1.

    Values are taken from 0 to 1, as models see them, in steps of 1/255.

    Raises:
        ValueError: The two differ in shape.
    """
    if pixels.shape != again.shape:
        raise ValueError(f"images {pixels.shape} cannot have come back as {again.shape}")
    parts = [
        np.square((np.float32(a) - np.float32(b)) / 255).reshape(len(a), -1).mean(1)
        for a, b in zip(_pieces(pixels), _pieces(again), strict=True)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def _pieces(pixels: Pixels) -> list[Pixels]:
    """Images some at a time."""
    return [pixels[first : first + 1000] for first in range(0, len(pixels), 1000)]
