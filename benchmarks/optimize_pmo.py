"""The tasks of the practical molecular optimisation benchmark (PMO) that need RDKit only.

    python -m benchmarks.optimize_pmo zinc250k_train.smi.gz --seeds 0 1 2
    python -m benchmarks.optimize_pmo zinc250k_train.smi.gz --calls 10000 --methods gp_genetic
    python -m benchmarks.optimize_pmo --quick
    python -m benchmarks.optimize_pmo --table --markdown

Gao et al., *Sample Efficiency Matters: A Benchmark for Practical Molecular Optimization*, NeurIPS
2022: a method is measured by the area under the curve of its ten best molecules over oracle calls,
divided by the calls; each task is a score from 0 to 1, and the areas are added up over tasks. Of
23 tasks 20 are here (``--list``); the others are trained classifiers.

A call is a new molecule; repeats and invalid decodes are free and counted. Nothing is known at the
beginning: every method that learns begins with the same random molecules of the data
(``--start``), and pays for them. The curve is taken at every hundredth of the calls, as published
at 10,000.

Published numbers are of 10,000 calls, and of PyTDC 0.3.6, which defined four of the tasks
otherwise (see ``molae.chem.guacamol``); so the sum over the other 16 is given too. With fewer
calls our rows compare with each other only.

Each method, task and seed is a cell, a JSON file in ``--out``, written when it is done; one that
is there is not made again. Campaigns live in ``--work``: interrupted, the same command goes on.
``--quick`` makes a table of its own in a minute, with a small model, few molecules and two tasks;
its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.cells import Job, Rows, Shown, Values, fill, seeds, spread
from benchmarks.optimization import COST, cost, parser, settled, table_main
from benchmarks.optimization_cells import Campaigns, Protocol
from benchmarks.optimization_molecules import (
    Library,
    model_facts,
    quick_library,
    shares,
    spent,
)
from benchmarks.optimize_pmo_published import CALLS, PUBLISHED, SOURCE
from benchmarks.record import RESULTS
from molae.chem.guacamol import PMO, PMO_CHANGED
from molae.metrics import top_auc, top_average, top_curve
from molae.names import PROPERTIES, TASKS

NAME = "optimize_pmo"
#: What is compared, with arguments of ``optimize``; ``alone``: it learns nothing.
METHODS: dict[str, dict[str, Any]] = {
    "latent": {"strategy": "latent"},
    "retrained": {"strategy": "latent", "retrain": "every=100,k=1e-3"},
    "gp_genetic": {"strategy": "gp_genetic"},
    "genetic": {"strategy": "genetic"},
    "local": {"strategy": "local"},
    "sampling": {"strategy": "sampling", "alone": True},
    "screening": {"strategy": "screening", "alone": True},
}
#: Tasks and molecules of ``--quick``.
QUICK_TASKS, QUICK_MOLECULES = ("albuterol_similarity", "qed"), 300
#: Calls where none are named; results of others have folders of their own.
USUAL_CALLS = 1000
#: Molecules whose mean is measured; points of the curve; best molecules that a cell keeps.
TOP, POINTS, KEPT = 10, 100, 10
#: Tasks that are defined as they were for the published numbers.
AGREED = tuple(task for task in PMO if task not in PMO_CHANGED)


# Cells -------------------------------------------------------------------------------------------


class Parts(Campaigns):
    """What cells are made of; molecules to start with are scored within the calls."""

    def start(self, seed: int) -> list[str]:
        """Random molecules of the data, the same for every method and task."""
        texts = self.library.texts
        count = min(self.protocol.start, len(texts))
        return [texts[row] for row in np.random.default_rng(seed).permutation(len(texts))[:count]]

    def cell(self, job: Job) -> Values:
        """One method on one task with one seed."""
        settings, calls = dict(job.settings), self.protocol.calls
        if not settings.pop("alone", False):
            settings["start"] = self.start(job.facts["seed"])
        record = self.campaigned(job, job.facts["task"], settings)
        every = max(calls // POINTS, 1)
        return {
            **shares(record.counts),
            "auc": top_auc(record.scores, calls, TOP, every),
            "top": {str(k): top_average(record.scores, k) for k in (1, TOP, 100)},
            "curve": [[c, round(y, 4)] for c, y in top_curve(record.scores, TOP, 10 * every)],
            "best": [[each.answer.score, each.text] for each in record.best[:KEPT]],
            **spent(record),
        }


def make(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: Something that was given is wrong, or a cell there was made otherwise.
        KeyboardInterrupt: Ctrl-C; the same command goes on.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    data = options.data or quick_library(options.work, QUICK_MOLECULES)
    library = Library(data, options.work, options.workers)
    sizes = {name: getattr(options, name) for name in ("calls", "batch", "start")}
    protocol = Protocol(library.facts, model_facts(options.model), **sizes)
    jobs = [
        Job(
            f"{method}-{task}-{seed}",
            METHODS[method],
            {"method": method, "task": task, "seed": seed},
        )
        for seed in options.seeds
        for task in options.tasks
        for method in options.methods
    ]
    parts = Parts(protocol, options, library)
    fill(
        options.out,
        protocol.to_dict(),
        jobs,
        parts.cell,
        lambda found: f"AUC {found['auc']:.3f}, best {found['top']['1']:.3f}",
    )


# The table ---------------------------------------------------------------------------------------


def groups(cells: Sequence[Values]) -> dict[str, list[Values]]:
    """The cells of each method, in the order of ``METHODS``."""
    found = {name: [each for each in cells if each["method"] == name] for name in METHODS}
    return {name: mine for name, mine in found.items() if mine}


def areas(cells: Sequence[Values]) -> dict[str, list[float]]:
    """For each task of one method the areas over seeds, in the order of ``PMO``."""
    found = {task: [each["auc"] for each in cells if each["task"] == task] for task in PMO}
    return {task: values for task, values in found.items() if values}


def added(cells: Sequence[Values], tasks: Sequence[str]) -> str:
    """The sum over tasks, mean ± deviation over the seeds that have all of them; or how many."""
    sums = []
    for seed in sorted({each["seed"] for each in cells}):
        mine = {each["task"]: each["auc"] for each in cells if each["seed"] == seed}
        if all(task in mine for task in tasks):
            sums.append(sum(mine[task] for task in tasks))
    there = len({each["task"] for each in cells if each["task"] in tasks})
    return spread(sums, 3) if sums else f"{there} of {len(tasks)} tasks"


def sum_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of sums over tasks; published ones below ours."""
    calls = cells[0]["protocol"]["calls"]
    head = ["method", "seeds", "calls", f"sum over {len(PMO)} tasks"]
    head += [f"over the {len(AGREED)} defined as published", "mean top-1", f"mean top-{TOP}"]
    rows = [
        [
            name,
            seeds(mine),
            f"{calls:,}",
            added(mine, PMO),
            added(mine, AGREED),
            *(f"{mean(each['top'][str(k)] for each in mine):.3f}" for k in (1, TOP)),
        ]
        for name, mine in groups(cells).items()
    ]
    for name, areas_of in PUBLISHED.items():
        whole, agreed = (sum(areas_of[task] for task in tasks) for tasks in (PMO, AGREED))
        rows.append([f"*{name}*", "5", f"{CALLS:,}", f"{whole:.2f}", f"{agreed:.2f}", "-", "-"])
    return head, rows


def task_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of tasks, a column for each method, ours and published."""
    ours = {name: areas(mine) for name, mine in groups(cells).items()}
    head = ["task", *ours, *(f"*{name}*" for name in PUBLISHED)]
    rows = []
    for task in PMO:
        if any(task in mine for mine in ours.values()):
            own = [spread(mine.get(task, []), 3) for mine in ours.values()]
            other = [f"{known[task]:.3f}" for known in PUBLISHED.values()]
            rows.append([task + (" †" if task in PMO_CHANGED else ""), *own, *other])
    return head, rows


def cost_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of calls, rates and seconds."""
    found = groups(cells).items()
    return ["method", "seeds", *COST], [[name, seeds(mine), *cost(mine)] for name, mine in found]


def tables(cells: Sequence[Values]) -> list[Shown]:
    """All tables."""
    return [
        Shown(f"Sums of AUC top-{TOP}", sum_rows(cells), 2),
        Shown(f"AUC top-{TOP} by task", task_rows(cells), 1),
        Shown("What it cost, means over tasks and seeds", cost_rows(cells), 2),
    ]


def notes(cells: Sequence[Values]) -> list[str]:
    """What a reader must know."""
    protocol = cells[0]["protocol"]
    told = [
        f"Data {protocol['data'][0]}, model {protocol['model'][0]}, {protocol['calls']:,} calls "
        f"in batches of {protocol['batch']}. Methods that learn begin with the same "
        f"{protocol['start']} random molecules, which are calls. ± is the standard deviation over "
        "seeds.",
        f"Published, in italics: {SOURCE}; sums are of rounded numbers. † was defined otherwise "
        "there.",
    ]
    if protocol["calls"] != CALLS:
        told.append(
            f"Ours have {protocol['calls']:,} calls and the published {CALLS:,}: they do not "
            "compare."
        )
    return told


# The command line --------------------------------------------------------------------------------


class ListTasks(argparse.Action):
    """Prints the tasks, and ends the command."""

    def __call__(self, made: argparse.ArgumentParser, *_given: Any) -> None:
        """Print them."""
        known = {**PROPERTIES, **TASKS}
        for task in PMO:
            mark = " (defined otherwise in published numbers)" if task in PMO_CHANGED else ""
            print(f"{task}: {known[task]}{mark}")
        made.exit()


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; the name of the results says how many calls, where not the usual."""
    made = parser(__doc__, list(METHODS))
    made.add_argument("--tasks", nargs="+", choices=PMO, metavar="TASK", help="see --list")
    made.add_argument("--list", action=ListTasks, nargs=0, help="print the tasks")
    made.add_argument("--calls", type=int, help="new molecules (1000; published: 10000)")
    made.add_argument("--batch", type=int, help="candidates asked for at once (10)")
    made.add_argument("--start", type=int, help="molecules of the data to begin with (100)")
    usual: dict[str, tuple[Any, Any]] = {
        "methods": (list(METHODS), ["latent", "gp_genetic", "screening"]),
        "seeds": (list(range(5)), [0]),
        "tasks": (list(PMO), list(QUICK_TASKS)),
        "calls": (USUAL_CALLS, 120),
        "batch": (10, 20),
        "start": (100, 100),
    }
    options = settled(made, words, NAME, usual)
    options.name = NAME
    if not options.quick and options.calls != USUAL_CALLS:
        options.name = f"{NAME}_{options.calls}"
        if options.out == RESULTS / NAME:
            options.out = RESULTS / options.name
    return options


def main(words: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Make the cells and show them; 1 where something is wrong with what was given."""
    options = arguments(words)
    return table_main(options, options.name, make, tables, notes, console)


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import optimize_pmo

    sys.exit(optimize_pmo.main())
