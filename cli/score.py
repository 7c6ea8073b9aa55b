"""``molae score``: properties of molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Column, Output, Properties, Quiet, Rejects, Workers, examples
from .output import say, table, where

EXAMPLES = examples(
    "molae score new.smi --property qed,logp,sa,mw -o scored.csv",
    "molae score library.csv --column Smiles -p plogp -o scored.parquet",
)

DEFAULT = ("qed", "logp", "sa", "mw")


def score(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help=".smi .csv .tsv .sdf .parquet, or -.")
    ],
    property: Properties = None,
    output: Output = Path("-"),
    column: Column = None,
    rejects: Rejects = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Compute properties of the molecules of a file, and add them to its columns.

    Without --property these are qed, logp, sa and mw.
    """
    from molae.workflows.score import score_file

    done = score_file(
        source, output, property or DEFAULT, column=column, rejects=rejects, workers=workers,
        progress=not quiet,
    )  # fmt: skip
    if done.written and not quiet:
        table(done.means.items(), ("property", "mean"), err=str(output) == "-")
    if not quiet:
        say(f"{done.written:,} molecules to {where(output)}, {done.rejected:,} could not be read.")
