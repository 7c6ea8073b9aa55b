"""What happened: running means of the parts of a loss, and the journal ``history.jsonl``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molae.training.checkpoint import replace_file, unwritten
from molae.types import Terms

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

Record = dict[str, Any]


def part_mean(part: Tensor, weight: Tensor | None) -> Tensor:
    """One part of a loss as it enters the loss, (B,) or () -> ()."""
    return Terms({"": part.detach().float()}).loss(weight)


class Meter:
    """Weighted means of named numbers, summed on the device and read only when asked."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, values: dict[str, Tensor], weight: Tensor) -> None:
        """Count these values, each (), with this weight, ()."""
        for name, value in values.items():
            pair = torch.stack([value.detach().float() * weight, weight])
            self._sums[name] = self._sums[name] + pair if name in self._sums else pair

    def means(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The means over all processes; ``reduce`` sums a tensor over them. Starts anew."""
        names = sorted(self._sums)
        if not names:
            return {}
        sums = reduce(torch.stack([self._sums[name] for name in names])).tolist()
        self._sums = {}
        return {
            name: total / weight if weight else math.nan
            for name, (total, weight) in zip(names, sums, strict=True)
        }

    def tensors(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The sums so far over all processes, for a checkpoint; each (2,)."""
        return {name: reduce(self._sums[name].clone()) for name in sorted(self._sums)}

    def restore(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        """Go on from these sums."""
        self._sums = {name: value.to(device) for name, value in tensors.items()}


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity: they become null."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Journal:
    """``history.jsonl``, one line per logging interval and per validation.

    Args:
        folder: Where the file lies, or None to keep records in memory only.
        tensorboard: Write curves for TensorBoard into ``folder/tensorboard`` too.

    Raises:
        ValueError: TensorBoard is asked for and not installed, or there is no folder.
    """

    def __init__(self, folder: Path | None, tensorboard: bool = False) -> None:
        self.folder = folder
        self.path = None if folder is None else folder / "history.jsonl"
        self.records: list[Record] = []
        self._writer: SummaryWriter | None = None
        self._make_writer = _tensorboard(folder) if tensorboard else None

    def open(self, step: int | None) -> None:
        """Begin a new history, or go on after a step: records after it are dropped.

        The steps that they tell of are made again.
        """
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.records = [] if step is None else self._kept(self.path, step)
            lines = "".join(json.dumps(record) + "\n" for record in self.records)
            replace_file(self.path, lambda path: path.write_text(lines, encoding="utf-8"))
        if self._make_writer is not None and self.folder is not None:
            purge = None if step is None else step + 1
            self._writer = self._make_writer(str(self.folder / "tensorboard"), purge_step=purge)

    @staticmethod
    def _kept(path: Path, step: int) -> list[Record]:
        """The records up to a step; a line cut short by a kill ends the reading."""
        records: list[Record] = []
        if not path.exists():
            return records
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                break
            if record["step"] <= step:
                records.append(record)
        return records

    def write(self, record: Record) -> None:
        """Add one record; it must have ``step`` and ``kind``.

        Raises:
            OSError: It cannot be written; the error names the file.
        """
        record = _finite(record)
        self.records.append(record)
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(record) + "\n")
            except OSError as error:
                raise unwritten(error, self.path) from error
        if self._writer is not None:
            self._curves(self._writer, record)

    def flush(self) -> None:
        """Make everything written so far survive a power cut."""
        if self.path is not None and self.path.exists():
            try:
                with self.path.open("rb+") as stream:
                    os.fsync(stream.fileno())
            except OSError as error:
                raise unwritten(error, self.path) from error

    def close(self) -> None:
        """Finish the files."""
        self.flush()
        if self._writer is not None:
            self._writer.close()

    @staticmethod
    def _curves(writer: SummaryWriter, record: Record) -> None:
        names = ("loss", "learning_rate", "examples_per_second")
        numbers = {name: record[name] for name in names if name in record}
        numbers |= record.get("parts", {})
        for name, value in numbers.items():
            if value is not None:
                tag = f"{record['kind']}/{name}"
                writer.add_scalar(tag, value, record["step"])


def _tensorboard(folder: Path | None) -> type[SummaryWriter]:
    if folder is None:
        raise ValueError("TensorBoard needs a folder to write to, and none is given")
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "TensorBoard is not installed; `pip install tensorboard`, or leave the option out "
            "(history.jsonl holds the same numbers)"
        ) from error
    return SummaryWriter
