"""Which run is meant: a folder, a shipped name, or the last one made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from molae.datasets.files import DataError, cache_folder
from molae.names import closest
from molae.resources import weights_names, weights_path
from molae.runs.folder import CONFIG, RunError


def remember(folder: Path) -> None:
    """Make this the run that is meant where none is named.

    A cache folder that cannot be written costs a convenience, not the run.
    """
    with suppress(DataError, OSError):
        note = cache_folder() / "last-run"
        part = note.with_name(f"last-run.{os.getpid()}")
        part.write_text(os.fspath(folder.resolve()), encoding="utf-8")
        part.replace(note)


@contextmanager
def located(name: str | Path | None) -> Iterator[Path]:
    """The folder of a run as a path, for the time of the context (a wheel may be zipped).

    Args:
        name: A folder, the name of a shipped model, or None for the last run made here.

    Raises:
        RunError: There is no such run.
    """
    if name is None:
        yield _last()
    elif not Path(name).exists() and os.fspath(name) in weights_names():
        with weights_path(os.fspath(name)) as folder:
            yield folder
    else:
        yield _given(Path(name))


def find(name: str | Path | None = None) -> Path:
    """The folder of a run; arguments and errors as for ``located``."""
    with located(name) as folder:
        return folder


def _last() -> Path:
    try:
        folder = Path((cache_folder() / "last-run").read_text(encoding="utf-8").strip())
    except (OSError, DataError, UnicodeError):
        folder = None
    if folder is not None and (folder / CONFIG).is_file():
        return folder
    gone = "" if folder is None else f" (the last one, {folder}, is gone)"
    raise RunError(
        f"no model is named and none was trained here yet{gone}: train one with "
        "molae train FILE -o RUN, or name one with -m RUN"
    )


def _given(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    if folder.exists():
        raise RunError(f"{folder} is a file; expected the folder that molae train wrote")
    shipped = weights_names()
    if shipped:
        there = closest(os.fspath(folder), dict.fromkeys(shipped))
        raise RunError(f"there is no run {folder}, and no shipped model of that name: {there}")
    near = [p.name for p in folder.parent.glob("*") if (p / CONFIG).is_file()]
    hint = f" ({closest(folder.name, dict.fromkeys(near))})" if near else ""
    raise RunError(f"there is no run {folder}{hint}: expected a folder that molae train wrote")
