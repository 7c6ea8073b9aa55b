"""How long an ask takes, refit included, as more is told and codes have more dimensions.

    python -m benchmarks.optimize_cost
    python -m benchmarks.optimize_cost --surrogates trust_region --told 10000 --device cuda
    python -m benchmarks.optimize_cost --quick
    python -m benchmarks.optimize_cost --table

Codes come from a mixture of ten Gaussians with random covariances, and a mixture fitted to some of
them says what is plausible, as with a trained model. The score of a code is minus its squared
distance to one more such code, under noise. So many are told, then batches are asked for
and told in turn: ``first`` is the first ask (a sparse process begins from nothing there),
``next`` the median of those that follow. Seconds are those of the clock; ``processor`` are those
that all threads of the process spent, which other work on the machine does not change.

Each surrogate, size and number told is a cell, a JSON file in ``--out``, written when it is done;
one that is there is not measured again, so an interrupted command goes on. ``--quick`` measures
small ones in less than a minute, which is for trying the command only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.command_line import guarded
from benchmarks.record import RESULTS, machine, record
from molae.datasets.files import cache_folder, replacing
from molae.densities import GaussianMixture
from molae.names import ACQUISITIONS, SURROGATES
from molae.optimize import LatentOptimizer

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


def measure(surrogate: str, size: int, told: int, options: argparse.Namespace) -> dict[str, Any]:
    """One cell."""
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
    laps |= {"first": asks[0], "next": tuple(median(part) for part in zip(*asks[1:], strict=True))}
    return {
        "seconds": {name: clock for name, (clock, _) in laps.items()},
        "processor": {name: processor for name, (_, processor) in laps.items()},
        "best": [before[1] if before else None, optimizer.best[1] if optimizer.best else None],
    }


# Cells -------------------------------------------------------------------------------------------


def protocol(options: argparse.Namespace) -> dict[str, Any]:
    """What all cells of a table have in common."""
    shared = ("acquisition", "batch", "rounds", "candidates", "inducing", "device", "seed")
    return {name: getattr(options, name) for name in shared}


def fill(options: argparse.Namespace) -> None:
    """Measure every cell that is not there yet.

    Raises:
        ValueError: One that is there was measured otherwise.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    for surrogate in options.surrogates:
        for size in options.sizes:
            for told in options.told:
                path = options.out / f"{surrogate}-{size}-{told}.json"
                if path.is_file():
                    agree(path, options)
                    continue
                cell = {"surrogate": surrogate, "size": size, "told": told}
                cell |= {"protocol": protocol(options), "threads": torch.get_num_threads()}
                cell |= measure(surrogate, size, told, options) | {"machine": machine()}
                with replacing(path) as part:
                    part.write_text(json.dumps(cell, indent=2) + "\n", "utf-8")
                print(f"{path.stem}: {cell['seconds']['next']:.2f} s an ask", flush=True)


def agree(path: Path, options: argparse.Namespace) -> None:
    """Refuse a cell that was measured otherwise.

    Raises:
        ValueError: It was.
    """
    was = json.loads(path.read_text("utf-8"))["protocol"]
    odd = [f"{k} {was.get(k)}, now {v}" for k, v in protocol(options).items() if was.get(k) != v]
    if odd:
        raise ValueError(f"{path} was measured with {'; '.join(odd)}: give another --out")


def read_cells(folder: Path) -> list[dict[str, Any]]:
    """All cells of a folder.

    Raises:
        ValueError: There are none.
    """
    cells = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*-*-*.json"))]
    if not cells:
        raise ValueError(f"there are no cells in {folder}")
    names = list(SURROGATES)
    return sorted(cells, key=lambda c: (names.index(c["surrogate"]), c["size"], c["told"]))


def show(cells: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """A row for each surrogate and size, a column for each number told."""
    numbers = sorted({cell["told"] for cell in cells})
    shared = cells[0]["protocol"]
    table = Table(
        title=f"seconds to ask for {shared['batch']} codes, refit included ({shared['device']}, "
        f"{cells[0]['threads']} threads, {shared['acquisition']}): first ask / next asks "
        "(processor, next asks)"
    )
    table.add_column("surrogate")
    table.add_column("D", justify="right")
    for number in numbers:
        table.add_column(f"{number:,} told", justify="right")
    found = {(cell["surrogate"], cell["size"], cell["told"]): cell for cell in cells}
    for surrogate, size in dict.fromkeys(key[:2] for key in found):
        row = [found.get((surrogate, size, number)) for number in numbers]
        table.add_row(
            surrogate, str(size), *("-" if cell is None else spelt(cell) for cell in row)
        )
    (console or Console(width=150)).print(table)


def spelt(cell: dict[str, Any]) -> str:
    """One cell in words."""
    clock, processor = cell["seconds"], cell["processor"]
    return f"{clock['first']:.1f} / {clock['next']:.1f} ({processor['next']:.1f})"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--surrogates", nargs="+", choices=SURROGATES, default=list(SURROGATES), metavar="NAME"
    )
    parser.add_argument("--acquisition", choices=ACQUISITIONS, default="logei")
    parser.add_argument("--told", nargs="+", type=int, help="100 1000 10000 100000")
    parser.add_argument("--sizes", nargs="+", type=int, help="of codes: 16 56 128")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4, help="asks, two or more")
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--inducing", type=int, default=500, help="points of sparse processes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of cells")
    parser.add_argument("--quick", action="store_true", help="small cells, less than a minute")
    parser.add_argument("--table", action="store_true", help="print the cells that are there")
    options = parser.parse_args(words)
    if options.rounds < 2:
        parser.error(f"--rounds is {options.rounds}, expected 2 or more")
    if options.quick:
        options.batch, options.rounds, options.candidates, options.inducing = 5, 2, 200, 30
    options.told = options.told or ([60, 600] if options.quick else [100, 1000, 10_000, 100_000])
    options.sizes = options.sizes or ([4] if options.quick else [16, 56, 128])
    if options.out is None:  # numbers that mean nothing are no results
        options.out = (
            cache_folder("optimize_cost_quick") if options.quick else RESULTS / "optimize_cost"
        )
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Measure and show; 1 where something is wrong with what was given, 130 after Ctrl-C."""
    options = arguments(words)

    def work() -> None:
        if not options.table:
            fill(options)
        cells = read_cells(options.out)
        if options.out == RESULTS / "optimize_cost" and not options.table:
            record("optimize_cost", {"settings": protocol(options), "cells": cells})
        show(cells)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
