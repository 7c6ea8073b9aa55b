"""Answers kept on disc, so that no score is paid for twice: by this run, the next, or another."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from molae.datasets.files import DataError, explained
from molae.oracles.base import Answer

#: What marks a SQLite file as ours ("mola"), and how its table is laid out.
_APPLICATION, _LAYOUT = 0x6D6F6C61, 1
#: Seconds to wait while another process writes.
_PATIENCE = 60.0
#: Texts looked up in one statement; old builds of SQLite take at most 999 parameters.
_AT_ONCE = 500

_TABLE = """
CREATE TABLE answers (
    oracle TEXT NOT NULL, text TEXT NOT NULL, score REAL, parts TEXT NOT NULL, error TEXT,
    PRIMARY KEY (oracle, text)
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO answers (oracle, text, score, parts, error) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (oracle, text) DO UPDATE
SET score = excluded.score, parts = excluded.parts, error = excluded.error
WHERE answers.error IS NOT NULL
"""


class Cache:
    """Answers by oracle and text, in one SQLite file that several processes may use at once.

    What is put is on the disc when ``put`` returns, and a process that is killed at any time takes
    nothing of it along. The file has a rollback journal rather than a write-ahead log, so that it
    may lie on a network disc whose locks work, and is one file when nobody writes.

    A score, once there, stays: only a failure is replaced by a later answer.

    Args:
        path: The file; it and its folder are made where they are not there.

    Raises:
        DataError: The file is something else, damaged, written by another version, locked for a
            minute, or cannot be written; so do all methods.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # Transactions are begun by hand: Python's would begin one too late.
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        try:
            with self._explained():
                # NORMAL: with a rollback journal, only a power cut at the worst moment could hurt.
                self._file.execute("PRAGMA synchronous = NORMAL")
                self._prepare()
        except BaseException:
            self._file.close()
            raise

    def get(self, key: str, texts: Collection[str], *, failed: bool = True) -> dict[str, Answer]:
        """What is known of some texts.

        Args:
            key: ``Oracle.key``.
            texts: Which; those that are not known are absent from the result.
            failed: Whether failures are known, too; else they are to be tried again.
        """
        wanted = list(dict.fromkeys(texts))
        found: dict[str, Answer] = {}
        with self._explained():
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                rows = self._file.execute(
                    "SELECT text, score, parts, error FROM answers "
                    f"WHERE oracle = ? AND text IN ({', '.join('?' * len(some))})",
                    (key, *some),
                )
                for text, score, parts, error in rows:
                    if failed or error is None:
                        value = math.nan if score is None else score
                        found[text] = Answer(value, json.loads(parts), error)
        return found

    def put(self, key: str, answers: Mapping[str, Answer]) -> None:
        """Keep answers by text; they are on the disc afterwards.

        Args:
            key: ``Oracle.key``.
            answers: Text -> answer.
        """
        rows = [
            (
                key,
                text,
                None if answer.failed else float(answer.score),
                json.dumps({name: float(value) for name, value in answer.parts.items()}),
                answer.error,
            )
            for text, answer in answers.items()
        ]
        if not rows:
            return
        with self._explained(), self._writing():
            self._file.executemany(_PUT, rows)

    def __len__(self) -> int:
        """Answers of all oracles together."""
        with self._explained():
            (count,) = self._file.execute("SELECT count(*) FROM answers").fetchone()
        return int(count)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the table in an empty file; refuse a file that is not ours."""
        if self._mark() == (0, 0):
            with self._writing():  # waits for whoever is just making it
                self._make()
        application, layout = self._mark()
        if application != _APPLICATION:
            raise DataError(
                f"{self.path}: this SQLite file holds something else than scores of molae. "
                "Name another file for the cache."
            )
        if layout != _LAYOUT:
            raise DataError(
                f"{self.path}: this cache has layout {layout}, and this molae reads {_LAYOUT}. "
                "Name another file for the cache, or install the molae that wrote it."
            )

    def _make(self) -> None:
        (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0:
            self._file.execute(_TABLE)
            self._file.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._file.execute(f"PRAGMA user_version = {_LAYOUT}")

    def _mark(self) -> tuple[int, int]:
        (application,) = self._file.execute("PRAGMA application_id").fetchone()
        (layout,) = self._file.execute("PRAGMA user_version").fetchone()
        return application, layout

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that has the right to write from its beginning, so it cannot deadlock."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"{self.path}: {_meaning(error)}") from error


def _meaning(error: sqlite3.Error) -> str:
    """What an error of SQLite means for the person whose file it is, and what to do."""
    # The low byte is the kind of error; the rest says more than is needed.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {
        sqlite3.SQLITE_NOTADB: "this is not a cache of scores. Name another file.",
        sqlite3.SQLITE_CORRUPT: "this cache of scores is damaged. Remove it, or name another "
        "file; what it held is computed again.",
        sqlite3.SQLITE_BUSY: f"another process has kept it locked for {_PATIENCE:g} seconds. "
        "Wait for it to end, or name another file.",
        sqlite3.SQLITE_FULL: "the disc is full; the scores before this one are kept. Free some "
        "space, and go on.",
        sqlite3.SQLITE_READONLY: "no permission to write here. Name another file.",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened or made. Is it a folder, or in a folder "
        "without permission to write? Name another file.",
    }.get(code, f"the cache of scores cannot be used ({error}). Name another file.")
