"""The folder of a campaign: what lies in it, and how it is written so that a kill spoils nothing.

``campaign.json`` (all settings) and ``start.csv`` are written once, at the beginning. After every
batch its rows are appended to ``evaluations.csv``, and then ``state/`` is replaced, which is the
moment at which the batch counts: rows beyond those that the state knows of are of a batch that was
cut off, and are dropped when the campaign goes on. All else in the folder is made from these.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molae.datasets.files import explained, replacing
from molae.oracles.base import Answer
from molae.oracles.ledger import Evaluation
from molae.runs.lock import locked
from molae.training import checkpoint
from molae.training.checkpoint import CheckpointError, replace_file

FORMAT = 1
SETTINGS, EVALUATIONS, CODES, START = (
    "campaign.json",
    "evaluations.csv",
    "evaluations.npy",
    "start.csv",
)
STATE, BASELINES = "state", "baselines"
#: Columns before and after the parts of the score.
_BEFORE, _AFTER = ("call", "smiles", "score"), ("error",)
#: Characters that a cell may have: an image is a long text.
_LONGEST_CELL = 1 << 27


class CampaignError(ValueError):
    """A campaign that cannot be begun or gone on with, and what to do about it."""


class Folder:
    """A campaign's folder, which is made by ``begin`` and read by ``opened``.

    Args:
        path: Where it is.

    Attributes:
        parts: Names of the parts of the score, columns of ``evaluations.csv``.
        rows: Evaluations that are written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[str] = []
        self.rows = 0
        self._codes: list[np.ndarray[Any, np.dtype[np.float32]]] = []

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one at work here, and leave nothing behind where there is no state yet.

        Raises:
            RunError: Another process is.
            DataError: The folder cannot be written.
        """
        with explained(self.path):
            lock = locked(self.path / STATE / "lock", "this campaign")
            lock.__enter__()
        try:
            yield
        except BaseException:
            if not self.saved:
                for name in (SETTINGS, START):
                    (self.path / name).unlink(missing_ok=True)
            raise
        finally:
            lock.__exit__(None, None, None)
            if not self.begun:
                for empty in (self.path / STATE, self.path):
                    with suppress(OSError):
                        empty.rmdir()

    # Settings and start ------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether there is a campaign here."""
        return (self.path / SETTINGS).is_file()

    def check_free(self) -> None:
        """Whether a campaign may begin here.

        Raises:
            CampaignError: Something else lies here, or another campaign.
        """
        if self.begun:
            raise CampaignError(
                f"{self.path} holds a campaign: go on with it by --resume, or choose another "
                "folder with -o"
            )
        names = self.path.iterdir() if self.path.is_dir() else ()
        left = {STATE, START, *(f"{name}.part" for name in (SETTINGS, START))}
        if self.path.is_dir() and {each.name for each in names} <= left:
            return  # what a campaign that was killed at once leaves
        if self.path.exists():
            raise CampaignError(
                f"{self.path} exists and is not a campaign: choose another folder with -o"
            )

    def begin(self, settings: dict[str, Any], start: Sequence[tuple[str, Answer | None]]) -> None:
        """Write what a campaign begins with; again, where its settings have changed.

        Args:
            settings: JSON values.
            start: Texts that are there from the beginning, with what is known of them.

        Raises:
            OSError: The folder cannot be written.
        """
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if start:
            table = _start_table(start)
            replace_file(self.path / START, lambda part: part.write_text(table, encoding="utf-8"))
        text = json.dumps({**settings, "format": FORMAT}, indent=1, allow_nan=False) + "\n"
        replace_file(self.path / SETTINGS, lambda part: part.write_text(text, encoding="utf-8"))

    def settings(self) -> dict[str, Any]:
        """What ``begin`` was given.

        Raises:
            CampaignError: There is no campaign here, it is damaged, or a newer molae wrote it.
        """
        path = self.path / SETTINGS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CampaignError(
                f"{self.path} holds no campaign: there is no {SETTINGS} in it; begin one with "
                f"molae optimize --oracle NAME -o {self.path}, or for a laboratory with "
                f"molae suggest -o {self.path}"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise CampaignError(f"{path} is damaged: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("format"), int):
            raise CampaignError(f"{path} is not of a campaign of molae")
        if found["format"] > FORMAT:
            raise CampaignError(
                f"{path} was written by a newer molae (format {found['format']}; this one reads "
                f"up to {FORMAT}): install a newer version to go on"
            )
        return found

    def start(self) -> list[tuple[str, Answer | None]]:
        """Texts that were there from the beginning, with what is known of them.

        Raises:
            CampaignError: Their table is damaged.
        """
        path = self.path / START
        if not path.is_file():
            return []
        rows, parts = _read_table(path)
        return [
            (row["smiles"], _answer(row, parts) if row["score"] or row["error"] else None)
            for row in rows
        ]

    # Evaluations and state ---------------------------------------------------------------------

    def append(self, evaluations: Sequence[Evaluation], codes: Sequence[Tensor | None]) -> None:
        """Write the evaluations of a batch; they count when ``save`` has been called.

        Args:
            evaluations: The next ones, (n).
            codes: Of each, (D,), or None where there is none.

        Raises:
            OSError: They cannot be written.
        """
        known = dict.fromkeys(self.parts)
        wanted = list(known | dict.fromkeys(p for each in evaluations for p in each.answer.parts))
        if wanted != self.parts:
            past, _ = self.evaluations() if self.rows else ([], [])
            self.parts = wanted
            self._rewrite(past)
        elif not self.rows:
            self._rewrite([])
        path = self.path / EVALUATIONS
        with explained(path), path.open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(self._cells(evaluations))
            stream.flush()
            os.fsync(stream.fileno())
        self.rows += len(evaluations)
        self._codes += [_row(z) for z in codes]
        self._write_codes()

    def save(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Replace the state; what was appended before counts from now on.

        Raises:
            OSError: It cannot be written; the one before counts.
        """
        # As one text: JSON has no nan, and what a strategy remembers may be one.
        known = {"rows": self.rows, "parts": self.parts, "state": json.dumps(scalars)}
        checkpoint.save(self.path / STATE, tensors, known)

    @property
    def saved(self) -> bool:
        """Whether there is a state to go on from."""
        return checkpoint.exists(self.path / STATE)

    def load(self) -> tuple[list[Evaluation], dict[str, Tensor], dict[str, Any]]:
        """Evaluations that count and the state; what was cut off is mended in the files.

        Raises:
            CampaignError: Something is damaged or missing.
        """
        try:
            tensors, known = checkpoint.load(self.path / STATE)
            self.rows, self.parts = int(known["rows"]), list(known["parts"])
            scalars: dict[str, Any] = json.loads(known["state"])
        except (CheckpointError, KeyError, ValueError, TypeError) as error:
            raise CampaignError(f"the campaign {self.path} is damaged: {error}") from error
        if not self.rows:
            self._rewrite([])
            return [], tensors, scalars
        evaluations, _ = self.evaluations()
        self._rewrite(evaluations)  # without rows beyond them, and with columns for all parts
        self._read_codes()
        return evaluations, tensors, scalars

    def evaluations(self) -> tuple[list[Evaluation], int]:
        """The evaluations that count, and how many rows there are beyond them.

        Raises:
            CampaignError: There are fewer, or they are damaged.
        """
        path = self.path / EVALUATIONS
        rows, parts = _read_table(path, self.rows)
        with path.open("rb") as stream:
            lines = sum(1 for _ in stream)
        try:
            found = [Evaluation(int(r["call"]), r["smiles"], _answer(r, parts)) for r in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise CampaignError(f"{path} is damaged: {error}; was it edited?") from error
        if len(found) < self.rows:
            raise CampaignError(
                f"{path} has {len(found)} rows and the campaign {self.rows}: was it edited? "
                "Restore it, or begin anew in another folder"
            )
        return found, lines - 1 - len(found)

    def replace(
        self,
        evaluations: Sequence[Evaluation],
        parts: Sequence[str],
        codes: Sequence[Tensor | None],
    ) -> None:
        """Write all evaluations anew, where those of earlier calls may have changed.

        Args:
            evaluations: All of them.
            parts: Names of the parts of their scores.
            codes: Of the last ones, which are new, as for ``append``.

        Raises:
            OSError: They cannot be written.
        """
        self.parts, self.rows = list(parts), len(evaluations)
        self._rewrite(evaluations)
        self._codes += [_row(z) for z in codes]
        self._write_codes()

    @property
    def codes(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Codes of the evaluations, (n, D) float32, nan where there is none; (n, 0) for none."""
        width = max((len(row) for row in self._codes), default=0)
        rows = [row if len(row) else np.full(width, np.nan, np.float32) for row in self._codes]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def code(self, call: int) -> Tensor | None:
        """The code of one evaluation, (D,) float32; None where there is none."""
        row = self._codes[call - 1]
        return None if np.isnan(row).any() or not len(row) else torch.from_numpy(row.copy())

    def _write_codes(self) -> None:
        codes = self.codes
        if codes.shape[1]:
            with replacing(self.path / CODES) as part, part.open("wb") as stream:
                np.save(stream, codes, allow_pickle=False)

    def _read_codes(self) -> None:
        path = self.path / CODES
        if not path.is_file():
            self._codes = [_row(None)] * self.rows
            return
        try:
            table = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise CampaignError(f"{path} is damaged: {error}") from error
        if table.ndim != 2 or len(table) < self.rows:
            raise CampaignError(
                f"{path} has shape {table.shape}; expected {self.rows} codes or more: was it "
                "replaced? Restore it, or begin anew in another folder"
            )
        self._codes = [row.astype(np.float32) for row in table[: self.rows]]
        self._write_codes()

    def _rewrite(self, evaluations: Sequence[Evaluation]) -> None:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow([*_BEFORE, *self._shown(), *_AFTER])
        rows.writerows(self._cells(evaluations))
        replace_file(
            self.path / EVALUATIONS,
            lambda part: part.write_text(text.getvalue(), encoding="utf-8", newline=""),
        )

    def _shown(self) -> list[str]:
        """Parts that may be columns: not those that are called as another one."""
        return [part for part in self.parts if part not in (*_BEFORE, *_AFTER)]

    def _cells(self, evaluations: Iterable[Evaluation]) -> Iterator[list[str]]:
        names = self._shown()
        for each in evaluations:
            answer = each.answer
            values = [_cell(answer.parts.get(name)) for name in names]
            yield [
                str(each.call), each.text, _cell(answer.score), *values, answer.error or ""
            ]  # fmt: skip


def _row(z: Tensor | None) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros(0, np.float32) if z is None else z.numpy().astype(np.float32)


def _cell(value: float | None) -> str:
    """The shortest digits that are read back as the same number; nothing for none."""
    return "" if value is None or value != value else str(float(value))


def _number(cell: str | None) -> float:
    return float(cell) if cell else math.nan


def _answer(row: dict[str, str], parts: Sequence[str]) -> Answer:
    """What a row says."""
    values = {name: _number(row[name]) for name in parts if row[name]}
    return Answer(_number(row["score"]), values, row.get("error") or None)


def _read_table(path: Path, limit: int | None = None) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a table of evaluations, at most ``limit``, and the names of its parts.

    Raises:
        CampaignError: It cannot be read, or is something else.
    """
    rows: list[dict[str, str]] = []
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or ())
            for row in reader:
                if limit is not None and len(rows) == limit:
                    break
                rows.append(row)
    except (OSError, UnicodeError, csv.Error) as error:
        raise CampaignError(f"{path} is damaged: {error}") from error
    finally:
        csv.field_size_limit(before)
    if not {"smiles", "score"} <= set(names):
        raise CampaignError(f"{path} has no columns smiles and score: was it replaced?")
    return rows, [name for name in names if name not in (*_BEFORE, *_AFTER)]


def _start_table(start: Sequence[tuple[str, Answer | None]]) -> str:
    """Start texts as CSV; those without score and error are yet to be scored."""
    parts = list(dict.fromkeys(part for _, answer in start if answer for part in answer.parts))
    parts = [part for part in parts if part not in (*_BEFORE, *_AFTER)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["smiles", "score", *parts, "error"])
    for smiles, known in start:
        if known is None:
            rows.writerow([smiles, "", *("" for _ in parts), ""])
            continue
        values = [_cell(known.parts.get(part)) for part in parts]
        rows.writerow([smiles, _cell(known.score), *values, known.error or ""])
    return text.getvalue()
