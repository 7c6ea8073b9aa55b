"""Chains from digit to digit: what denoising and contractive autoencoders draw without a density.

    python -m benchmarks.chains                  # minutes; docs/chains.png, results/chains.json
    python -m benchmarks.chains --quick          # under a minute or so, and no result

Small models of the 8 by 8 digits of scikit-learn: ``dae`` with normal noise and with masking,
walked by the chain of Bengio et al. (NeurIPS 2013), and ``cae`` of codes and of reconstructions
by that of Rifai et al. (ICML 2012). In the picture each row is a chain from a held-out digit
(left), every so many steps; of ``dae``, whose states are draws with all their noise, what they are
decoded to once more. Said of what is shown, of all steps after the first half: ``off``, the mean
squared distance to the nearest training digit over that of held-out digits (1 is as near as real
ones), and ``classes``, how many classes the nearest training digits of a chain have, on average.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.command_line import guarded
from benchmarks.record import record
from molae.codecs.images import eight_bits, unit
from molae.datasets.files import cache_folder, replacing
from molae.datasets.image_files import DIGITS, open_images
from molae.pictures import grid, save_png
from molae.workflows.chains import chain
from molae.workflows.train import train

NAME = "chains"
#: Where the picture goes that is to be kept.
DOCS = Path(__file__).parents[1] / "docs"
#: Digits that are learnt; the others are held out.
LEARNT = 1500
#: Epochs and steps of chains: as usual, and with --quick.
SIZES = {False: (120, 100), True: (8, 8)}
#: Chains, chains in the picture, and states of each in it.
CHAINS, ROWS, SHOWN = 64, 6, 12


@dataclass(frozen=True)
class Walk:
    """A model and the chain that walks it.

    Attributes:
        objective: Its name.
        likelihood: Of pixels.
        options: Of the objective.
        noise: Of the chain ``rifai``.
    """

    objective: str
    likelihood: str
    options: dict[str, Any] = field(default_factory=dict)
    noise: float = 1.0


WALKS = {
    "dae, normal noise": Walk("dae", "optimal", {"corruption": "gaussian", "level": 0.4}),
    "dae, masking": Walk("dae", "optimal", {"corruption": "masking", "level": 0.5}),
    "cae": Walk("cae", "gaussian", {"weight": 0.1}, noise=3.0),
    "cae of reconstructions": Walk(
        "cae", "gaussian", {"weight": 0.1, "of": "reconstruction"}, noise=0.2
    ),
}


def nearest(x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance of images (n, ...) to the nearest known one, (n,), and its row."""
    found = torch.cdist(x.flatten(1), known.flatten(1)).min(1)
    return found.values.square(), found.indices


def walked(walk: Walk, folder: Path, quick: bool, seed: int) -> tuple[dict[str, Any], Any]:
    """Train a model and walk it; numbers, and a picture (H, W, C) of some chains."""
    epochs, steps = SIZES[quick]
    source = open_images(DIGITS)
    pixels = np.stack([source.pixels(row) for row in range(len(source))])
    digits, labels = torch.from_numpy(unit(pixels)), source.labels
    assert labels is not None
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "digits.npz", pixels[:LEARNT])
    run = train(
        folder / "digits.npz", folder / "run", objective=walk.objective, options=walk.options,
        likelihood=walk.likelihood, epochs=epochs, seed=seed, validation=0.0, device="cpu",
        precision="fp32", progress=False, remembered=False,
    )  # fmt: skip
    begin, known = digits[LEARNT : LEARNT + CHAINS], digits[:LEARNT]
    states = [begin]
    for x in chain(run, begin, steps, seed=seed, noise=walk.noise):
        states.append(run.model.decode(run.model.encode(x)) if walk.objective == "dae" else x)
    real = nearest(digits[LEARNT:], known)[0].mean()
    off, rows = nearest(torch.cat(states[1 + steps // 2 :]), known)
    classes = labels[rows.numpy()].reshape(-1, CHAINS)
    numbers = {
        "objective": run.objective.settings(),
        "noise": walk.noise,
        "epochs": epochs,
        "steps": steps,
        "off": float(off.mean() / real),
        "classes": float(np.mean([len(set(column)) for column in classes.T])),
    }
    kept = [states[round(place)] for place in np.linspace(0, steps, min(SHOWN, steps + 1))]
    images = [image for row in range(ROWS) for image in eight_bits(torch.stack(kept)[:, row])]
    return numbers, grid(images, len(kept), scale=5)


def main(words: Sequence[str] | None = None) -> int:
    """Train, walk, draw; 1 where the folder cannot be used."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="hardly trained, and no result")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--work", type=Path, help="folder of the models (in the cache)")
    made.add_argument("--picture", type=Path, help="the picture (docs/chains.png)")
    options = made.parse_args(words)
    folder = options.work or cache_folder(f"{NAME}_quick" if options.quick else NAME)
    picture = options.picture or (folder if options.quick else DOCS) / f"{NAME}.png"

    def work() -> None:
        found, strips = {}, []
        for number, (name, walk) in enumerate(WALKS.items()):
            place = folder / f"{number}"
            found[name], strip = walked(walk, place, options.quick, options.seed)
            strips.append(strip)
            print(f"{name}: off {found[name]['off']:.2f}, classes {found[name]['classes']:.1f}")
        with replacing(picture) as part:
            save_png(grid(strips, 1), part)
        if options.quick:  # numbers that mean nothing are no results
            (folder / f"{NAME}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        else:
            record(NAME, {"seed": options.seed, "walks": found})
        print(f"picture: {picture}")

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
