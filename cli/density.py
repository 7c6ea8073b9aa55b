"""``molae density``: what codes are drawn from, fitted again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molae.names import DENSITIES, FITTED_DENSITIES

from .model import load_model
from .options import Column, Device, Model, Quiet, Seed, Workers, examples, known, named
from .output import bar, say, table

if TYPE_CHECKING:
    from molae.densities.base import Progress
    from molae.workflows.density import Refit, Stage

app = typer.Typer(
    no_args_is_help=True, help="Fit what codes are drawn from again, after training; compare."
)

#: What can be fitted after training.
_FITTED = {name: DENSITIES[name] for name in FITTED_DENSITIES}

FIT = examples(
    "molae density fit -m my-model --density gmm --components 50",
    "molae density fit -m my-model --components auto",
    "molae density fit -m my-model --density flow --data my.smi",
    "molae density fit -m my-model --density kde --set bandwidth=0.4 --set shrink=false",
)


def _components(text: str | None) -> str | None:
    """A check that it is a number or ``auto``."""
    if text is not None and text != "auto" and not (text.isdecimal() and int(text) > 0):
        raise typer.BadParameter(f"{text!r} is no number of components; expected 1 up, or auto")
    return text


def _settings(texts: list[str] | None) -> list[str]:
    """A check that each is ``KEY=VALUE``."""
    for text in texts or ():
        if not text.partition("=")[0].strip() or "=" not in text:
            raise typer.BadParameter(f"{text!r} is no setting; expected KEY=VALUE")
    return texts or []


@app.command(epilog=FIT)
def fit(
    model: Model = None,
    density: Annotated[
        str,
        typer.Option(
            callback=known(DENSITIES, "density"),
            help=f"What to fit: {named(_FITTED)}.",
        ),
    ] = "gmm",
    components: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            callback=_components,
            show_default="by density",
            help="Gaussians in a mixture; auto tries 1, 2, 5, 10, 20, ... and takes the number "
            "under which held-out codes are likeliest.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            callback=_settings,
            help="Any other setting of the density, such as bandwidth=scott or epochs=50; may be "
            "repeated.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            show_default="what the model was trained on",
            help="Fit to the codes of these molecules; may be repeated.",
        ),
    ] = None,
    column: Column = None,
    codes: Annotated[int, typer.Option(min=2, help="Codes to fit to, at most.")] = 50_000,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            show_default="the model itself",
            help="Write a copy of the model with the density there.",
        ),
    ] = None,
    seed: Seed = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", show_default="beside the files", help="Where to keep encoded data."
        ),
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Fit a density to the codes of a trained model, whose weights stay as they are.

    A tenth of the codes is held out, always the same; how likely they are under each density of
    the model is printed in nats per code.
    """
    from molae.workflows.density import fit_density, list_densities

    run = load_model(model, device, quiet=quiet)
    asked: int | Literal["auto"] | None = None
    if components is not None:
        asked = "auto" if components == "auto" else int(components)
    pairs = (text.partition("=") for text in settings or ())
    done = fit_density(
        run, density, components=asked,
        settings={key.strip(): value.strip() for key, _, value in pairs}, files=data or None,
        column=column, codes=codes, seed=seed, output=output, cache=cache, workers=workers,
        stage=_stage(not quiet),
    )  # fmt: skip
    if done.tried:
        table(done.tried, ("components", "held-out nats"))
        typer.echo()
    table([list(row.values()) for row in list_densities(run)], _HEAD)
    if not quiet:
        say(_summary(done))


_HEAD = ("density", "fitted", "held-out nats", "usual")


@app.command("list", epilog=examples("molae density list", "molae density list -m my-model"))
def list_(model: Model = None) -> None:
    """List the densities of a model, and how likely held-out codes are under each.

    Nats per code, higher is better; the usual one is what molae generate draws from.
    """
    from molae.workflows.density import list_densities

    rows = list_densities(load_model(model, "cpu"))
    table([list(row.values()) for row in rows], _HEAD)


def _stage(shown: bool) -> Stage:
    """A bar for each part of the work."""

    @contextmanager
    def stage(label: str) -> Iterator[Progress]:
        with bar(label, 1.0, shown=shown) as update:
            yield update

    return stage


def _summary(done: Refit) -> str:
    text = f"{done.name}: {done.described}; fitted to {done.fitted:,} codes"
    text += f", judged by {done.facts['held_out']:,} others; in {done.folder}."
    if done.rejected:
        text += f" {done.rejected:,} lines could not be used."
    return text
