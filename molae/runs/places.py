"""Which run is meant: a folder, a shipped name, or, where none is named, the last one made.

Where none was made here yet, or where it is gone, the shipped ``DEFAULT_MODEL`` is meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from molae.datasets.files import DataError, cache_folder
from molae.names import closest
from molae.resources import DEFAULT_MODEL, weights_names, weights_path
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

    A run folder of the name of a shipped model, seen from here, comes before that model.

    Args:
        name: A folder, the name of a shipped model, or None for the last run made here; where
            there is none, for the shipped model ``DEFAULT_MODEL``.

    Raises:
        RunError: There is no such run.
    """
    shipped = weights_names()
    if name is None:
        folder = last_run()
        if folder is not None:
            yield folder
            return
        if DEFAULT_MODEL not in shipped:
            raise _nothing(shipped)
        name = DEFAULT_MODEL
    elif (Path(name) / CONFIG).is_file() or os.fspath(name) not in shipped:
        yield _given(Path(name), shipped)
        return
    with weights_path(os.fspath(name)) as place:
        yield place


def find(name: str | Path | None = None) -> Path:
    """The folder of a run; arguments and errors as for ``located``."""
    with located(name) as folder:
        return folder


def last_run() -> Path | None:
    """The folder of the last run made here; None where there was none, or it is gone."""
    folder = _noted()
    return folder if folder is not None and (folder / CONFIG).is_file() else None


def fallback() -> str:
    """A sentence for people, where ``None`` means the shipped model; "" where it does not."""
    if last_run() is not None or DEFAULT_MODEL not in weights_names():
        return ""
    gone = _noted()
    why = "No model was trained here yet" if gone is None else f"The last run, {gone}, is gone"
    return f"{why}: using {DEFAULT_MODEL}, which ships with molae (-m RUN names another)."


def shipped_as(folder: Path) -> str | None:
    """The name under which a run's folder ships with molae, or None."""
    for name in weights_names():
        with weights_path(name) as place:
            if place.resolve() == folder.resolve():
                return name
    return None


def _noted() -> Path | None:
    """What ``remember`` wrote down, whether it is still there or not."""
    try:
        text = (cache_folder() / "last-run").read_text(encoding="utf-8").strip()
    except (OSError, DataError, UnicodeError):
        return None
    return Path(text) if text else None


def _nothing(shipped: list[str]) -> RunError:
    gone = _noted()
    lost = "" if gone is None else f" (the last one, {gone}, is gone)"
    there = f"; shipped models: {', '.join(shipped)}" if shipped else ""
    return RunError(
        f"no model is named and none was trained here yet{lost}: train one with "
        f"molae train FILE -o RUN, or name one with -m RUN{there}"
    )


def _given(folder: Path, shipped: list[str]) -> Path:
    if folder.is_dir():
        return folder
    if folder.exists():
        raise RunError(f"{folder} is a file; expected the folder that molae train wrote")
    near = [p.name for p in folder.parent.glob("*") if (p / CONFIG).is_file()]
    hint = f" ({closest(folder.name, dict.fromkeys(near))})" if near else ""
    names = f", or the name of a shipped model ({', '.join(shipped)})" if shipped else ""
    raise RunError(
        f"there is no run {folder}{hint}: expected a folder that molae train wrote{names}"
    )
