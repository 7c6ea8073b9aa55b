"""``molae evaluate``: how good generated molecules are, or the model that writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molae.names import DENSITIES

from .model import load_model
from .options import Column, Device, Model, Quiet, Seed, Workers, examples, known_list, named
from .output import counts, number, say, silent, table

if TYPE_CHECKING:
    from molae.runs import Run

EXAMPLES = examples(
    "molae evaluate new.smi --reference held-out.smi --train my.smi",
    "molae evaluate new.smi --reference held-out.smi -o report.json",
    "molae evaluate -m my-model --train my.smi -o report.html",
)

#: Molecules from each density of a model.
USUAL = 10_000


def evaluate(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="GENERATED",
            help="Generated molecules: .smi .csv .tsv .sdf .parquet, or -.",
            show_default="what a model generates",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Molecules to compare with, that the model has not learnt from."
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="of a model, the file it was trained on if it is still there",
            help="What the model has learnt from, for novelty.",
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
            help="Molecules from each density of the model.",
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
    """Measure generated molecules beside a reference, or a model with all it can do.

    Of a file of generated molecules: validity, uniqueness, novelty, diversity, similarity to the
    reference, filters, distances of properties, rings, and FCD where the extra fcd is installed;
    definitions as in MOSES. Of a model, where no file is named: these for each of its densities,
    and reconstruction, validity with and without masks, smoothness and use of the latent space.
    """
    if source is not None and model is not None:
        raise typer.BadParameter(
            "name either a file of generated molecules or a model (-m RUN)",
            param_hint="'GENERATED'",
        )
    if source is None:
        _of_model(
            model, reference, train, column, n or USUAL, density or None, output, seed, device,
            workers, quiet,
        )  # fmt: skip
        return
    if reference is None:
        raise typer.BadParameter(
            "needed: a file of molecules to compare with", param_hint="'--reference'"
        )
    for option, given in (("-n", n is not None), ("--density", bool(density))):
        if given:
            raise typer.BadParameter(
                "belongs to a model (-m RUN), not to a file", param_hint=f"'{option}'"
            )
    _of_file(source, reference, train, output, column, workers, quiet)


def _of_file(
    source: str,
    reference: Path,
    train: Path | None,
    output: Path | None,
    column: str | None,
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a file, show it, write it."""
    from molae.workflows.evaluate import evaluate_file
    from molae.workflows.report import check_report, write_report

    if output is not None:
        check_report(output, of_model=False)
    found = evaluate_file(
        source, reference, train, column=column, workers=workers, progress=not quiet
    )
    if not quiet:
        for label, one in (("generated", found.generated), ("reference", found.reference)):
            why = f" ({counts(one.reasons.items())})" if one.reasons else ""
            say(f"{label}: {one.valid:,} of {one.total:,} records are molecules{why}")
        if not found.generated.valid:
            say(f"Nothing in {source} is a molecule: is this the right file and column?")
    _show(
        ("metric", "generated", "reference", ""),
        (
            (row["metric"], row["value"], row["reference"], _remark(row["meaning"], row["note"]))
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
    output: Path | None,
    seed: int,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a model, show it, write it."""
    from molae.workflows.evaluate_run import evaluate_run
    from molae.workflows.reading import worker_count
    from molae.workflows.report import check_report, write_report

    if output is not None:
        check_report(output, of_model=True)
    run = load_model(model, device, quiet=quiet)
    learnt = _texts(run, [train], column) if train else _learnt(run, quiet)
    found = evaluate_run(
        run, reference=_texts(run, [reference], column) if reference else None, train=learnt, n=n,
        densities=densities, seed=seed, workers=worker_count(workers), progress=not quiet,
    )  # fmt: skip
    _show(("of the model", ""), found.numbers.items())
    typer.echo()
    _show(*found.table())
    if not quiet:
        for note in found.notes:
            say(f"Note: {note}")
    if output is not None:
        write_report(found, output)
        (silent if quiet else say)(f"Everything is in {output}.")


def _texts(run: Run, files: Sequence[Path], column: str | None = None) -> list[str]:
    """What a run calls texts, of some files."""
    from molae.workflows.evaluate import texts_of

    whole = not run.molecules
    every = [text for file in files for text in texts_of(file, column, whole_lines=whole)]
    return [text for text in every if text is not None]


def _learnt(run: Run, quiet: bool) -> list[str] | None:
    """What a run was trained on, if it is still where it was; says where that is."""
    from molae.datasets.files import DataError
    from molae.runs.folder import RunError
    from molae.workflows.origin import training_files

    try:
        files = training_files(run)
        texts = _texts(run, files)
    except (RunError, DataError):
        return None  # the evaluation says what it lacks
    if not quiet:
        say(f"Trained on {', '.join(map(str, files))}: what was held out is found there.")
    return texts


def _remark(meaning: str, note: str) -> str:
    return f"{meaning} ({note})" if note else meaning


def _show(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as wide as the screen, or in plain columns where there is no screen."""
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
