"""Which dimension of a code stands for which factor: MIG and DCI on sprites.

    python -m benchmarks.disentanglement              # minutes; results/disentanglement.json
    python -m benchmarks.disentanglement --quick      # a minute or so, and no result

Small models of the 768 sprites (``molae.datasets.sprites``), each measured on its codes as they
are and along their principal axes, which is where a Stiefel-restricted kernel machine has its
dimensions; a model whose prior is the same in all directions has axes of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.command_line import guarded
from benchmarks.record import record
from molae.codecs.images import unit
from molae.datasets.files import cache_folder
from molae.datasets.sprites import factors, sprites
from molae.metrics.disentanglement import dci, mutual_information_gap
from molae.metrics.latent import principal_axes
from molae.workflows.train import train

NAME = "disentanglement"
#: Epochs: as usual, and with --quick.
EPOCHS = {False: 600, True: 5}
#: D.
SIZE = 6
#: Options of training, by model.
MODELS: dict[str, dict[str, Any]] = {
    "ae": {"objective": "ae"},
    "vae": {"objective": "vae", "beta": 1.0},
    "vae, beta 4": {"objective": "vae", "beta": 4.0},
    "vcae": {"objective": "vcae"},
    "strkm": {"objective": "strkm", "options": {"noise": 0.1}},
}


def measured(codes: Tensor) -> dict[str, float]:
    """MIG and DCI of codes (N, D) of all sprites, in order."""
    known = factors()
    found = dci(codes.numpy(), known)
    return {
        "mig": mutual_information_gap(codes.numpy(), known),
        "disentanglement": found.disentanglement,
        "completeness": found.completeness,
        "informativeness": found.informativeness,
    }


def trained(options: dict[str, Any], folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Train a model on all sprites and measure its codes."""
    run = train(
        "sprites", folder, latent_dim=SIZE, likelihood="bernoulli", epochs=EPOCHS[quick],
        seed=seed, validation=0.0, device="cpu", precision="fp32", progress=False,
        remembered=False, **options,
    )  # fmt: skip
    x = torch.from_numpy(unit(sprites()[0]))
    codes = run.codes(x)
    mean, axes, _ = principal_axes(codes, SIZE)
    error = (run.model.decode(codes) - x).square().mean()
    return {
        "objective": run.objective.settings(),
        "squared_error": float(error),
        "codes": measured(codes),
        "principal": measured((codes.double() - mean) @ axes),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Train, measure, print; 1 where the folder cannot be used."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="hardly trained, and no result")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--work", type=Path, help="folder of the models (in the cache)")
    made.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = made.parse_args(words)
    folder = options.work or cache_folder(f"{NAME}_quick" if options.quick else NAME)

    def work() -> None:
        found = {}
        for name in options.models:
            place = folder / name.replace(", ", "-").replace(" ", "")
            found[name] = trained(MODELS[name], place, options.quick, options.seed)
            for kind in ("codes", "principal"):
                said = ", ".join(f"{key} {value:.2f}" for key, value in found[name][kind].items())
                print(f"{name}, {kind}: {said}")
        if options.quick:  # numbers that mean nothing are no results
            (folder / f"{NAME}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        else:
            record(NAME, {"seed": options.seed, "latent_dim": SIZE, "models": found})

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
