"""``molae reconstruct``: how well molecules and images come back from their codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molae.names import REFINE

from .model import load_model
from .options import Column, Device, Model, Refine, Rejects, Workers, examples
from .output import counts, say, table

if TYPE_CHECKING:
    from molae.workflows.reconstruct import Reconstruction

EXAMPLES = examples(
    "molae reconstruct my.smi -m my-model",
    "molae reconstruct my.smi --limit 2000 -o misses.csv",
    "molae reconstruct images/ -m my-images -o pairs.png",
)

#: Misses that are shown where no file is asked for, and those in one picture.
SHOWN, DRAWN = 10, 100


def reconstruct(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help=".smi .csv .tsv .sdf .parquet, or -; or images."),
    ],
    model: Model = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=f"show the first {SHOWN}",
            help="Write the misses: line, smiles, decoded, similarity. Of images all are written, "
            "with their squared error; .png shows what came back below what went in.",
        ),
    ] = None,
    column: Column = None,
    limit: Annotated[
        int | None, typer.Option(min=1, show_default="all", help="Only the first so many.")
    ] = None,
    rejects: Rejects = None,
    refine: Refine = REFINE,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Encode molecules and decode them again: the exact-match rate, and the misses.

    Rates are of the molecules that could be encoded; how many could not is said beside them. By
    the encoder alone is without the correction of --refine. Images do not come back exactly: for
    them it is the mean squared error of their values, which are from 0 to 1.
    """
    from molae.workflows.reconstruct import reconstruct as work

    run = load_model(model, device, output=output)
    done = work(
        run, source, column=column, limit=limit, rejects=rejects, refine=refine, workers=workers
    )
    if output is not None:
        _write(done, output, run.codec.exact)
    why = f" ({counts(done.reasons.items())})" if done.reasons else ""
    rows = [(run.codec.items, done.tried), *_agreed(done)]
    table([*rows, ("not encoded", f"{done.rejected:,}{why}")], err=str(output) == "-")
    if output is None and done.misses and run.codec.exact:
        typer.echo()
        head = _columns(exact=True)
        shown = [[getattr(miss, name) for name in head] for miss in done.misses[:SHOWN]]
        table(shown, list(head))


def _columns(*, exact: bool) -> dict[str, type]:
    """What is written of each."""
    return {
        "smiles": str,
        "decoded": str,
        "similarity" if exact else "squared_error": float,
        "line": int,
    }


def _agreed(done: Reconstruction) -> list[tuple[str, str]]:
    """How well they came back, in the measure that suits them."""
    if done.squared_error is not None:
        return [("squared error", f"{done.squared_error:.4g} a value (from 0 to 1)")]
    return [
        ("exact", f"{done.exact:,} ({done.rate:.2%})"),
        ("by the encoder alone", f"{done.direct:,} ({done.direct / done.tried:.2%})"),
    ]


def _write(done: Reconstruction, output: Path, exact: bool) -> None:
    """Misses, or pairs, to a file."""
    from molae.workflows.output import open_output

    head, chosen = _columns(exact=exact), done.misses
    if os.fspath(output).lower().endswith((".png", ".svg")) and len(chosen) > DRAWN:
        say(f"{output} shows the first {DRAWN} of {len(chosen):,}.")
        chosen = chosen[:DRAWN]
    with open_output(output, head, below="decoded") as out:
        for miss in chosen:
            out.write({name: getattr(miss, name) for name in head})
