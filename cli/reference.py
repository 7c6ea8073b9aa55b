"""All commands and options as one page: ``python -m molae.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from .main import app

_HEAD = """# Commands

What `molae COMMAND --help` says, on one page. Written by
`python -m molae.cli.reference > docs/cli.md`; a test holds it to the program."""


def page() -> str:
    """The page, Markdown."""
    return "\n".join([_HEAD, *_commands(typer.main.get_command(app), "molae")]) + "\n"


def _commands(command: Any, path: str) -> Iterator[str]:
    """The sections of a command and of those below it."""
    below = getattr(command, "commands", {})
    if not below:
        yield from _section(command, path)
    for name, each in below.items():
        yield from _commands(each, f"{path} {name}")


def _section(command: Any, path: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = " ".join(p.metavar or str(p.name).upper() for p in arguments)
    yield f"\n## {path}\n\n`{path} {words}`".replace(" `", "`") + "\n"
    yield " ".join((command.help or "").split())
    yield "\n| | default | |\n| --- | --- | --- |"
    for parameter in command.params:
        if parameter.name != "help":
            yield "| " + " | ".join(_cells(parameter)) + " |"
    lines = (command.epilog or "").split("\n\n")[1:]
    yield "\n```\n" + "\n".join(line.strip() for line in lines) + "\n```"


def _cells(parameter: Any) -> tuple[str, str, str]:
    words = parameter.metavar or str(parameter.name).upper()
    if parameter.param_type_name == "option":
        words = ", ".join(parameter.opts)
        if parameter.secondary_opts:
            words += " / " + ", ".join(parameter.secondary_opts)
        elif parameter.metavar:
            words += f" {parameter.metavar}"
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"`{words}`", _default(parameter), text


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.required:
        return "needed"
    value = parameter.default
    if value is None or value is False or value == []:
        return ""
    return "yes" if value is True else f"`{value}`"


if __name__ == "__main__":
    typer.echo(page(), nl=False)
