"""The commands of docs/objectives.md: options and names exist, and what is trained can be built.

Of docs/evaluation.md too, options and names; of docs/images.md those between backquotes, for
``tests/test_readme.py`` runs the others.

Nothing is trained: where ``molae train`` would begin, the loss of a few examples is computed.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
TEXT, EVALUATION, IMAGES = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("objectives", "evaluation", "images")
)
#: Commands stand in lines of their own, or between backquotes, maybe over two lines.
COMMANDS = [
    " ".join(shlex.split(found, comments=True))
    for text in (TEXT, EVALUATION, IMAGES)
    for found in re.findall(r"^ {4}((?:molae|python -m) .*)", text, re.MULTILINE)
    + re.findall(r"`((?:molae|python -m) [^`]*)`", text.replace("\n", " "))
]
TRAININGS = [line for line in COMMANDS if line.startswith("molae train ")]


class Built(Exception):
    """A model is there, and so is its loss."""


def stand_in(model, objective, data, **options):
    """In the place of ``fit``: the loss of each player on two examples."""
    objective.prepare(model)
    model.train()
    for player in objective.players(model):
        assert torch.isfinite(player.terms(model, data.batch(np.arange(2)), 0).loss())
    raise Built


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the reader sits, with images and molecules of their own."""
    place = tmp_path_factory.mktemp("reader")
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28)).astype(np.uint8)
    np.savez(place / "mnist.npz", images=images)
    (place / "my.smi").write_text("".join(f"C{'C' * n}O\n" for n in range(8)))
    return place


@pytest.fixture(autouse=True)
def reader(folder, tmp_path, monkeypatch):
    for name in ("mnist.npz", "my.smi"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLAE_CACHE", str(folder / "cache"))


@pytest.mark.parametrize("line", TRAININGS)
def test_what_is_trained_can_be_built(line, monkeypatch):
    from typer.testing import CliRunner

    from molae.cli.main import app

    monkeypatch.setattr("molae.workflows.train.fit", stand_in)
    monkeypatch.setenv("MOLAE_TRACEBACK", "1")  # errors come out as they are
    result = CliRunner().invoke(app, [*shlex.split(line)[1:], "--workers", "1"])
    assert isinstance(result.exception, Built), f"{result.output}\n{result.exception!r}"


def test_every_objective_has_a_command():
    from molae.names import OBJECTIVES

    named = {re.search(r"--objective (\w+)", line)[1] for line in TRAININGS}
    # Those that came first have theirs in docs/training.md and docs/images.md.
    assert named | {"cvvae", "wae", "rae", "ae"} == set(OBJECTIVES)


def test_objectives_without_early_stopping_are_named():
    import typer

    from molae.cli.main import app
    from molae.names import OBJECTIVES
    from molae.objectives import objective_class

    without = {name for name in OBJECTIVES if not objective_class(name).comparable}
    (said,) = re.findall(r"What (.*) minimise moves", TEXT)
    assert set(re.findall(r"`(\w+)`", said)) == without
    options = typer.main.get_command(app).commands["train"].params
    (patience,) = [one.help for one in options if "--patience" in one.opts]
    assert set(re.findall(r"\w+", patience.split("not with")[1])) - {"or"} == without


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("molae ")])
def test_options_exist(line):
    import typer

    from molae.cli.main import app

    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {name for one in command.params for name in one.opts}
    asked = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert asked <= options, line


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("python ")])
def test_benchmarks_exist(line):
    _, _, module, *words = shlex.split(line)
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    for word in words:
        if word.startswith("--"):
            assert re.search(rf'"(--)?{word[2:]}"', source), line


def test_metrics_of_molecules_are_explained():
    from molae.names import METRICS
    from molae.workflows.evaluation import OF_DENSITY, OF_RUN

    told = set(re.findall(r"`(\w+)`", EVALUATION)) | {f"ring{size}" for size in range(4, 8)}
    evident = {"dimensions", "not_encoded", "molecules_per_second"}
    named = {name for name in METRICS if not name.startswith("mean_")} | OF_RUN.keys()
    assert named | OF_DENSITY.keys() <= told | evident
