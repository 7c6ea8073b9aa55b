"""The timing of whole commands: what it ran and what it wrote down."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.generate")
    sys.path.remove(root)


def test_what_was_written_is_counted_beside_what_it_took(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.record.RESULTS", tmp_path)
    bench.main(["-m", "tiny", "--number", "12", "--repeats", "2", "--device", "cpu"])
    found = json.loads((tmp_path / "generate.json").read_text())["values"]
    assert (found["many"]["molecules"], found["one"]["molecules"]) == (12, 1)
    assert 1 < found["many"]["unique"] <= 12
    assert len(found["many"]["seconds"]) == 2
    assert found["many"]["least"] == min(found["many"]["seconds"]) > 0
    assert "12 molecules" in capsys.readouterr().out


def test_a_command_that_fails_has_no_time(bench, tmp_path):
    import subprocess

    with pytest.raises(subprocess.CalledProcessError):
        bench.once(1, tmp_path / "new.smi", ["-m", "no-such-model"])
