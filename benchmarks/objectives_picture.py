"""What the rows of the table of objectives look like: a small picture of each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.objectives_cell import BinaryParts, Protocol, place_of
from benchmarks.trainings import finished
from molae.datasets.files import replacing
from molae.pictures import Pixels, enlarged, grid, pixels_of, save_png
from molae.runs import Run
from molae.workflows.evaluate_images import decoded, encoded
from molae.workflows.generate import generate

#: Images beside each other.
SHOWN = 12


def pictures(
    models: Iterable[str],
    seed: int,
    parts: BinaryParts,
    protocol: Protocol,
    folder: Path,
    device: str,
) -> None:
    """Draw each model that was trained to its end, and say which were not.

    Args:
        models: Keys of ``MODELS``; the picture of each is ``NAME.png``.
        seed: Of the trainings, and of what is drawn from all of them.
        parts: The images.
        protocol: That they were trained under.
        folder: Of the pictures.
        device: Where to compute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        place = place_of(model, seed, parts, protocol)
        if not finished(place):
            print(f"no picture of {model}: there is no finished training {place}", flush=True)
            continue
        shown = picture(Run.load(place, device), parts.test[:SHOWN], seed)
        with replacing(folder / f"{model}.png") as part:
            save_png(shown, part)


def picture(run: Run, held: Pixels, seed: int) -> Pixels:
    """Three lines: held-out images, what the run makes of them, and what it draws.

    What is drawn is what ``molae generate`` gives unless it is told otherwise, from the usual
    density of the run; where a prior was learnt, ``--density prior``.

    Args:
        run: Trained.
        held: Images (n, H, W, C).
        seed: Of the draws.

    Returns:
        (H', W', C) uint8.
    """
    again = decoded(run, encoded(run, held))
    density = "prior" if "prior" in run.config["model"] else None
    rows = generate(run, len(held), density=density, seed=seed, workers=1)
    drawn = [pixels_of(row["smiles"]) for row in rows]
    scale = enlarged(*held.shape[1:3])
    return grid([*held, *again, *drawn], len(held), scale=scale)
