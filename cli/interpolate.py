"""``molae interpolate``: the way from one molecule to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .model import load_model
from .options import Device, Model, Output, examples

EXAMPLES = examples(
    "molae interpolate CCO c1ccccc1 --steps 9",
    'molae interpolate "CC(=O)Oc1ccccc1C(=O)O" "CN1C=NC2=C1C(=O)N(C(=O)N2C)C" -o way.png',
)


def interpolate(
    first: Annotated[str, typer.Argument(metavar="A", help="SMILES to start from.")],
    last: Annotated[str, typer.Argument(metavar="B", help="SMILES to end at.")],
    steps: Annotated[int, typer.Option(min=2, help="Codes on the way, both ends included.")] = 9,
    path: Annotated[
        str, typer.Option(help="linear, or spherical (turns and keeps the length).")
    ] = "linear",
    output: Output = Path("-"),
    model: Model = None,
    device: Device = "auto",
) -> None:
    """Walk from one molecule's code to another's and decode on the way."""
    if path not in ("linear", "spherical"):
        raise typer.BadParameter(f"{path!r}: expected linear or spherical", param_hint="'--path'")
    from molae.workflows.interpolate import interpolate as work
    from molae.workflows.output import open_output

    rows = work(load_model(model, device), first, last, steps=steps, path=path)
    columns = {"smiles": str, "t": float, "to_first": float, "to_last": float}
    with open_output(output, columns, legend=_legend, per_row=min(steps, 5)) as out:
        for row in rows:
            out.write(row)


def _legend(row: Mapping[str, Any]) -> str:
    return f"{row['t']:.2f}"
