"""The options that ``molae optimize`` and ``molae suggest`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molae.names import ACQUISITIONS, DENSITIES, FILTERS, STRATEGIES, SURROGATES

from .options import choice, known_list, named, requirements

WHAT, HOW, START = "What is looked for", "How", "What it starts from"

Folder = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder of the campaign.")
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        callback=requirements,
        rich_help_panel=WHAT,
        help="What does not meet this is not suggested; in optimize it has no score, but is a "
        'call: "mw<500", or "sa<4,heavy_atoms<=38". Columns say what was found; genetic '
        "strategies keep to heavy_atoms.",
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES",
        callback=known_list(FILTERS, "filter"),
        rich_help_panel=WHAT,
        help=f"Nor what one of these finds fault with: {named(FILTERS)}; several with commas.",
    ),
]
Minimize = Annotated[
    bool, typer.Option("--minimize", rich_help_panel=WHAT, help="Low scores are good.")
]
Strategy = Annotated[
    str | None,
    choice(STRATEGIES, "strategy", HOW, "latent", f"What proposes: {named(STRATEGIES)}."),
]
Surrogate = Annotated[
    str | None,
    choice(
        SURROGATES,
        "surrogate",
        HOW,
        "trust_region",
        f"What learns the score: {named(SURROGATES)}.",
    ),
]
Acquisition = Annotated[
    str | None,
    choice(
        ACQUISITIONS,
        "acquisition",
        HOW,
        "logei, gp_genetic ucb",
        f"What chooses the next ones: {named(ACQUISITIONS)}.",
    ),
]
CodeDensity = Annotated[
    str | None,
    choice(DENSITIES, "density", HOW, "the model's best", "What says how plausible a code is."),
]
Plausible = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=0.99,
        rich_help_panel=HOW,
        show_default="0.01",
        help="Share of 5,000 draws of the density that are less likely than any code asked for; "
        "0 allows all codes.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|training",
        rich_help_panel=START,
        help="Molecules to start from; 'training' is what the model learnt from, if that is "
        "here, and has no scores. Scores in the file are known and free; without them, a molecule "
        "is a call, or suggested first.",
    ),
]
StartColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=START, show_default="guessed", help="Their SMILES column."
    ),
]
StartScore = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=START,
        show_default="score, if there is one",
        help="Their column of scores; suggest also takes one called value, measured, result, "
        "activity or target.",
    ),
]
StartLimit = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=START,
        show_default="10000",
        help="Of more, take the best, a fifth, and a random sample; without scores, only that.",
    ),
]
Initial = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=START,
        show_default="all of --start; without it 50",
        help="Scored molecules that genetic and local strategies begin with.",
    ),
]
CampaignSeed = Annotated[
    int | None, typer.Option(min=0, show_default="0", help="The same seed gives the same result.")
]
