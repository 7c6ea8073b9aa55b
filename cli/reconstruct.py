"""``molae reconstruct``: how many molecules come back from their codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .model import load_model
from .options import Column, Device, Model, Refine, Rejects, Workers, examples
from .output import counts, table

EXAMPLES = examples(
    "molae reconstruct my.smi -m my-model",
    "molae reconstruct my.smi --limit 2000 -o misses.csv",
)

#: Misses that are shown where no file is asked for.
SHOWN = 10


def reconstruct(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help=".smi .csv .tsv .sdf .parquet, or -.")
    ],
    model: Model = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=f"show the first {SHOWN}",
            help="Write the misses: line, smiles, decoded, similarity.",
        ),
    ] = None,
    column: Column = None,
    limit: Annotated[
        int | None, typer.Option(min=1, show_default="all", help="Only the first so many.")
    ] = None,
    rejects: Rejects = None,
    refine: Refine = 20,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Encode molecules and decode them again: the exact-match rate, and the misses.

    Rates are of the molecules that could be encoded; how many could not is said beside them. By
    the encoder alone is without the correction of --refine.
    """
    from molae.workflows.output import open_output
    from molae.workflows.reconstruct import reconstruct as work

    run = load_model(model, device)
    done = work(
        run, source, column=column, limit=limit, rejects=rejects, refine=refine, workers=workers
    )
    head = {"smiles": str, "decoded": str, "similarity": float, "line": int}
    if output is not None:
        with open_output(output, head) as out:
            for miss in done.misses:
                out.write({name: getattr(miss, name) for name in head})
    quiet = str(output) == "-"
    why = f" ({counts(done.reasons.items())})" if done.reasons else ""
    rows = [
        ("molecules", done.tried),
        ("exact", f"{done.exact:,} ({done.rate:.2%})"),
        ("by the encoder alone", f"{done.direct:,} ({done.direct / done.tried:.2%})"),
        ("not encoded", f"{done.rejected:,}{why}"),
    ]
    table(rows, err=quiet)
    if output is None and done.misses:
        typer.echo()
        shown = [[getattr(miss, name) for name in head] for miss in done.misses[:SHOWN]]
        table(shown, list(head))
