"""A run on the test bench: what it gives back, what it writes from each density, what it costs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from molae import __version__
from molae.codecs import GrammarCodec
from molae.grammar.promise import has_attributes, promise
from molae.runs.run import Run
from molae.workflows.evaluation import Evaluation, definitions
from molae.workflows.held_out import HeldOut, held_out
from molae.workflows.measures import Show, unseen
from molae.workflows.testbench import Bench, Stage

__all__ = ["Evaluation", "evaluate_run"]

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
) -> Evaluation:
    """Generate from every density of a run, evaluate the molecules, and test the model itself.

    What is measured, and how, stands in ``Evaluation.definitions``. Equal arguments give equal
    numbers, but for the speed; the weights are not touched.

    Args:
        run: The model.
        reference: What generated molecules are compared with; None takes the held-out ones.
        train: The texts of the training file as they stand in it, held-out ones among them: those
            are found by their hash, and novelty is counted against the others.
        n: Molecules from each density. Other measurements take a share of that.
        densities: Which; None takes the prior and all that were fitted.
        seed: Of everything that is drawn.
        workers: Processes that look at molecules.
        progress: Show what is being done on standard error.

    Raises:
        ValueError: n is below 2, or the run has no such density.
    """
    if n < 2:
        raise ValueError(f"n is {n}; expected at least 2 molecules")
    names = ["prior", *run.densities] if densities is None else list(dict.fromkeys(densities))
    for name in names:
        run.density(name)  # an unknown name is refused before anything is computed
    held = held_out(run, reference, train)
    done = Evaluation(_about(run, names, n, seed, held), definitions=definitions())
    done.notes += held.notes
    lacking = [name for name in _EXPECTED if name not in run.densities]
    if densities is None and lacking:
        done.note(
            f"Not fitted to this run, so not evaluated: {', '.join(lacking)}. molae density fit "
            f"-m RUN --density {lacking[-1]} adds one."
        )
    _promises(run, done)
    bench = Bench(run, held, done, n, seed, workers)
    with _stages(4 + 3 * len(names), progress) as stage:
        bench.model(stage)
        run.sample(2, canonical=False)  # no density shall pay for what is compiled at first
        for name in names:
            bench.density(name, stage)
    if run.molecules:
        compared = held.texts or None if reference is None else list(reference)
        bench.molecules(compared, progress)
    else:
        done.note("This run writes no molecules: what is said of molecules is left out.")
    return done


def _about(run: Run, names: Sequence[str], n: int, seed: int, held: HeldOut) -> dict[str, Any]:
    return {
        "run": None if run.folder is None else run.folder.name,
        "command": run.card.get("command"),
        "made": run.card.get("created"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "n": n,
        "seed": seed,
        "noise": run.noise,
        "fitted": {name: run.density(name).described() for name in names},
        "device": str(run.device),
        "held_out": {"molecules": len(held.texts), "source": held.source},
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
