"""The files that a run was trained on, found again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from molae.datasets.cards import cards
from molae.datasets.download import path as data_set
from molae.datasets.files import DataError
from molae.datasets.image_files import BUILT_IN, divided, is_image_source, source_digest
from molae.runs.folder import RunError
from molae.runs.run import Run


def training_files(run: Run, remedy: str = "name the files with --data FILE") -> list[Path]:
    """The files (or folders of images) that a run was trained on, found again by name and digest.

    They are looked for under the names in the command that made the run, in this folder, in the
    run's and in the one above it, and among the data sets that molae knows.

    Args:
        run: Trained.
        remedy: What to do where they are not found, in the imperative.

    Raises:
        RunError: One is not there, or has changed.
    """
    known = run.config.get("data", [])
    if not known:
        raise RunError(f"{run.folder} does not say what it was trained on: {remedy}")
    return [_found(run, name, sha256, remedy) for name, sha256 in known]


def _found(run: Run, name: str, sha256: str, remedy: str) -> Path:
    there = [path for path in _places(run, name) if _is_there(path)]
    for path in there:
        if source_digest(path) == sha256:
            return path
    if there:
        raise RunError(
            f"{there[0]} is not what {run.folder} was trained on, it has changed since: {remedy}; "
            "that may be this one"
        )
    raise RunError(f"the data of {run.folder}, {name}, is not found here: {remedy}")


def _is_there(path: Path) -> bool:
    """Whether there is a file, a part of one, a folder of images, or what is built in."""
    place, _ = divided(path)
    known = place.is_file() or str(path) in BUILT_IN
    return known or (place.is_dir() and is_image_source(place))


def _places(run: Run, name: str) -> Iterator[Path]:
    """Where a file of that name may be."""
    words = shlex.split(run.card.get("command") or "")
    yield from (Path(word) for word in words if Path(word).name == name)
    yield Path(name)
    if run.folder is not None:
        yield run.folder / name
        yield run.folder.resolve().parent / name
    for card in cards():
        if name in (place.file for places in card.files for place in places):
            try:
                found = data_set(card.name)
            except DataError:
                continue  # not fetched
            yield found / name if found.is_dir() else found
