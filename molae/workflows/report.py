"""An evaluation as a file: JSON with all numbers, a table, or a page with pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from molae.datasets.files import DataError, replacing
from molae.datasets.writers import open_writer
from molae.workflows.evaluation import Evaluation
from molae.workflows.page import page


def _json(done: Evaluation, path: str | Path) -> None:
    _text(json.dumps(done.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def _html(done: Evaluation, path: str | Path) -> None:
    _text(page(done), path)


def _text(text: str, path: str | Path) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _table(done: Evaluation, path: str | Path) -> None:
    rows = done.rows()
    types: dict[str, type] = {"density": str, "n": int, "seed": int}
    types |= dict.fromkeys([*done.columns(), *done.numbers], float)
    with open_writer(path, types) as out:
        out.write_all(rows)


#: What an evaluation can be written as, by suffix.
_WRITERS: dict[str, Callable[[Evaluation, str | Path], None]] = {
    ".json": _json,
    ".csv": _table,
    ".tsv": _table,
    ".html": _html,
}


def check_report(path: str | Path) -> None:
    """Find out before the work whether a report can be written there.

    Raises:
        DataError: Unknown suffix, or no such folder.
    """
    place = Path(path)
    if place.suffix.lower() not in _WRITERS:
        raise DataError(
            f"{path}: cannot tell what to write from this name; expected {', '.join(_WRITERS)}"
        )
    if not place.parent.is_dir():
        raise DataError(f"{path}: the folder {place.parent} does not exist. Make it first.")


def write_report(done: Evaluation, path: str | Path) -> None:
    """Write an evaluation, whole or not at all.

    ``.json`` has every number with its definition, ``.csv`` and ``.tsv`` one row for each density
    (and for the training data and the reference, where they are known), ``.html`` is a page that
    needs nothing beside it.

    Raises:
        DataError: Unknown suffix, or the place cannot be written.
    """
    check_report(path)
    _WRITERS[Path(path).suffix.lower()](done, path)
