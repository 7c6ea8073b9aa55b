"""How long an ask takes, refit included, as more is told and codes have more dimensions.

    python -m benchmarks.optimize_cost
    python -m benchmarks.optimize_cost --surrogates trust_region --told 10000 --device cuda
    python -m benchmarks.optimize_cost --quick
    python -m benchmarks.optimize_cost --table --markdown

Codes come from a mixture of ten Gaussians with random covariances, and a mixture fitted to some of
them says what is plausible, as with a trained model. The score of a code is minus its squared
distance to one more such code, under noise. So many are told, then batches are asked for
and told in turn: ``first`` is the first ask (a sparse process begins from nothing there),
``next`` the median of those that follow. Seconds are those of the clock; ``processor`` are those
that all threads of the process spent, which other work on the machine does not change.

The other half of a round is the model's: codes of its density, as many as are asked for, are
decoded greedily, and what came out is encoded, with corrections, as campaigns do.

Each surrogate, size and number told is a cell, and each model, a JSON file in ``--out``, written
when it is done; one that is there is not measured again, so an interrupted command goes on.
``--quick`` measures small ones in less than a minute, which is for trying the command only.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.cells import Job, Rows, Shown, Values, fill, present, read_cells
from benchmarks.command_line import add_usual, guarded, settle
from benchmarks.optimization import PAGE
from molae.densities import GaussianMixture
from molae.names import ACQUISITIONS, REFINE, SURROGATES
from molae.optimize import LatentOptimizer
from molae.runs import Run

NAME = "optimize_cost"
#: Components of the codes' distribution, and codes that its estimate is fitted to.
COMPONENTS, FITTED = 10, 5_000


def draw_codes(n: int, size: int, seed: int, stream: int) -> Tensor:
    """n codes of a mixture of Gaussians with random means and covariances, (n, size) float32.

    The mixture follows from the seed, the draws from both numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    roots = torch.randn(COMPONENTS, size, size, generator=generator) / size**0.5
    means = torch.randn(COMPONENTS, size, generator=generator)
    generator = torch.Generator().manual_seed(seed + 1_000_003 * (stream + 1))
    which = torch.randint(COMPONENTS, (n,), generator=generator)
    z = torch.empty(n, size)
    for k in range(COMPONENTS):
        rows = which == k
        noise = torch.randn(int(rows.sum()), size, generator=generator)
        z[rows] = means[k] + noise @ roots[k].T
    return z


@cache
def fitted(size: int, seed: int) -> tuple[GaussianMixture, Tensor]:
    """What says where codes are plausible, and the codes that it was fitted to."""
    z = draw_codes(FITTED, size, seed, 0)
    return GaussianMixture(components=COMPONENTS, seed=seed).fit(z), z


class Timer:
    """Seconds of the clock and of the processor, of one stretch after the other."""

    def __init__(self) -> None:
        self._was = (time.perf_counter(), time.process_time())

    def lap(self) -> tuple[float, float]:
        """Since the last lap, or the beginning."""
        now = (time.perf_counter(), time.process_time())
        clock, processor = now[0] - self._was[0], now[1] - self._was[1]
        self._was = now
        return clock, processor


def ask(surrogate: str, size: int, told: int, options: argparse.Namespace) -> Values:
    """Seconds of the asks of a surrogate."""
    density, training = fitted(size, options.seed)
    z, goal = draw_codes(told + 1, size, options.seed, 1).split([told, 1])
    noise = torch.Generator().manual_seed(options.seed)

    def score(codes: Tensor) -> Tensor:
        exact = -(codes - goal).square().sum(1) / size
        return exact + 0.05 * torch.randn(len(codes), generator=noise)

    timer = Timer()
    optimizer = LatentOptimizer(
        density,
        size,
        surrogate=surrogate,
        acquisition=options.acquisition,
        training_codes=training,
        seed=options.seed,
        device=options.device,
        candidates=options.candidates,
        inducing=options.inducing,
    )
    made = timer.lap()
    optimizer.tell(z, score(z))
    laps = {"made": made, "told": timer.lap()}
    asks = []
    before = optimizer.best
    for _ in range(options.rounds):
        timer.lap()
        asked = optimizer.ask(options.batch)
        asks.append(timer.lap())
        optimizer.tell(asked, score(asked))
    laps |= {"first": asks[0], "next": middle(asks[1:])}
    best = [before[1] if before else None, optimizer.best[1] if optimizer.best else None]
    return seconds(laps) | {"best": best}


def decode(model: str, options: argparse.Namespace) -> Values:
    """Seconds of a model, to decode a batch and to encode what came of it; the first of either
    comes before, and does not count."""
    run = Run.load(model, options.device)
    density, timer = run.density("gmm"), Timer()
    laps: dict[str, list[tuple[float, float]]] = {"decode": [], "encode": []}
    for round_ in range(options.rounds + 1):
        rows = torch.arange(round_ * options.batch, (round_ + 1) * options.batch)
        z = density.sample_rows(options.seed, rows).float()
        timer.lap()
        texts = run.decode(z)
        laps["decode"].append(timer.lap())
        run.codes(run.codec.parse([text for text in texts if text]).padded(), REFINE)
        laps["encode"].append(timer.lap())
    return seconds({name: middle(found[1:]) for name, found in laps.items()})


def middle(laps: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of the clock, and of the processor."""
    clock, processor = zip(*laps, strict=True)
    return median(clock), median(processor)


def seconds(laps: Mapping[str, tuple[float, float]]) -> Values:
    """Laps by name, apart for the clock and the processor."""
    return {
        "seconds": {name: clock for name, (clock, _) in laps.items()},
        "processor": {name: processor for name, (_, processor) in laps.items()},
    }


# Cells -------------------------------------------------------------------------------------------


def make(options: argparse.Namespace) -> None:
    """Measure every cell that is not there yet.

    Raises:
        ValueError: One that is there was measured otherwise.
    """
    shared = ("acquisition", "batch", "rounds", "candidates", "inducing", "device", "seed")
    protocol = {name: getattr(options, name) for name in shared}
    jobs = [
        Job(f"{surrogate}-{size}-{told}", {}, {"surrogate": surrogate, "size": size, "told": told})
        for surrogate in options.surrogates
        for size in options.sizes
        for told in options.told
    ]
    jobs += [Job(f"decode-{model}", {}, {"decodes": model}) for model in options.models]
    fill(
        options.out,
        protocol | {"threads": torch.get_num_threads()},
        jobs,
        lambda job: measure(job, options),
        lambda found: ", ".join(f"{k} {found['seconds'][k]:.2f}" for k in list(found["seconds"])),
    )


def measure(job: Job, options: argparse.Namespace) -> Values:
    """One cell."""
    facts = dict(job.facts)
    return (
        decode(facts["decodes"], options) if "decodes" in facts else ask(**facts, options=options)
    )


# The table ---------------------------------------------------------------------------------------


def ask_rows(cells: Sequence[Values]) -> Rows:
    """A row for each surrogate and size, a column for each number told."""
    numbers = sorted({cell["told"] for cell in cells})
    found = {(cell["surrogate"], cell["size"], cell["told"]): cell for cell in cells}
    names = list(SURROGATES)
    rows = [
        [name, str(size), *(spelt(found.get((name, size, told))) for told in numbers)]
        for name, size in sorted({key[:2] for key in found}, key=lambda k: (names.index(k[0]), k))
    ]
    return ["surrogate", "D", *(f"{number:,} told" for number in numbers)], rows


def spelt(cell: Values | None) -> str:
    """One cell in words."""
    if cell is None:
        return "-"
    clock, processor = cell["seconds"], cell["processor"]
    return f"{clock['first']:.1f} / {clock['next']:.1f} ({processor['next']:.1f})"


def decode_rows(cells: Sequence[Values]) -> Rows:
    """A row for each model."""
    parts = ("decode", "encode")
    rows = [
        [
            cell["decodes"],
            *(f"{cell['seconds'][p]:.2f} ({cell['processor'][p]:.2f})" for p in parts),
        ]
        for cell in cells
    ]
    return ["model", "decode", "encode, with corrections"], rows


def tables(cells: Sequence[Values]) -> list[Shown]:
    """What an ask costs, and what the model's part of a round does."""
    shared = cells[0]["protocol"]
    where = f"({shared['device']}, {shared['threads']} threads"
    what = f"{shared['batch']} codes"
    asks = [cell for cell in cells if "surrogate" in cell]
    decodes = [cell for cell in cells if "decodes" in cell]
    shown = []
    if asks:
        title = f"Seconds to ask for {what}, refit included {where}, {shared['acquisition']})"
        shown.append(Shown(f"{title}: first ask / next asks (processor)", ask_rows(asks), 1))
    if decodes:
        title = f"Seconds to decode {what}, and to encode what came out {where})"
        shown.append(Shown(f"{title}: clock (processor)", decode_rows(decodes), 1))
    return shown


# The command line --------------------------------------------------------------------------------


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--surrogates", nargs="*", choices=SURROGATES, default=list(SURROGATES), metavar="NAME"
    )
    parser.add_argument("--acquisition", choices=ACQUISITIONS, default="logei")
    parser.add_argument("--told", nargs="+", type=int, help="100 1000 10000 100000")
    parser.add_argument("--sizes", nargs="+", type=int, help="of codes: 16 56 128")
    parser.add_argument("--models", nargs="*", metavar="RUN", help="that decode: zinc")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, help="asks, two or more (4)")
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--inducing", type=int, help="points of sparse processes (500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small cells, less than a minute")
    add_usual(parser, PAGE, "cells of --quick")
    parser.set_defaults(device="cpu")
    options = parser.parse_args(words)
    if options.rounds is not None and options.rounds < 2:
        parser.error(f"--rounds is {options.rounds}, expected 2 or more")
    usual: dict[str, tuple[Any, Any]] = {
        "told": ([100, 1000, 10_000, 100_000], [60, 600]),
        "sizes": ([16, 56, 128], [4]),
        "models": (["zinc"], ["tiny"]),
        "batch": (50, 5),
        "rounds": (4, 2),
        "candidates": (2000, 200),
        "inducing": (500, 30),
    }
    chosen = {name: values[options.quick] for name, values in usual.items()}
    called = NAME + ("_quick" if options.quick else "")
    return settle(options, parser, called, chosen, PAGE, options.quick)


def main(words: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Measure and show; 1 where something is wrong with what was given, 130 after Ctrl-C."""
    options = arguments(words)

    def work() -> None:
        if not (options.table or options.markdown):
            make(options)
        present(options, NAME, tables(read_cells(options.out)), [], console)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
