"""Labels and contexts of images: what a model is told, and what it is taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molae.codecs import ImageCodec
from molae.codecs.images import unit
from molae.datasets.arrays import AnyData
from molae.datasets.cache import Encoded
from molae.datasets.files import DataError
from molae.datasets.image_files import ImageSource, open_images
from molae.datasets.images import ImageData
from molae.runs.condition import Condition
from molae.runs.run import Run
from molae.workflows.data import TrainingData

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class _Labelled:
    """The labels of all images of some files, (n,) int64, and what the classes are called."""

    labels: Labels
    classes: tuple[str, ...]


def told(data: TrainingData, config: dict[str, Any], old: Run | None) -> None:
    """Put what a model is told, and what it is taught, beside the images of a training.

    A run's table ``condition`` has a ``name`` before, and all of ``Condition`` afterwards. With
    ``labels`` in ``training`` the targets y are labels, see ``kept_labels``.

    Args:
        data: Changed in place.
        config: Settings of the run.
        old: The run that is started from, whose classes stay.

    Raises:
        DataError: A file has no labels or no contexts, or others than the run.
    """
    table, taught = config.get("condition"), "labels" in config["training"]
    images = data.data
    if not isinstance(images, ImageData) or not (table or taught):
        return
    known = None if old is None else old.condition
    by_label = table is not None and table["name"] == "label"
    if by_label or taught:
        found = _labels(data.encoded, known.classes if known else ())
        if taught:
            images = images.with_targets(found.labels)
        if by_label:
            images, made = _by_label(images, found)
            config["condition"] = (known or made).table()
    if table is not None and not by_label:
        images, made = _by_context(images, data.encoded, data.codec)
        if known is not None and known.shape != made.shape:
            raise DataError(
                f"the contexts are of shape {made.shape}, and those of the run that training "
                f"starts from of {known.shape}: train without --from"
            )
        config["condition"] = made.table()
    data.data = images


def with_contexts(run: Run, data: TrainingData) -> ImageData:
    """The images of files, with what a trained run is told of each.

    Args:
        run: Says what it is told; nothing for most.
        data: The files, as its codec reads them.

    Raises:
        DataError: A file has no labels or no contexts, or others than the run; or no images.
    """
    condition, images = run.condition, data.data
    if not isinstance(images, ImageData):
        raise DataError(f"these are no images, and the run has learnt {run.codec.items}")
    if condition is None:
        return images
    if condition.classes:
        return _by_label(images, _labels(data.encoded, condition.classes))[0]
    found = [
        _context(open_images(part.source), condition.shape)[part.lines - 1]
        for part in data.encoded
    ]
    return images.with_context(np.concatenate(found))


def kept_labels(data: AnyData, count: int, seed: int) -> AnyData:
    """The same examples with ``count`` labels of each class, chosen by the seed; others are -1.

    Where a class has fewer, all of its labels are kept.
    """
    if data.y is None:
        return data
    labels = data.y[data.rows]
    order = np.random.default_rng(seed).permutation(len(labels))
    kept = np.full(len(labels), -1, dtype=np.int64)
    for label in np.unique(labels):
        rows = order[labels[order] == label][:count]
        kept[rows] = label
    return data.with_targets(kept)


def contexts_of(run: Run, text: str | None) -> torch.Tensor | None:
    """What ``--condition`` asks for, (m, ...), to be taken in turn; None where nothing is said.

    Args:
        run: Says what it is told.
        text: Names of classes with commas; or, of a run that is told contexts, a file with some.

    Raises:
        ValueError: The run is told nothing, or there is no such class.
        DataError: The file has no contexts of that shape.
    """
    if text is None:
        return None
    condition = run.condition
    if condition is None:
        raise ValueError(
            "this run was trained without a condition and can be told none: leave --condition "
            "out, or train with one (molae train --condition label)"
        )
    if condition.classes:
        labels = [condition.label(part.strip()) for part in text.split(",")]
        return condition.one_hot(torch.tensor(labels))
    return torch.from_numpy(_numbers(_context(open_images(text), condition.shape)))


def _by_label(images: ImageData, found: _Labelled) -> tuple[ImageData, Condition]:
    """One-hot classes as contexts."""
    count = len(found.classes)
    shares = np.bincount(found.labels, minlength=count) / len(found.labels)
    context = np.eye(count, dtype=np.float32)[found.labels]
    return images.with_context(context), Condition(
        "label", (count,), found.classes, tuple(shares.tolist())
    )


def _by_context(
    images: ImageData, parts: Sequence[Encoded[Any]], codec: Any
) -> tuple[ImageData, Condition]:
    """The contexts of files, as they are."""
    found = [_context(open_images(part.source))[part.lines - 1] for part in parts]
    shapes = {each.shape[1:] for each in found}
    if len(shapes) > 1:
        raise DataError(f"the contexts of these files have different shapes: {sorted(shapes)}")
    whole = np.concatenate(found)
    if whole.ndim == 4 and isinstance(codec, ImageCodec):
        sides, wanted = whole.shape[1:3], (codec.height, codec.width)
        if sides != wanted:
            raise DataError(
                f"context images are {sides[0]} x {sides[1]} pixels, and images are brought to "
                f"{wanted[0]} x {wanted[1]}: contexts stay as they are, so make the data of that "
                "size and leave --image-size and --crop out"
            )
    return images.with_context(whole), Condition("context", _numbers(whole[:1]).shape[1:])


def _numbers(context: NDArray[Any]) -> NDArray[np.float32]:
    """Contexts as a model is given them: (n, C), or images (n, K, H, W) from 0 to 1."""
    return unit(context) if context.ndim == 4 else context.astype(np.float32)


def _context(source: ImageSource, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """The contexts of a source.

    Raises:
        DataError: It has none, or of another shape than is wanted.
    """
    if source.context is None:
        raise DataError(
            f"{source.name}: there are no contexts beside these images; expected an .npz file "
            "with the arrays 'images' and 'context' (molae data transform makes some)"
        )
    if shape is not None and _numbers(source.context[:1]).shape[1:] != shape:
        raise DataError(
            f"{source.name}: contexts have shape {_numbers(source.context[:1]).shape[1:]}, and "
            f"the run was trained on {shape}"
        )
    return source.context


def _labels(parts: Sequence[Encoded[Any]], classes: tuple[str, ...]) -> _Labelled:
    """The labels of all files, by the names of their classes.

    Args:
        parts: What the files became.
        classes: Those of a run that training starts from, or none.

    Raises:
        DataError: A file has no labels, or others than the run.
    """
    names: list[NDArray[np.str_]] = []
    for part in parts:
        source = open_images(part.source)
        if source.labels is None:
            raise DataError(
                f"{source.name}: these images have no labels. Expected sub-folders, or an array "
                "'labels' beside them."
            )
        if source.labels.min(initial=0) < 0:
            raise DataError(f"{source.name}: labels are from 0 up; some are below.")
        known = source.classes or tuple(map(str, range(int(source.labels.max(initial=0)) + 1)))
        names.append(np.array(known)[source.labels[part.lines - 1]])
        if not classes and len(parts) == 1:
            classes = known
    whole = np.concatenate(names)
    classes = classes or tuple(sorted(set(whole.tolist()), key=_by_number))
    number = {name: i for i, name in enumerate(classes)}
    if lacking := sorted(set(whole.tolist()) - set(number)):
        raise DataError(
            f"the run does not know the label {lacking[0]!r}, only {', '.join(classes)}"
        )
    return _Labelled(np.array([number[name] for name in whole], dtype=np.int64), classes)


def _by_number(name: str) -> tuple[bool, int, str]:
    """Numbers by their value, and names behind them."""
    return (not name.isdigit(), int(name) if name.isdigit() else 0, name)


def check_taught(objective: Mapping[str, Any], count: int | None) -> None:
    """Refuse labels for an objective that does not look at them, and one that lacks them.

    Args:
        objective: Its table in a run's settings.
        count: The labels of each class that are asked for; None for none.

    Raises:
        ValueError: With what to use instead.
    """
    weight = objective.get("label_weight")
    if count is None and weight:
        raise ValueError(
            f"the objective {objective['name']!r} is taught labels (label_weight={weight:g}): say "
            "with --labels how many of each class, or teach none (--set label_weight=0)"
        )
    if count is not None and not weight:
        raise ValueError(
            f"the objective {objective['name']!r} is not taught labels: use 'aae' or 'iae' with "
            "--set label_weight=1, or leave --labels out"
        )
