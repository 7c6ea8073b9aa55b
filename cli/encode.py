"""``molae encode``: molecules to codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molae.names import REFINE

from .model import load_model
from .options import Column, Device, Model, Quiet, Refine, Rejects, Workers, examples
from .output import counts, say, where

EXAMPLES = examples(
    "molae encode my.smi -m my-model -o codes.csv",
    "molae encode my.smi -o codes.npy --rejects rejects.csv",
)


def encode(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help=".smi .csv .tsv .sdf .parquet, or -.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".npy (codes only), .csv .tsv (also .gz) or .parquet (columns line, smiles, z1, "
            "z2, ...); - is a table with tabs on standard output.",
        ),
    ] = Path("-"),
    model: Model = None,
    column: Column = None,
    rejects: Rejects = None,
    refine: Refine = REFINE,
    device: Device = "auto",
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Turn molecules into codes, one row of numbers each."""
    from molae.workflows.encode import encode_file

    run = load_model(model, device, quiet=quiet)
    done = encode_file(
        run, source, output, column=column, rejects=rejects, refine=refine, workers=workers
    )
    if not quiet:
        say(f"{done.written:,} codes of {run.size} numbers to {where(output)}.")
        if done.missed:
            of = f"{done.written:,} {run.codec.items}"
            say(f"{done.missed:,} of {of} do not come back from their codes.")
    if done.rejected:
        say(f"{done.rejected:,} not encoded: {counts(done.reasons.items())}.")
