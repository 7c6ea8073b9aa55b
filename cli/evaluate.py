"""``molae evaluate``: how good generated molecules are, or the model that writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from molae.names import DENSITIES, FEATURES, pick

from .model import load_model
from .options import Column, Device, Model, Quiet, Seed, Workers, examples, known_list, named
from .output import number, say, silent, table

EXAMPLES = examples(
    "molae evaluate new.smi --reference held-out.smi --train my.smi",
    "molae evaluate new.smi --reference held-out.smi -o report.json",
    "molae evaluate -m my-model --train my.smi -o report.html",
    "molae evaluate drawn.npz --reference real.npz --features pca",
)

#: Molecules or images from each density of a model.
USUAL = 10_000


def _known_features(text: str | None) -> str | None:
    """Check what stands before the path of ``inception=FILE``."""
    if text is not None:
        try:
            pick(FEATURES, text.partition("=")[0], "kind of features")
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return text


def evaluate(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="GENERATED",
            help="Generated molecules: .smi .csv .tsv .sdf .parquet, or -; or images: a folder, "
            ".npz.",
            show_default="what a model generates",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Molecules or images to compare with, that the model has not learnt from.",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="of a model, the file it was trained on if it is still there",
            help="What the model has learnt from, for novelty, or nearest_train of images.",
        ),
    ] = None,
    model: Model = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--number",
            "-n",
            min=2,
            show_default=f"{USUAL:,}",
            help="Molecules or images from each density of the model.",
        ),
    ] = None,
    density: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            callback=known_list(DENSITIES, "density"),
            show_default="all that the model has",
            help=f"Densities of the model to draw from, with commas: {named(DENSITIES)}.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=_known_features,
            show_default="classifier",
            help=f"What images are compared in: {named(FEATURES)}.",
        ),
    ] = None,
    nll: Annotated[
        int,
        typer.Option(
            "--nll",
            min=0,
            metavar="SAMPLES",
            help="Estimate -log p(x) of 500 held-out ones with so many codes for each, such as "
            "5000, by importance sampling; 0 for not.",
        ),
    ] = 0,
    condition: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL|FILE",
            show_default="labels as often as in training, contexts of held-out images",
            help="What drawn images of a model with a condition are told, as for generate.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="only the screen",
            help="Write everything: .json or .csv; of a model also .html, with pictures.",
        ),
    ] = None,
    column: Column = None,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Measure generated molecules or images beside a reference, or a model with all it can do.

    Of a file of generated molecules: validity, uniqueness, novelty, diversity, similarity to the
    reference, filters, distances of properties, rings, and FCD where the extra fcd is installed;
    definitions as in MOSES. Of a model, where no file is named: these for each of its densities,
    and reconstruction, validity with and without masks, smoothness and use of the latent space;
    and, where codes are distributions, their average and marginal KL to the prior.

    Of images, files or a model's: Fréchet and kernel distances between features, precision and
    recall in two definitions, density and coverage, and nearness to the training images; of a
    model also the squared error of reconstructions, and all of these for the middle between codes.
    """
    if source is not None and model is not None:
        raise typer.BadParameter(
            "name either a file of generated molecules or a model (-m RUN)",
            param_hint="'GENERATED'",
        )
    if source is None:
        _of_model(
            model, reference, train, column, n or USUAL, density or None, features, nll,
            condition, output, seed, device, workers, quiet,
        )  # fmt: skip
        return
    if reference is None:
        raise typer.BadParameter(
            "needed: a file of molecules or images to compare with", param_hint="'--reference'"
        )
    of_models = {
        "-n": n is not None, "--density": bool(density), "--nll": bool(nll),
        "--condition": condition is not None,
    }  # fmt: skip
    for option, given in of_models.items():
        if given:
            raise typer.BadParameter(
                "belongs to a model (-m RUN), not to a file", param_hint=f"'{option}'"
            )
    _of_file(source, reference, train, output, column, features, seed, workers, quiet)


def _of_file(
    source: str,
    reference: Path,
    train: Path | None,
    output: Path | None,
    column: str | None,
    features: str | None,
    seed: int,
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a file, show it, write it."""
    from molae.workflows.evaluate_file import evaluate_any
    from molae.workflows.report import check_report, write_report

    if output is not None:
        check_report(output, of_model=False)
    found = evaluate_any(
        source, reference, train, column=column, features=features, seed=seed, workers=workers,
        progress=not quiet,
    )  # fmt: skip
    if not quiet:
        for sentence in found.told():
            say(sentence)
    columns = [name for name in found.types() if name not in ("note", "meaning")]
    _show(
        ("generated" if name == "value" else name for name in (*columns, "")),
        (
            (*(row[name] for name in columns), _remark(row["meaning"], row["note"]))
            for row in found.rows()
        ),
    )
    if output is not None:
        write_report(found, output)
        (silent if quiet else say)(f"Everything is in {output}.")


def _of_model(
    model: str | None,
    reference: Path | None,
    train: Path | None,
    column: str | None,
    n: int,
    densities: list[str] | None,
    features: str | None,
    nll: int,
    condition: str | None,
    output: Path | None,
    seed: int,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a model, show it, write it."""
    from molae.workflows.evaluate_run import evaluate_model
    from molae.workflows.reading import worker_count
    from molae.workflows.report import check_report, write_report

    if output is not None:
        check_report(output, of_model=True)
    run = load_model(model, device, quiet=quiet)
    found = evaluate_model(
        run, reference=reference, train=train, column=column, n=n, densities=densities,
        features=features, nll=nll, condition=condition, seed=seed,
        workers=worker_count(workers), progress=not quiet, say=silent if quiet else say,
    )  # fmt: skip
    _show(
        ("of the model", "", "measured on"),
        ((name, value, found.sizes.get(name)) for name, value in found.numbers.items()),
    )
    typer.echo()
    _show(*found.table())
    if not quiet:
        for note in found.notes:
            say(f"Note: {note}")
    if output is not None:
        write_report(found, output)
        (silent if quiet else say)(f"Everything is in {output}.")


def _remark(meaning: str, note: str) -> str:
    return f"{meaning} ({note})" if note else meaning


def _show(head: Iterable[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as wide as the screen, or in plain columns where there is no screen."""
    head = list(head)
    if not sys.stdout.isatty():
        table(rows, head)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(*head, header_style="bold")
    for column in shown.columns[1:-1]:
        column.justify = "right"
    for row in rows:
        shown.add_row(*(escape(number(cell)) for cell in row))
    Console().print(shown)
