"""Five hundred molecules of your own: fine-tuning the shipped model against starting from nothing.

    python -m benchmarks.finetune qm9.smi.gz --from zinc

Some molecules of a file are learnt from, others of the same file are held out: what counts is how
many of those a model gives back exactly, and how far what it draws is from them (FCD). Three
models are compared: the shipped one as it is, the shipped one trained on, and one that starts from
nothing with the same number of steps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from molae.codecs import EncodeError
from molae.datasets.readers import Reader
from molae.metrics.reconstruction import exact_share
from molae.runs import Run
from molae.workflows.evaluate import Yardstick
from molae.workflows.generate import generate
from molae.workflows.train import train

#: Numbers of a set of drawn molecules that are kept.
KEPT = ("fcd", "unique_1k", "novelty", "snn", "frag", "scaf", "mean_sa", "mean_mw", "filters")


def molecules(path: str, count: int, seed: int) -> list[str]:
    """So many molecules of a file, chosen at random, in random order."""
    with Reader(path) as reader:
        every = [record.smiles for record in reader]
    chosen = np.random.default_rng(seed).permutation(len(every))[:count]
    return [every[row] for row in chosen]


def reconstructed(run: Run, smiles: list[str]) -> dict[str, float]:
    """Share given back exactly; what cannot be encoded is a miss, and counted."""
    try:
        codes, known, lost = run.encode(smiles, refine=0), smiles, 0
    except EncodeError as error:
        bad = {reject.index for reject in error.rejects}
        known = [text for row, text in enumerate(smiles) if row not in bad]
        codes, lost = run.encode(known, refine=0), len(bad)
    return {
        "reconstruction": exact_share(run.spelling(known), run.decode(codes), lost),
        "not_encoded": lost / len(smiles),
    }


def measured(run: Run, held: list[str], yardstick: Yardstick, n: int, seed: int) -> dict[str, Any]:
    """Reconstruction of held-out molecules, and how far n drawn ones are from them."""
    drawn = [row["smiles"] for row in generate(run, n, seed=seed, workers=2)]
    found = yardstick.measure(yardstick.look(drawn)).flat()
    return reconstructed(run, held[:2000]) | {name: found.get(name) for name in KEPT}


def study(options: argparse.Namespace) -> dict[str, Any]:
    """The three models."""
    chosen = molecules(options.data, options.number + options.held_out, options.seed)
    own, held = chosen[: options.number], chosen[options.number :]
    yardstick = Yardstick(held, own, workers=2)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "own.smi"
        source.write_text("\n".join(own) + "\n", encoding="utf-8")
        common: dict[str, Any] = {
            "steps": options.steps,
            "batch_size": options.batch_size,
            "validation": 0.0,
            "seed": options.seed,
            "remembered": False,
        }
        starts = {
            "shipped, as it is": None,
            "trained on": {"start_from": options.start, "learning_rate": options.tuning_rate},
            "from nothing": {"learning_rate": options.learning_rate},
        }
        for name, settings in starts.items():
            begun = time.perf_counter()
            if settings is None:
                run = Run.load(options.start, "cpu")
            else:
                target = Path(folder) / name.replace(" ", "-")
                run = train(source, target, **common, **settings)
            seconds = time.perf_counter() - begun
            found[name] = {
                "seconds": round(seconds, 1),
                **measured(run, held, yardstick, options.draws, options.seed),
            }
            print(name, found[name], flush=True)
    return found


def main() -> None:
    """Compare, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a file of molecules of one kind")
    parser.add_argument("--from", dest="start", default="zinc", help="the model to start from")
    parser.add_argument("-n", "--number", type=int, default=500, help="molecules to learn from")
    parser.add_argument("--held-out", type=int, default=5000)
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--tuning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = {k: v for k, v in vars(options).items() if k != "data"}
    values = {"data": Path(options.data).name, **settings, "models": study(options)}
    print(record("finetune", values))


if __name__ == "__main__":
    main()
