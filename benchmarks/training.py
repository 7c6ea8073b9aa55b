"""What a trained run is worth: reconstruction, validity, novelty and speed.

    molae train zinc250k_train.smi.gz -o run --epochs 5
    python -m benchmarks.training run zinc250k_train.smi.gz

Held-out molecules are those that the training held out (by a hash of their text, with the seed
and share in the run's configuration); a molecule counts as reconstructed if the canonical
isomeric SMILES of the greedy decoding of its code equals its own. Validity is asked of RDKit for
the raw decoded strings, nothing is taken for granted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from rdkit import Chem, rdBase

import molae
from benchmarks.record import record
from molae.chem.properties import score
from molae.runs.run import Run
from molae.workflows.data import load_data
from molae.workflows.held_out import split_seed
from molae.workflows.train import hold_out

PROPERTIES = ("qed", "sa", "logp", "mw", "largest_ring")


def reconstruction(run: Run, held: Any, most: int) -> dict[str, float]:
    """Exact greedy reconstruction of at most so many held-out molecules."""
    rows = list(range(min(most, len(held))))
    texts = run.codec.decode(torch.from_numpy(held.array(rows)))
    want = run.spelling(texts)
    codes = run.codes(torch.from_numpy(held.array(rows)))
    began = time.perf_counter()
    got = run.decode(codes)
    seconds = time.perf_counter() - began
    exact = sum(a == b for a, b in zip(want, got, strict=True))
    rate = exact / len(rows)
    return {"molecules": len(rows), "exact": rate, "decoding_seconds": round(seconds, 2)}


def means(smiles: list[str]) -> dict[str, float]:
    """Mean properties of every k-th molecule, about 3,000 of them."""
    some = smiles[:: max(1, len(smiles) // 3000)]
    scores = score(some, PROPERTIES)
    return {name: round(float(v[v == v].mean()), 3) for name, v in scores.items()}


def generation(run: Run, n: int, density: str, temperature: float | None, known: set[str]) -> Any:
    """Validity, uniqueness, novelty, properties and speed of n molecules."""
    began = time.perf_counter()
    raw = run.sample(n, seed=0, density=density, temperature=temperature, canonical=False)
    seconds = time.perf_counter() - began
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(text) if text else None for text in raw]
        smiles = [Chem.MolToSmiles(mol) for mol in mols if mol is not None]
    unique = set(smiles)
    return {
        "drawn": n,
        "valid": len(smiles) / n,
        "cut_off": sum(text is None for text in raw) / n,
        "unique_of_valid": len(unique) / max(1, len(smiles)),
        "novel_of_unique": len(unique - known) / max(1, len(unique)),
        "decoding_molecules_per_second": round(n / seconds, 1),
        "means": means(sorted(unique)),
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--held", type=int, default=2_000)
    parser.add_argument("--name", default="training_zinc")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    run = molae.load(options.run)
    data = load_data([options.data], codec=run.codec, workers=options.workers, cache=options.cache)
    settings = run.config["training"]
    learnt, held = hold_out(data.data, settings["validation"], split_seed(run.config))
    known = set()
    for first in range(0, len(learnt), 8192):
        rows = list(range(first, min(first + 8192, len(learnt))))
        known |= set(run.spelling(run.codec.decode(torch.from_numpy(learnt.array(rows)))))
    values: dict[str, Any] = {
        "card": {key: run.card[key] for key in ("command", "counts", "training", "metrics")},
        "reconstruction": reconstruction(run, held, options.held),
        "training_means": means(sorted(text for text in known if text)),
    }
    print(values["reconstruction"], flush=True)
    for density in ("gmm", "gaussian", "prior"):
        for temperature in (None, 1.0):
            key = f"{density}, {'greedy' if temperature is None else f'temperature {temperature}'}"
            values[key] = generation(run, options.n, density, temperature, known)
            print(key, values[key], flush=True)
    print("stored in", record(options.name, values).name)


if __name__ == "__main__":
    main()
