"""``molae tell``: what a laboratory has measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Column, Device, Quiet, Rejects, Workers, examples
from .output import counts, say

if TYPE_CHECKING:
    from molae.workflows.campaign.laboratory import Told
    from molae.workflows.campaign.measured import Measured

EXAMPLES = examples(
    "molae tell out/ out/suggestions-1.csv",
    "molae tell out/ results.csv --column Smiles --value pIC50 --rejects bad.csv",
)


def tell(
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the campaign.")],
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="A table: .csv .tsv .sdf .parquet, or -.")
    ],
    column: Column = None,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="NAME",
            show_default="score, or the like",
            help="The column of measured values.",
        ),
    ] = None,
    rejects: Rejects = None,
    workers: Workers = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Read measured values back into a campaign of molae suggest.

    Rows may come in any order, and be missing or empty; several values of a molecule are averaged;
    molecules that were not suggested are taken as further data. A table can be given again with
    more rows filled in.
    """
    from molae.workflows.optimize import tell as work

    measured, told = work(
        output, results, column=column, value=value, workers=workers, rejects=rejects,
        device=device,
    )  # fmt: skip
    if not quiet:
        _say_what_was_new(told)
        _say_what_was_left(measured)


def _say_what_was_new(told: Told) -> None:
    line = f"{told.new} molecules have a value now that had none"
    if told.unknown:
        line += f", {told.unknown} of which were not suggested"
    lines = [(told.more, "had values before and have more now"),
             (told.replicated, "have several values, of which the mean is taken")]  # fmt: skip
    say("; ".join([line, *(f"{number} {what}" for number, what in lines if number)]) + ".")
    if told.repeated:
        say(f"{told.repeated} values were told before and do not count again.")


def _say_what_was_left(measured: Measured) -> None:
    if measured.unmeasured:
        say(f"{measured.unmeasured} rows have no value yet.")
    if measured.rejected:
        why = counts(measured.reasons.items())
        say(f"{measured.rejected} rows were rejected: {why}.")
        for bad in measured.first:
            say(f"  line {bad.line}: {bad.text[:60]}: {bad.reason}")
        if measured.rejected > len(measured.first):
            say("  ... (--rejects FILE writes all of them)")
