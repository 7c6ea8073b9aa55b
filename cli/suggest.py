"""``molae suggest``: molecules for a laboratory to measure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from molae.names import ACQUISITIONS, DENSITIES, FILTERS, STRATEGIES, SURROGATES

from .options import (
    Config,
    Device,
    Model,
    Quiet,
    choice,
    examples,
    known_list,
    named,
    requirements,
)
from .output import say, silent

EXAMPLES = examples(
    "molae suggest -o out/ -n 24 --start measured.csv --start-score activity",
    'molae suggest -o out/ -n 24 --require "mw<450,logp<4" -m my-model',
    "molae suggest -o out/ -n 24",
    "molae suggest -o out/ -n 8 --to next.csv",
)

_BEGIN = "Where a campaign begins (later it goes on as it was begun)"


def suggest(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder of the campaign.")
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="How many molecules.")] = 24,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            show_default="FOLDER/suggestions-1.csv and so on",
            help="The table to be filled in.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|training",
            rich_help_panel=_BEGIN,
            help="Molecules that are measured already; those without a value are suggested first.",
        ),
    ] = None,
    start_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_BEGIN,
            show_default="guessed",
            help="Their SMILES column.",
        ),
    ] = None,
    start_score: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_BEGIN,
            show_default="score, if there is one",
            help="Their column of values.",
        ),
    ] = None,
    start_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_BEGIN,
            show_default="10000",
            help="Of more, take the best and a random sample.",
        ),
    ] = None,
    initial: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_BEGIN,
            show_default="all of --start; without it 50",
            help="Measured molecules that genetic and local strategies begin with.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            callback=requirements,
            rich_help_panel=_BEGIN,
            help='Suggest only what meets this: "mw<500", or "sa<4,logp<5".',
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            callback=known_list(FILTERS, "filter"),
            rich_help_panel=_BEGIN,
            help=f"Suggest nothing that these find fault with: {named(FILTERS)}.",
        ),
    ] = None,
    minimize: Annotated[
        bool, typer.Option("--minimize", rich_help_panel=_BEGIN, help="Low values are good.")
    ] = False,
    model: Model = None,
    strategy: Annotated[
        str | None,
        choice(STRATEGIES, "strategy", _BEGIN, "latent", f"What proposes: {named(STRATEGIES)}."),
    ] = None,
    surrogate: Annotated[
        str | None,
        choice(
            SURROGATES,
            "surrogate",
            _BEGIN,
            "trust_region",
            f"What learns the values: {named(SURROGATES)}.",
        ),
    ] = None,
    acquisition: Annotated[
        str | None,
        choice(
            ACQUISITIONS,
            "acquisition",
            _BEGIN,
            "logei, gp_genetic ucb",
            f"What chooses the next codes: {named(ACQUISITIONS)}.",
        ),
    ] = None,
    density: Annotated[
        str | None,
        choice(
            DENSITIES, "density", _BEGIN, "the model's best", "What says how plausible a code is."
        ),
    ] = None,
    plausible: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            rich_help_panel=_BEGIN,
            show_default="0.01",
            help="Ask for no code less likely than this share of the usual ones; 0 allows all.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=_BEGIN,
            show_default="0",
            help="The same seed gives the same result.",
        ),
    ] = None,
    device: Device = "auto",
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Suggest molecules to measure, as a table to be filled in and given to molae tell.

    The first call begins a campaign in FOLDER; days may pass between it and the next. The name of
    the table goes to standard output.
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
