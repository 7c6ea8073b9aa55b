"""An evaluation as a file: JSON with all numbers, a table, or a page with pictures."""

from __future__ import annotations

import json
from pathlib import Path

from molae.datasets.files import DataError, replacing
from molae.datasets.writers import open_writer
from molae.workflows.evaluate import Evaluated
from molae.workflows.evaluate_pictures import EvaluatedImages
from molae.workflows.evaluation import Evaluation
from molae.workflows.image_evaluation import ImageEvaluation
from molae.workflows.image_page import image_page
from molae.workflows.page import page


def check_report(path: str | Path, *, of_model: bool) -> None:
    """Find out before the work whether a report can be written there.

    Args:
        path: Where to.
        of_model: Whether a model is evaluated, or a file, of which no page is made.

    Raises:
        DataError: Unknown suffix, or no such folder.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix == ".html" and not of_model:
        raise DataError(
            f"{path}: a page of pictures is made of a model: add -m RUN, or write .json or .csv."
        )
    if suffix not in (".json", ".csv", ".tsv", ".html"):
        known = ".json, .csv or .html" if of_model else ".json or .csv"
        raise DataError(f"{path}: cannot tell what to write from this name; use {known}.")
    if not place.parent.is_dir():
        raise DataError(f"{path}: the folder {place.parent} does not exist. Make it first.")


def write_report(done: Evaluation | Evaluated | EvaluatedImages, path: str | Path) -> None:
    """Write an evaluation, whole or not at all.

    ``.json`` has every number with its definition. ``.csv`` and ``.tsv`` have, of a model, one row
    for each density (and for training data, reference and other sets of images, where there are
    such), of a file one for each metric. ``.html`` is a page that needs nothing beside it.

    Raises:
        DataError: Unknown suffix, or the place cannot be written.
    """
    check_report(path, of_model=isinstance(done, Evaluation))
    suffix = Path(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        rows = done.rows()
        with open_writer(path, done.types()) as out:
            out.write_all(rows)
        return
    if suffix == ".html" and isinstance(done, Evaluation):
        text = image_page(done) if isinstance(done, ImageEvaluation) else page(done)
    else:
        text = json.dumps(done.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
