"""Where each variant stands on molecules: the published ones and ours, trained alike, measured.

    python -m benchmarks.molecules zinc250k_train.smi.gz --out cells --seeds 0 1 2
    python -m benchmarks.molecules --table
    python -m benchmarks.molecules --markdown
    python -m benchmarks.molecules zinc250k_train.smi.gz --study   # docs/training.md has the sizes
    python -m benchmarks.molecules --study --markdown

About ``--held`` molecules of the file are held out, by the rule of ``molae train`` (a hash of each
text, seed 0), the same ones for every model and seed. Every model sees the same number of the
others in training (``--molecules``, or ``--epochs``; never the same time, which a busy machine
would spoil), in batches of the same size and at the same learning rate.

Each model and seed is a cell, a JSON file in ``--out``, written when it is done; one that is
there is not made again. Trainings live in ``--work``: interrupted, the same command goes on from
the last checkpoint, also in a folder that was moved from another machine.

Measured on each: exact reconstruction of the held-out molecules (posterior mean, greedy,
canonical isomeric SMILES; what cannot be encoded is missed); validity of one draw of p(x|z) per
code with all masks, with those of the grammar, and without, for codes of N(0, I) and of a mixture
of 10 Gaussians that is fitted after training; and what ``molae evaluate`` says of molecules that
are greedily decoded from both, against those held out.

The project's cells are of QM9: other data need another ``--out``. ``--study`` makes and shows
another table in the same way: our model with one setting changed at a time, which says what moves
reconstruction against samples.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from benchmarks.cells import Job, Values, fill, jobs_of, rewrite
from benchmarks.command_line import add_usual, guarded, settle
from benchmarks.molecules_cell import DATA, Parts, Protocol, data_cell, model_cell, told
from benchmarks.molecules_models import MODELS, STUDY, VARIANTS
from benchmarks.molecules_table import BYS, PAGES, Cells, show, studied, written
from molae.datasets.files import data_digest


def make(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: The data is too small, or a cell there is of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    source = (options.data.name, data_digest(options.data))
    shared = [name for name in Protocol.__dataclass_fields__ if name != "data"]
    protocol = Protocol(source, **{name: getattr(options, name) for name in shared})
    jobs = [Job(DATA, {}, {"model": DATA, "seed": 0})]
    jobs += jobs_of(options.models, options.seeds, protocol.training)

    @cache
    def parts() -> Parts:  # once, and only if there is a cell to make
        found = Parts(options.data, options.held, options.work, options.workers)
        print(f"{len(found.learnt)} molecules to learn from, {len(found.held)} held out")
        return found

    def cell(job: Job) -> Values:
        model, seed = job.facts["model"], job.facts["seed"]
        if model == DATA:
            return data_cell(parts(), protocol.generated)
        return model_cell(model, seed, parts(), protocol, options.work, options.device)

    fill(options.out, protocol.to_dict(), jobs, cell, told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "data", type=Path, nargs="?", help="molecules: .smi .csv ..., gzipped or not"
    )
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--molecules", type=int, help="seen in each training (100000)")
    long.add_argument("--epochs", type=float, help="passes over the data instead")
    parser.add_argument(
        "--models", nargs="+", choices=VARIANTS, metavar="NAME", help="rows (all of the table)"
    )
    parser.add_argument("--study", action="store_true", help="one setting of ours at a time")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--held", type=int, default=5000, help="molecules held out, about")
    parser.add_argument("--generated", type=int, default=5000, help="from each density, greedily")
    parser.add_argument("--decoded", type=int, default=1000, help="codes under each set of masks")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=501, help="of the published decoder's GRUs")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, help="of torch; as many as cores by default")
    parser.add_argument("--workers", type=int, help="processes that look at molecules")
    add_usual(parser, None, "trainings")
    return parser


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with what is usual where nothing is said."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.data is None and not (options.table or options.markdown):
        parser.error("name a file of molecules, or give --table or --markdown")
    if options.molecules is None and options.epochs is None:
        options.molecules = 100_000
    called = "study" if options.study else "molecules"
    usual = {"models": list(STUDY if options.study else MODELS), "page": PAGES[called]}
    return settle(options, parser, called, usual, PAGES[called], quick=False)


def main(words: Sequence[str] | None = None) -> int:
    """Fill the table, show it, write it down; 1 where something is wrong with what was given."""
    options = arguments(words)
    if options.threads:
        torch.set_num_threads(options.threads)

    def work() -> None:
        if options.data is not None:
            make(options)
        if options.data is not None or options.table:
            show(Cells(options.out))
        if options.markdown:
            lines = (studied if options.study else written)(Cells(options.out))
            rewrite(options.page, options.called, lines, BYS[options.called])

    return guarded(work)


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import molecules

    sys.exit(molecules.main())
