"""Every objective on the same images with the same net and budget, and on molecules.

    python -m benchmarks.objectives mnist.npz --seeds 0 1 2
    python -m benchmarks.objectives mnist.npz --molecules qm9.smi.gz
    python -m benchmarks.objectives mnist.npz --full --models iwae-50 aae      # on a GPU
    python -m benchmarks.objectives mnist.npz --pictures docs/objectives       # and pictures
    python -m benchmarks.objectives --quick                                    # digits, a minute
    python -m benchmarks.objectives --table --markdown

The rows are objectives, and the heads, priors and decoders that make a system of one: see
``--models``. Images are black and white, so that the likelihood of each row is the probability of
an image. Measured on each: -log p(x) of test images by importance sampling, or the stated
surrogate of a model whose encoder gives points; how well images come back; average and marginal
KL; active units; the Fréchet distance of reconstructions and of draws from N(mu, Sigma), GMM-10
and the model's own prior; seconds. With ``--molecules``, of those that go with sequences, exact
reconstruction, validity and FCD. What cannot be had says why. With ``--pictures``, a NAME.png of
each: held-out images, their reconstructions, and what ``molae generate`` draws.

Each row and seed is a cell, a JSON file in ``--out``, written when it is done; one that is there
is not made again. Trainings live in ``--work``: interrupted, the same command goes on.
Pictures are of those that are there, of the lowest seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import objectives_molecules
from benchmarks.cells import Job, Values, fill, jobs_of, present
from benchmarks.command_line import add_usual, guarded, settle
from benchmarks.objectives_cell import (
    DATA,
    BinaryParts,
    Protocol,
    data_cell,
    model_cell,
    ruler_of,
)
from benchmarks.objectives_models import MODELS
from benchmarks.objectives_picture import pictures
from benchmarks.objectives_table import Cells, Remarks, notes, tables
from molae.datasets.image_files import DIGITS, source_digest

NAME = "objectives"
#: The page that the table is written into, between its own marks.
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
#: What is usual, at full size, and in a hurry.
USUAL: dict[str, dict[str, Any]] = {
    "small": {
        "learnt": 20_000, "net": "image", "image_size": None, "width": 0.5, "epochs": 5.0,
        "batch_size": 100, "learning_rate": 2e-3, "precision": "fp32", "nll_images": 500,
        "nll_samples": 500, "kl_images": 5000, "kl_draws": 100, "generated": 2000,
        "features": "classifier", "seeds": [0],
    },
    "full": {
        "learnt": 50_000, "net": "image", "image_size": None, "width": 1.0, "epochs": 30.0,
        "batch_size": 100, "learning_rate": 2e-3, "precision": "auto", "nll_images": 1000,
        "nll_samples": 5000, "kl_images": 50_000, "kl_draws": 1000, "generated": 10_000,
        "features": "classifier", "seeds": [0],
    },
    "quick": {
        "learnt": 1000, "net": "image", "image_size": None, "width": 0.5, "epochs": 2.0,
        "batch_size": 50, "learning_rate": 5e-3, "precision": "fp32", "nll_images": 50,
        "nll_samples": 20, "kl_images": 200, "kl_draws": 20, "generated": 100, "features": "pca",
        "seeds": [0],
    },
}  # fmt: skip
#: Of GECO: what a net of that size and budget can reach, and steps that suit a short training.
GECO: dict[str, dict[str, float]] = {
    "small": {"tolerance": 0.2, "step_size": 0.02, "highest": 12.5},
    "full": {"tolerance": 0.15, "highest": 22.2},
    "quick": {"tolerance": 0.35, "step_size": 0.02, "decay": 0.9, "highest": 4.1},
}
#: Rows that --quick makes unless others are named: a head, a prior, a decoder, a point, a game.
QUICK = ["vae", "vae-nvp", "vae-vamp", "iwae-5", "pixelvae", "geco", "aae", "vqvae", "cae"]


def protocol_of(options: argparse.Namespace) -> Protocol:
    """What all cells of images have in common, by the command line."""
    fields = [name for name in Protocol.__dataclass_fields__ if name not in ("data", "geco")]
    data = (Path(options.data).name, source_digest(options.data))
    return Protocol(data, **{n: getattr(options, n) for n in fields}, geco=GECO[options.size])


def make(options: argparse.Namespace) -> None:
    """Make every cell of images that is not there yet, and pictures where they are asked for.

    Raises:
        ValueError: There are no such images, or a cell there is of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    protocol = protocol_of(options)
    parts = BinaryParts(options.data, protocol.image_size, options.work, protocol.learnt)
    jobs = [Job(f"{DATA}-0", {}, {"model": DATA, "seed": 0})]
    training = partial(protocol.training, shape=parts.shape)
    jobs += jobs_of(options.models, options.seeds, training)

    ruler = cache(lambda: ruler_of(parts, protocol))  # once, and only if there is a cell to make

    def cell(job: Job) -> Values:
        model, seed = job.facts["model"], job.facts["seed"]
        if model == DATA:
            return data_cell(parts, protocol, ruler())
        return model_cell(model, seed, parts, protocol, ruler(), options.device)

    fill(options.out, protocol.to_dict(), jobs, cell, _told)
    if options.pictures is not None:
        seed = min(options.seeds)
        pictures(options.models, seed, parts, protocol, options.pictures, options.device)


def _told(found: Values) -> str:
    """What a cell came to, in a few words."""
    for why in ("failed", "refused"):
        if why in found:
            return str(found[why])
    if "floor" in found:
        return f"floor {found['floor']:.2f}"
    wanted = {"NLL": "nll", "KL": "average", "wrong": "wrong", "own": "own"}
    each = {head: found["numbers"].get(name) for head, name in wanted.items()}
    return ", ".join(f"{head} {value:.3g}" for head, value in each.items() if value is not None)


def show(options: argparse.Namespace, console: Console | None = None) -> None:
    """Print the tables, and write what was asked for.

    Raises:
        ValueError: There are no cells, or they were made in several ways, or the page has no place
            for them.
    """
    cells, remarks = Cells(options.out), Remarks()
    made = tables(cells, remarks)
    present(options, options.called, made, notes(cells, remarks), console)


def _parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", nargs="?", help="images with parts train and test, such as .npz")
    made.add_argument("--molecules", type=Path, metavar="FILE", help="make the molecule column")
    sizes = made.add_mutually_exclusive_group()
    for size, about in (("full", "for a GPU"), ("quick", "a minute, digits of scikit-learn")):
        sizes.add_argument(f"--{size}", action="store_const", const=size, dest="size", help=about)
    made.add_argument(
        "--models", nargs="+", choices=MODELS, metavar="NAME", help=", ".join(MODELS)
    )
    made.add_argument("--seeds", nargs="+", type=int, help="0 1 2")
    for option, kind, about in (
        ("learnt", int, "images that are learnt from"),
        ("epochs", float, "passes over them"),
        ("batch-size", int, "images in a step"),
        ("learning-rate", float, "at its highest"),
        ("width", float, "what the net's channels are multiplied with"),
        ("nll-images", int, "test images whose likelihood is estimated"),
        ("nll-samples", int, "with so many codes of each"),
        ("kl-images", int, "learnt images whose posteriors are looked at"),
        ("kl-draws", int, "from all of them together"),
        ("generated", int, "images in each set that is compared"),
        ("features", str, "classifier, pca, or inception=FILE"),
        ("threads", int, "of torch; as many as cores by default"),
        ("pictures", Path, "a folder: draw each model, of its lowest seed, into NAME.png"),
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
    quick, shown = options.size == "quick", options.table or options.markdown
    if quick and options.data is None:
        options.data = DIGITS
    if options.data is None and options.molecules is None and not shown:
        parser.error("name a source of images, or give --molecules, --quick, --table, --markdown")
    if options.pictures is not None and (shown or options.data is None):
        parser.error("--pictures come with images, and without --table and --markdown")
    options.models = options.models or (QUICK if quick else list(MODELS))
    called = NAME if options.size == "small" else f"{NAME}_{options.size}"
    return settle(options, parser, called, USUAL[options.size], PAGE, quick)


def main(words: Sequence[str] | None = None) -> int:
    """Fill the table and show it; 1 where something is wrong with what was given."""
    options = arguments(words)
    if options.threads:
        torch.set_num_threads(options.threads)

    def work() -> None:
        if not (options.table or options.markdown):
            if options.data is not None:
                make(options)
            if options.molecules is not None:
                objectives_molecules.make(
                    options.molecules,
                    options.models,
                    options.seeds,
                    size_of_table=options.size,
                    out=options.out,
                    work=options.work,
                    device=options.device,
                )
        show(options)

    return guarded(work)


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import objectives

    sys.exit(objectives.main())
