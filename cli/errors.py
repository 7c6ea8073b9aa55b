"""What a person sees when something goes wrong: one sentence on standard error, and a status.

Status 2 is a command line that makes no sense, 1 any other failure, 130 Ctrl-C. A traceback is
shown only where ``MOLAE_TRACEBACK`` is set to something other than 0.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TextIO, cast

import typer
from typer.core import TyperGroup

#: A command line that makes no sense as a whole, and the base of all that the option parser
#: raises. Typer took them from click and then took click in, so where they live depends on its
#: version; that a bad parameter is the first, and the first is the second, does not.
UsageError, ParserError = cast("Any", typer.BadParameter.__mro__[1:3])

USAGE, FAILURE, INTERRUPTED, PIPE = 2, 1, 130, 141


class Stopped(Exception):
    """Ctrl-C where there is something to say about how to go on; the message says it."""


class Ended(Exception):
    """Carries Ctrl-C or a broken pipe past the option parser, which would end without a word."""


class Commands(TyperGroup):
    """The group of all commands, which turns every exception into a sentence and a status."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        """Run one command line and end the process; see the module for the status."""
        words = list(sys.argv[1:] if args is None else args)
        named["standalone_mode"] = False
        warnings.showwarning = _show_warning
        try:
            status = super().main(words, *rest, **named)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("MOLAE_TRACEBACK", "0") not in ("", "0"):
                raise
            cause = error.__cause__ if isinstance(error, Ended) else None
            status = explain(cause or error)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, KeyboardInterrupt) as error:
            raise Ended from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a name that is none of them is answered with the closest."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            close = get_close_matches(args[0], self.commands, 1, cutoff=0.5)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else "choose from " + ", ".join(self.commands)
            )
            raise UsageError(f"there is no command {args[0]!r}: {hint}", ctx=ctx)
        return super().resolve_command(ctx, args)


def explain(error: BaseException) -> int:
    """Print what an exception means and return the status to end with."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return PIPE
    if isinstance(error, ParserError):
        return _usage(error)
    if isinstance(error, (KeyboardInterrupt, Stopped)):
        text = str(error) or "Nothing unfinished is left under the final name of any output."
        _tell(f"Stopped. {text}")
        return INTERRUPTED
    _tell(f"Error: {_sentence(error)}")
    if isinstance(error, OSError):
        _drop_output()
    return FAILURE


def _usage(error: Any) -> int:
    """A mistake in the command line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        _tell(error.format_message())
        return USAGE
    _tell(f"Error: {error.format_message()}")
    context = getattr(error, "ctx", None)
    if context is not None:
        _tell(f"Try: {context.command_path} --help")
    return USAGE


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError):
        # Whoever writes a file names it, so what has no name came from printing.
        why = "the disc is full" if error.errno == errno.ENOSPC else error.strerror or error
        name = "standard output" if error.filename is None else error.filename
        return f"{name}: {why}."
    if isinstance(error, MemoryError):
        return "there is not enough memory. Try a smaller --batch-size or fewer workers."
    if isinstance(error, (ValueError, RuntimeError, ImportError)) and str(error):
        return str(error)
    return (
        f"this should not have happened: {type(error).__name__}: {error}. "
        "Run it again with MOLAE_TRACEBACK=1 and report what is printed."
    )


def _tell(text: str) -> None:
    """Print to standard error, where there is one."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return


def _drop_output() -> None:
    """Let nothing more be written to standard output, or Python complains when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # not a real file, as in tests: nothing is flushed at the end either


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as a sentence, without the line of source that gave it."""
    if issubclass(category, UserWarning) and "molae" in filename:
        _tell(f"Note: {message}")
