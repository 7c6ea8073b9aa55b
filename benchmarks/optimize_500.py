"""Penalised logP with 500 calls, with and without a cap of 38 heavy atoms: methods side by side.

    python -m benchmarks.optimize_500 zinc250k_train.smi.gz --seeds 0 1 2 3 4
    python -m benchmarks.optimize_500 --quick
    python -m benchmarks.optimize_500 --table --markdown

The protocol is that of weighted retraining (Tripp, Daxberger and Hernández-Lobato, NeurIPS 2020):
the scores of training molecules are known, and 500 new molecules may be scored. A call is a new
molecule; repeats, invalid decodes and known molecules are free and counted. All methods but
screening and sampling know 10,000 training molecules, the best 2,000 and 8,000 others.

Penalised logP has no limit in size, so that without a cap the longest chain wins: what a method
reaches there says how far it leaves the data behind. With the cap, what has more than 38 heavy
atoms (the largest in ZINC250k) has no score, and is a call that is lost.

Each method, cap and seed is a cell, a JSON file in ``--out``, written when it is done; one that is
there is not made again. Campaigns live in ``--work``: interrupted, the same command goes on.
``--quick`` makes a table of its own in a minute, with a small model and few molecules; its numbers
mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from benchmarks.cells import Job, Rows, Shown, Values, fill, seeds, spread
from benchmarks.optimization import COST, cost, curve, parser, settled, table_main
from benchmarks.optimization_cells import Campaigns, Protocol
from benchmarks.optimization_molecules import (
    ATOMS,
    Library,
    alkanes,
    best_of,
    listed,
    model_facts,
    pooled,
    quick_library,
    shares,
    spent,
)
from molae.chem.properties import score
from molae.workflows.campaign.trace import best_so_far

NAME = "optimize_500"
#: Penalised logP with the constants of the paper, which has another set than the rounds of 50.
SCORE = "plogp_b"
#: What is compared, with arguments of ``optimize``; ``alone``: nothing is known at the beginning.
METHODS: dict[str, dict[str, Any]] = {
    "latent": {"strategy": "latent"},
    "retrained": {"strategy": "latent", "retrain": "every=50,k=1e-3"},
    "gp_genetic": {"strategy": "gp_genetic"},
    "genetic": {"strategy": "genetic"},
    "local": {"strategy": "local"},
    "sampling": {"strategy": "sampling", "alone": True},
    "screening": {"strategy": "screening", "alone": True},
}
TITLES = {
    "latent": "our optimiser",
    "retrained": "our optimiser, weighted retraining",
    "gp_genetic": "genetic algorithm on a Tanimoto process",
    "genetic": "genetic algorithm",
    "local": "local search among codes",
    "sampling": "draws from the model",
    "screening": "random screening",
}
#: Caps by the word that is typed, with what is required.
CAPS: dict[str, list[str]] = {str(ATOMS): [f"heavy_atoms<={ATOMS}"], "none": []}
#: Calls at which the best so far is shown, and between which it is kept.
SHOWN, KEPT_EVERY = (50, 100, 200, 500), 10
#: Ranks whose scores are shown beside the best, as in the result files of the paper.
RANKS = (10, 50)
#: Molecules of ``--quick``.
QUICK_MOLECULES = 300
#: Carbon atoms of the chains that have a row.
CHAINS = (ATOMS, 60, 100)
#: Best, 10th and 50th of 500 calls, without a cap. Computed from ``official_results`` in the code
#: of the paper (cambridge-mlg/weighted-retraining; a junction-tree VAE; 5 seeds).
PUBLISHED = {
    "no weights, no retraining": ("5.71 ± 0.29", "5.18", "4.81"),
    "retraining only": ("6.93 ± 0.67", "6.34", "5.46"),
    "weights only": ("6.03 ± 0.49", "5.62", "5.27"),
    "weighted retraining, every 50 calls": ("19.66 ± 6.00", "13.52", "9.02"),
}


# Cells -------------------------------------------------------------------------------------------


class Parts(Campaigns):
    """What cells are made of; molecules to start with are known at the beginning."""

    def cell(self, job: Job) -> Values:
        """One method with one cap and one seed."""
        settings = {key: value for key, value in job.settings.items() if key != "cap"}
        if not settings.pop("alone", False):
            start = self.library.start(SCORE, self.protocol.start, job.facts["seed"])
            settings |= {"start": start, "start_free": True, "start_limit": len(start)}
        settings["requirements"] = CAPS[job.facts["cap"]]
        record = self.campaigned(job, SCORE, settings)
        scored = [(each.answer.score, each.text) for each in record.best]
        values = [value for value, _ in scored]
        return {
            **shares(record.counts),
            "best": best_of(scored, self.library.known),
            "ranks": {str(k): values[k - 1] if len(values) >= k else None for k in (1, *RANKS)},
            "curve": curve(best_so_far(record.scores).tolist(), KEPT_EVERY),
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
            f"{method}-{cap}-{seed}",
            {**METHODS[method], "cap": cap},
            {"method": method, "cap": cap, "seed": seed},
        )
        for seed in options.seeds
        for cap in options.caps
        for method in options.methods
    ]
    parts = Parts(protocol, options, library)
    fill(
        options.out,
        protocol.to_dict(),
        jobs,
        parts.cell,
        lambda found: f"best {listed(found['best']['all'])}",
    )


# The table ---------------------------------------------------------------------------------------


def groups(cells: Sequence[Values], cap: str) -> dict[str, list[Values]]:
    """The cells of each method with one cap, in the order of ``METHODS``."""
    some = [each for each in cells if each["cap"] == cap]
    found = {name: [each for each in some if each["method"] == name] for name in METHODS}
    return {name: mine for name, mine in found.items() if mine}


def at(cell: Values, call: int) -> float | None:
    """The best so far at a call; None where there was no score yet."""
    reached = [value for number, value in cell["curve"] if number <= call]
    return reached[-1] if reached else None


def result_rows(cells: Sequence[Values], cap: str) -> Rows:
    """Head and rows of what was found with one cap; published rows and chains below ours."""
    calls = cells[0]["protocol"]["calls"]
    shown = [call for call in SHOWN if call < calls] + [calls]
    head = ["method", "seeds", *(f"best of {call}" for call in shown)]
    head += [*(f"{rank}th best" for rank in RANKS), "best of all"]
    head += ["best three, novel", f"novel, filters, at most {ATOMS} atoms"]
    rows = [
        [
            TITLES[name],
            seeds(mine),
            *(spread([at(each, call) for each in mine]) for call in shown),
            *(spread([each["ranks"][str(rank)] for each in mine]) for rank in RANKS),
            listed(pooled(mine, "all", 1)),
            *(listed(pooled(mine, kind)) for kind in ("new", "plausible")),
        ]
        for name, mine in groups(cells, cap).items()
    ]
    blank = ["-"] * (len(shown) - 1)
    if cap == "none":
        rows += [
            [f"*{title}*", "5", *blank, *numbers, "-", "-", "-"]
            for title, numbers in PUBLISHED.items()
        ]
    sizes = [size for size in CHAINS if cap == "none" or size <= int(cap)]
    for name, value, fine in alkanes(sizes, worth):
        plausible = f"{value:.2f}" if fine else "-"
        rows.append(
            [f"chain of carbon {name}", "", *blank, *["-"] * 3, *[f"{value:.2f}"] * 2, plausible]
        )
    return head, rows


def worth(text: str) -> float:
    """The score of a molecule."""
    return float(score([text], [SCORE])[SCORE][0])


def cost_rows(cells: Sequence[Values], cap: str) -> Rows:
    """Head and rows of calls, rates and seconds."""
    found = groups(cells, cap).items()
    rows = [[TITLES[name], seeds(mine), *cost(mine)] for name, mine in found]
    return ["method", "seeds", *COST], rows


def tables(cells: Sequence[Values]) -> list[Shown]:
    """For each cap what was found, and what it cost."""
    shown = []
    for cap in CAPS:
        if groups(cells, cap):
            what = "no cap" if cap == "none" else f"at most {cap} heavy atoms"
            shown.append(Shown(f"Penalised logP, {what}", result_rows(cells, cap)))
            shown.append(Shown(f"Cost, {what}", cost_rows(cells, cap)))
    return shown


def notes(cells: Sequence[Values]) -> list[str]:
    """What a reader must know, and the best molecules."""
    protocol = cells[0]["protocol"]
    told = [
        f"Score: penalised logP (constants of Tripp et al.); data {protocol['data'][0]}, model "
        f"{protocol['model'][0]}, {protocol['calls']:,} calls in batches of {protocol['batch']}, "
        f"{protocol['start']:,} molecules known. ± is the standard deviation over seeds; the last "
        "three columns are of all seeds together.",
        "Published rows, in italics: computed from the result files of weighted retraining "
        "(Tripp et al., NeurIPS 2020), which had a junction-tree VAE.",
        "The genetic algorithms make nothing of more than 50 heavy atoms, and with the cap of 38.",
    ]
    found: dict[str, tuple[float, str]] = {}
    for cap in CAPS:
        for name, mine in groups(cells, cap).items():
            for value, text in pooled(mine, "plausible", 1):
                found.setdefault(text, (value, f"{TITLES[name]}, cap {cap}"))
    best = sorted(found.items(), key=lambda pair: -pair[1][0])[:3]
    return told + [f"{value:.2f} `{text}` ({who})" for text, (value, who) in best]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__, list(METHODS))
    made.add_argument("--caps", nargs="+", choices=list(CAPS), default=list(CAPS))
    made.add_argument("--calls", type=int, help="new molecules (500)")
    made.add_argument("--batch", type=int, help="candidates asked for at once (10)")
    made.add_argument("--start", type=int, help="molecules that are known (10000)")
    usual: dict[str, tuple[Any, Any]] = {
        "methods": (list(METHODS), ["latent", "retrained", "genetic", "screening"]),
        "seeds": (list(range(5)), [0]),
        "calls": (500, 10),
        "batch": (10, 5),
        "start": (10_000, 120),
    }
    return settled(made, words, NAME, usual)


def main(words: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Make the cells and show them; 1 where something is wrong with what was given."""
    options = arguments(words)
    return table_main(options, NAME, make, tables, notes, console)


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import optimize_500

    sys.exit(optimize_500.main())
