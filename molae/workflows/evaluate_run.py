"""A run on the test bench: what it gives back, what it writes from each density, what it costs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from molae import __version__
from molae.codecs import GrammarCodec
from molae.codecs.images import unit
from molae.datasets.files import DataError
from molae.datasets.images import ImageData
from molae.grammar.promise import has_attributes, promise
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.workflows import evaluate_images as images
from molae.workflows import measures
from molae.workflows.data import load_data
from molae.workflows.evaluate import texts_of
from molae.workflows.evaluation import Evaluation, definitions
from molae.workflows.held_images import held_images, images_of
from molae.workflows.held_out import HeldOut, held_out
from molae.workflows.image_evaluation import ImageEvaluation
from molae.workflows.image_evaluation import definitions as image_definitions
from molae.workflows.measures import Show, unseen
from molae.workflows.nll import EXAMPLES, judge
from molae.workflows.origin import training_files
from molae.workflows.testbench import Bench, Stage

__all__ = ["Evaluation", "ImageEvaluation", "evaluate_model", "evaluate_run"]

#: Where images are compared if nothing is said.
FEATURES = "classifier"

#: Densities that an evaluation should show beside the prior.
_EXPECTED = ("gaussian", "gmm", "flow")


def evaluate_run(
    run: Run,
    *,
    reference: Sequence[str] | None,
    train: Sequence[str] | None,
    n: int = 10_000,
    densities: Sequence[str] | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: bool = False,
    features: str | None = None,
    nll: int = 0,
) -> Evaluation:
    """Generate from every density of a run, evaluate the molecules, and test the model itself.

    What is measured, and how, stands in ``Evaluation.definitions``. Equal arguments give equal
    numbers, but for the speed; the weights are not touched.

    Args:
        run: The model.
        reference: What generated molecules are compared with; None takes the held-out ones. Of
            images their texts, see ``molae.pictures``, at the size that they had when they were
            learnt from: what was held out is known by it. ``evaluate_model`` reads files.
        train: The texts of the training file as they stand in it, held-out ones among them: those
            are found by their hash, and novelty is counted against the others.
        n: Molecules from each density. Other measurements take a share of that.
        densities: Which; None takes the prior and all that were fitted.
        seed: Of everything that is drawn.
        workers: Processes that look at molecules.
        progress: Show what is being done on standard error.
        features: What images are compared in, see ``molae.metrics.features.feature_net``; None
            is ``classifier``.
        nll: Samples with which -log p(x) of some held-out examples is estimated, see
            ``molae.workflows.nll``; 0 for none.

    Raises:
        ValueError: n is below 2, or the run has no such density.
    """
    codec = run.codec
    if codec.medium == "images":
        beside, learnt = (
            None if part is None else images.image_data(part, codec) for part in (reference, train)
        )
        return _images(run, beside, learnt, n, densities, seed, features, progress, nll)
    _check_number(run, n)
    if features is not None:
        raise ValueError(
            f"features are what images are compared in, and this run writes {codec.items}; leave "
            "them out"
        )
    names = ["prior", *run.densities] if densities is None else list(dict.fromkeys(densities))
    for name in names:
        run.density(name)  # an unknown name is refused before anything is computed
    held = held_out(run, reference, train)
    done = Evaluation(_about(run, names, n, seed, held), definitions=definitions())
    done.notes += held.notes
    if densities is None:
        _lacking(run, _EXPECTED, done)
    _promises(run, done)
    bench = Bench(run, held, done, n, seed, workers)
    with _stages(4 + 3 * len(names) + bool(nll), progress) as stage:
        bench.model(stage)
        if nll and held.texts:
            x = measures.sequences(run, held.texts[:EXAMPLES], workers).x
            judge(run, x, nll, seed, done, stage("likelihood"))
        run.sample(2, canonical=False)  # no density shall pay for what is compiled at first
        for name in names:
            bench.density(name, stage)
    if run.molecules:
        compared = held.texts or None if reference is None else list(reference)
        bench.molecules(compared, progress)
    else:
        done.note("This run writes no molecules: what is said of molecules is left out.")
    return done


def evaluate_model(
    run: Run,
    *,
    reference: str | Path | None = None,
    train: str | Path | None = None,
    column: str | None = None,
    n: int = 10_000,
    densities: Sequence[str] | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: bool = False,
    features: str | None = None,
    nll: int = 0,
    say: Callable[[str], None] = lambda _text: None,
) -> Evaluation:
    """``evaluate_run`` with files: of molecules, texts or images, whatever the run has learnt.

    Args:
        run: The model.
        reference: A file (or folder) of what generated items are compared with.
        train: What the run was trained on; None looks for it where it was, see ``training_files``.
        column: Column of tables.
        n: As for ``evaluate_run``, and so are all others.
        densities: Which.
        seed: Of what is drawn.
        workers: Processes.
        progress: Show bars.
        features: Of images.
        nll: Samples.
        say: Told where the training data was found.

    Raises:
        DataError: A file that was named cannot be read, or there is nothing to compare with.
        ValueError: See ``evaluate_run``.
    """
    files = [train] if train is not None else _found(run, say)
    codec = run.codec
    if codec.medium == "images":
        beside = None if reference is None else images_of(codec, reference, progress)[0]
        data = load_data(files, codec=codec, progress=progress).data if files else None
        learnt = data if isinstance(data, ImageData) else None
        return _images(run, beside, learnt, n, densities, seed, features, progress, nll)
    return evaluate_run(
        run, reference=_texts(run, [] if reference is None else [reference], column),
        train=_texts(run, files, column if train else None), n=n, densities=densities, seed=seed,
        workers=workers, progress=progress, features=features, nll=nll,
    )  # fmt: skip


def _found(run: Run, say: Callable[[str], None]) -> list[Path]:
    """What a run was trained on, if it is still where it was; says where that is."""
    try:
        files = training_files(run)
    except (RunError, DataError):
        return []  # the evaluation says what it lacks
    say(f"Trained on {', '.join(map(str, files))}: what was held out is found there.")
    return files


def _texts(run: Run, files: Sequence[str | Path], column: str | None) -> list[str] | None:
    """What a run calls texts, of some files; None where there are none."""
    if not files:
        return None
    whole = not run.molecules
    every = [text for file in files for text in texts_of(file, column, whole_lines=whole)]
    return [text for text in every if text is not None]


def _images(
    run: Run,
    reference: ImageData | None,
    train: ImageData | None,
    n: int,
    densities: Sequence[str] | None,
    seed: int,
    features: str | None,
    progress: bool,
    nll: int,
) -> ImageEvaluation:
    """``evaluate_run`` of a run of images."""
    _check_number(run, n)
    drawn = images.densities_of(run, densities)
    held = held_images(run, reference, train)
    about = _facts(run, n, seed) | {
        "fitted": images.fitted(drawn),
        "held_out": images.about_images(held),
    }
    done = ImageEvaluation(about, definitions=image_definitions())
    done.notes += held.notes
    if densities is None:
        _lacking(run, images.EXPECTED, done)
    with _stages(images.stages_of(len(drawn)) + bool(nll), progress) as stage:
        run.sample(2)  # no density shall pay for what is prepared at first
        if nll:
            x = torch.from_numpy(unit(images.some(held.pixels, EXAMPLES, seed)))
            judge(run, x, nll, seed, done, stage("likelihood"))
        images.bench_images(
            run, held, None if reference is None else reference.bytes(range(len(reference))), done,
            stage, n=n, densities=drawn, seed=seed, features=features or FEATURES,
        )  # fmt: skip
    return done


def _check_number(run: Run, n: int) -> None:
    """Refuse what nothing can be said of."""
    if n < 2:
        raise ValueError(f"n is {n}; expected at least 2 {run.codec.items}")


def _lacking(run: Run, expected: Sequence[str], done: Evaluation) -> None:
    """Say which densities an evaluation should show, and this run does not have."""
    lacking = [name for name in expected if name not in run.densities]
    if lacking:
        done.note(
            f"Not fitted to this run, so not evaluated: {', '.join(lacking)}. molae density fit "
            f"-m RUN --density {lacking[-1]} adds one."
        )


def _about(run: Run, names: Sequence[str], n: int, seed: int, held: HeldOut) -> dict[str, Any]:
    return _facts(run, n, seed) | {
        "fitted": {name: run.density(name).described() for name in names},
        "held_out": {"molecules": len(held.texts), "source": held.source},
    }


def _facts(run: Run, n: int, seed: int) -> dict[str, Any]:
    """What is to be known of any evaluation."""
    return {
        "run": None if run.folder is None else run.folder.name,
        "command": run.card.get("command"),
        "made": run.card.get("created"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "n": n,
        "seed": seed,
        "noise": run.noise,
        "device": str(run.device),
        "versions": {
            "molae": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "rdkit", "numpy")},
        },
    }


def _promises(run: Run, done: Evaluation) -> None:
    """What the masks of the run promise, and what a column without them means."""
    codec = run.codec
    if not isinstance(codec, GrammarCodec):
        done.note("Characters have no masks to be taken away, and nothing is promised.")
        return
    done.note(
        "The model was trained behind its masks and never had to learn what they forbid: validity "
        "without masks says how much it leans on them."
    )
    if not run.molecules:
        return
    name = codec.grammar.name
    if not has_attributes(codec.grammar):
        done.note(
            f"{name}: valences cannot be tracked in this grammar, so that all masks are those of "
            "the grammar."
        )
    kept, why = promise(codec.grammar)
    if not kept:
        done.note(f"{name} does not promise that all it writes are molecules; counted only: {why}")


@contextmanager
def _stages(total: int, enabled: bool) -> Iterator[Stage]:
    """A bar of stages on standard error, each with its name; nothing where that is no terminal."""
    console = Console(file=sys.stderr)
    if not enabled or not console.is_terminal:
        yield lambda _name: unseen
        return
    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as shown:
        task, begun = shown.add_task("", total=total), count()

        def stage(name: str) -> Show:
            before = next(begun)
            shown.update(task, description=name, completed=before)
            return lambda share: shown.update(task, completed=before + share)

        yield stage
