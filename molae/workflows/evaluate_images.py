"""A run of images on the test bench, and files of images: what they are beside real ones."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molae.codecs import ImageCodec
from molae.codecs.images import eight_bits, unit
from molae.datasets.images import ImageData
from molae.densities import LatentDensity, StandardNormal
from molae.metrics import latent
from molae.metrics.features import feature_net
from molae.metrics.images import ImageYardstick, squared_error
from molae.names import DENSITIES, WAYS, pick
from molae.pictures import Pixels, enlarged, grid, text_of
from molae.runs.condition import contexts
from molae.runs.preferred import drawable
from molae.runs.run import Run
from molae.workflows import measures
from molae.workflows.evaluation import DATA, Numbers
from molae.workflows.held_images import HeldImages
from molae.workflows.image_evaluation import (
    MIDDLES,
    OF_RUN,
    READINGS,
    RECONSTRUCTIONS,
    ImageEvaluation,
)
from molae.workflows.interpolate import way
from molae.workflows.testbench import Stage

#: Densities that an evaluation should show beside the prior: the columns of the RAE paper, and
#: what its authors tag their numbers with.
EXPECTED = ("gaussian", "gmm", "bayesian")
#: What cannot be said of images, and what is said instead.
NOT_OF_IMAGES = (
    "Validity, uniqueness, novelty, filters, properties and masks are of molecules and grammars; "
    "of images there are distances between features instead, and nearest_train for novelty."
)
#: Images in a grid, interpolations and the points on each, images encoded at once.
_SHOWN, _WAYS, _STEPS, _ENCODED = 64, 8, 10, 2048
#: Training images whose features are kept for ``nearest_train``, at most.
LEARNT = 60_000


def densities_of(run: Run, names: Sequence[str] | None) -> dict[str, LatentDensity]:
    """Densities of a run by name, in the order of ``molae.names.DENSITIES``.

    Args:
        run: The model.
        names: Which; None takes all.

    Raises:
        ValueError: The run has no such density.
    """
    there = drawable(run.densities, run.model.prior)
    wanted = list(there) if names is None else list(dict.fromkeys(names))
    for name in wanted:
        pick(there, name, "density of this run")
    return {name: there[name] for name in DENSITIES if name in wanted}


class ImageBench:
    """One evaluation of a run of images under way; every method adds to ``done``.

    Args:
        run: The model.
        held: What it is tested on.
        ruler: What measures sets of images, see ``yardstick``.
        done: What is found.
        n: Images of each set, at most.
        seed: Of everything that is drawn.
        context: What drawn images are told, (m, ...), taken in turn, see ``Run.sample``.
    """

    def __init__(
        self,
        run: Run,
        held: HeldImages,
        ruler: ImageYardstick,
        done: ImageEvaluation,
        n: int,
        seed: int,
        context: Tensor | None = None,
    ) -> None:
        self.run, self.ruler, self.done, self.n, self.seed = run, ruler, done, n, seed
        rows = measures.chosen(len(held.pixels), n, seed)
        self.held, self.learnt = held.pixels[rows], held.learnt
        self.told, self.context = held.data.batch(rows).context, context
        done.about["features"] = {"name": ruler.net.name, "digest": ruler.net.digest}
        done.about["reference"] = len(ruler.reference)
        done.note(ruler.net.about)
        self.notes: dict[str, list[str]] = {}

    def model(self, stage: Stage) -> None:
        """Reconstructions, what codes are like, and what lies between them."""
        run, done = self.run, self.done
        show = stage(RECONSTRUCTIONS)
        z = encoded(run, self.held, self.told)
        again = decoded(run, z, show, context=self.told)
        errors = squared_error(self.held, again)
        mean = float(errors.mean())
        done.numbers |= dict.fromkeys(OF_RUN)
        done.numbers |= {"squared_error": mean, "dimensions": run.size}
        done.sizes["squared_error"] = len(errors)
        if len(z) > 1:
            half = 1.96 * float(errors.std(ddof=1)) / math.sqrt(len(errors))
            done.spans["squared_error"] = (mean - half, mean + half)
            done.numbers["active_dimensions"] = latent.active_dimensions(z)
            done.numbers["effective_rank"] = latent.effective_rank(z)
            done.sizes |= {"active_dimensions": len(z), "effective_rank": len(z)}
        done.others[RECONSTRUCTIONS] = self._measured(RECONSTRUCTIONS, again)
        done.images.truth = sheet(self.held[:_SHOWN]), sheet(again[:_SHOWN])
        self.codes = z

    def density(self, name: str, density: LatentDensity, stage: Stage) -> None:
        """What one density draws."""
        run, index = self.run, torch.arange(self.n)
        show = stage(f"{name}: generating")
        began = time.perf_counter()
        told = contexts(run.condition, self.context, self.seed, index)
        z = run.given(density, told).sample_rows(self.seed, index).cpu()
        z = run.blurred(z, run.noise, self.seed, index)
        pixels = decoded(run, z, show, noise=run.noise, context=told)
        seconds = time.perf_counter() - began
        stage(f"{name}: comparing")
        numbers = self._measured(name, pixels)
        numbers["held_out_nats"] = self._nats(density)
        numbers["images_per_second"] = self.n / seconds
        self.done.densities[name] = finite(numbers)
        self.done.images.sets[name] = sheet(pixels[:_SHOWN])

    def _nats(self, density: LatentDensity) -> float:
        """Mean log-density of the held-out codes."""
        run, total = self.run, 0.0
        for rows in torch.split(torch.arange(len(self.codes)), _ENCODED):
            told = None if self.told is None else self.told[rows]
            each = run.given(density, told).log_prob(self.codes[rows].to(run.device))
            total += float(each.double().sum())
        return total / len(self.codes)

    def between(self, stage: Stage) -> None:
        """Midpoints of held-out codes in random pairs, and some ways from code to code.

        What is between two codes is told what the first one was.
        """
        z, done = self.codes, self.done
        if len(z) < 2:
            done.note("Fewer than 2 held-out images: nothing is said of interpolations.")
            return
        rng = np.random.default_rng(self.seed)
        first = rng.integers(0, len(z), self.n)
        other = (first + rng.integers(1, len(z), self.n)) % len(z)  # never the same row
        told = None if self.told is None else self.told[first]
        for kind in WAYS:
            show = stage(MIDDLES[kind])
            middle = latent.midpoints(z[first], z[other], kind)
            pixels = decoded(self.run, middle, show, context=told)
            done.others[MIDDLES[kind]] = self._measured(MIDDLES[kind], pixels)
            done.images.sets[MIDDLES[kind]] = sheet(pixels[:_SHOWN])
        t = torch.linspace(0, 1, _STEPS)
        pairs = list(zip(z[first[:_WAYS]], z[other[:_WAYS]], strict=True))
        points = torch.cat([way(a, b, t) for a, b in pairs])
        told = None if told is None else told[:_WAYS].repeat_interleave(_STEPS, 0)
        done.images.ways = sheet(decoded(self.run, points, context=told), _STEPS)

    def data(self, stage: Stage) -> None:
        """Images that the model learnt from, as if they had been generated: the floor."""
        if self.learnt is None or not len(self.learnt):
            return
        stage(DATA)
        real = some(self.learnt, self.n, self.seed)
        self.done.data = self._measured(DATA, real)
        self.done.data.pop("nearest_train")  # they are themselves
        self.done.images.sets[DATA] = sheet(real[:_SHOWN])

    def close(self) -> None:
        """Say once what is missing, and of which sets."""
        for text, names in self.notes.items():
            where = "" if len(names) == len(self.done.sets()) else f" ({', '.join(names)})"
            self.done.note(f"{text}{where}.")

    def _measured(self, name: str, pixels: Pixels) -> Numbers:
        """Every metric of some images; what is missing is noted."""
        found = self.ruler.measure(pixels)
        for metric, why in found.notes.items():
            self.notes.setdefault(f"{metric}: {why}", []).append(name)
        return finite(found.values)


def yardstick(
    features: str, reference: Pixels, learnt: Pixels | None, n: int, seed: int = 0
) -> ImageYardstick:
    """What sets of images are measured with; it can be used for many runs.

    Args:
        features: See ``molae.metrics.features.feature_net``.
        reference: Real images, (m, H, W, C); at most n are compared with.
        learnt: Images that were learnt from; at most ``LEARNT`` are looked at.
        n: Images of each set, at most.
        seed: Of what is drawn.
    """
    real = some(reference, n, seed)
    known = None if learnt is None else some(learnt, LEARNT, seed)
    return ImageYardstick(feature_net(features, real), real, known, seed)


def bench_images(
    run: Run,
    held: HeldImages,
    reference: Pixels | None,
    done: ImageEvaluation,
    stage: Stage,
    *,
    n: int,
    densities: Mapping[str, LatentDensity],
    seed: int,
    features: str,
    context: Tensor | None = None,
) -> None:
    """Measure everything that is measured on a run of images.

    Args:
        run: The model.
        held: What it is tested on.
        reference: What images are compared with; None takes the held-out ones.
        done: Takes what is found.
        stage: Told what begins; see ``stages_of`` for how many there are.
        n: Images of each set.
        densities: What images are drawn from, by name.
        seed: Of everything that is drawn.
        features: What images are compared in.
        context: What drawn images are told, see ``ImageBench``.
    """
    real = held.pixels if reference is None else reference
    ruler = yardstick(features, real, held.learnt, n, seed)
    bench = ImageBench(run, held, ruler, done, n, seed, context)
    bench.model(stage)
    for name, density in densities.items():
        bench.density(name, density, stage)
    bench.between(stage)
    bench.data(stage)
    bench.close()
    done.note(NOT_OF_IMAGES)
    if "centred" in densities and "gaussian" in densities:
        done.note(
            "What a table calls N may be prior, N(0, I), or centred, N(0, Sigma), or gaussian, "
            "N(mu, Sigma): Ghosh et al. (2020) describe the last one, and their scripts draw from "
            "the others. All three are shown."
        )
    if reference is None:
        done.note(
            "Reconstructions are compared with the images that they are of, all else with the "
            "same: name other images with --reference for what cannot be learnt by heart."
        )


def stages_of(densities: int) -> int:
    """Stages of an evaluation with so many densities."""
    return 3 + 2 * densities + len(WAYS)


def fitted(densities: Mapping[str, LatentDensity]) -> dict[str, str]:
    """What was fitted, by name of the density, in a few words."""
    found = {name: READINGS.get(name) or each.described() for name, each in densities.items()}
    if "prior" in densities and not isinstance(densities["prior"], StandardNormal):
        found["prior"] = str(densities["prior"].name)
    return found


def encoded(run: Run, pixels: Pixels, context: Tensor | None = None) -> Tensor:
    """Codes of images (n, H, W, C), with contexts (n, ...) where the run is told some: (n, D)."""
    parts = []
    for first in range(0, len(pixels), _ENCODED):
        rows = slice(first, first + _ENCODED)
        told = None if context is None else context[rows]
        parts.append(run.codes(torch.from_numpy(unit(pixels[rows])), context=told))
    return torch.cat(parts)


def decoded(
    run: Run,
    z: Tensor,
    show: measures.Show = measures.unseen,
    *,
    noise: float = 0.0,
    context: Tensor | None = None,
) -> Pixels:
    """Images of codes (n, D), (n, H, W, C) uint8, as ``run.decode`` has them in its texts."""
    parts: list[Pixels] = []
    for rows in torch.split(torch.arange(len(z)), _ENCODED):
        told = None if context is None else context[rows]
        parts += [eight_bits(x) for x in run.drawn(z[rows], rows, noise, context=told)]
        show((int(rows[-1]) + 1) / len(z))
    return np.concatenate(parts)


def some(pixels: Pixels, most: int, seed: int) -> Pixels:
    """At most so many images, chosen at random, in their order."""
    if len(pixels) <= most:
        return pixels
    return pixels[measures.chosen(len(pixels), most, seed)]


def sheet(pixels: Pixels, columns: int | None = None) -> str:
    """A grid of images as text, large enough to be looked at."""
    height, width = pixels.shape[1:3]
    return text_of(grid(list(pixels), columns, scale=enlarged(height, width)))


def finite(found: Mapping[str, float | None]) -> Numbers:
    """Without nan and infinity, which JSON has no words for."""
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in found.items()
    }


def image_data(texts: Sequence[str], codec: ImageCodec) -> ImageData:
    """Images of texts as a run knows them; what is none is left out.

    Raises:
        ValueError: None of them is an image of the right size.
    """
    encoding = codec.parse(texts)
    if texts and not len(encoding.kept):
        raise ValueError(f"none of {len(texts)} texts is an image: {encoding.rejects[0].reason}")
    return ImageData(encoding.pixels, keys=np.array(encoding.hashes(), np.uint64))


def about_images(held: HeldImages) -> dict[str, Any]:
    """What stands in a report of the images that a run was tested on."""
    return {"images": len(held.pixels), "source": held.source}
