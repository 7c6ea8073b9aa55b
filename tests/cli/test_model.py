"""Which model a command works with where none is named, and that it says so."""

from __future__ import annotations

import pytest

from molae.runs import places

SAID = "No model was trained here yet: using tiny, which ships with molae (-m RUN names another)."
#: Commands that take a model and have --quiet, and those that have not.
SPOKEN = (
    "generate -n 3 --workers 1",
    "encode my.smi --workers 1",
    "decode codes.tsv",
    "evaluate -n 4 --workers 1",
)
TERSE = (
    "reconstruct my.smi --limit 3 --workers 1",
    "neighbors CCOCC -n 2",
    "interpolate CCO CCN --steps 3",
    "density list",
    "info",
)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch, molecules):
    """A place where nothing was ever trained, with some molecules and codes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "DEFAULT_MODEL", "tiny")
    (tmp_path / "my.smi").write_bytes(molecules.read_bytes())
    head = "\t".join(f"z{i}" for i in range(1, 33))
    (tmp_path / "codes.tsv").write_text(head + "\n" + "\t".join(["0"] * 32) + "\n")


@pytest.mark.parametrize("line", [*SPOKEN, *TERSE])
def test_without_a_name_it_is_the_shipped_one(molae, line):
    result = molae(*line.split())
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == SAID
    assert result.stdout


@pytest.mark.parametrize("line", SPOKEN)
def test_quiet(molae, line):
    result = molae(*line.split(), "-q")
    assert result.exit_code == 0, result.output
    assert not result.stderr


def test_a_name_is_enough(molae):
    result = molae("generate", "-n", 3, "-m", "tiny", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "ships with molae" not in result.stderr


def test_what_was_trained_comes_first(molae):
    line = "train my.smi --from tiny -o tuned --steps 1 --batch-size 16 --workers 1 -q"
    result = molae(*line.split())
    assert result.exit_code == 0, result.output
    result = molae("info")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    assert "tuned" in result.stdout.splitlines()[0]


def test_what_ships_is_not_changed(molae):
    result = molae("density", "fit", "--data", "my.smi", "--components", 1, "--workers", 1)
    assert result.exit_code == 1
    assert "tiny ships with molae and is not changed" in result.stderr


def test_info_lists_what_ships(molae):
    told = molae("info").stdout
    assert told.splitlines()[0].split() == ["folder", "tiny", "(ships", "with", "molae)"]
    (head,) = [line for line in told.splitlines() if line.startswith("SHIPPED MODEL")]
    rows = told[told.index(head) :].splitlines()[1:]
    assert any(row.startswith("tiny ") for row in rows)
    named = molae("info", "tiny")
    assert "SHIPPED MODEL" not in named.stdout
    assert told.startswith(named.stdout)
