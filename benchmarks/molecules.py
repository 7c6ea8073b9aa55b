"""Where each variant stands on molecules: the published ones and ours, trained alike, measured.

    python -m benchmarks.molecules zinc250k_train.smi.gz --molecules 100000 --seeds 0 1 2
    python -m benchmarks.molecules --table
    python -m benchmarks.molecules --markdown

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
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.molecules_cell import DATA, Parts, Protocol, data_cell, model_cell
from benchmarks.molecules_models import MODELS
from benchmarks.molecules_table import PAGE, Cells, rewrite, show
from benchmarks.record import RESULTS, machine
from molae.datasets.files import cache_folder, data_digest, replacing
from molae.training import TrainingInterrupted


def write(path: Path, values: dict[str, Any]) -> None:
    """A cell with what it depends on; whole or not at all."""
    # File names only: where data lies on one machine is of no use on another.
    words = [Path(word).name if os.sep in word else word for word in sys.orig_argv]
    content = {
        "name": path.stem,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(words),
        "machine": machine(),
        "values": values,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def there(path: Path, protocol: Protocol) -> bool:
    """Whether a cell is done.

    Raises:
        ValueError: It is of another protocol.
    """
    if not path.is_file():
        return False
    was = json.loads(path.read_text("utf-8"))["values"]["protocol"]
    now = json.loads(json.dumps(protocol.to_dict()))
    if was == now:
        return True
    odd = {name: (was.get(name), now[name]) for name in now if was.get(name) != now[name]}
    told = ", ".join(f"{name} was {a} and is now {b}" for name, (a, b) in odd.items())
    raise ValueError(f"{path} was made otherwise: {told}; give the same options, or another --out")


def fill(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: The data is too small, or a cell there is of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    source = (options.data.name, data_digest(options.data))
    shared = [name for name in Protocol.__dataclass_fields__ if name != "data"]
    protocol = Protocol(source, **{name: getattr(options, name) for name in shared})
    wanted = {
        f"{model}-{seed}": (model, seed) for seed in options.seeds for model in options.models
    }
    paths = {name: options.out / f"{name}.json" for name in (DATA, *wanted)}
    missing = [name for name, path in paths.items() if not there(path, protocol)]
    if not missing:
        print(f"all {len(paths)} cells are in {options.out}")
        return
    parts = Parts(options.data, options.held, options.work, options.workers)
    print(f"{len(parts.learnt)} molecules to learn from, {len(parts.held)} held out", flush=True)
    for number, name in enumerate(missing, 1):
        began = time.perf_counter()
        if name == DATA:
            values = data_cell(parts, protocol)
        else:
            values = model_cell(*wanted[name], parts, protocol, options.work, options.device)
        write(paths[name], values)
        print(f"{number}/{len(missing)} {name}: {time.perf_counter() - began:.0f} s", flush=True)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "data", type=Path, nargs="?", help="molecules: .smi .csv ..., gzipped or not"
    )
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--molecules", type=int, help="seen in each training (100000)")
    long.add_argument("--epochs", type=float, help="passes over the data instead")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--held", type=int, default=5000, help="molecules held out, about")
    parser.add_argument("--generated", type=int, default=5000, help="from each density, greedily")
    parser.add_argument("--decoded", type=int, default=1000, help="codes under each set of masks")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=501, help="of the published decoder's GRUs")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of torch; as many as cores by default")
    parser.add_argument("--workers", type=int, help="processes that look at molecules")
    parser.add_argument("--out", type=Path, default=RESULTS / "molecules", help="folder of cells")
    parser.add_argument("--work", type=Path, help="folder of trainings (the user's cache)")
    parser.add_argument("--table", action="store_true", help="print the cells that are there")
    parser.add_argument("--markdown", action="store_true", help="write them into --page")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(words)
    if options.data is None and not (options.table or options.markdown):
        parser.error("name a file of molecules, or give --table or --markdown")
    if options.molecules is None and options.epochs is None:
        options.molecules = 100_000
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Fill the table, show it, write it down; 1 where something is wrong with what was given."""
    options = arguments(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.data is not None:
            options.work = options.work or cache_folder("molecules")
            fill(options)
        if options.data is not None or options.table:
            show(Cells(options.out))
        if options.markdown:
            rewrite(options.page, Cells(options.out))
    except (TrainingInterrupted, KeyboardInterrupt):
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import molecules

    sys.exit(molecules.main())
