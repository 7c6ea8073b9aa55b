"""One cell of the table of objectives: a model and a seed, trained on images and measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.images_cell import Parts
from benchmarks.objectives_models import MODELS
from benchmarks.trainings import folder_of, trained
from molae.codecs.images import eight_bits, unit
from molae.datasets.files import DataError, replacing
from molae.datasets.images import ImageData
from molae.distributions import NoDensityError, OwnRate, rate
from molae.metrics.frechet import Moments, frechet_distance
from molae.metrics.images import ImageYardstick
from molae.metrics.kl import divergences, posteriors_of
from molae.metrics.latent import active_dimensions, effective_rank
from molae.names import WITHOUT_DENSITY
from molae.pictures import Pixels
from molae.repeatable import seeded
from molae.runs import Run
from molae.runs.compose import SHOWN
from molae.runs.folder import RunError
from molae.training import TrainingDiverged
from molae.workflows import measures
from molae.workflows.evaluate_images import encoded, finite, some, yardstick
from molae.workflows.image_evaluation import RECONSTRUCTIONS, ImageEvaluation
from molae.workflows.nll import judge

#: The cell of validation images, measured as if they had been generated: the floor.
DATA = "data"
#: Names of numbers that are there together, or not.
LIKELIHOOD = ("nll", "nll_error", "minus_elbo", "nll_effective_samples")
DIVERGENCES = ("average", "marginal", "information", "error")
#: Why some numbers are not there, where no part of molae is asked for them.
TOO_WIDE = (
    "molae fits no density to codes in several steps: their prior is learnt with the model, and "
    "there are too many numbers for a full covariance"
)
NO_BOUND = "there is no q(z|x) with a known density, and so no bound"
STEPWISE = (
    "the density of a code in several steps takes an image written anew for every pair of code "
    "and example, which is left out"
)


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the source.
        learnt: Images that are learnt from, at most.
        net: Of ``molae.names.ENCODERS``; a row may have a decoder of its own.
        image_size: Height and width that images are brought to; None leaves them as they are.
        width: What its channels are multiplied with.
        epochs: Passes over what is learnt from.
        batch_size: Images in a step.
        learning_rate: At its highest.
        precision: Asked for; what was taken stands in each cell.
        nll_images: Test images whose likelihood is estimated.
        nll_samples: With so many codes of each.
        kl_images: Images that were learnt from whose posteriors are looked at.
        kl_draws: From all of them together.
        generated: Images of each set that is compared.
        features: See ``molae.metrics.features.feature_net``.
        geco: Options of GECO.
    """

    data: tuple[str, str]
    learnt: int
    net: str
    image_size: int | None
    width: float
    epochs: float
    batch_size: int
    learning_rate: float
    precision: str
    nll_images: int
    nll_samples: int
    kl_images: int
    kl_draws: int
    generated: int
    features: str
    geco: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "data": list(self.data), "geco": dict(self.geco)}

    def training(self, model: str, seed: int, shape: tuple[int, int, int]) -> dict[str, Any]:
        """Arguments of ``train`` for a cell, of images (C, H, W)."""
        asked = MODELS[model].on_images(shape, self.geco)
        # ConvDRAW is an encoder and a decoder in one piece.
        net = {} if asked.get("decoder") == "convdraw" else {"encoder": self.net}
        return {
            **asked,
            **net,
            "width": self.width,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "precision": self.precision,
            "seed": seed,
            "validation": 0.0,  # what is kept apart is no part of the file that is trained on
        }


class BinaryParts(Parts):
    """The images in three, black and white: a value of 128 or more is 1, any other 0.

    So a likelihood is the probability of an image, the same thing for every model.

    Args:
        source: See ``Parts``.
        image_size: Likewise.
        work: Likewise.
        most: Images that are learnt from, at most: the first.
    """

    def __init__(self, source: str, image_size: int | None, work: Path, most: int) -> None:
        super().__init__(source, image_size, work)
        self.learnt = black_and_white(self.learnt[:most])
        self.validation, self.test = map(black_and_white, (self.validation, self.test))
        self.file = self.file.with_name(f"binary-{len(self.learnt)}-{self.file.name}")
        if not self.file.is_file():
            with replacing(self.file) as part:
                np.savez_compressed(part, x_train=self.learnt)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        height, width, channels = self.learnt.shape[1:]
        return channels, height, width


def black_and_white(pixels: Pixels) -> Pixels:
    """The nearer of 0 and 255 for each value."""
    return np.where(pixels >= 128, 255, 0).astype(np.uint8)


def begun(make: Callable[[], Run]) -> tuple[Run | None, dict[str, Any]]:
    """What a training came to: a run, or why there is none, as a cell says it.

    Args:
        make: Trains.

    Raises:
        DataError: The data cannot be read.
        RunError: A folder is in the way.
    """
    try:
        return make(), {}
    except TrainingDiverged as error:
        return None, {"failed": str(error).split(";")[0]}
    except (DataError, RunError):
        raise
    except ValueError as error:  # molae says what does not go together, and what to use instead
        return None, {"refused": str(error)}


def place_of(model: str, seed: int, parts: BinaryParts, protocol: Protocol) -> Path:
    """Where the training of a cell lives, begun or not."""
    settings = protocol.training(model, seed, parts.shape)
    return folder_of(parts.work, model, seed, settings, parts.file.name)


def run_of(model: str, seed: int, parts: BinaryParts, protocol: Protocol, device: str) -> Run:
    """The run of a cell, see ``trained``."""
    settings = protocol.training(model, seed, parts.shape)
    folder = place_of(model, seed, parts, protocol)
    return trained(
        parts.file, folder, settings, "objectives", device=device, cache=parts.work, progress=False
    )


# What is measured --------------------------------------------------------------------------------


@dataclass
class Bench:
    """A run on the test bench; every method adds to ``numbers`` or to ``missing``.

    Args:
        model: A key of ``MODELS``.
        run: Trained.
        parts: The images.
        protocol: How much is measured.
        seed: Of all draws.

    Attributes:
        numbers: By name.
        missing: Why there is no such number, a sentence.
    """

    model: str
    run: Run
    parts: BinaryParts
    protocol: Protocol
    seed: int
    numbers: dict[str, float | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def surrogate(self) -> bool:
        """Whether there is no q(z|x) with a density that is known."""
        return self.run.config["model"]["head"]["name"] in WITHOUT_DENSITY

    @property
    def own(self) -> str:
        """The density that the model is meant to draw from."""
        own = MODELS[self.model].own
        return own if own in self.run.densities else "prior"

    def likelihood(self) -> None:
        """-log p(x) of test images, or the stated surrogate of a model that has none."""
        x = torch.from_numpy(unit(some(self.parts.test, self.protocol.nll_images, 0)))
        done = ImageEvaluation({})
        judge(self.run, x, self.protocol.nll_samples, self.seed, done)
        if "nll" not in done.numbers:
            self._lacks(LIKELIHOOD, " ".join(done.notes).removeprefix("nll: "))
            return
        self.numbers |= {name: done.numbers[name] for name in LIKELIHOOD}
        if self.surrogate:  # codes are proposed around the example's own: that is no bound's mean
            del self.numbers["minus_elbo"]
            self._lacks(("minus_elbo",), NO_BOUND)

    @torch.no_grad()
    def divergence(self) -> None:
        """Average and marginal KL of images that were learnt from."""
        run, protocol = self.run, self.protocol
        data = ImageData(some(self.parts.learnt, protocol.kl_images, 0))
        codes, prior = posteriors_of(run.model, data), run.density("prior")
        if isinstance(codes[0], OwnRate):
            with seeded(self.seed, run.device):
                each = torch.cat([rate(one, prior) for one in codes])
            self.numbers["average"] = float(each.double().mean())
            self._lacks(DIVERGENCES[1:], STEPWISE)
            return
        try:
            found = divergences(codes, prior, protocol.kl_draws, self.seed)
        except NoDensityError as error:
            self._lacks(DIVERGENCES, str(error))
            return
        self.numbers |= {name: getattr(found, name) for name in DIVERGENCES}

    def likeness(self, ruler: ImageYardstick) -> None:
        """Reconstructions, codes, and what densities draw."""
        held = some(self.parts.test, self.protocol.generated, 0)
        z, x = encoded(self.run, held), torch.from_numpy(unit(held))
        again = self._shown(z)
        self.numbers |= {
            "distortion": measures.distortion(self.run, measures.Sequences(x, [], [])),
            "wrong": float((again != held).mean()),
            "active": active_dimensions(z),
            "rank": effective_rank(z),
            RECONSTRUCTIONS: distance(ruler, again),
        }
        there = self.run.densities
        drawn = {name: there[name] for name in ("gaussian", "gmm") if name in there}
        for name, density in (drawn | {"own": self.run.density(self.own)}).items():
            rows = torch.arange(self.protocol.generated)
            codes = density.sample_rows(self.seed, rows).cpu()
            self.numbers[name] = distance(ruler, self._shown(codes))
        self._lacks(tuple({"gaussian", "gmm"} - set(drawn)), TOO_WIDE)

    def _shown(self, z: Tensor) -> Pixels:
        """Black and white images of codes (n, D), (n, H, W, C).

        The likeliest one where pixels do not depend on each other; else a draw, since the
        likeliest value of one pixel after the other is no typical image.
        """
        drawn = self.run.config["model"]["decoder"]["name"] in SHOWN
        pieces = self.run.drawn(z, torch.arange(len(z)), 0.0, self.seed if drawn else None)
        return black_and_white(np.concatenate([eight_bits(x) for x in pieces]))

    def _lacks(self, names: Iterable[str], why: str) -> None:
        self.missing |= dict.fromkeys(names, why.rstrip("."))


def distance(ruler: ImageYardstick, pixels: Pixels) -> float:
    """The Fréchet distance of some images to those of the yardstick."""
    return frechet_distance(Moments.of(ruler.net.features(pixels)), ruler.moments)


def measured(
    model: str, run: Run, parts: BinaryParts, protocol: Protocol, ruler: ImageYardstick, seed: int
) -> dict[str, Any]:
    """All numbers of a trained run."""
    began, bench = time.perf_counter(), Bench(model, run, parts, protocol, seed)
    bench.likeness(ruler)
    bench.divergence()
    bench.likelihood()
    return {
        "numbers": finite(bench.numbers),
        "missing": bench.missing,
        "dimensions": run.size,
        "own": bench.own,
        "surrogate": bench.surrogate,
        "seconds_evaluating": round(time.perf_counter() - began, 1),
    }


# Cells -------------------------------------------------------------------------------------------


def ruler_of(parts: BinaryParts, protocol: Protocol) -> ImageYardstick:
    """What sets of images are measured with, the same in all cells."""
    return yardstick(protocol.features, parts.test, None, protocol.generated)


def model_cell(
    model: str,
    seed: int,
    parts: BinaryParts,
    protocol: Protocol,
    ruler: ImageYardstick,
    device: str,
) -> dict[str, Any]:
    """Train and measure one model with one seed; what diverges or is refused is a result too.

    Args:
        model: A key of ``MODELS``.
        seed: Of the training, and of what is drawn.
        parts: The images.
        protocol: What is the same in all cells.
        ruler: What sets of images are measured with.
        device: Where to compute.
    """
    run, why = begun(lambda: run_of(model, seed, parts, protocol, device))
    if run is None:
        return why
    return {
        "config": {part: run.config[part] for part in ("model", "objective")},
        "training": run.card["training"],
        "parameters": sum(each.numel() for each in run.model.parameters()),
        **measured(model, run, parts, protocol, ruler, seed),
    }


def data_cell(parts: BinaryParts, protocol: Protocol, ruler: ImageYardstick) -> dict[str, Any]:
    """Validation images beside test images: no model is expected to do better."""
    found = distance(ruler, some(parts.validation, protocol.generated, 0))
    counts = {name: len(getattr(parts, name)) for name in ("learnt", "validation", "test")}
    return {"floor": found, "counts": counts}
