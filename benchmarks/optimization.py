"""What benchmarks of optimisers share beside cells: numbers of campaigns, options."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from benchmarks.cells import Shown, Values, present, read_cells, spread
from benchmarks.command_line import add_usual, guarded, settle

#: The page that tables are written into, each between its own marks.
PAGE = Path(__file__).parents[1] / "docs" / "optimization.md"
#: What the wall-clock is split into.
PARTS = ("ask", "decode", "oracle", "retrain")
#: Heads of what ``cost`` gives.
COST = ("new valid calls", "invalid %", "repeated %", *(f"{part}, s" for part in PARTS))


# Numbers -----------------------------------------------------------------------------------------


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
    made.add_argument("--workers", type=int, help="processes that read molecules")
    add_usual(made, PAGE, "campaigns")
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
    chosen = {option: values[options.quick] for option, values in usual.items()}
    chosen["model"] = "tiny" if options.quick else "zinc"
    called = name + ("_quick" if options.quick else "")
    return settle(options, made, called, chosen, PAGE, options.quick)


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
