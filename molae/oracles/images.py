"""Images scored: by their brightness, by what a classifier sees, by their likeness to another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from molae.datasets.one_image import as_text
from molae.names import ORACLES, closest, pick
from molae.oracles.base import Answer, Oracle, failure
from molae.pictures import Pixels, framed, in_channels, is_image, key_of, pixels_of

if TYPE_CHECKING:
    from molae.nn.classifier import ImageClassifier

#: How the names of these oracles begin.
PREFIX = "images:"
#: The classifier that is asked, one that is shipped.
_CLASSIFIER = "mnist"


class ImageOracle(Oracle):
    """Scores images, one at a time; what is no image has no score."""

    reads = "images"

    @abstractmethod
    def score(self, pixels: Pixels) -> float:
        """The score of an image, (H, W, C) uint8."""

    @property
    def columns(self) -> tuple[str, ...]:
        """None: a score is made of nothing else."""
        return ()

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Score images as data URIs, see ``Oracle.answer``."""
        return [self._answer(text) for text in texts]

    def _answer(self, text: str) -> Answer:
        try:
            pixels = pixels_of(text)
        except ValueError as error:
            return failure(str(error))
        return Answer(self.score(pixels))


class Ink(ImageOracle):
    """The mean of all values of an image, 0 (black) to 1 (white)."""

    @property
    def name(self) -> str:
        """``images:ink``."""
        return f"{PREFIX}ink"

    def score(self, pixels: Pixels) -> float:
        """See ``Ink``."""
        return float(pixels.mean()) / 255


class ClassChance(ImageOracle):
    """How likely an image is of a class, 0 to 1, for the shipped classifier of digits.

    An image is brought to the size and the grey that the classifier learnt on, see
    ``molae.nn.classifier``. It is sure of itself on images that are no digits, too.

    Args:
        label: What the classifier calls the class.

    Raises:
        ValueError: It has no such class.
    """

    def __init__(self, label: str) -> None:
        classes = dict.fromkeys(_classifier().classes)
        if label not in classes:
            raise ValueError(f"unknown class {label!r}: {closest(label, classes)}")
        self.label = label

    @property
    def name(self) -> str:
        """``images:class=`` and the class."""
        return f"{PREFIX}class={self.label}"

    @property
    def settings(self) -> dict[str, Any]:
        """The digest of the classifier's weights."""
        return {"classifier": _classifier().digest}

    def score(self, pixels: Pixels) -> float:
        """See ``ClassChance``."""
        net = _classifier()
        return float(net.probabilities(pixels[None])[0, net.classes.index(self.label)])


class Likeness(ImageOracle):
    """The negative mean squared error to an image, of values from 0 to 1: 0 is the same image.

    The image is brought to the size and the channels of each that is scored, as images are for
    training, see ``molae.pictures.framed``.

    Args:
        source: A file, or one of many, such as ``digits:3``, see ``as_text``.

    Raises:
        DataError: There is no such image.
        ValueError: This is not the name of an image.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        text = as_text(source)
        if not is_image(text):
            raise ValueError(
                f"{source}: expected an image, such as a .png that is there, or digits:3"
            )
        self.target = pixels_of(text)

    @property
    def name(self) -> str:
        """``images:similar=`` and what the image was called."""
        return f"{PREFIX}similar={self.source}"

    @property
    def settings(self) -> dict[str, Any]:
        """The image, as a number that only its pixels decide."""
        return {"image": key_of(self.target)}

    def score(self, pixels: Pixels) -> float:
        """See ``Likeness``."""
        height, width, channels = pixels.shape
        wanted = in_channels(framed(self.target, height, width), channels)
        return -float(np.square(pixels / 255 - wanted / 255).mean())


def image_oracle(text: str) -> ImageOracle:
    """The oracle that is meant: ``images:ink``, ``images:class=7``, ``images:similar=A.png``.

    Raises:
        ValueError: There is no such oracle, class or image, or none is named.
    """
    name, named, value = (part.strip() for part in text.partition("="))
    known = pick({each: 0 for each in ORACLES if each.startswith(PREFIX)}, name.lower(), "oracle")
    if known == f"{PREFIX}ink":
        if named:
            raise ValueError(f"{text}: {known} takes no value; leave {named}{value} out")
        return Ink()
    if not value:
        example = "7" if known == f"{PREFIX}class" else "FILE.png"
        raise ValueError(f"{text}: which one? Write for example {known}={example}")
    return ClassChance(value) if known == f"{PREFIX}class" else Likeness(value)


@cache
def _classifier() -> ImageClassifier:
    """The shipped classifier, once in each process; only its name travels to others."""
    from molae.nn.classifier import ImageClassifier

    return ImageClassifier.load(_CLASSIFIER)
