"""``molae suggest``: molecules for a laboratory to measure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .campaign_options import (
    Acquisition,
    CampaignSeed,
    CodeDensity,
    Filters,
    Folder,
    Initial,
    Minimize,
    Plausible,
    Require,
    Start,
    StartColumn,
    StartLimit,
    StartScore,
    Strategy,
    Surrogate,
)
from .options import Config, Device, Model, Quiet, examples
from .output import say, silent

EXAMPLES = examples(
    "molae suggest -o out/ -n 24 --start measured.csv --start-score activity",
    'molae suggest -o out/ -n 24 --require "mw<450,logp<4" -m my-model',
    "molae suggest -o out/ -n 24",
    "molae suggest -o out/ -n 8 --to next.csv",
)


def suggest(
    output: Folder,
    n: Annotated[int, typer.Option("-n", min=1, help="How many molecules.")] = 24,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            show_default="FOLDER/suggestions-1.csv and so on",
            help="The table to be filled in.",
        ),
    ] = None,
    start: Start = None,
    start_column: StartColumn = None,
    start_score: StartScore = None,
    start_limit: StartLimit = None,
    initial: Initial = None,
    require: Require = None,
    filter: Filters = None,
    minimize: Minimize = False,
    model: Model = None,
    strategy: Strategy = None,
    surrogate: Surrogate = None,
    acquisition: Acquisition = None,
    density: CodeDensity = None,
    plausible: Plausible = None,
    seed: CampaignSeed = None,
    device: Device = "auto",
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Suggest molecules to measure, as a table to be filled in and given to molae tell.

    The first call begins a campaign in FOLDER, and all options but -n and --to belong to it; days
    may pass between it and the next. The name of the table goes to standard output.
    """
    from molae.workflows.optimize import suggest as work

    place, found = work(
        output, n, to=to, requirements=require or None, filters=filter or None,
        minimize=minimize or None, strategy=strategy, model=model, density=density,
        surrogate=surrogate, acquisition=acquisition, plausible=plausible, start=start,
        start_column=start_column, start_value=start_score, start_limit=start_limit,
        initial=initial, seed=seed, device=device, typed=shlex.join(["molae", *sys.argv[1:]]),
        say=silent if quiet else say,
    )  # fmt: skip
    if not found:
        raise ValueError(
            "nothing new could be suggested: tell what was measured first, or begin another "
            "campaign with fewer requirements, a larger model or --plausible 0"
        )
    if str(place) != "-":
        typer.echo(place)
    if not quiet:
        fewer = "" if len(found) == n else f" (of {n} that were wanted)"
        say(
            f"{len(found)} suggestions{fewer}: fill in the column score, some rows or all, and "
            f"give it back with: {shlex.join(['molae', 'tell', str(output), str(place)])}"
        )
