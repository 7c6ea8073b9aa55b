"""``molae prepare``: raw molecules to a clean list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Column, Config, Output, Quiet, Rejects, Workers, examples, split
from .output import table, where

if TYPE_CHECKING:
    from molae.workflows.prepare import Prepared

EXAMPLES = examples(
    "molae prepare library.csv.gz -o clean.smi",
    "molae prepare raw.sdf --neutralise --max-atoms 50 --rejects rejects.csv -o clean.smi",
    "molae prepare raw.smi --elements C,N,O,F,S,Cl -o - | gzip > clean.smi.gz",
)


def prepare(
    source: Annotated[
        str, typer.Argument(metavar="RAW", help="Molecules: .smi .csv .tsv .sdf .parquet, or -.")
    ],
    output: Output = Path("-"),
    fragment: Annotated[
        str, typer.Option(help="largest keeps the largest part of a salt, all keeps every part.")
    ] = "largest",
    neutralise: Annotated[
        bool, typer.Option("--neutralise", help="Add and remove protons where that ends charges.")
    ] = False,
    stereo: Annotated[bool, typer.Option(help="Keep stereochemistry, or drop it.")] = True,
    unique: Annotated[bool, typer.Option(help="Write each molecule once.")] = True,
    min_atoms: Annotated[int, typer.Option(min=0, help="Fewest heavy atoms.")] = 1,
    max_atoms: Annotated[
        int | None, typer.Option(min=1, show_default="no limit", help="Most heavy atoms.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, show_default="no limit", help="Longest SMILES written.")
    ] = None,
    elements: Annotated[
        str | None, typer.Option(metavar="C,N,O", show_default="all", help="Elements allowed.")
    ] = None,
    column: Column = None,
    rejects: Rejects = None,
    workers: Workers = None,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Clean molecules: salts, charges, stereo, sizes, elements, duplicates.

    Writes canonical SMILES and says what was dropped and why.
    """
    from molae.workflows.prepare import prepare_file

    done = prepare_file(
        source, output, fragment=fragment, neutralise=neutralise, stereo=stereo,
        min_atoms=min_atoms, max_atoms=max_atoms, max_length=max_length,
        elements=split([elements]) if elements else None, unique=unique, column=column,
        rejects=rejects, workers=workers, progress=not quiet,
    )  # fmt: skip
    if not quiet:
        _report(done, output)


def _report(done: Prepared, output: Path) -> None:
    """What became of the molecules."""
    rows: list[tuple[str, int]] = [
        ("read", done.read),
        (f"written to {where(output)}", done.written),
        ("changed", done.changed),
        ("duplicates", done.duplicates),
        ("rejected", done.rejected),
        *((f"  {reason}", count) for reason, count in done.reasons.items()),
    ]
    table(rows, err=str(output) == "-")
