"""One cell of the table on images: a model and a seed, trained and measured."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.images_models import MODELS
from benchmarks.trainings import folder_of, trained
from molae.datasets.files import replacing
from molae.datasets.image_files import DIGITS, open_images, source_digest
from molae.datasets.images import image_codec
from molae.densities import CentredGaussian, Gaussian, LatentDensity, density
from molae.metrics.images import ImageYardstick
from molae.pictures import Pixels, grid, text_of
from molae.runs.run import Run
from molae.training import TrainingDiverged
from molae.workflows import measures
from molae.workflows.evaluate_images import (
    ImageBench,
    decoded,
    encoded,
    finite,
    some,
    yardstick,
)
from molae.workflows.held_images import HeldImages, images_of
from molae.workflows.image_evaluation import ImageEvaluation
from molae.workflows.interpolate import way

#: The cell of validation images, measured as if they had been generated: the floor. No model has
#: learnt from them, and of MNIST the shipped classifier has not either.
DATA, FLOOR = "data", "validation images"
#: Components of the mixtures in the table.
COMPONENTS = 10
#: Images of ``digits``, which has no part for tests, that are not for tests.
_DIGITS = 1500
#: Share of the training images that is learnt from; the others, behind them, validate.
_LEARNT = 5 / 6
#: Images in a strip of the picture, and what samples are shown of.
SHOWN, SAMPLED = 8, ("prior", "gmm", "two_stage")


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the source.
        net: Of ``molae.names.ENCODERS``.
        image_size: Height and width that images are brought to; None leaves them as they are.
        width: What its channels are multiplied with.
        epochs: Passes over what is learnt from.
        batch_size: Images in a step.
        learning_rate: At its highest; None takes that of the paper for each model.
        precision: Asked for; what was taken stands in each cell.
        generated: Images of each set that is compared.
        fitted: Codes that densities are fitted to, at most.
        iterations: Of each mixture, at most.
        components: Of the curve.
        features: See ``molae.metrics.features.feature_net``.
        second: Settings of the second VAE of 2sVAE.
    """

    data: tuple[str, str]
    net: str
    image_size: int | None
    width: float
    epochs: float
    batch_size: int
    learning_rate: float | None
    precision: str
    generated: int
    fitted: int
    iterations: int
    components: tuple[int, ...]
    features: str
    second: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        lists = {"data": list(self.data), "components": list(self.components)}
        return {**vars(self), **lists, "second": dict(self.second)}

    def training(self, model: str, seed: int) -> dict[str, Any]:
        """Arguments of ``train`` for a cell; those of VAE and 2sVAE are the same."""
        variant = MODELS[model]
        return {
            **variant.settings(),
            "encoder": self.net,
            "width": self.width,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate or variant.learning_rate,
            "precision": self.precision,
            "seed": seed,
            "validation": 0.0,  # what is kept apart is no part of the file that is trained on
        }


class Parts:
    """The images in three: learnt from, for validation, for tests.

    Of the training images the first five sixths are learnt from (of MNIST the first 50,000), the
    others are for validation. Sets of images are compared with the test images.

    Args:
        source: Images with a part ``test``, see ``molae.datasets.image_files``; or ``digits``,
            whose last 297 are for tests.
        image_size: Height and width that they are brought to.
        work: Where what is learnt from is written to.

    Raises:
        DataError: The source cannot be read, or has no test images.
    """

    def __init__(self, source: str, image_size: int | None, work: Path) -> None:
        codec = image_codec(open_images(source), image_size)

        def read(part: str) -> Pixels:
            data, _ = images_of(codec, part)
            return data.bytes(np.arange(len(data)))

        whole = read(source)
        if source == DIGITS:
            whole, self.test = whole[:_DIGITS], whole[_DIGITS:]
        else:
            self.test = read(f"{source}:test")
        count = round(_LEARNT * len(whole))
        self.learnt, self.validation = whole[:count], whole[count:]
        self.work = work
        digest = source_digest(source)[:8]
        self.file = work / f"learnt-{digest}-{codec.height}x{codec.width}.npz"
        if not self.file.is_file():
            with replacing(self.file) as part:
                np.savez(part, x_train=self.learnt)


def run_of(model: str, seed: int, parts: Parts, protocol: Protocol, device: str) -> Run:
    """The run of a cell, see ``trained``; that of 2sVAE is the VAE's."""
    settings = protocol.training(model, seed)
    name = MODELS[model].objective
    folder = folder_of(parts.work, name, seed, settings, parts.file.name)
    return trained(
        parts.file, folder, settings, "images", device=device, cache=parts.work, progress=False
    )


# Densities ---------------------------------------------------------------------------------------


def mixture(name: str, components: int, protocol: Protocol, seed: int) -> LatentDensity:
    """A mixture that is not fitted yet."""
    settings = {"iterations": protocol.iterations, "rows": protocol.fitted, "seed": seed}
    return density(name, components=components, **settings)


def densities(
    model: str, run: Run, z: Tensor, protocol: Protocol, seed: int
) -> dict[str, LatentDensity]:
    """What images are drawn from, by name: fitted to codes z (n, D).

    The N of 2sVAE is its second VAE; otherwise it is the VAE, whose row has the others.
    """
    if MODELS[model].second:
        second = density("two_stage", **protocol.second, rows=protocol.fitted, seed=seed)
        return {"two_stage": second.fit(z)}
    gaussian = Gaussian().fit(z)
    return {
        "prior": run.density("prior"),
        "centred": CentredGaussian.like(gaussian),
        "gaussian": gaussian,
        "gmm": mixture("gmm", COMPONENTS, protocol, seed).fit(z),
        "bayesian": mixture("bayesian", COMPONENTS, protocol, seed).fit(z),
    }


def curve(z: Tensor, apart: Tensor, protocol: Protocol, seed: int) -> list[dict[str, Any]]:
    """Mean log-density of codes under mixtures of more and more components.

    Args:
        z: Codes that they are fitted to, (n, D).
        apart: Codes of the validation images, (m, D).
        protocol: How many components.
        seed: Of the fits.

    Returns:
        For each number of components that there are enough codes for, ``fitted`` and
        ``validation``, in nats.
    """
    points = []
    for components in protocol.components:
        if components * (z.shape[1] + 1) > min(len(z), protocol.fitted):
            break
        found = mixture("gmm", components, protocol, seed).fit(z)
        nats = {name: float(found.log_prob(x).double().mean()) for name, x in
                (("fitted", z), ("validation", apart))}  # fmt: skip
        points.append({"components": components, **nats})
    return points


# A cell ------------------------------------------------------------------------------------------


def strip(pixels: Pixels) -> str:
    """Images beside each other, as text."""
    return text_of(grid(list(pixels), len(pixels)))


def strips(
    run: Run, parts: Parts, drawn: Mapping[str, LatentDensity], seed: int
) -> dict[str, str]:
    """What the picture shows of a model: the same test images and draws for all models."""
    z = encoded(run, parts.test[:SHOWN])
    found = {"reconstructions": decoded(run, z)}
    for name in SAMPLED:
        if name in drawn:
            rows = drawn[name].sample_rows(seed, torch.arange(SHOWN)).cpu()
            found[name] = decoded(run, rows, noise=run.noise)
    found["interpolation"] = decoded(run, way(z[0], z[1], torch.linspace(0, 1, SHOWN)))
    return {name: strip(pixels) for name, pixels in found.items()}


def ruler_of(parts: Parts, protocol: Protocol) -> ImageYardstick:
    """What sets of images are measured with, the same in all cells."""
    return yardstick(protocol.features, parts.test, parts.learnt, protocol.generated)


def measured(
    model: str, run: Run, parts: Parts, protocol: Protocol, ruler: ImageYardstick, seed: int
) -> dict[str, Any]:
    """All numbers of a trained run."""
    began = time.perf_counter()
    z = encoded(run, parts.learnt)
    with warnings.catch_warnings():
        # Few images of a quick table: fewer components are fitted, and named so.
        warnings.simplefilter("ignore", UserWarning)
        drawn = densities(model, run, z, protocol, seed)
    done = ImageEvaluation({"n": protocol.generated, "seed": seed})
    held = HeldImages(parts.test, parts.learnt, "test images")
    bench = ImageBench(run, held, ruler, done, protocol.generated, seed)
    bench.model(_stage)
    for name, each in drawn.items():
        bench.density(name, each, _stage)
    bench.between(_stage)
    apart = encoded(run, parts.validation)
    return {
        "sets": done.densities | done.others,
        "numbers": done.numbers,
        "fitted": {name: each.described() for name, each in drawn.items() if name != "prior"},
        "curve": [] if MODELS[model].second else curve(z, apart, protocol, seed),
        "pictures": strips(run, parts, drawn, seed),
        "features": done.about["features"],
        "seconds_evaluating": round(time.perf_counter() - began, 1),
    }


def _stage(_name: str) -> measures.Show:
    """Nothing is shown of the stages of a cell."""
    return measures.unseen


def model_cell(
    model: str, seed: int, parts: Parts, protocol: Protocol, ruler: ImageYardstick, device: str
) -> dict[str, Any]:
    """Train and measure one model with one seed; a training that diverges is a result too.

    Args:
        model: A key of ``MODELS``.
        seed: Of the training, the fits, and what is drawn.
        parts: The images.
        protocol: What is the same in all cells.
        ruler: What sets of images are measured with.
        device: Where to compute.
    """
    try:
        run = run_of(model, seed, parts, protocol, device)
    except TrainingDiverged as error:
        return {"failed": str(error).split(";")[0]}
    return {
        "config": {part: run.config[part] for part in ("model", "objective")},
        "counts": run.card["counts"],
        "training": run.card["training"],
        "parameters": sum(each.numel() for each in run.model.parameters()),
        **measured(model, run, parts, protocol, ruler, seed),
    }


def data_cell(parts: Parts, protocol: Protocol, ruler: ImageYardstick) -> dict[str, Any]:
    """Validation images beside test images: no model is expected to do better."""
    found = ruler.measure(some(parts.validation, protocol.generated, 0))
    counts = {name: len(getattr(parts, name)) for name in ("learnt", "validation", "test")}
    return {
        "sets": {FLOOR: finite(found.values)},
        "counts": counts,
        "pictures": {"truth": strip(parts.test[:SHOWN])},
    }
