"""The folder of a training: whether it may have it, that it is alone there, and what it leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from molae.datasets.files import explained
from molae.runs.folder import CARD, CONFIG, GRAMMAR, REJECTS, RunError, is_free, read_config
from molae.runs.lock import exclusive


def main_process() -> bool:
    """Whether this process writes files; ``torchrun`` and Accelerate number them so."""
    return os.environ.get("RANK", "0") == "0"


def under_way(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The settings of the unfinished training in a folder, or None where there is none.

    Raises:
        RunError: The folder is taken.
    """
    if not main_process() and not resume:
        return None
    if (folder / CARD).is_file():
        raise RunError(
            f"{folder} holds a finished run: choose another folder with -o, or train on from it "
            f"with --from {folder}"
        )
    if (folder / CONFIG).is_file():
        if not resume:
            raise RunError(
                f"{folder} holds an unfinished training: go on with it by --resume, or choose "
                "another folder with -o"
            )
        return read_config(folder)
    if not is_free(folder):
        raise RunError(f"{folder} exists and is not a run: choose another folder with -o")
    return None


@contextmanager
def alone(folder: Path, going: dict[str, Any] | None, resume: bool) -> Iterator[None]:
    """Be the only training in a folder.

    Raises:
        RunError: Another one is running there, or was begun while the data was read.
    """
    if not main_process():
        yield
        return
    with ExitStack() as stack:
        with explained(folder):
            stack.enter_context(exclusive(folder))
        if under_way(folder, resume) != going:
            raise RunError(f"another training has been in {folder} meanwhile: try again")
        yield


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Take away what was begun where an error comes before there is anything to resume from."""
    try:
        yield
    except BaseException:
        if main_process() and not (folder / "checkpoint" / "state.json").exists():
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)
            for name in (CONFIG, GRAMMAR, "history.jsonl", REJECTS):
                (folder / name).unlink(missing_ok=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def check_same(was: dict[str, Any], now: dict[str, Any]) -> None:
    """A resumed training must be the one that was begun.

    Raises:
        RunError: Naming the first difference.
    """
    now = json.loads(json.dumps(now))
    for part in ("training", "model", "objective", "properties", "condition", "data"):
        if was.get(part) != now.get(part):
            raise RunError(
                f"--resume goes on with what was begun: {part} was {was.get(part)}, and is now "
                f"{now.get(part)}. Give the same command, or choose another folder with -o"
            )
