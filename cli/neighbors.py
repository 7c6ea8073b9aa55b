"""``molae neighbors``: molecules with codes near that of a given one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .model import load_model
from .options import Device, Model, Output, Seed, Temperature, examples
from .output import say

EXAMPLES = examples(
    'molae neighbors "CC(=O)Oc1ccccc1C(=O)O" -n 50',
    "molae neighbors CCOC -n 20 --radius 0.3 -o near.png",
    "molae neighbors digits:3 -m my-images -n 16 -o near.png",
)


def neighbors(
    smiles: Annotated[
        str,
        typer.Argument(
            metavar="SMILES", help="The molecule in the middle; or an image: A.png, or digits:3."
        ),
    ],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 50,
    radius: Annotated[
        float,
        typer.Option(min=0.0, help="How far to go, in standard deviations of the training codes."),
    ] = 0.5,
    output: Output = Path("-"),
    model: Model = None,
    temperature: Temperature = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Find molecules like a given one, the most similar first."""
    from molae.workflows.neighbors import neighbors as work
    from molae.workflows.output import open_output

    run = load_model(model, device, output=output)
    rows = work(run, smiles, number, radius=radius, seed=seed, temperature=temperature)
    with open_output(output, {"smiles": str, "similarity": float}, legend=_legend) as out:
        for row in rows:
            out.write(row)
    if len(rows) < number:
        say(f"Only {len(rows)} of {number} were found: a larger --radius gives more.")


def _legend(row: Mapping[str, Any]) -> str:
    return f"{row['similarity']:.2f}"
