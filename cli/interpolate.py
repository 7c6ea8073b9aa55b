"""``molae interpolate``: the way from one molecule or image to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from molae.names import WAYS

from .model import load_model
from .options import Device, Model, Output, choice, examples

EXAMPLES = examples(
    "molae interpolate CCO c1ccccc1 --steps 9",
    'molae interpolate "CC(=O)Oc1ccccc1C(=O)O" "CN1C=NC2=C1C(=O)N(C(=O)N2C)C" -o way.png',
    "molae interpolate A.png B.png -m my-images -o strip.png",
    "molae interpolate digits:3 digits:8 -m my-images --path spherical -o strip.png",
)

_WAYS = ", ".join(f"{name} ({about})" for name, about in WAYS.items())
#: Molecules beside each other in a picture.
_PER_ROW = 5


def interpolate(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="SMILES to start from; or an image: A.png, or digits:3."),
    ],
    last: Annotated[str, typer.Argument(metavar="B", help="SMILES or image to end at.")],
    steps: Annotated[int, typer.Option(min=2, help="Codes on the way, both ends included.")] = 9,
    path: Annotated[
        str,
        choice(WAYS, "path", None, "linear", f"{_WAYS}."),
    ] = "linear",
    output: Output = Path("-"),
    model: Model = None,
    device: Device = "auto",
) -> None:
    """Walk from one molecule's code to another's and decode on the way.

    Images come side by side in one row (.png), or in a .npz or a folder.
    """
    from molae.workflows.interpolate import interpolate as work
    from molae.workflows.output import open_output

    run = load_model(model, device, output=output)
    rows = work(run, first, last, steps=steps, path=path)
    columns = {"smiles": str, "t": float, "to_first": float, "to_last": float}
    wide = min(steps, _PER_ROW) if run.molecules else steps
    with open_output(output, columns, legend=_legend, per_row=wide) as out:
        for row in rows:
            out.write(row)


def _legend(row: Mapping[str, Any]) -> str:
    return f"{row['t']:.2f}"
