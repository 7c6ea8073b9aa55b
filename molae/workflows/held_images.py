"""Images that a run has not learnt from, found again among images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from molae.codecs import ImageCodec
from molae.datasets.files import DataError
from molae.datasets.image_files import open_images
from molae.datasets.images import ImageData, gathered
from molae.datasets.splits import split_by_key
from molae.pictures import Pixels
from molae.runs.run import Run
from molae.workflows.held_out import ENOUGH, split_seed
from molae.workflows.reading import bar


@dataclass(frozen=True)
class HeldImages:
    """What a run of images can be tested on.

    Attributes:
        pixels: Not learnt from, as far as can be known, (n, H, W, C) uint8.
        learnt: Learnt from, or None where that is not known.
        source: Where the images are from, a half sentence.
        notes: Sentences on what is doubtful.
        context: Of each of ``pixels``, as ``ImageData`` has it, or None.
        learnt_context: Of each of ``learnt``.
    """

    pixels: Pixels
    learnt: Pixels | None
    source: str
    notes: list[str] = field(default_factory=list)
    context: NDArray[Any] | None = None
    learnt_context: NDArray[Any] | None = None

    @classmethod
    def of(
        cls, held: ImageData, learnt: ImageData | None, source: str, notes: Sequence[str] = ()
    ) -> Self:
        """The same of data sets."""
        known = None if learnt is None else _pixels(learnt)
        told = None if learnt is None else _contexts(learnt)
        return cls(_pixels(held), known, source, list(notes), _contexts(held), told)

    @property
    def data(self) -> ImageData:
        """What was not learnt from, with its contexts."""
        return ImageData(self.pixels, context=self.context)

    @property
    def known(self) -> ImageData | None:
        """What was learnt from, with its contexts."""
        if self.learnt is None:
            return None
        return ImageData(self.learnt, context=self.learnt_context)


def images_of(
    codec: ImageCodec, source: str | PathLike[str], progress: bool = False
) -> tuple[ImageData, dict[str, int]]:
    """The images of a source as a run knows them, and how many are not used, by reason.

    Raises:
        DataError: The source cannot be read, or no image in it can be used.
    """
    opened = open_images(source)
    with bar(opened.name, progress) as show:
        found = gathered(codec, opened, progress=show)
    return found.data(), found.lost


def held_images(run: Run, reference: ImageData | None, train: ImageData | None) -> HeldImages:
    """Images to measure reconstruction on.

    A training holds out images by a hash of each as it is in its source, before it is brought to
    size, with the seed and the share in the run's settings, so that they are found again among
    the same images, whatever their order.

    Args:
        run: The model.
        reference: Images that the model's own are compared with.
        train: The images that the training was given, held-out ones among them.

    Raises:
        DataError: Neither was given.
    """
    if train is not None:
        learnt, held = _parts(run, train)
        if len(held) and len(learnt):
            source = "held out by the training, found again among its images by their hash"
            notes = [] if reference is None else _overlap(reference, learnt)
            return HeldImages.of(held, learnt, source, notes)
        return _beside(reference, train)
    if reference is None:
        raise DataError(
            "nothing to compare with: the images that the run was trained on are not found here. "
            "Name them with --train, or others with --reference."
        )
    _, held = _parts(run, reference)
    if len(held) >= ENOUGH:
        source = "those of the reference that this training would have held out, by their hash"
        return HeldImages.of(held, None, source)
    note = (
        "What the model learnt from was not given, so that images of the reference may be among "
        "it; name the training images to be sure."
    )
    return HeldImages.of(reference, None, "the reference", [note])


def _parts(run: Run, data: ImageData) -> tuple[ImageData, ImageData]:
    """What is learnt from and what is held out, as a training divides it."""
    share = float(run.config.get("training", {}).get("validation", 0.0))
    if not share:
        return data, data.subset([])
    rows = split_by_key(_keys(data), {"learnt": 1 - share, "held": share}, split_seed(run.config))
    return data.subset(rows["learnt"]), data.subset(rows["held"])


def _beside(reference: ImageData | None, learnt: ImageData) -> HeldImages:
    """Nothing was held out: the reference without what was learnt from."""
    if reference is None:
        raise DataError(
            "nothing to compare with: the training held nothing out. Name other images with "
            "--reference."
        )
    new = reference.subset(~np.isin(_keys(reference), _keys(learnt)))
    if not len(new):
        raise DataError("nothing to compare with: all of the reference was learnt from.")
    return HeldImages.of(new, learnt, "the reference without what was learnt from")


def _overlap(reference: ImageData, learnt: ImageData) -> list[str]:
    """Whether a reference is other data than what was learnt from."""
    same = int(np.isin(_keys(reference), _keys(learnt)).sum())
    if not same:
        return []
    return [
        f"{same:,} images of the reference were learnt from: likeness to it says less of what the "
        "model makes of other data."
    ]


def _keys(data: ImageData) -> NDArray[np.uint64]:
    if data.keys is None:
        raise ValueError("these images have no keys to know them again by")
    return data.keys


def _pixels(data: ImageData) -> Pixels:
    return data.bytes(np.arange(len(data)))


def _contexts(data: ImageData) -> NDArray[Any] | None:
    return None if data.context is None else np.asarray(data.context[data.rows])
