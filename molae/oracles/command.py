"""An external program as an oracle, one run for each text or for many; there is no shell."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from molae.oracles.base import Answer, Oracle, OracleError, each_alone, failure

#: What is replaced by the text in the words of a command.
PLACES = ("{smiles}", "{text}")
#: What only a shell understands, as words of their own.
_SHELL = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"}
#: Seconds that a program has to end after it was told to, before it is killed.
_GRACE = 2.0


class Command(Oracle):
    """A program that writes scores on standard output.

    With ``{smiles}`` (or ``{text}``) among its words it is run for each text, which takes that
    place as part of one argument, whatever is in it; its score is the last line it writes. Without
    it reads texts on standard input, one a line, and writes one line for each. A line that holds
    no number is a failure of that text alone.

    A run fails if it takes too long, ends with another status than 0, or writes another number of
    lines. A run for many texts that fails is repeated for one text at a time.

    Args:
        command: Program and arguments, quoted as for a shell.
        timeout: Seconds for each text: a run for n of them may take n times as long. None for no
            limit.
        retries: How often a failed run for one text is repeated.

    Raises:
        ValueError: The command cannot be understood, there is no such program, or a number is
            out of range.
    """

    def __init__(self, command: str, *, timeout: float | None = 600.0, retries: int = 0) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout is {timeout} seconds: expected more than 0")
        if retries < 0:
            raise ValueError(f"retries is {retries}: expected 0 or more")
        self._command = command.strip()
        self.words = _words(command)
        self.timeout = timeout
        self.retries = retries
        self.together = not any(place in word for word in self.words for place in PLACES)

    @property
    def name(self) -> str:
        """The command, as it was typed."""
        return self._command

    @property
    def columns(self) -> tuple[str, ...]:
        """Nothing: a program writes scores only."""
        return ()

    @property
    def settings(self) -> dict[str, Any]:
        """Digests of the files that the command names, so that an edited script is run anew."""
        parts = [part for word in self.words for part in (word, word.partition("=")[2])]
        # Path.is_file raises where a word is too long for a name.
        return {"files": {part: _digest(Path(part)) for part in parts if os.path.isfile(part)}}

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Run the program, see ``Oracle.answer``."""
        if self.together:
            return each_alone(self._ask, texts)
        return [answer for text in texts for answer in each_alone(self._ask, [text])]

    def _ask(self, texts: Sequence[str]) -> list[Answer]:
        """One run, repeated if it is for one text and fails.

        Raises:
            OracleError: It failed.
        """
        left = self.retries if len(texts) == 1 else 0
        while True:
            try:
                return [_read(line) for line in self._lines(texts)]
            except OracleError:
                if left == 0:
                    raise
            left -= 1

    def _lines(self, texts: Sequence[str]) -> list[str]:
        """What the program writes about each text."""
        if not self.together:
            words = [_filled(word, texts[0]) for word in self.words]
            written = _run(words, "", self.timeout).split("\n")
            lines = [line for line in written if line.strip()][-1:]
        else:
            given = "".join(f"{text}\n" for text in texts)
            limit = None if self.timeout is None else self.timeout * len(texts)
            lines = _run(self.words, given, limit).split("\n")
            if not lines[-1]:  # what follows the last line feed is no line
                lines.pop()
            # An empty line is what is said of a text, unless it ends too many lines.
            while len(lines) > len(texts) and not lines[-1].strip():
                lines.pop()
        if len(lines) != len(texts):
            raise OracleError(
                f"{self.words[0]} wrote {len(lines)} lines, expected {len(texts)}, with a number "
                "in each"
            )
        return lines


def _words(command: str) -> list[str]:
    """Program and arguments of a command.

    Raises:
        ValueError: With a remedy.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"the command {command!r}: {error}") from None
    if not words:
        raise ValueError("the command is empty: expected a program and its arguments")
    shell = next((word for word in words if word in _SHELL), None)
    if shell is not None:
        raise ValueError(
            f"the command {command!r} holds {shell!r}, but no shell reads it: put it into a "
            "script and name that"
        )
    if shutil.which(words[0]) is None:
        raise ValueError(f"there is no program {words[0]!r}: {_remedy(words[0])}")
    return words


def _remedy(program: str) -> str:
    path = Path(program)
    if not path.is_file():
        return "expected a name that is on PATH, or the path of an executable file"
    if not os.access(path, os.X_OK):
        return f"the file is not executable (chmod +x {shlex.quote(program)})"
    return f"write ./{program} for the file in this folder"


def _filled(word: str, text: str) -> str:
    """A word of the command with the text in its place."""
    for place in PLACES:
        if place in word:
            return word.replace(place, text)
    return word


def _read(line: str) -> Answer:
    """The score in a line."""
    try:
        return Answer(float(line))
    except ValueError:
        return failure(f"wrote {line.strip()!r}, expected a number")


def _run(words: Sequence[str], given: str, timeout: float | None) -> str:
    """What a program writes on standard output.

    Raises:
        OracleError: It cannot be started, takes too long or ends with another status than 0; with
            the last line it wrote on standard error.
    """
    try:
        # A session of its own, so that whatever it starts can be ended with it.
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise OracleError(f"{words[0]} cannot be started: {error}") from None
    try:
        written, said = process.communicate(given, timeout)
    except subprocess.TimeoutExpired:
        raise OracleError(f"{words[0]} took longer than {timeout:g} s{_end(process)}") from None
    except BaseException:  # Ctrl-C does not reach another session
        _end(process)
        raise
    if process.returncode:
        raise OracleError(f"{words[0]} {_status(process.returncode)}{_last(said)}")
    return written


def _end(process: subprocess.Popen[str]) -> str:
    """End a program and what it started; returns what it said last."""
    said = ""
    for kill in (False, True):
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            _signal(process, kill)
        with suppress(subprocess.TimeoutExpired):
            said = process.communicate(timeout=_GRACE)[1]
    return _last(said)


def _signal(process: subprocess.Popen[str], kill: bool) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
    else:
        process.kill()


def _status(code: int) -> str:
    if code > 0:
        return f"ended with status {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _last(said: str) -> str:
    """The last line on standard error, to be put behind a sentence."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
