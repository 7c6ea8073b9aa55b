"""Where sets of images are compared: nets, and what is no net, that turn an image into features.

Letters: n images, H x W pixels, C channels, F features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from molae.metrics.inception import InceptionFeatures
from molae.names import FEATURES, pick
from molae.nn.classifier import ImageClassifier

#: Components of pixels, at most, and the longest side whose pixels are looked at.
COMPONENTS, SIDE = 64, 32

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class FeatureNet(Protocol):
    """Something that turns images into features."""

    @property
    def name(self) -> str:
        """Out of ``molae.names.FEATURES``."""

    @property
    def fd(self) -> str:
        """What the Fréchet distance in these features is called, out of ``IMAGE_METRICS``.

        FID is the one in those of Inception-v3 only.
        """

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the features."""

    @property
    def about(self) -> str:
        """A sentence on what it is, and how good."""

    def features(self, pixels: Pixels) -> Floats:
        """Images (n, H, W, C) uint8 -> (n, F)."""


@dataclass(frozen=True)
class ClassifierFeatures:
    """The last hidden layer of a small classifier.

    Args:
        net: The classifier.
    """

    net: ImageClassifier
    name: str = "classifier"
    fd: str = "fd_classifier"

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.net.digest

    @property
    def about(self) -> str:
        """A sentence on what it is, and how good."""
        card = self.net.card
        told = [f"Features: {card.get('about', 'those of a classifier.')}"]
        if card.get("accuracy"):
            on, share = next(iter(card["accuracy"].items()))
            told.append(f"It is right on {share:.2%} ({on}).")
        if card.get("floor"):
            between, floor = next(iter(card["floor"].items()))
            told.append(f"The floor, between {between}, is {floor:.2f}.")
        return " ".join([*told, "Of other kinds of images it says little: look at fd_pca."])

    def features(self, pixels: Pixels) -> Floats:
        """Images (n, H, W, C) uint8 -> (n, F)."""
        return self.net.features(pixels)


@dataclass(frozen=True)
class PixelComponents:
    """Principal components of the pixels of some images.

    Attributes:
        mean: (P,), the mean image, as shown by ``_flat``.
        axes: (F, P), the directions in which the images vary most.
    """

    mean: Floats
    axes: Floats
    name: str = "pca"
    fd: str = "fd_pca"

    @classmethod
    def of(cls, pixels: Pixels, components: int = COMPONENTS) -> PixelComponents:
        """The components of images (n, H, W, C), at most so many.

        Raises:
            ValueError: There are fewer than two images.
        """
        from sklearn.decomposition import PCA

        if len(pixels) < 2:
            raise ValueError(f"{len(pixels)} images; expected at least 2 for their components")
        flat = _flat(pixels)
        count = min(components, len(flat) - 1, flat.shape[1])
        found = PCA(count, svd_solver="covariance_eigh" if flat.shape[1] <= SIDE**2 else "auto",
                    random_state=0).fit(flat)  # fmt: skip
        return cls(np.asarray(found.mean_, np.float64), np.asarray(found.components_, np.float64))

    @property
    def digest(self) -> str:
        """SHA-256 of mean and axes, to six digits."""
        known = b"".join(np.abs(part).round(6).tobytes() for part in (self.mean, self.axes))
        return hashlib.sha256(known).hexdigest()

    @property
    def about(self) -> str:
        """A sentence on what it is."""
        return f"{len(self.axes)} principal components of the pixels of the reference."

    def features(self, pixels: Pixels) -> Floats:
        """Images (n, H, W, C) uint8 -> (n, F)."""
        flat = _flat(pixels)
        if flat.shape[1] != len(self.mean):
            raise ValueError(
                f"images of {flat.shape[1]} values, and the reference's have {len(self.mean)}; "
                "expected the same size and channels"
            )
        return (flat - self.mean) @ self.axes.T


def _flat(pixels: Pixels) -> Floats:
    """Values of images from 0 to 1, (n, P); large ones scaled down before."""
    height, width = pixels.shape[1:3]
    if max(height, width) <= SIDE:
        return pixels.reshape(len(pixels), -1) / 255.0
    share = SIDE / max(height, width)
    size = max(1, round(height * share)), max(1, round(width * share))
    parts = []
    for rows in np.array_split(pixels, max(1, len(pixels) // 500)):
        x = torch.from_numpy(np.moveaxis(rows, 3, 1) / 255.0)
        parts.append(functional.interpolate(x, size, mode="bilinear", antialias=True).flatten(1))
    return torch.cat(parts).numpy()


def feature_net(text: str, reference: Pixels) -> FeatureNet:
    """What images are compared in, as people ask for it.

    Args:
        text: ``classifier`` (the shipped one), ``classifier=FOLDER`` (another that
            ``python -m benchmarks.features`` has made), ``pca``, or ``inception=FILE``.
        reference: The images that others will be compared with, (n, H, W, C).

    Raises:
        ValueError: Unknown name, or there is no such file, or it is of another kind.
        ImportError: The extra that it needs is not installed.
    """
    name, named, path = text.partition("=")
    pick(FEATURES, name, "kind of features")
    if name == "pca":
        if named:
            raise ValueError("pca is made from the reference and takes no file; leave it out")
        return PixelComponents.of(reference)
    if name == "inception":
        return InceptionFeatures(Path(path) if path else None)
    if named and not (path and Path(path).is_dir()):
        where = f"{path}: there is no such folder" if path else f"{text}: no folder is named"
        raise ValueError(
            f"{where}; expected one with a classifier, or {name} alone for the one that ships"
        )
    return ClassifierFeatures(ImageClassifier.load(path or "mnist"))
