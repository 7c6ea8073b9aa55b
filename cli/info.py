"""``molae info``: what a run is."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import examples
from .output import table

EXAMPLES = examples("molae info", "molae info my-model")


def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", show_default="the last run made", help="A run or name."),
    ] = None,
    option: Annotated[
        str | None, typer.Option("--model", "-m", metavar="RUN", help="The same.")
    ] = None,
) -> None:
    """Show what a model is, what it was trained on and how well it does."""
    from molae.runs import Run
    from molae.workflows.info import info as work

    table(work(Run.load(model or option, device="cpu")).items())
