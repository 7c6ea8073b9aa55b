"""Penalised logP in 5 rounds of 50 candidates: the published protocol on our model, and ours.

    python -m benchmarks.optimize_kusner zinc250k_train.smi.gz --seeds 0 1 2 3 4 5 6 7 8 9
    python -m benchmarks.optimize_kusner --quick
    python -m benchmarks.optimize_kusner --table --markdown

The protocol is that of the Grammar VAE paper (Kusner et al., ICML 2017), which many later ones
follow: a sparse Gaussian process with 500 inducing points learns the scores of the training
molecules from their codes, 50 codes are chosen by expected improvement, each is decoded 500 times
and the most frequent valid molecule is scored; 5 rounds, 10 seeds. ``valid, one decode`` is the
share of all single decodes that RDKit reads, ``valid, of 500`` that of the codes with any such
decode, which is what the papers call the fraction of valid molecules.

Our optimiser has as many calls, 250 new molecules; repeats and what is known already are free. It
knows the scores of 10,000 training molecules, a fifth of them the best, and decodes greedily and
once. In the rows of plausible molecules there is no score for what has more than 38 heavy atoms
(the largest in the data) or fails the MOSES filters: a call that is lost.

Penalised logP has no limit in size: long chains of carbon win. So the best molecules are given
three times: of all, of those that are not in the data, and of these the ones with at most 38 heavy
atoms that pass the filters; and chains of carbon have a row of their own.

Each method and seed is a cell, a JSON file in ``--out``, written when it is done; one that is
there is not made again. What takes time to make lives in ``--work``: interrupted, the same command
goes on, the published protocol from its last round, ours from its last batch. ``--quick`` makes a
table of its own in a minute, with a small model and few molecules; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.cells import Rows, Shown, Values, fill, jobs_of, seeds, spread
from benchmarks.optimization import COST, cost, parser, settled, table_main
from benchmarks.optimization_molecules import (
    ATOMS,
    Library,
    alkanes,
    listed,
    model_facts,
    pooled,
    quick_library,
)
from benchmarks.optimize_kusner_cell import METHODS, TITLES, Parts, cell
from benchmarks.optimize_kusner_rounds import SCORE, Protocol
from molae.chem.properties import score

NAME = "optimize_kusner"
#: Sizes of ``--quick``, and molecules of its data.
QUICK = {"start": 60, "inducing": 24, "fitted": 200, "steps": 20, "grid": 200, "decodes": 4}
QUICK_MOLECULES = 300
#: Carbon atoms of the chains that have a row.
CHAINS = (20, ATOMS)
#: Where the numbers of others were read.
RAE = "Ghosh et al., ICLR 2020, table 2, quoted from memory, not checked"
SGP = "surrogate: Kusner et al., ICML 2017, quoted from memory, not checked"
JT = "Jin et al., ICML 2018: computed from the result files of their code; surrogate from memory"
DATA = "2,500 molecules of ZINC250k, drawn and scored with this package"


class Published(NamedTuple):
    """A row that others have reported; a fraction of 500 decodes counts as valid there."""

    title: str
    valid: str
    average: str
    best: tuple[float, ...]
    rmse: float | None
    log_likelihood: float | None
    source: str


#: ± as printed there. (The code of the protocol divides a deviation over seeds by the root of 5.)
PUBLISHED = (
    Published("GVAE", "0.28 ± 0.04", "-7.89 ± 1.90", (3.13, 3.10, 2.37), 1.404, -1.739,
              f"{RAE}; {SGP}"),
    Published("GRAE", "0.72 ± 0.09", "-5.62 ± 0.71", (3.74, 3.52, 3.14), None, None, RAE),
    Published("JT-VAE", "1.00", "0.63 ± 0.25", (5.30, 4.93, 4.49), 1.290, -1.658, JT),
    Published("random screening of ZINC", "1.00", "0.00", (3.71, 3.54, 3.46), None, None, DATA),
)  # fmt: skip


# Cells -------------------------------------------------------------------------------------------


def make(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: Something that was given is wrong, or a cell there was made otherwise.
        KeyboardInterrupt: Ctrl-C; the same command goes on.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    data = options.data or quick_library(options.work, QUICK_MOLECULES)
    library = Library(data, options.work, options.workers)
    sizes = {"rounds": options.rounds, "batch": options.batch, **(QUICK if options.quick else {})}
    protocol = Protocol(library.facts, model_facts(options.model), **sizes)
    parts = Parts(protocol, library, options.model, options.work, options.device)
    jobs = jobs_of(options.methods, options.seeds, lambda name, _: METHODS[name], "method")
    fill(
        options.out,
        protocol.to_dict(),
        jobs,
        lambda job: cell(job.facts["method"], job.facts["seed"], parts),
        lambda found: f"average {found['average']:.2f}, best {listed(found['best']['all'])}",
    )


# The table ---------------------------------------------------------------------------------------


def by_method(cells: Sequence[Values]) -> dict[str, list[Values]]:
    """The cells of each method, in the order of ``METHODS``."""
    found = {name: [each for each in cells if each["method"] == name] for name in METHODS}
    return {name: mine for name, mine in found.items() if mine}


def share(cells: Sequence[Values], name: str) -> str:
    """A number over cells."""
    return spread([each[name] for each in cells])


def result_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of what was found; published rows and chains of carbon below ours."""
    head = ["method", "seeds", "valid, one decode", "valid, of 500", "unique", "novel", "average"]
    head += ["best three", "best three, novel", f"novel, filters, at most {ATOMS} atoms"]
    rows = [
        [
            TITLES[name],
            seeds(mine),
            *(share(mine, part) for part in ("valid", "valid_points", "unique", "novel")),
            share(mine, "average"),
            *(listed(pooled(mine, kind)) for kind in ("all", "new", "plausible")),
        ]
        for name, mine in by_method(cells).items()
    ]
    rows += [
        [f"*{row.title}*", "", "-", row.valid, "-", "-", row.average, _list(row.best), "-", "-"]
        for row in PUBLISHED
    ]
    chains = alkanes(CHAINS, worth)
    values = {kind: _list([y for _, y, fine in chains if fine or not kind]) for kind in (0, 1)}
    names = ", ".join(name for name, _, _ in chains)
    rows.append(
        [f"chains of carbon: {names}", "", *["-"] * 5, values[0], values[0], values[1]]
    )  # fmt: skip
    return head, rows


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values) or "-"


def worth(text: str) -> float:
    """The score of a molecule."""
    return float(score([text], [SCORE])[SCORE][0])


def surrogate_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of how well surrogates predict test molecules, before the first round."""
    head = [
        "surrogate on codes",
        "seeds",
        "test RMSE",
        "test log-likelihood",
        "distance of points",
    ]
    rows = []
    for name, mine in by_method(cells).items():
        known = [each["surrogate"] for each in mine if each["surrogate"]]
        if known:
            first = {part: [each[part][0] for each in known] for part in known[0]}
            numbers = [spread(first[part], 3) for part in ("rmse", "log_likelihood")]
            rows.append([TITLES[name], seeds(mine), *numbers, share(mine, "distance")])
    rows += [
        [f"*{row.title}*", "", f"{row.rmse:.3f}", f"{row.log_likelihood:.3f}", "-"]
        for row in PUBLISHED
        if row.rmse is not None
    ]
    return head, rows


def cost_rows(cells: Sequence[Values]) -> Rows:
    """Head and rows of calls, rates and seconds."""
    rows = [[TITLES[name], seeds(mine), *cost(mine)] for name, mine in by_method(cells).items()]
    return ["method", "seeds", *COST], rows


def notes(cells: Sequence[Values]) -> list[str]:
    """What a reader must know, and the best molecules."""
    protocol = cells[0]["protocol"]
    told = [
        f"Score: penalised logP; data {protocol['data'][0]}, model {protocol['model'][0]}, "
        f"{protocol['rounds']} rounds of {protocol['batch']}. ± is the standard deviation over "
        "seeds; the average is of what has a score, the best three are of all seeds together. "
        "Distance of points: from the middle of the codes, where molecules lie 1 away on average.",
        "Published rows, in italics, as quoted: " + _sources(),
    ]
    best: dict[str, tuple[float, str]] = {}
    for name, mine in by_method(cells).items():
        for value, text in pooled(mine, "plausible"):
            best.setdefault(text, (value, TITLES[name]))
    for text, (value, who) in sorted(best.items(), key=lambda pair: -pair[1][0])[:3]:
        told.append(f"{value:.2f} `{text}` ({who})")
    calls = protocol["rounds"] * protocol["batch"]
    lost = {
        name: mean(each["counts"].get("failures", 0) for each in mine)
        for name, mine in by_method(cells).items()
    }
    without = [f"{TITLES[name]} {count:.0f}" for name, count in lost.items() if count]
    if without:
        told.append(
            f"Of {calls} calls a seed without a score (too large, or not past the filters), and "
            f"not in the average: {', '.join(without)}."
        )
    return told


def _sources() -> str:
    return "; ".join(f"{row.title}: {row.source}" for row in PUBLISHED) + "."


def tables(cells: Sequence[Values]) -> list[Shown]:
    """All tables."""
    makers: Mapping[str, Callable[[Sequence[Values]], Rows]] = {
        "What was found": result_rows,
        "The surrogate": surrogate_rows,
        "What it cost": cost_rows,
    }
    return [Shown(title, make_rows(cells)) for title, make_rows in makers.items()]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__, list(METHODS))
    made.add_argument("--rounds", type=int, help="batches (5)")
    made.add_argument("--batch", type=int, help="candidates of a batch (50)")
    usual: dict[str, tuple[Any, Any]] = {
        "methods": (list(METHODS), ["published", "plausible", "screening"]),
        "seeds": (list(range(10)), [0]),
        "rounds": (5, 2),
        "batch": (50, 8),
    }
    return settled(made, words, NAME, usual)


def main(words: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Make the cells and show them; 1 where something is wrong with what was given."""
    options = arguments(words)
    return table_main(options, NAME, make, tables, notes, console)


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import optimize_kusner

    sys.exit(optimize_kusner.main())
