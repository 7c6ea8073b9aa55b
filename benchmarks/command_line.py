"""What the command lines of tables have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from molae.datasets.files import cache_folder
from molae.training import TrainingInterrupted


def add_usual(made: argparse.ArgumentParser, page: Path | None, work: str) -> None:
    """The options that all have.

    Args:
        made: The parser.
        page: The project's own.
        work: What is kept in ``--work``.
    """
    made.add_argument("--device", default="auto")
    made.add_argument("--out", type=Path, help="folder of cells")
    made.add_argument("--work", type=Path, help=f"folder of {work} (the user's cache)")
    made.add_argument("--table", action="store_true", help="print the cells that are there")
    made.add_argument("--markdown", action="store_true", help="write them into --page")
    made.add_argument("--page", type=Path, default=page)


def settle(
    options: argparse.Namespace,
    parser: argparse.ArgumentParser,
    called: str,
    usual: Mapping[str, Any],
    page: Path,
    quick: bool,
) -> argparse.Namespace:
    """Put what is usual where nothing was said.

    Args:
        options: What was said.
        parser: That read it.
        called: What folders of results and of work are called.
        usual: Options with what they are then.
        page: The project's own.
        quick: Whether numbers mean nothing; they stay out of results and page then.
    """
    if quick and options.markdown and options.page == page:
        parser.error("numbers of --quick mean nothing: name another --page than the project's")
    for option, value in usual.items():
        if getattr(options, option, None) is None:
            setattr(options, option, value)
    options.called = called
    options.work = options.work or cache_folder(called)
    if options.out is None:
        options.out = options.work / "cells" if quick else RESULTS / called
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
