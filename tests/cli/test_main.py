"""The command line as a whole: start-up, help, examples, the page of all commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import molae as package
from molae.cli import reference
from molae.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "rdkit", "sklearn", "pandas", "nltk", "numpy", "accelerate", "scipy")


def commands(command=None, path=()):
    """All commands that do something: their words -> the command."""
    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", None)
    if below is None:
        return {path: command}
    return {k: v for name, each in below.items() for k, v in commands(each, (*path, name)).items()}


COMMANDS = commands()
EXAMPLES = [
    (line.strip(), path)
    for path, command in COMMANDS.items()
    for line in (command.epilog or "").split("\n\n")[1:]
]


def test_everything_asked_for_is_there():
    words = {" ".join(path) for path in COMMANDS}
    wanted = ["prepare", "train", "generate", "encode", "decode", "reconstruct", "interpolate"]
    wanted += ["evaluate", "neighbors", "score", "info", "objectives", "densities", "demo"]
    wanted += ["optimize", "suggest", "tell"]
    wanted += ["oracles"]
    wanted += [f"grammar {each}" for each in ("check", "parse", "sample")]
    wanted += [f"data {each}" for each in ("list", "get", "path", "transform")]
    wanted += [f"density {each}" for each in ("fit", "list")]
    assert words == set(wanted)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_examples(molae, path):
    result = molae(*path, "--help")
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.stdout
    assert "--help" not in result.stdout.rsplit("Examples:", 1)[1]  # they come after the options


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fills_the_screen(path):
    """Only paragraphs break: the lines of a docstring would be cut again on a narrow screen."""
    paragraphs = COMMANDS[path].help.split("\n\n")
    assert all(paragraphs)
    assert "\n" not in "".join(paragraphs)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_options_have_help(path):
    for parameter in COMMANDS[path].params:
        if parameter.name != "help" and parameter.param_type_name == "option":
            assert parameter.help, f"{path}: {parameter.name}"


@pytest.mark.parametrize(("line", "path"), EXAMPLES, ids=[line for line, _ in EXAMPLES])
def test_examples_parse(line, path):
    words = shlex.split(re.split(r"\s\|\s", line)[0])
    assert words[0] == "molae"
    assert " ".join(path) in line
    typed = next(words[1:n] for n in (3, 2) if tuple(words[1:n]) in COMMANDS)
    COMMANDS[tuple(typed)].make_context(" ".join(typed), words[1 + len(typed) :])


def test_reference_page_is_up_to_date():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == reference.page(), "run: python -m molae.cli.reference > docs/cli.md"


def test_start_up_imports_nothing_heavy():
    code = (
        "import sys, molae.cli.main, molae.cli.reference; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_version_and_module(shell, tmp_path, molae):
    assert molae("--version").stdout == f"molae {package.__version__}\n"
    assert shell("molae --version", tmp_path).stdout == f"molae {package.__version__}\n"


def test_no_command_shows_help(molae):
    result = molae()
    assert result.exit_code in (0, 2)
    assert "generate" in result.output


def test_unknown_command_is_answered_with_the_closest(molae):
    result = molae("trian")
    assert result.exit_code == 2
    assert "did you mean 'train'" in result.stderr
