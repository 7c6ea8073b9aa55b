"""``molae demo``: everything once, in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .errors import Stopped
from .options import Device, Quiet, Seed, Workers, duration, examples
from .output import say, silent, table

EXAMPLES = examples("molae demo", "molae demo --time 10m -n 5000 -o demo")


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write.")
    ] = Path("demo"),
    time: Annotated[str, typer.Option(metavar="4m", help="Time for the training.")] = "4m",
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many to draw.")] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Train on the shipped molecules for some minutes, draw new ones, make a picture."""
    seconds = duration(time)
    from molae.training import TrainingInterrupted
    from molae.workflows.demo import demo as work

    try:
        done = work(
            output, seconds=seconds or 0.0, n=number, seed=seed, device=device,
            progress=not quiet, workers=workers, say=silent if quiet else say,
        )  # fmt: skip
    except (KeyboardInterrupt, TrainingInterrupted) as error:
        raise Stopped("The demo begins anew when it is run again.") from error
    table([*done.rows, ("files", ", ".join(map(str, done.files)))])
