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
from torch import Tensor

from molae import __version__
from molae.codecs import GrammarCodec, ImageCodec
from molae.datasets.files import DataError
from molae.datasets.images import ImageData
from molae.grammar.promise import has_attributes, promise
from molae.runs.condition import contexts
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.workflows import evaluate_images as images
from molae.workflows import measures
from molae.workflows.conditions import contexts_of, with_contexts
from molae.workflows.data import load_data
from molae.workflows.evaluate import texts_of
from molae.workflows.evaluation import Evaluation, definitions
from molae.workflows.held_images import HeldImages, held_images, images_of
from molae.workflows.held_out import HeldOut, held_out
from molae.workflows.image_evaluation import OF_RUN as OF_IMAGES
from molae.workflows.image_evaluation import ImageEvaluation
from molae.workflows.image_evaluation import definitions as image_definitions
from molae.workflows.information import judge_images
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
    context: Tensor | None = None,
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
        context: What drawn images of a run with a ``condition`` are told, (m, ...), taken in
            turn; see ``evaluate_model``, which such a run needs.

    Raises:
        ValueError: n is below 2, or the run has no such density, or it is told of contexts, which
            texts do not have.
    """
    codec = run.codec
    if codec.medium == "images":
        beside, learnt = (
            None if part is None else images.image_data(part, codec) for part in (reference, train)
        )
        return _images(run, beside, learnt, n, densities, seed, features, progress, nll, context)
    _check_number(run, n)
    contexts(run.condition, context, seed, torch.arange(0))  # which are of images
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
    with _stages(5 + 3 * len(names) + bool(nll), progress) as stage:
        bench.model(stage)
        bench.likelihood(stage, nll)
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
    condition: str | None = None,
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
        condition: What drawn images of a run with a ``condition`` are told, as ``molae generate``
            has it, see ``contexts_of``. By default labels, as often as in the training data, or
            else the contexts of held-out images in turn. Held-out images have their own.
        say: Told where the training data was found.

    Raises:
        DataError: A file that was named cannot be read, or there is nothing to compare with.
        ValueError: See ``evaluate_run``, or the run is told nothing.
    """
    context = contexts_of(run, condition)
    files = [train] if train is not None else _found(run, say)
    codec = run.codec
    if codec.medium == "images":
        data = load_data(files, codec=codec, progress=progress) if files else None
        learnt = None if data is None else with_contexts(run, data)
        beside = None
        if reference is not None:
            beside = _beside(run, codec, reference, learnt, progress)
        return _images(run, beside, learnt, n, densities, seed, features, progress, nll, context)
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


def _beside(
    run: Run, codec: ImageCodec, reference: str | Path, learnt: ImageData | None, progress: bool
) -> ImageData:
    """A reference, with what a run is told of each image if that is known, or else needed."""
    if run.condition is None:
        return images_of(codec, reference, progress)[0]
    try:
        return with_contexts(run, load_data([reference], codec=codec, progress=progress))
    except DataError:
        if learnt is None:
            raise
        return images_of(codec, reference, progress)[0]


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
    context: Tensor | None,
) -> ImageEvaluation:
    """``evaluate_run`` of a run of images."""
    _check_number(run, n)
    drawn = images.densities_of(run, densities)
    held = held_images(run, reference, train)
    context, told = _contexts(run, held, context, n, seed)
    about = _facts(run, n, seed) | {
        "fitted": images.fitted(drawn),
        "held_out": images.about_images(held),
    }
    done = ImageEvaluation(about, dict.fromkeys(OF_IMAGES), definitions=image_definitions())
    done.notes += [*told, *held.notes]
    if densities is None:
        _lacking(run, images.EXPECTED, done)
    with _stages(images.stages_of(len(drawn)) + bool(nll), progress) as stage:
        # No density shall pay for what is prepared at first.
        run.sample(2, context=context)
        if nll:
            some = held.data.batch(measures.chosen(len(held.data), EXAMPLES, seed))
            judge(run, some.x, nll, seed, done, stage("likelihood"), some.context)
        stage("divergences")
        judge_images(run, held, n, seed, done)
        images.bench_images(
            run, held, None if reference is None else reference.bytes(range(len(reference))), done,
            stage, n=n, densities=drawn, seed=seed, features=features or FEATURES,
            context=context,
        )  # fmt: skip
    return done


def _contexts(
    run: Run, held: HeldImages, given: Tensor | None, n: int, seed: int
) -> tuple[Tensor | None, list[str]]:
    """What drawn images are told, None for labels that are drawn; and a sentence on all contexts.

    Raises:
        ValueError: The run is told of contexts and the held-out images have none, or the given
            ones are not expected or of another shape.
    """
    condition = run.condition
    if condition is None or given is not None:
        contexts(condition, given, seed, torch.arange(0))  # refuses what does not fit
    if condition is None:
        return None, []
    if held.context is None:
        raise ValueError(
            f"this run is told of each image {condition.described()}, and the held-out images "
            "come without: name files that have it (evaluate_model, molae evaluate --train FILE)"
        )
    how = "what was asked for (--condition), in turn"
    if given is None and condition.classes:
        how = "labels, drawn as often as in the training data"
    elif given is None:
        given = held.data.batch(measures.chosen(len(held.data), n, seed)).context
        how = "those of held-out images, in turn"
    return given, [
        f"This run is told {condition.described()}. Held-out images are told their own, so that "
        f"likelihoods and KLs are those given it; drawn images are told {how}; what lies between "
        "two codes is told what the first one was."
    ]


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
