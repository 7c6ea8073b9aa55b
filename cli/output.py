"""What commands print: remarks on standard error, results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer


def say(text: str) -> None:
    """A remark, on standard error: data may be on its way to standard output."""
    typer.echo(text, err=True)


def silent(text: str) -> None:
    """A remark that is not wanted."""


def table(
    rows: Iterable[Sequence[object]], head: Sequence[str] = (), *, err: bool = False
) -> None:
    """Rows in aligned columns, as wide as they are: they can be piped, cut and grepped."""
    cells = [[number(cell) for cell in row] for row in rows]
    lines = [[word.upper() for word in head], *cells] if head else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip(), err=err)


def number(value: object) -> str:
    """A cell as text: thousands separated, four digits of a fraction, nothing for None.

    An image, which is a long text, is only said to be one.
    """
    if isinstance(value, bool) or value is None:
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return "(image)" if text.startswith("data:image/") else text


def counts(lines: Iterable[tuple[str, int]]) -> str:
    """``[("duplicates", 3), ("invalid", 1)]`` as ``3 duplicates, 1 invalid``."""
    return ", ".join(f"{count:,} {label}" for label, count in lines)


def where(path: str | Path) -> str:
    """What a sentence calls an output."""
    return "standard output" if str(path) == "-" else str(path)


@contextmanager
def bar(
    label: str, total: float | None, *, shown: bool = True
) -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error, if that is a terminal; gives ``update(done)``."""
    if not shown or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)
