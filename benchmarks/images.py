"""Where each variant stands on images: table 1 of the RAE paper on MNIST, trained alike, measured.

    python -m benchmarks.images mnist.npz --seeds 0 1 2
    python -m benchmarks.images mnist.npz --paper --seeds 0 1 2    # on a GPU
    python -m benchmarks.images --quick                            # digits, under a minute
    python -m benchmarks.images --table --picture images.png --curve components.svg
    python -m benchmarks.images --markdown

Ghosh, Sajjadi, Vergari, Black and Schoelkopf, *From Variational to Deterministic Autoencoders*,
ICLR 2020. Ten models, with the weights of the authors' code, learn from the first five sixths of
the training images (of MNIST x_train[:50000]); the rest, x_train[50000:], is for validation, and
what is drawn is compared with the test images. (The authors' code validates on x_train[10000:], of
which 40,000 are learnt from.) Every model sees as many images in batches of the same size.

Without more the net is the small default one of molae at the images' own size; ``--paper`` takes
that of the paper, 32 x 32, 100 passes in batches of 100 and the learning rate of each model.

Each model and seed is a cell, a JSON file in ``--out``, written when it is done; one that is
there is not made again. Trainings live in ``--work``: interrupted, the same command goes on from
the last checkpoint. Drawn are reconstructions of test images, samples from densities that are
fitted to codes of images that were learnt from (N(0, I), N(0, Sigma), N(mu, Sigma), GMM-10,
BGMM-10; for 2sVAE a second VAE) and midpoints between codes of test images, on a straight line,
brought to the mean length, and on a sphere. Below all stands the floor: validation images beside
test images. Neither the models nor, of MNIST, the shipped classifier have learnt from either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.cells import Job, Values, fill, jobs_of, present, read_cells
from benchmarks.command_line import add_usual, guarded, settle
from benchmarks.images_cell import DATA, Parts, Protocol, data_cell, model_cell, ruler_of
from benchmarks.images_models import MODELS
from benchmarks.images_picture import curve, picture
from benchmarks.images_table import Cells, machines, notes, tables
from molae.datasets.image_files import DIGITS, open_images, source_digest
from molae.datasets.images import image_codec

NAME = "images"
#: The page that the table is written into, between its own marks.
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
#: What is usual, with the small net, with that of the paper, and in a hurry.
USUAL: dict[str, dict[str, Any]] = {
    "small": {
        "net": "image", "image_size": None, "width": 1.0, "epochs": 10.0, "batch_size": 100,
        "learning_rate": 2e-3, "precision": "fp32", "generated": 10_000, "fitted": 20_000,
        "iterations": 100, "components": (1, 2, 5, 10, 20, 50, 100), "features": "classifier",
        "seeds": [0, 1, 2],
    },
    "paper": {
        "net": "image_mnist", "image_size": 32, "width": 1.0, "epochs": 100.0, "batch_size": 100,
        "learning_rate": None, "precision": "auto", "generated": 10_000, "fitted": 50_000,
        "iterations": 2000, "components": (1, 2, 5, 10, 20, 50, 100), "features": "classifier",
        "seeds": [0, 1, 2],
    },
    "quick": {
        "net": "image", "image_size": None, "width": 0.5, "epochs": 4.0, "batch_size": 50,
        "learning_rate": 5e-3, "precision": "fp32", "generated": 297, "fitted": 1250,
        "iterations": 20, "components": (1, 2, 5, 10), "features": "pca", "seeds": [0],
    },
}  # fmt: skip
#: The second VAE of 2sVAE, as in the code of the RAE paper: a fixed gamma, no noise on draws. Its
#: divergence has a weight of 1.5e-3 on MNIST beside the mean error of 16 numbers: that gamma is
_GAMMA = 16 * 1.5e-3 / 2
SECOND: dict[str, dict[str, Any]] = {
    "small": {
        "gamma": _GAMMA, "noise": False, "hidden": 256, "epochs": 50, "batch_size": 64,
        "patience": 3,
    },
    "paper": {
        "gamma": _GAMMA, "noise": False, "hidden": 1024, "epochs": 100, "batch_size": 64,
        "learning_rate": 1e-4, "patience": 3,
    },
    "quick": {"gamma": _GAMMA, "noise": False, "hidden": 32, "epochs": 5},
}  # fmt: skip


def protocol_of(options: argparse.Namespace) -> Protocol:
    """What all cells have in common, by the command line."""
    fields = [name for name in Protocol.__dataclass_fields__ if name not in ("data", "second")]
    data = (Path(options.data).name, source_digest(options.data))
    shared = {name: getattr(options, name) for name in fields}
    return Protocol(data, **shared, second=SECOND[options.size])


def check_published(source: str) -> None:
    """Refuse what cannot be MNIST, whose weights and numbers the paper's table has here.

    Raises:
        ValueError: With what to do instead.
    """
    codec = image_codec(open_images(source))
    if codec.shape != (1, 28, 28):
        raise ValueError(
            "--paper has the weights and the published numbers of MNIST, grey images of 28 x 28 "
            f"pixels, and {source} holds {codec.expresses}: name MNIST, or leave --paper out"
        )


def make(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: There are no such images, they are not what --paper is for, or a cell there is
            of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    if options.size == "paper":
        check_published(options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    protocol = protocol_of(options)
    parts = Parts(options.data, protocol.image_size, options.work)
    jobs = [Job(f"{DATA}-0", {}, {"model": DATA, "seed": 0})]
    jobs += jobs_of(options.models, options.seeds, protocol.training)

    ruler = cache(lambda: ruler_of(parts, protocol))  # once, and only if there is a cell to make

    def cell(job: Job) -> Values:
        model, seed = job.facts["model"], job.facts["seed"]
        if model == DATA:
            return data_cell(parts, protocol, ruler())
        return model_cell(model, seed, parts, protocol, ruler(), options.device)

    fill(options.out, protocol.to_dict(), jobs, cell, _told)


def _told(found: Values) -> str:
    """What a cell came to: the first number, a Fréchet distance, of each set of images."""
    if "failed" in found:
        return str(found["failed"])
    first = {name: next(iter(each.values())) for name, each in found["sets"].items()}
    return ", ".join(f"{name} {value:.2f}" for name, value in first.items() if value is not None)


def show(options: argparse.Namespace, console: Console | None = None) -> None:
    """Print the tables, and write and draw what was asked for.

    Raises:
        ValueError: There are no cells, or they were made in several ways, or the page has no place
            for them.
    """
    cells = Cells(read_cells(options.out))
    present(options, options.called, tables(cells), notes(cells, machines(options.out)), console)
    if options.picture is not None:
        picture(cells, options.picture)
    if options.curve is not None:
        curve(cells, options.curve)


def _parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", nargs="?", help="images with parts train and test, such as .npz")
    sizes = made.add_mutually_exclusive_group()
    for size, about in (
        ("paper", "the net and the training of the paper"),
        ("quick", "under a minute, with the digits of scikit-learn"),
    ):
        sizes.add_argument(f"--{size}", action="store_const", const=size, dest="size", help=about)
    made.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME",
        help=", ".join(MODELS),
    )  # fmt: skip
    made.add_argument("--seeds", nargs="+", type=int, help="0 1 2")
    for option, kind, about in (
        ("epochs", float, "passes over what is learnt from"),
        ("batch-size", int, "images in a step"),
        ("learning-rate", float, "at its highest, of all models"),
        ("width", float, "what the net's channels are multiplied with"),
        ("generated", int, "images in each set that is compared"),
        ("fitted", int, "codes that densities are fitted to"),
        ("features", str, "classifier, pca, or inception=FILE"),
        ("threads", int, "of torch; as many as cores by default"),
        ("picture", Path, "a .png: draw reconstructions, samples and interpolations"),
        ("curve", Path, "an .svg: draw likelihood over components"),
    ):
        made.add_argument(f"--{option}", type=kind, help=about)
    made.add_argument("--precision", choices=("auto", "fp32", "bf16"))
    add_usual(made, PAGE, "trainings")
    made.set_defaults(size="small")
    return made


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with what is usual where nothing is said."""
    parser = _parser()
    options = parser.parse_args(words)
    quick = options.size == "quick"
    if quick and options.data is None:
        options.data = DIGITS
    if options.data is None and not (options.table or options.markdown):
        parser.error("name a source of images, or give --quick, --table or --markdown")
    called = NAME if options.size == "small" else f"{NAME}_{options.size}"
    return settle(options, parser, called, USUAL[options.size], PAGE, quick)


def main(words: Sequence[str] | None = None) -> int:
    """Fill the table and show it; 1 where something is wrong with what was given."""
    options = arguments(words)
    if options.threads:
        torch.set_num_threads(options.threads)

    def work() -> None:
        if not (options.table or options.markdown):
            make(options)
        show(options)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
