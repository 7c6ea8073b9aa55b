"""``molae generate``: new molecules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    Config,
    Density,
    Device,
    Filter,
    Model,
    Output,
    Properties,
    Quiet,
    Seed,
    Temperature,
    Workers,
    examples,
    requirements,
)
from .output import bar, counts, say, where

if TYPE_CHECKING:
    from molae.workflows.generate import Counts, Generation

#: What ``--filters`` stands for.
STANDARD_FILTERS = ("pains", "brenk", "rings")

EXAMPLES = examples(
    "molae generate -n 1000 -o new.smi",
    "molae generate -n 20 -m my-model -o new.png",
    'molae generate -n 1000 --unique --filters --require "mw<500" --property qed,sa -o new.csv',
    "molae generate -n 1000 --unique --exclude my.smi -o new.smi",
    "molae generate -n 100 --temperature 1 --density prior --seed 7 -o - | sort -u",
)


def generate(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 1000,
    model: Model = None,
    output: Output = Path("-"),
    temperature: Temperature = None,
    density: Density = None,
    unique: Annotated[bool, typer.Option("--unique", help="Write each molecule once.")] = False,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Leave out the molecules of a file; may be repeated."),
    ] = None,
    exclude_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default="guessed", help="Their SMILES column."),
    ] = None,
    filters: Annotated[
        bool, typer.Option("--filters", help=f"The same as --filter {','.join(STANDARD_FILTERS)}.")
    ] = False,
    filter: Filter = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", callback=requirements, help='Such as "mw<500" or "qed>=0.6,rings<5".'
        ),
    ] = None,
    property: Properties = None,
    seed: Seed = 0,
    batch: Annotated[int, typer.Option(min=1, help="Drawn at a time; changes no result.")] = 4096,
    max_draws: Annotated[
        int | None,
        typer.Option(min=1, show_default="by number", help="Give up after so many draws."),
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Draw new molecules from a model, as canonical isomeric SMILES.

    Valid is not plausible: --filters, --require and --unique drop what is not wanted and say how
    many that were.
    """
    from molae.runs import Run
    from molae.workflows.generate import generate as work
    from molae.workflows.output import open_output

    run = Run.load(model, device=device)
    chosen = list(dict.fromkeys([*(STANDARD_FILTERS if filters else ()), *(filter or ())]))
    drawn = work(
        run, number, seed=seed, temperature=temperature, density=density, unique=unique,
        exclude=exclude or (), exclude_column=exclude_column, filters=chosen,
        requirements=require or (), properties=property or (), batch=batch, workers=workers,
        max_draws=max_draws,
    )  # fmt: skip
    with open_output(output, drawn.columns, legend=_legend) as out:
        for row in _shown(drawn, number, quiet):
            out.write(row)
        if not drawn.counts.written:
            raise ValueError(f"no molecule came through: {_dropped(drawn.counts)}")
    if not quiet:
        say(_summary(drawn.counts, output))


def _shown(drawn: Generation, number: int, quiet: bool) -> Iterator[dict[str, Any]]:
    with bar("molecules", number, shown=not quiet) as update:
        for row in drawn:
            yield row
            update(drawn.counts.written)


def _legend(row: Mapping[str, Any]) -> str:
    """What stands under a drawn molecule: its properties, if any were asked for."""
    return "  ".join(f"{k} {v:.3g}" for k, v in row.items() if isinstance(v, (int, float)))


def _summary(found: Counts, output: Path) -> str:
    short = f" of {found.asked:,} asked for" if found.exhausted else ""
    text = f"{found.written:,} molecules{short} to {where(output)}; {_dropped(found)}."
    if found.exhausted:
        text += " The model gave no more that are wanted: ask for less, or raise --temperature."
    return text


def _dropped(found: Counts) -> str:
    lost = counts(found.lines())
    return f"{found.drawn:,} drawn, dropped: {lost or 'none'}"
