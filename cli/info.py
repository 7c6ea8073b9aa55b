"""``molae info``: what a run is."""

from __future__ import annotations

from typing import Annotated

import typer

from .model import load_model
from .options import USUAL_MODEL, examples
from .output import table

EXAMPLES = examples("molae info", "molae info my-model", "molae info zinc")


def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", show_default=USUAL_MODEL, help="A run or name."),
    ] = None,
    option: Annotated[
        str | None, typer.Option("--model", "-m", metavar="RUN", help="The same.")
    ] = None,
) -> None:
    """Show what a model is, how it was made and how well it does.

    Where none is named, the models that ship with molae are listed too.
    """
    from molae.workflows.info import info as work
    from molae.workflows.info import shipped

    name = model or option
    table(work(load_model(name, "cpu")).items())
    if name is None and (rows := shipped()):
        typer.echo()
        table([list(row.values()) for row in rows], ("shipped model", "size", "about"))
