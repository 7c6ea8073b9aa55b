"""``molae evaluate``: how good generated molecules are, or the model that writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from .options import Column, Device, Model, Quiet, Seed, Workers, examples
from .output import counts, number, say, silent, table

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
        typer.Option(metavar="FILE", help="What the model has learnt from, for novelty."),
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
    definitions as in MOSES. Of a model (--model): these for each of its densities, and
    reconstruction, validity with and without masks, smoothness and use of the latent space.
    """
    if (source is None) == (model is None):
        raise typer.BadParameter(
            "name either a file of generated molecules or a model (-m RUN)",
            param_hint="'GENERATED'",
        )
    if source is None:
        _of_model(model, reference, train, n or USUAL, output, seed, device, workers, quiet)
        return
    if reference is None:
        raise typer.BadParameter(
            "needed: a file of molecules to compare with", param_hint="'--reference'"
        )
    if n is not None:
        raise typer.BadParameter("belongs to a model (-m RUN), not to a file", param_hint="'-n'")
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
    from molae.workflows.evaluate import check_report, evaluate_file, write_report

    if output is not None:
        check_report(output)
    found = evaluate_file(
        source, reference, train, column=column, workers=workers, progress=not quiet
    )
    if not quiet:
        for label, one in (("generated", found.generated), ("reference", found.reference)):
            why = f" ({counts(one.reasons.items())})" if one.reasons else ""
            say(f"{label}: {one.valid:,} of {one.total:,} records are molecules{why}")
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
    n: int,
    output: Path | None,
    seed: int,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a model, show it, write it."""
    from molae.runs import Run
    from molae.workflows.evaluate import texts_of
    from molae.workflows.evaluate_run import evaluate_run
    from molae.workflows.reading import worker_count
    from molae.workflows.report import check_report, write_report

    if output is not None:
        check_report(output)
    run = Run.load(model, device=device)

    def texts(path: Path | None) -> list[str] | None:
        if path is None:
            return None
        return [text for text in texts_of(path, whole_lines=not run.molecules) if text is not None]

    found = evaluate_run(
        run, reference=texts(reference), train=texts(train), n=n, seed=seed,
        workers=worker_count(workers), progress=not quiet,
    )  # fmt: skip
    _show(("of the model", ""), found.facts())
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
