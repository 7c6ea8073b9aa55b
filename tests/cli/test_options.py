"""Options that are read in a special way: durations, lists of names, files of options."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from molae.cli.options import assignments, duration, examples, split


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("45", 45),
     ("1.5m", 90), ("1H", 3600)],
)  # fmt: skip
def test_duration(text, seconds):
    assert duration(text) == seconds


@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 9999))
def test_duration_adds_up(hours, minutes, seconds):
    text = f"{hours}h{minutes}m{seconds}s"
    total = 3600 * hours + 60 * minutes + seconds
    if total:
        assert duration(text) == total


@pytest.mark.parametrize("text", ["", "0", "0s", "3x", "m30", "-5m", "30m1h", "nan"])
def test_durations_that_are_none(text):
    with pytest.raises(typer.BadParameter, match="length of time"):
        duration(text)


def test_no_duration():
    assert duration(None) is None


def test_assignments():
    texts = ["samples=50", "head.bound = 8.5", "constraint=re", "scales=[1, 2]", "free=true"]
    values = {"samples": 50, "head.bound": 8.5, "constraint": "re", "scales": [1, 2], "free": True}
    assert assignments(texts) == values
    assert assignments(["path=a=b"]) == {"path": "a=b"}


@pytest.mark.parametrize("text", ["samples", "=5", "samples=", ""])
def test_assignments_that_are_none(text):
    with pytest.raises(typer.BadParameter, match="sets nothing"):
        assignments([text])


def test_split():
    assert split(["qed,sa", " mw ", "qed,"]) == ["qed", "sa", "mw"]
    assert split(None) == []


def test_examples_are_the_last_words():
    assert examples("molae info").endswith("molae info")


@pytest.fixture
def settings(tmp_path):
    def write(text):
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_config_gives_values(molae, settings, tmp_path):
    (tmp_path / "raw.smi").write_text("CCO\nCCCCCC\nOCC\n")
    path = settings("max-atoms = 4\nunique = false\nworkers = 1\n")
    result = molae("prepare", tmp_path / "raw.smi", "--config", path, "-o", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout == "CCO\nCCO\n"


def test_command_line_wins(molae, settings, tmp_path):
    (tmp_path / "raw.smi").write_text("CCO\nCCCCCC\nOCC\n")
    path = settings("max_atoms = 4\n")
    words = ["--config", path, "--max-atoms", 9, "--workers", 1]
    result = molae("prepare", tmp_path / "raw.smi", *words)
    assert result.stdout == "CCO\nCCCCCC\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-atms = 4", ("max-atms", "max_atoms")),
        ("max-atoms = 'many'", ("--max-atoms",)),
        ("[prepare]\nmax-atoms = 4", ("prepare",)),
        ("[max-atoms]\nx = 4", ("max-atoms", "table")),
        ("max-atoms: 4", ("settings.toml", "not a TOML file")),
    ],
)
def test_config_that_makes_no_sense(molae, settings, tmp_path, text, words):
    (tmp_path / "raw.smi").write_text("CCO\n")
    result = molae("prepare", tmp_path / "raw.smi", "--config", settings(text))
    assert result.exit_code == 2
    assert not result.stdout
    for word in words:
        assert word in result.stderr


def test_config_that_is_not_there(molae, tmp_path):
    result = molae("prepare", "x.smi", "--config", tmp_path / "no.toml")
    assert result.exit_code == 2
    assert "no.toml: No such file" in result.stderr
