"""What benchmarks of optimisers share: cells on disc, tables on a screen and on a page, options.

A cell is a JSON file with what one method came to with one seed. Its ``values`` say how it was
made under ``protocol`` (the same in all cells of a folder) and ``settings`` (of the method).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.record import RESULTS, machine, record
from molae.datasets.files import cache_folder, replacing
from molae.training import TrainingInterrupted

#: The page that tables are written into, each between its own marks.
PAGE = Path(__file__).parents[1] / "docs" / "optimization.md"
#: What the wall-clock is split into.
PARTS = ("ask", "decode", "oracle", "retrain")
#: Heads of what ``cost`` gives.
COST = ("new valid calls", "invalid %", "repeated %", *(f"{part}, s" for part in PARTS))

Values = dict[str, Any]
#: Head and rows of a table.
Rows = tuple[list[str], list[list[str]]]


# Cells -------------------------------------------------------------------------------------------


def write(path: Path, values: Values) -> None:
    """A cell with what it depends on; whole or not at all."""
    # File names only: where data lies on one machine is of no use on another.
    words = [Path(word).name if os.sep in word else word for word in sys.orig_argv]
    content = {
        "name": path.stem,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(words),
        "machine": machine(),
        "values": values,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


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
    values = json.loads(path.read_text("utf-8"))["values"]
    was = {**values["protocol"], "settings": values["settings"]}
    now = json.loads(json.dumps({**protocol, "settings": settings}))
    odd = [name for name in now if was.get(name) != now[name]]
    if odd:
        raise ValueError(
            f"{path} was made otherwise ({', '.join(odd)}): give the same options, or another "
            "--out"
        )
    return True


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
    for number, job in enumerate(missing, 1):
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
    cells = [json.loads(path.read_text("utf-8"))["values"] for path in files]
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


def proposed(counts: Mapping[str, int]) -> int:
    """How many candidates there were: calls, and what was free."""
    return sum(counts[name] for name in ("calls", "duplicates", "known", "invalid"))


def cost(cells: Sequence[Values]) -> list[str]:
    """What the cells of a method cost, under the heads ``COST``.

    Calls are counted as new valid molecules, those without a score among them. Repeats are of what
    the campaign had scored or had known. Seconds are means over the cells.
    """
    counts = [each["counts"] for each in cells]
    total = max(sum(map(proposed, counts)), 1)
    repeated = sum(each["duplicates"] + each["known"] for each in counts)
    return [
        spread([each["calls"] for each in counts], 0),
        f"{100 * sum(each['invalid'] for each in counts) / total:.1f}",
        f"{100 * repeated / total:.1f}",
        *(f"{mean(each['seconds'].get(part, 0.0) for each in cells):.1f}" for part in PARTS),
    ]


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by part, to hundredths."""
    return {name: round(float(value), 2) for name, value in seconds.items()}


def curve(trace: Sequence[float], every: int) -> list[list[float]]:
    """Every so many calls, and at the last, the call and the value; up to the first score none."""
    calls = [*range(every, len(trace), every), len(trace)] if len(trace) else []
    values = [(call, float(trace[call - 1])) for call in calls]
    return [[call, round(value, 5)] for call, value in values if not math.isnan(value)]


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
    """The lines of a table."""
    head, body = rows
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body)]


def marks(name: str) -> tuple[str, str]:
    """The lines of a page between which a benchmark writes."""
    begin = f"<!-- {name}: written by a command of benchmarks/ with --markdown -->"
    return begin, f"<!-- {name}: end -->"


def rewrite(page: Path, name: str, lines: Sequence[str]) -> None:
    """Put lines between the marks of a page; what stands around them stays.

    Raises:
        ValueError: The page has not both marks, once each and in order.
    """
    begin, end = marks(name)
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


# The command line --------------------------------------------------------------------------------


def parser(doc: str | None, methods: Sequence[str]) -> argparse.ArgumentParser:
    """The options that all have."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", type=Path, nargs="?", help="molecules: .smi .csv ..., also gzipped")
    made.add_argument("--quick", action="store_true", help="a minute, with what ships with molae")
    made.add_argument(
        "--methods", nargs="+", choices=list(methods), metavar="NAME", help=", ".join(methods)
    )  # fmt: skip
    made.add_argument("--seeds", nargs="+", type=int)
    made.add_argument("--model", help="a run folder, or the name of a shipped model (zinc)")
    made.add_argument("--device", default="auto")
    made.add_argument("--workers", type=int, help="processes that read molecules")
    made.add_argument("--out", type=Path, help="folder of cells")
    made.add_argument("--work", type=Path, help="folder of campaigns (the user's cache)")
    made.add_argument("--table", action="store_true", help="print the cells that are there")
    made.add_argument("--markdown", action="store_true", help="write them into --page")
    made.add_argument("--page", type=Path, default=PAGE)
    return made


def settled(
    made: argparse.ArgumentParser,
    words: Sequence[str] | None,
    name: str,
    usual: Mapping[str, tuple[Any, Any]],
) -> argparse.Namespace:
    """Options with what is usual where nothing is said.

    Args:
        made: The parser.
        words: The command line; None for that of the process.
        name: Of the benchmark, which its folders are called by.
        usual: For options the value, and the one of ``--quick``.
    """
    options = made.parse_args(words)
    if options.data is None and not (options.quick or options.table or options.markdown):
        made.error("name a file of molecules, or give --quick, --table or --markdown")
    if options.quick and options.markdown and options.page == PAGE:
        made.error("numbers of --quick mean nothing: name another --page than that of the project")
    for option, values in {**usual, "model": ("zinc", "tiny")}.items():
        if getattr(options, option) is None:
            setattr(options, option, values[1 if options.quick else 0])
    called = name + ("_quick" if options.quick else "")
    options.work = options.work or cache_folder(called)
    if options.out is None:  # numbers that mean nothing are no results
        options.out = options.work / "cells" if options.quick else RESULTS / called
    return options


def guarded(work: Callable[[], None]) -> int:
    """Do some work; 1 where something is wrong with what was given, 130 after Ctrl-C."""
    try:
        work()
    except (TrainingInterrupted, KeyboardInterrupt):
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def table_main(
    options: argparse.Namespace,
    name: str,
    make: Callable[[argparse.Namespace], None],
    tables: Callable[[list[Values]], Sequence[Shown]],
    notes: Callable[[list[Values]], Sequence[str]],
    console: Console | None = None,
) -> int:
    """Make the cells that are wanted and show all there are; 1 or 130 as ``guarded``.

    Args:
        options: Of the command line, see ``settled``.
        name: Of the results.
        make: Makes every cell that is not there yet.
        tables: Of cells.
        notes: Sentences below them.
        console: Where to print.
    """

    def work() -> None:
        if options.data is not None or options.quick:
            make(options)
        cells = read_cells(Path(options.out))
        present(options, name, tables(cells), notes(cells), console)

    return guarded(work)
