"""Data sets and conditional models of *Taming VAEs*: what they look like, and who obeys.

    python -m benchmarks.conditional mnist.npz
    python -m benchmarks.conditional --quick    # a minute or two: the small digits of scikit-learn

Rezende and Viola, *Taming VAEs*, 2018, section 4; ``molae.datasets.transforms`` says what is meant
by each data set. A tenth of the images is set aside before anything is made of them, so that
contexts and targets of what is shown are new to the models. Drawn are the four data sets, and what
three models give: digits of the label that they are told; digits that are to be the sum of the two
shown; digits that are to be turned as one shown says, being the other shown.

A judge, nearest neighbours among the upright digits that models were trained on, says which label
an image has: given is how often that is the one asked for, on draws and on true images set aside.
Turned digits are turned back first. Two numbers tell whether a model listens: with each context,
and with the contexts of others. Numbers go into ``conditional.json``, beside the picture after
``--quick``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.command_line import guarded
from benchmarks.plots import figure, save
from benchmarks.record import record
from molae.codecs.images import eight_bits, unit
from molae.datasets.files import cache_folder
from molae.datasets.image_files import DIGITS
from molae.datasets.images import ImageArrays, read_images
from molae.datasets.transforms import MODULUS, save_images, transformed, turn
from molae.names import TRANSFORMS
from molae.pictures import Pixels, grid
from molae.runs import Run
from molae.workflows.train import train

NAME = "conditional"
DOCS = Path(__file__).parents[1] / "docs"
#: Settings of all models: with --quick, and as usual.
SETTINGS: dict[bool, dict[str, Any]] = {
    True: {"latent_dim": 4, "width": 1.0, "epochs": 40, "batch_size": 64, "encoder_hidden": 128},
    False: {"latent_dim": 16, "width": 1.0, "epochs": 20, "batch_size": 128},
}
#: The models: what they are called, what they are trained on, and what they are told.
MODELS = {"label": (None, "label"), "sum": ("sum", "context"), "rotate": ("rotate", "context")}
#: Rows of a sheet, draws beside each other, and draws that are judged.
ROWS, DRAWS, JUDGED = 10, 4, 500


def parted(images: ImageArrays, seed: int) -> tuple[ImageArrays, ImageArrays]:
    """Images that models learn from, and a tenth that they do not see."""
    order = np.random.default_rng(seed).permutation(len(images.pixels))
    few = len(order) // 10
    return _some(images, order[few:]), _some(images, order[:few])


def shown(images: ImageArrays, count: int = ROWS) -> list[list[Pixels]]:
    """Rows of a sheet of data: context images, if there are any, and the image."""
    rows = []
    for row in range(count):
        told = [] if images.context is None else np.split(images.context[row], 2, axis=2)
        rows.append([*told, images.pixels[row]])
    return rows


def contexts(images: ImageArrays) -> torch.Tensor:
    """What a model is told of images with context images or labels, (n, ...)."""
    if images.context is not None:
        return torch.from_numpy(unit(images.context))
    return torch.nn.functional.one_hot(torch.from_numpy(_labels(images)), MODULUS).float()


def draws(run: Run, told: torch.Tensor, seed: int) -> Pixels:
    """An image for each context, (n, H, W, C) uint8."""
    index = torch.arange(len(told))
    z = run.given(run.density(), told).sample_rows(seed, index).cpu()
    pieces = run.drawn(z, index, run.noise, context=told)
    return np.concatenate([eight_bits(x) for x in pieces])


class Judge:
    """Tells which digit an image is, by its nearest neighbours.

    Args:
        images: Upright digits with labels.
    """

    def __init__(self, images: ImageArrays) -> None:
        self.neighbours = KNeighborsClassifier(3)
        self.neighbours.fit(images.pixels.reshape(len(images.pixels), -1), _labels(images))

    def share(self, pixels: Pixels, labels: NDArray[np.int64], angles: NDArray[Any]) -> float:
        """How often images are the digits that they should be, turned back by angles (n,)."""
        upright = np.stack([turn(x, -float(a)) for x, a in zip(pixels, angles, strict=True)])
        found = self.neighbours.predict(upright.reshape(len(upright), -1))
        return float((found == labels).mean())

    def label(self, pixels: Pixels) -> NDArray[np.int64]:
        """Labels of upright digits."""
        found: NDArray[np.int64] = self.neighbours.predict(pixels.reshape(len(pixels), -1))
        return found


def judged(run: Run, held: ImageArrays, judge: Judge, seed: int, name: str) -> dict[str, float]:
    """How often draws are what was asked for; with the contexts of others; and true images."""
    some = _some(held, np.arange(min(JUDGED, len(held.pixels))))
    labels, told = _labels(some), contexts(some)
    angles: NDArray[Any] = np.zeros(len(labels))
    if name == "rotate" and some.context is not None:  # as the judge reads the third digit
        angles = judge.label(some.context[..., 1:]) * (360 / MODULUS)
    others = np.random.default_rng(seed).permutation(len(labels))
    return {
        "obeys": judge.share(draws(run, told, seed), labels, angles),
        "told of others": judge.share(
            draws(run, told[torch.from_numpy(others)], seed), labels, angles
        ),
        "true images": judge.share(some.pixels, labels, angles),
        "images": len(labels),
    }


def sheet(run: Run, held: ImageArrays, seed: int) -> Pixels:
    """Contexts, targets, and draws beside them; of labels a row each, without contexts."""
    if held.context is None:
        labels = torch.arange(MODULUS).repeat_interleave(2 * DRAWS)
        told = torch.nn.functional.one_hot(labels, MODULUS).float()
        return grid(list(draws(run, told, seed)), 2 * DRAWS)
    some = _some(held, np.arange(ROWS))
    drawn = draws(run, contexts(some).repeat_interleave(DRAWS, 0), seed)
    cells = [[*row, *drawn[DRAWS * i : DRAWS * (i + 1)]] for i, row in enumerate(shown(some))]
    return grid([cell for row in cells for cell in row], len(cells[0]))


def work(source: str, quick: bool, seed: int, folder: Path) -> dict[str, Any]:
    """Make data, train models, draw and judge; the numbers."""
    learnt, held = parted(read_images(source), seed)
    made, axes = figure(2, 4, (3.2, 4.0))
    for axis in axes.flat:
        axis.axis("off")
    for axis, name in zip(axes[0], TRANSFORMS, strict=True):
        rows = shown(transformed(name, learnt, seed))
        _put(axis, grid([cell for row in rows for cell in row], len(rows[0])), f"data: {name}")
    judge, found = Judge(learnt), {}
    for axis, (model, (base, condition)) in zip(axes[1], MODELS.items(), strict=False):
        known, new = (x if base is None else transformed(base, x, seed) for x in (learnt, held))
        with TemporaryDirectory() as place:
            save_images(known, Path(place) / "data.npz")
            run = train(
                Path(place) / "data.npz", Path(place) / "run", objective="vae", beta=1.0,
                likelihood="bernoulli", prior="conditional", condition=condition, seed=seed,
                remembered=False, workers=1, cache=Path(place) / "cache", **SETTINGS[quick],
            )  # fmt: skip
            found[model] = judged(run, new, judge, seed, model)
            columns = "draws" if base is None else "context, target, draws"
            _put(axis, sheet(run, new, seed), f"model: {model} ({columns})")
    folder.mkdir(parents=True, exist_ok=True)
    save(made, folder / f"{NAME}.png")
    return {
        "source": Path(source).name,
        "seed": seed,
        "settings": SETTINGS[quick],
        "models": found,
    }


def _put(axis: Any, pixels: Pixels, title: str) -> None:
    axis.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_title(title, fontsize=9)


def _labels(images: ImageArrays) -> NDArray[np.int64]:
    if images.labels is None:
        raise ValueError("these images have no labels")
    return images.labels


def _some(images: ImageArrays, rows: NDArray[np.int64]) -> ImageArrays:
    """Some of the images, with what belongs to them."""
    return replace(
        images,
        pixels=images.pixels[rows],
        labels=_labels(images)[rows],
        keys=images.keys[rows],
        names=[images.names[row] for row in rows],
        context=None if images.context is None else images.context[rows],
    )


def main(words: Sequence[str] | None = None) -> int:
    """Draw the picture and write the numbers; 1 where something cannot be used."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", nargs="?", help="digits with labels, such as MNIST as .npz")
    made.add_argument("--quick", action="store_true", help="the small digits of scikit-learn")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--pictures", type=Path, help="folder of the picture (docs)")
    options = made.parse_args(words)
    if options.data is None and not options.quick:
        made.error("name the data, or give --quick")
    folder = options.pictures or (cache_folder(f"{NAME}_quick") if options.quick else DOCS)

    def whole() -> None:
        found = work(options.data or DIGITS, options.quick, options.seed, folder)
        if options.quick:
            (folder / f"{NAME}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        else:
            record(NAME, found)
        for model, numbers in found["models"].items():
            print(f"{model}: {', '.join(f'{k} {v:.3g}' for k, v in numbers.items())}")
        print(f"picture in {folder}")

    return guarded(whole)


if __name__ == "__main__":
    sys.exit(main())
