"""Cells on disc, and tables of them on a screen and on a page: what tables of benchmarks share.

A cell is a JSON file with what one method came to with one seed. Its ``values`` say how it was
made under ``protocol`` (the same in all cells of a folder) and ``settings`` (of the method).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.record import RESULTS, record, write
from molae.datasets.files import replacing

Values = dict[str, Any]
#: Head and rows of a table.
Rows = tuple[list[str], list[list[str]]]
#: What a page says of how its tables are written.
BY = "a command of benchmarks/ with"


# Cells -------------------------------------------------------------------------------------------


def values_of(path: Path) -> Values:
    """The values of a cell; the first cells of ``frontier`` hold nothing else."""
    content: Values = json.loads(path.read_text("utf-8"))
    found: Values = content.get("values", content)
    return found


def there(path: Path, protocol: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether a cell is done.

    Args:
        path: Its file.
        protocol: What all cells have in common now.
        settings: Of the method.

    Raises:
        ValueError: It was made otherwise.
    """
    if not path.is_file():
        return False
    values = values_of(path)
    made, method = values.get("protocol", values), values.get("settings", {})
    odd = [*_odd(made, protocol, protocol), *_odd(method, settings, {**method, **settings})]
    if odd:
        raise ValueError(
            f"{path} was made otherwise: {', '.join(odd)}; give the same options, or another --out"
        )
    return True


def _odd(was: Mapping[str, Any], given: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """What differs, of so many names."""
    now = json.loads(json.dumps(dict(given)))
    pairs = [(name, was.get(name), now.get(name)) for name in names]
    return [f"{name} was {old} and is now {new}" for name, old, new in pairs if old != new]


@dataclass(frozen=True)
class Job:
    """A cell that is wanted.

    Attributes:
        name: Of its file.
        settings: Of its method.
        facts: What else is to stand in it, such as method and seed.
    """

    name: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]


def jobs_of(
    methods: Iterable[str],
    seeds: Iterable[int],
    settings: Callable[[str, int], Mapping[str, Any]],
    kind: str = "model",
) -> list[Job]:
    """A cell of each method with each seed, all methods of a seed before the next seed.

    Args:
        methods: What they are typed as.
        seeds: Of all.
        settings: Of a method with a seed.
        kind: What a method is called in its cell.
    """
    methods = list(methods)
    return [
        Job(f"{method}-{seed}", settings(method, seed), {kind: method, "seed": seed})
        for seed in seeds
        for method in methods
    ]


def fill(
    folder: Path,
    protocol: Mapping[str, Any],
    jobs: Sequence[Job],
    make: Callable[[Job], Values],
    told: Callable[[Values], str],
) -> None:
    """Make every cell that is not there yet, and say how each went.

    Args:
        folder: Of the cells.
        protocol: What all of them have in common.
        jobs: The cells.
        make: What a cell comes to.
        told: That in a few words.

    Raises:
        ValueError: A cell there was made otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {job.name: folder / f"{job.name}.json" for job in jobs}
    missing = [job for job in jobs if not there(paths[job.name], protocol, job.settings)]
    if not missing:
        print(f"all {len(jobs)} cells are in {folder}", flush=True)
    for number, job in enumerate(missing, 1):
        if there(paths[job.name], protocol, job.settings):
            continue  # made by another process in the meantime
        began = time.perf_counter()
        found = make(job)
        stated = {"protocol": dict(protocol), "settings": dict(job.settings)}
        write(paths[job.name], {**job.facts, **stated, **found})
        seconds = time.perf_counter() - began
        print(f"{number}/{len(missing)} {job.name}: {told(found)} in {seconds:.0f} s", flush=True)


def read_cells(folder: Path) -> list[Values]:
    """Values of all cells of a folder.

    Raises:
        ValueError: There are none, or they were made in several ways.
    """
    files = sorted(folder.glob("*-*.json"))
    cells = [values_of(path) for path in files]
    if not cells:
        raise ValueError(f"there are no cells in {folder}")
    if any(each["protocol"] != cells[0]["protocol"] for each in cells):
        raise ValueError(f"the cells in {folder} were made in several ways: keep one of them")
    return cells


# Numbers -----------------------------------------------------------------------------------------


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean ± standard deviation over seeds, or the one value; "-" where there is none."""
    found = [value for value in values if value is not None]
    if not found:
        return "-"
    text = f"{mean(found):.{digits}f}"
    return text if len(found) < 2 else f"{text} ± {stdev(found):.{digits}f}"


def seeds(cells: Sequence[Values]) -> str:
    """The seeds of cells: ``0-4`` or ``0, 2``."""
    found = sorted({int(each["seed"]) for each in cells})
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}-{found[-1]}"
    return ", ".join(map(str, found))


class Column:
    """A column: its head, how a number is read, and how it is written.

    Args:
        head: Above it.
        path: Keys to the number in a cell.
        digits: After the point.
        scale: What it is multiplied with.
    """

    def __init__(self, head: str, *path: str, digits: int = 1, scale: float = 1.0) -> None:
        self.head, self.path, self.digits, self.scale = head, path, digits, scale

    def read(self, cell: Values) -> float | None:
        """The number, scaled; None where there is none."""
        found: Any = cell
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        return None if found is None else self.scale * float(found)

    def text(self, cells: Sequence[Values]) -> str:
        """Mean ± deviation over the cells; "-" where none has the number."""
        return spread([self.read(cell) for cell in cells], self.digits)


# Screen and page ---------------------------------------------------------------------------------


def show(title: str, rows: Rows, console: Console | None = None, left: int = 2) -> None:
    """Print a table; as many columns as ``left`` says hold words."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if number < left else "right")
    for row in rows[1]:
        table.add_row(*row)
    (console or Console(width=220)).print(table)


def markdown(rows: Rows) -> list[str]:
    """The lines of a table; a bar in a cell, as in p(x|z), is no border."""
    head, body = rows
    lines = (head, ["---"] * len(head), *body)
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def marks(name: str, by: str = BY) -> tuple[str, str]:
    """The lines of a page between which a benchmark writes; ``by`` says how they are written."""
    return f"<!-- {name}: written by {by} --markdown -->", f"<!-- {name}: end -->"


def rewrite(page: Path, name: str, lines: Sequence[str], by: str = BY) -> None:
    """Put lines between the marks of a page; what stands around them stays.

    Raises:
        ValueError: The page has not both marks, once each and in order.
    """
    begin, end = marks(name, by)
    text = page.read_text("utf-8") if page.is_file() else ""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{page} needs the lines {begin!r} and {end!r}, once each, in order")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    with replacing(page) as part:
        part.write_text("\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"]), "utf-8")


@dataclass(frozen=True)
class Shown:
    """A table with its title.

    Attributes:
        title: Above it.
        rows: Head and rows.
        left: Columns that hold words, from the left.
    """

    title: str
    rows: Rows
    left: int = 2


def present(
    options: argparse.Namespace,
    name: str,
    tables: Sequence[Shown],
    notes: Sequence[str],
    console: Console | None = None,
) -> None:
    """Print tables and notes; write them into the page where that is asked for.

    Args:
        options: Of the command line.
        name: Of the benchmark.
        tables: What to show.
        notes: Sentences below.
        console: Where to print.

    Raises:
        ValueError: The page has no place for them.
    """
    console = console or Console(width=220)
    lines: list[str] = []
    for each in tables:
        show(each.title, each.rows, console, each.left)
        lines += [*([""] if lines else []), f"**{each.title}**", "", *markdown(each.rows)]
    for note in notes:
        console.print(note, markup=False, highlight=False)
    if options.markdown:
        rewrite(options.page, name, [*lines, "", *(f"- {note}" for note in notes)])
    elif options.out == RESULTS / name and not options.table:
        tidy = [{"title": t.title, "head": t.rows[0], "rows": t.rows[1]} for t in tables]
        record(name, {"tables": tidy, "notes": list(notes)})
