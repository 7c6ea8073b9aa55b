"""The list of what can be scored says nothing that is not so."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import typer

from molae.cli.main import app
from molae.names import FUNCTIONS, ORACLES, PROPERTIES, REFERENCES, TASKS
from molae.oracles import oracle
from molae.pictures import text_of
from molae.workflows.oracles import EXAMPLES

TABLES = {**PROPERTIES, **REFERENCES, **FUNCTIONS, **TASKS, **ORACLES}


@pytest.fixture(scope="module")
def listed(molae):
    result = molae("oracles")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    return result.stdout.splitlines()


def test_every_name_is_listed_with_its_help(listed):
    rows = {line.split(maxsplit=2)[0]: line for line in listed if line}
    assert TABLES.keys() <= rows.keys()
    for name, text in TABLES.items():
        assert rows[name].endswith(text)


@pytest.mark.parametrize("name", [*PROPERTIES, *TASKS, "equation", "images:ink"])
def test_every_name_alone_is_an_oracle(name):
    assert oracle(name).name == name


def options(line):
    """What the option parser makes of the words after ``molae optimize``."""
    command = typer.main.get_command(app).commands["optimize"]
    with command.make_context("optimize", [*shlex.split(line), "-o", "out"]) as context:
        return context.params


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_works(line, listed, tmp_path, monkeypatch):
    assert any(row.startswith(line) and row.endswith(EXAMPLES[line]) for row in listed)
    given = options(line)

    (tmp_path / "mypackage").mkdir()
    source = "def affinity(smiles):\n    return [float(len(text)) for text in smiles]\n"
    for name in ("score.py", "mypackage/module.py"):
        (tmp_path / name).write_text(source)
    (tmp_path / "dock.sh").write_text('#!/bin/sh\necho "${#1}"\n')
    (tmp_path / "dock.sh").chmod(0o755)
    (tmp_path / "dock.py").write_text("import sys\nfor line in sys.stdin: print(len(line) - 1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made = oracle(given["oracle"], command=given["command"], requirements=given["require"] or ())
    texts = ["x", "x+1"] if "equation" in line else ["CCO", "Oc1ccccc1"]
    if "images:" in line:
        texts = [text_of(np.full((8, 8), shade, np.uint8)) for shade in (0, 255)]
    answers = made.answer(texts)
    assert [answer.error for answer in answers] == [None, None]
    if "affinity" in line or "dock" in line:
        assert [answer.score for answer in answers] == [3, 9]
