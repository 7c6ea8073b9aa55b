"""``molae decode``: codes to molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .model import load_model
from .options import Device, Model, Output, Quiet, Temperature, examples
from .output import say, where

EXAMPLES = examples(
    "molae decode codes.npy -m my-model -o molecules.smi",
    "molae decode codes.csv --temperature 0.5 --seed 1 -o -",
    "molae encode my.smi | molae decode - -o same.smi",
    "molae decode codes.npy -m my-images -o grid.png",
)


def decode(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CODES",
            help=".npy .csv .tsv (also .gz) .parquet, one code a row; - is a table with tabs.",
        ),
    ],
    output: Output = Path("-"),
    model: Model = None,
    temperature: Temperature = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            show_default="0, with a --temperature",
            help="Draw each rule instead of taking the likeliest; at temperature 1 if none is "
            "given.",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Turn codes back into molecules or images, in the same order."""
    from molae.workflows.encode import decode_file

    run = load_model(model, device, quiet=quiet, output=output)
    done = decode_file(run, source, output, seed=seed, temperature=temperature)
    if not quiet:
        say(f"{done.written:,} {run.codec.items} to {where(output)}.")
    if done.invalid:
        say(f"{done.invalid:,} codes gave nothing.")
