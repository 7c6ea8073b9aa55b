"""``molae generate``: new molecules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molae.names import CHAINS

from .model import load_model
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
    choice,
    examples,
    named,
    requirements,
)
from .output import bar, counts, say, where

if TYPE_CHECKING:
    from molae.densities import LatentDensity
    from molae.runs import Run
    from molae.workflows.generate import Counts, Generation

#: What ``--filters`` stands for.
STANDARD_FILTERS = ("pains", "brenk", "rings")

EXAMPLES = examples(
    "molae generate -n 1000 -o new.smi",
    "molae generate -n 20 -m my-model -o new.png",
    'molae generate -n 1000 --unique --filters --require "mw<500" --property qed,sa -o new.csv',
    "molae generate -n 1000 --unique --exclude my.smi -o new.smi",
    "molae generate -n 100 --like actives.smi --unique --exclude actives.smi -o more.smi",
    'molae generate -n 20 --like "CC(=O)Oc1ccccc1C(=O)O" --radius 0.3 -o near.png',
    "molae generate -n 50 --scaffold c1ccncc1 -p qed -o pyridines.csv",
    "molae generate -n 100 --temperature 1 --density prior --noise 0 --seed 7 -o - | sort -u",
    "molae generate -n 64 -m my-images -o grid.png",
    "molae generate -n 10000 -m my-images -o many.npz",
    "molae generate -n 16 -m my-digits --condition 7 -o sevens.png",
    "molae generate -n 64 -m my-dae --chain bengio --steps 50 -o walked.png",
)


def smarts(texts: list[str] | None) -> list[str]:
    """A check that patterns can be read, before anything is loaded."""
    if not texts:
        return []
    from molae.chem.substructure import pattern

    try:
        for text in texts:
            pattern(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return texts


def generate(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 1000,
    model: Model = None,
    output: Output = Path("-"),
    temperature: Temperature = None,
    density: Density = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            show_default="that of the model",
            help="Blur drawn codes by so much and tell the decoder: more gives more usual "
            "molecules, 0 what the code says exactly.",
        ),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL|FILE",
            show_default="labels as often as in training",
            help="What a model with a condition is told: labels such as 7 or 0,1,2, taken in "
            "turn, or a file whose contexts are (.npz).",
        ),
    ] = None,
    chain: Annotated[
        str | None,
        choice(CHAINS, "chain", None, "none", f"Walk from each draw: {named(CHAINS)}."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of --chain.")] = 50,
    chain_noise: Annotated[
        float, typer.Option(min=0.0, help="How far the chain rifai moves in a step.")
    ] = 0.2,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|SMILES",
            help="More like these: draw from around their codes, or with --density from what is "
            "fitted to them; may be repeated.",
        ),
    ] = None,
    like_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default="guessed", help="Their SMILES column."),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            show_default="0.5",
            help="How far from each of them to go, in standard deviations of the training codes.",
        ),
    ] = None,
    like_rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write which of them could not be used, and why (.csv)."
        ),
    ] = None,
    scaffold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SMARTS",
            callback=smarts,
            help="Keep only what contains this pattern; may be repeated for more that must be in.",
        ),
    ] = None,
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
    """Draw new molecules from a model, as canonical isomeric SMILES; or new images.

    Images go to one grid (.png), an array (.npz), or a folder (ends with /), a .png each.

    Valid is not plausible: --filters, --require, --scaffold and --unique drop what is not wanted
    and say how many that were. --like stays near molecules that are given; --exclude the same file
    to leave out those themselves.
    """
    from molae.workflows.chains import Walk
    from molae.workflows.conditions import contexts_of
    from molae.workflows.generate import generate as work
    from molae.workflows.output import open_output

    _belong_to_like(
        like,
        {"--radius": radius, "--like-column": like_column, "--like-rejects": like_rejects},
    )
    run = load_model(model, device, quiet=quiet, output=output)
    chosen = list(dict.fromkeys([*(STANDARD_FILTERS if filters else ()), *(filter or ())]))
    source: str | LatentDensity | None = density
    if like:
        source, around = _like(
            run, like, like_column, like_rejects, radius, density, workers, quiet
        )
        noise = around if noise is None else noise
    drawn = work(
        run, number, seed=seed, temperature=temperature, noise=noise, density=source,
        context=contexts_of(run, condition),
        walk=None if chain is None else Walk(chain, steps, chain_noise),
        unique=unique, exclude=exclude or (), exclude_column=exclude_column,
        scaffolds=scaffold or (), filters=chosen, requirements=require or (),
        properties=property or (), batch=batch, workers=workers, max_draws=max_draws,
    )  # fmt: skip
    items = run.codec.items
    with open_output(output, drawn.columns, legend=_legend) as out:
        for row in _shown(drawn, number, items, quiet):
            out.write(row)
        if not drawn.counts.written:
            raise ValueError(f"no {items} came through: {_dropped(drawn.counts)}")
    if not quiet:
        say(_summary(drawn.counts, output, items))


def _belong_to_like(like: list[str] | None, options: Mapping[str, object]) -> None:
    """Refuse what says something of ``--like`` where that is not given."""
    given = [name for name, value in options.items() if value is not None]
    if given and not like:
        raise typer.BadParameter(
            "this goes with --like, which is not given", param_hint=f"'{given[0]}'"
        )


def _like(
    run: Run,
    like: list[str],
    column: str | None,
    rejects: Path | None,
    radius: float | None,
    density: str | None,
    workers: int | None,
    quiet: bool,
) -> tuple[LatentDensity, float | None]:
    """What codes like those of given molecules are drawn from, and with what noise.

    Says what could not be used.
    """
    from molae.workflows.like import density_like, read_examples

    found = read_examples(run, like, column=column, rejects=rejects, workers=workers)
    if not quiet:
        again = f" (repeats left out: {found.duplicates:,})" if found.duplicates else ""
        say(f"{run.codec.items.capitalize()} to be like: {len(found.z):,}{again}.")
    if found.rejected:
        say(f"{found.rejected:,} not encoded: {counts(found.reasons.items())}.")
    return density_like(run, found.z, radius=radius, density=density)


def _shown(drawn: Generation, number: int, items: str, quiet: bool) -> Iterator[dict[str, Any]]:
    with bar(items, number, shown=not quiet) as update:
        for row in drawn:
            yield row
            update(drawn.counts.written)


def _legend(row: Mapping[str, Any]) -> str:
    """What stands under a drawn molecule: its properties, if any were asked for."""
    return "  ".join(f"{k} {v:.3g}" for k, v in row.items() if isinstance(v, (int, float)))


def _summary(found: Counts, output: Path, items: str) -> str:
    short = f" of {found.asked:,} asked for" if found.exhausted else ""
    text = f"{found.written:,} {items}{short} to {where(output)}; {_dropped(found)}."
    if found.exhausted and not found.missing:
        text += " The model gave no more that are wanted: ask for less, or raise --temperature."
    return text


def _dropped(found: Counts) -> str:
    """What became of the draws, and what may help where a scaffold is rare."""
    each = found.drawn_for_each
    rate = f" ({each:,.1f} for each one kept)" if found.missing and each else ""
    text = f"{found.drawn:,} drawn{rate}, dropped: {counts(found.lines()) or 'none'}"
    if found.exhausted and found.missing:
        text += (
            "; no more are looked for: raise --max-draws, or draw --like molecules that have the "
            "scaffold"
        )
    return text
