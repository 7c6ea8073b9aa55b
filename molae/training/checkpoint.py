"""Checkpoints that a kill at any moment cannot spoil.

A checkpoint is ``state.json`` (scalars) and the file of tensors that it names. Tensors are written
under a temporary name, flushed to the disc and renamed to the slot (a or b) that ``state.json``
does not name; then ``state.json`` is replaced in the same way. That one rename is the moment at
which the new checkpoint counts: before it the old one is whole, after it the new one is.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 1
STATE = "state.json"
SLOTS = ("a.safetensors", "b.safetensors")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, and what to do about it."""


def flush_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritten(error: Exception, path: Path, rest: str = "") -> OSError:
    """The error of a write as one that names the file and keeps the system's number.

    safetensors puts the number into its text only.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        told = re.search(r"\(os error (\d+)\)", str(error))
        number = int(told[1]) if told else errno.EIO
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return OSError(number, f"cannot be written ({why}){rest}", os.fspath(path))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Put a file in place whole or not at all: temporary name, fsync, rename.

    Raises:
        OSError: The disc is full or the folder cannot be written; what was there stays.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise unwritten(error, path, "; what was there before is kept") from error
    flush_folder(path.parent)


def _plain(value: Any) -> Any:
    """JSON has no infinities."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(folder: Path, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    """Write a checkpoint into ``folder``; the previous one counts until the new one is whole.

    Raises:
        OSError: The disc is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    used = _read_state(folder)["tensors"] if (folder / STATE).exists() else SLOTS[1]
    slot = SLOTS[0] if used == SLOTS[1] else SLOTS[1]
    # A clone for each: safetensors refuses tensors that share memory (tied weights).
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    replace_file(folder / slot, lambda path: save_file(copies, path))
    state = {"format": FORMAT, "tensors": slot}
    state |= {name: _plain(value) for name, value in scalars.items()}
    text = json.dumps(state, indent=1, allow_nan=False) + "\n"
    replace_file(folder / STATE, lambda path: path.write_text(text, encoding="utf-8"))
    (folder / used).unlink(missing_ok=True)


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint."""
    return (folder / STATE).exists()


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and scalars of the checkpoint in ``folder``. No code is executed.

    Raises:
        CheckpointError: There is none, it is damaged, or it was written by a newer version.
    """
    state = _read_state(folder)
    path = folder / state["tensors"]
    try:
        # Copies: what safetensors returns may be backed by the file, which is soon replaced.
        tensors = {name: value.clone() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint {path} is damaged ({error}); "
            "delete the folder and train again from the beginning"
        ) from error
    return tensors, state


def _read_state(folder: Path) -> dict[str, Any]:
    """The scalars, checked for format."""
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint in {folder}") from None
    except ValueError as error:
        raise CheckpointError(
            f"{path} is not JSON ({error}); delete the folder and train again"
        ) from error
    if not isinstance(state, dict) or state.get("tensors") not in SLOTS:
        raise CheckpointError(f"{path} is not a checkpoint of molae; was it written by hand?")
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {state.get('format')}, this molae reads {FORMAT}; "
            "resume with the version that wrote it"
        )
    return state


def branch(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix/``, without it."""
    return {
        name[len(prefix) + 1 :]: value
        for name, value in tensors.items()
        if name.startswith(prefix + "/")
    }


def grow(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with ``prefix/`` before their names."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}
