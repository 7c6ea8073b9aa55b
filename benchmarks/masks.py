"""What do the masks cost inside a trained model's decoding, and what does each of them buy?

    molae train zinc250k_train.smi.gz -o run --time 60m
    python -m benchmarks.masks run

Codes drawn from the run's density are decoded greedily and at temperature 1 with each mask on and
off. *Share* is the part of the time that is spent in the constraint (choosing a rule among the
logits, which some choice costs without masks too, and moving the state on).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from rdkit import Chem, rdBase

import molae
from benchmarks.decoding import SWITCHES
from benchmarks.record import record
from molae.codecs import GrammarCodec
from molae.grammar.machine import GrammarConstraint


class Timed:
    """A constraint that adds up the seconds spent in it."""

    def __init__(self, constraint: GrammarConstraint) -> None:
        self.constraint, self.seconds = constraint, 0.0
        self.size, self.max_steps = constraint.size, constraint.max_steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.constraint, name)

        def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*given, **named)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


def measure(run: Any, z: torch.Tensor, switches: dict[str, bool], seed: int | None) -> Any:
    """Speed, share and validity of one setting of the masks."""
    codec = run.codec
    timed = Timed(GrammarConstraint(codec.grammar, codec.max_steps, **switches))
    run.model.decoder.constraint = timed
    run.model.decode(z[:64], seed=seed)  # tables and memory
    timed.seconds = 0.0
    began = time.perf_counter()
    x = run.model.decode(z, seed=seed)
    seconds = time.perf_counter() - began
    texts = codec.decode(x)
    with rdBase.BlockLogs():
        valid = sum(text is not None and Chem.MolFromSmiles(text) is not None for text in texts)
    return {
        "molecules_per_second": round(len(z) / seconds, 1),
        "share_of_time_in_masks_and_choice": round(timed.seconds / seconds, 4),
        "rules_per_string": round(float((x >= 0).sum()) / len(z), 1),
        "valid": valid / len(z),
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = molae.load(options.run, device="cpu")
    if not isinstance(run.codec, GrammarCodec):
        raise SystemExit(f"{options.run} has no grammar")
    z = run.density().sample_rows(0, torch.arange(options.n))
    own = run.model.decoder.constraint
    table: dict[str, Any] = {}
    for label, switches in SWITCHES.items():
        for name, seed in (("greedy", None), ("temperature 1", 0)):
            table[f"{label}, {name}"] = measure(run, z, switches, seed)
            print(f"{label + ', ' + name:40}", table[f"{label}, {name}"], flush=True)
    run.model.decoder.constraint = own
    settings = {"n": options.n, "threads": options.threads, "seed": 0}
    print(record("masks", {"settings": settings, "card": run.card["command"], "masks": table}))


if __name__ == "__main__":
    main()
