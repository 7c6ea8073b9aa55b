"""A run's folder: what lies in it, how it is written so that it is whole or refused, and read.

``config.json`` and ``grammar.cfg`` are there from the beginning of a training; ``card.json``, with
the digests of everything else, is written last, so a folder without it is an unfinished run.
Nothing in it is code, and reading it executes none.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from molae.datasets.files import explained, replacing
from molae.training.checkpoint import flush_folder, replace_file, unwritten

if TYPE_CHECKING:
    from molae.runs.run import Run

#: Raised when a folder of this version could not be read by an older molae.
FORMAT = 1
CONFIG, CARD, GRAMMAR, WEIGHTS = "config.json", "card.json", "grammar.cfg", "weights.safetensors"
#: Written at the beginning of a training, and by it: what went wrong, and who is at work.
REJECTS, LOCK = "rejects.csv", "checkpoint/lock"

#: Everything that molae writes into a run's folder, as patterns; ``strangers`` are all others.
_KNOWN = (
    *(CONFIG, CARD, GRAMMAR, WEIGHTS, REJECTS, LOCK, "history.jsonl"),
    *("densities/*.safetensors", "checkpoint/*.safetensors", "checkpoint/state.json"),
    "tensorboard/events.out.tfevents.*",
)
#: What makes a name temporary; a kill may leave such files behind.
_TEMPORARY = re.compile(r"(?:(?<=/)|^)\.part-\d+-|\.part$")


class RunError(ValueError):
    """A run that cannot be found, read or written, and what to do about it."""


def strangers(folder: Path) -> list[str]:
    """What lies in a folder and was not written by molae as part of a run, sorted."""
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if name not in {"densities", "checkpoint", "tensorboard"}:
                found.append(name)
        elif not any(fnmatchcase(_TEMPORARY.sub("", name), pattern) for pattern in _KNOWN):
            found.append(name)
    return sorted(found)


def is_free(folder: Path) -> bool:
    """Whether a training may begin in a folder: nothing lies there, or what one left behind.

    A training that is killed before it has written its ``config.json`` leaves its lock, and beside
    it the grammar or the rejects.
    """
    if not folder.exists():
        return True
    if not folder.is_dir() or (folder / CONFIG).exists() or (folder / CARD).exists():
        return False
    return not any(folder.iterdir()) or ((folder / LOCK).is_file() and not strangers(folder))


def check_replaceable(folder: Path) -> None:
    """Whether a folder may be replaced as a whole: an empty one, or a finished run and no more.

    Raises:
        RunError: It holds anything else, which would be lost.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} exists and is not a run; choose another folder")
    if not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} exists and is not a run; choose another folder")
    try:
        read_config(folder)
    except RunError as error:
        raise RunError(
            f"{folder} is not a run that could be replaced: {error}; choose another folder"
        ) from error
    if not (folder / CARD).is_file():
        raise RunError(
            f"{folder} holds an unfinished training, whose checkpoint would be lost; choose "
            "another folder"
        )
    if others := strangers(folder):
        raise RunError(
            f"{folder} holds more than a run, and {others[0]} would be lost; choose another folder"
        )


def begin(run: Run, folder: Path) -> None:
    """Write what a training is resumed from; until ``finish`` the folder is an unfinished run.

    Raises:
        OSError: The disc is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy({"format": FORMAT, **run.config, "codec": run.codec.to_dict()})
    grammar = config["codec"].get("grammar")
    if grammar is not None:
        _put(folder / GRAMMAR, grammar.pop("text"))
    _put_json(folder / CONFIG, config)


def finish(run: Run, folder: Path) -> None:
    """Write a run into a folder of its own, ``card.json`` last.

    Raises:
        OSError: The disc is full or the folder cannot be written; the run then counts as
            unfinished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    begin(run, folder)
    _put_tensors(folder / WEIGHTS, run.model.state_dict())
    for name, fitted in run.densities.items():
        (folder / "densities").mkdir(exist_ok=True)
        _put_tensors(folder / "densities" / f"{name}.safetensors", fitted.state_dict())
    run.card["format"] = FORMAT
    run.card["digests"] = {name: digest(folder / name) for name in _parts(run)}
    _put_json(folder / CARD, run.card)


def replaced(run: Run, folder: Path) -> Path:
    """Write a run into a folder, whole or not at all; a finished run there is replaced.

    Returns:
        The folder: where it is a link, what that points to.

    Raises:
        RunError: The folder holds anything else, such as an unfinished training.
        OSError: It cannot be written, or the disc is full; what was there stays.
    """
    if folder.is_symlink():
        folder = folder.resolve()  # a link stays a link: what it points to is replaced
    if folder.exists():
        check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".part-{os.getpid()}-{folder.name}")
    old = folder.with_name(f".old-{os.getpid()}-{folder.name}")
    if old.exists():
        raise RunError(f"{old} was left by a save that was killed: move it away first")
    shutil.rmtree(part, ignore_errors=True)
    try:
        finish(run, part)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder


def put_density(
    folder: Path,
    name: str,
    settings: dict[str, Any],
    tensors: dict[str, Tensor],
    facts: dict[str, Any],
) -> None:
    """Put one fitted density into a finished run, in the place of one of that name.

    Its tensors, the settings and the card are written under temporary names first, so that
    nothing but three renames lies between the old run and the new one. The weights and whatever
    else is there stay as they are.

    Args:
        folder: Of the run.
        name: Of the density.
        settings: Arguments of its constructor.
        tensors: What was fitted.
        facts: Put under ``densities`` in the card's metrics.

    Raises:
        RunError: The run is unfinished or damaged.
        DataError: The disc is full, or the folder cannot be written; the run is as it was.
    """
    card, config = read_card(folder), _get_json(folder / CONFIG)
    config["densities"] = config.get("densities", {}) | {name: settings}
    card["metrics"] = card.get("metrics", {}) | {"densities": facts}
    fitted = f"densities/{name}.safetensors"
    with explained(folder):
        (folder / "densities").mkdir(exist_ok=True)
    with ExitStack() as stack:  # renames in the reverse order, the card last
        files = (CARD, CONFIG, fitted)
        parts = {file: stack.enter_context(replacing(folder / file)) for file in files}
        try:
            save_file(_copies(tensors), parts[fitted])
        except SafetensorError as error:
            raise unwritten(error, folder / fitted) from error
        parts[CONFIG].write_text(_json(config), encoding="utf-8")
        card["digests"] |= {file: digest(parts[file]) for file in (CONFIG, fitted)}
        parts[CARD].write_text(_json(card), encoding="utf-8")
        for part in parts.values():
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
    flush_folder(folder)


def _parts(run: Run) -> list[str]:
    """Files that the card vouches for."""
    grammar = [GRAMMAR] if "grammar" in run.codec.to_dict() else []
    densities = [f"densities/{name}.safetensors" for name in run.densities]
    return [CONFIG, *grammar, WEIGHTS, *densities]


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of a run, finished or not; the codec's table is whole again.

    Raises:
        RunError: This is no run folder, it is damaged, or a newer molae wrote it.
    """
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} is not a run of molae: there is no {CONFIG} in it")
    config = _get_json(folder / CONFIG)
    _check_format(folder, config)
    tables = [config.get(name) for name in ("codec", "model", "objective")]
    if not all(isinstance(table, dict) for table in [*tables, config.get("densities", {})]):
        raise RunError(f"{folder / CONFIG} is not of a run of molae, or damaged")
    grammar = config["codec"].get("grammar")
    if grammar is not None:
        if not isinstance(grammar, dict):
            raise RunError(f"{folder / CONFIG} is damaged: its grammar is not a table")
        try:
            grammar["text"] = (folder / GRAMMAR).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise RunError(f"the run {folder} is damaged: {GRAMMAR} cannot be read") from error
    return config


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a finished run, after its digests have been compared with the files.

    Early cards called the pace of every training, of images too, ``molecules_per_second``; it is
    ``examples_per_second`` in all that are given back.

    Raises:
        RunError: The run is unfinished or damaged, or a newer molae wrote it.
    """
    if not (folder / CARD).is_file():
        raise RunError(
            f"the training of {folder} is not finished: give the same molae train command with "
            "--resume to go on with it"
        )
    card = _get_json(folder / CARD)
    _check_format(folder, card)
    _check_digests(folder, card.get("digests"))
    training = card.get("training")
    if isinstance(training, dict) and "molecules_per_second" in training:
        training["examples_per_second"] = training.pop("molecules_per_second")
    return card


def _check_digests(folder: Path, digests: object) -> None:
    """Compare a card's digests, which must be there for what every run has, with the files."""
    if not isinstance(digests, dict) or not digests:
        raise RunError(f"{folder / CARD} is not of a run of molae: it has no digests")
    for name in (CONFIG, WEIGHTS):
        if name not in digests:
            raise RunError(f"{folder / CARD} is damaged: it has no digest of {name}")
    for name, expected in digests.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunError(f"{folder / CARD} names a file outside its folder: {name}")
        if not (folder / name).is_file():
            raise RunError(f"the run {folder} is damaged: {name} is missing; copy it again whole")
        if digest(folder / name) != expected:
            raise RunError(
                f"the run {folder} is damaged: {name} is not what was saved; copy it again whole"
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file, in memory of their own.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return {name: value.clone() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged or missing ({error}); copy the run again") from error


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_format(folder: Path, found: dict[str, Any]) -> None:
    number = found.get("format")
    if not isinstance(number, int):
        raise RunError(f"{folder} is not a run of molae: its files do not say of which format")
    if number > FORMAT:
        raise RunError(
            f"the run {folder} was written by a newer molae (format {number}; this one reads up "
            f"to {FORMAT}): install a newer version to use it"
        )


def _put(path: Path, text: str) -> None:
    replace_file(path, lambda part: part.write_text(text, encoding="utf-8"))


def _put_json(path: Path, values: dict[str, Any]) -> None:
    _put(path, _json(values))


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def _put_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    replace_file(path, lambda part: save_file(_copies(tensors), part))


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A clone of each: safetensors refuses tensors that share memory."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def _get_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} is not of a run of molae")
    return found
