"""``molae data``: the data sets that molae knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molae.names import TRANSFORMS

from .errors import UsageError
from .options import Seed, examples, known
from .output import bar, say, table

if TYPE_CHECKING:
    from molae.datasets.download import Progress

app = typer.Typer(no_args_is_help=True, help="List, fetch and find the data sets molae knows.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a data set: see molae data list.")]
Folder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", show_default="the cache folder", help="Where they are kept."),
]


@app.command("list", epilog=examples("molae data list"))
def list_() -> None:
    """List the data sets, with rows and licence."""
    from molae.datasets.cards import cards

    rows = [(card.name, card.rows, card.origin, card.description) for card in cards()]
    table(rows, ("name", "rows", "from", "description"))


@app.command(epilog=examples("molae data get zinc250k", "molae data get demo --folder ."))
def get(name: Name, folder: Folder = None) -> None:
    """Fetch a data set, verify it, keep it; prints where it is.

    A transfer that was broken off goes on where it stopped.
    """
    from molae.datasets.cards import card
    from molae.datasets.download import get_card

    found = card(name)
    with _progress() as progress:
        path = get_card(found, folder, progress, say)
    say(f"{found.name}: {found.licence}")
    typer.echo(path)


@app.command(epilog=examples('molae train "$(molae data path demo)" -o run --time 5m'))
def path(name: Name, folder: Folder = None) -> None:
    """Print where a data set is."""
    from molae.datasets.download import path as find

    typer.echo(find(name, folder))


@app.command(epilog=examples("molae data transform mnist.npz sum -o mnist-sum.npz"))
def transform(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Images of digits with their labels.")
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            callback=known(TRANSFORMS, "transform"),
            help="; ".join(f"{name}: {about}" for name, about in TRANSFORMS.items()) + ".",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The new data (.npz).")
    ],
    seed: Seed = 0,
) -> None:
    """Make data of the paper "Taming VAEs" out of images of digits.

    Train with --condition context on what has contexts (sum, rotate).
    """
    from molae.datasets.images import read_images
    from molae.datasets.transforms import save_images, transformed

    if output.suffix != ".npz":
        raise UsageError(f"{output} must end in .npz")
    made = transformed(name, read_images(source), seed)
    save_images(made, output)
    say(f"{len(made.pixels):,} images of {made.pixels.shape[1]} x {made.pixels.shape[2]} pixels")


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bytes so far, as a bar."""
    with bar("bytes", None) as update:
        yield lambda file, done, total: update(done)
