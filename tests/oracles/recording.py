"""An oracle for tests that worker processes can import: it writes down what it is asked."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from molae.oracles.base import Answer, Oracle


class Recording(Oracle):
    """Scores a text by its length, and has something happen where the text says so.

    ``die`` kills the process that is asked, ``exit`` ends it, ``raise`` and ``nan`` are failures,
    and ``slow`` takes a minute.

    Args:
        log: A line ``start TEXT PID`` and a line ``end TEXT PID`` for every text go here, and
            before them ``ask COUNT PID`` for those that are given at once.
        delay: Seconds for each text.
        once: A file that ``die once`` makes, and which lets it live the next time.
    """

    def __init__(self, log: Path, delay: float = 0.0, once: Path | None = None) -> None:
        self.log, self.delay, self.once = log, delay, once

    @property
    def name(self):
        return "recording"

    @property
    def columns(self):
        return ("length",)

    def answer(self, texts):
        self._write("ask", str(len(texts)))
        return [self._one(text) for text in texts]

    def _one(self, text):
        self._write("start", text)
        time.sleep(60 if text.startswith("slow") else self.delay)
        if text.startswith("die") and not (self.once and self.once.exists()):
            if self.once:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("exit"):
            sys.stdout.flush()
            os._exit(3)
        if text.startswith("raise"):
            raise RuntimeError(f"cannot score {text}")
        self._write("end", text)
        return Answer(float("nan") if text.startswith("nan") else len(text), {"length": len(text)})

    def _write(self, what, text):
        with open(self.log, "a", encoding="utf-8") as stream:
            stream.write(f"{what} {text} {os.getpid()}\n")

    def lines(self, what):
        """The texts of all lines of one kind, in order; (text, process) pairs."""
        if not self.log.exists():
            return []
        rows = [line.rsplit(" ", 1) for line in self.log.read_text("utf-8").splitlines()]
        return [
            (head.removeprefix(what + " "), int(pid)) for head, pid in rows
            if head.startswith(what + " ")
        ]  # fmt: skip
