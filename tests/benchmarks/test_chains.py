"""Chains of digits and measures of sprites: hardly trained, but from the command to the end."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from molae.pictures import read_image


@pytest.fixture(scope="module")
def benchmark():
    """A benchmark by name; their folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    sys.path.remove(root)


def test_chains_are_drawn(benchmark, tmp_path, monkeypatch, capsys):
    chains = benchmark("chains")
    monkeypatch.setattr(chains, "SIZES", {True: (1, 4)})
    picture = tmp_path / "chains.png"
    words = ["--quick", "--work", str(tmp_path), "--picture", str(picture)]
    assert chains.main(words) == 0
    found = json.loads((tmp_path / "chains.json").read_text())
    assert found.keys() == chains.WALKS.keys()
    assert all(numbers["off"] > 0 and numbers["classes"] >= 1 for numbers in found.values())
    assert found["cae"]["objective"]["weight"] == 0.1
    # Six chains of five states, 40 pixels each, and lines between them; four models.
    assert read_image(picture).shape[:2] == (4 * (6 * 41 - 1) + 3, 5 * 41 - 1)
    assert "picture" in capsys.readouterr().out


def test_sprites_are_measured(benchmark, tmp_path, monkeypatch, capsys):
    module = benchmark("disentanglement")
    monkeypatch.setattr(module, "EPOCHS", {True: 1})
    words = ["--quick", "--work", str(tmp_path), "--models", "strkm"]
    assert module.main(words) == 0
    found = json.loads((tmp_path / "disentanglement.json").read_text())["strkm"]
    for kind in ("codes", "principal"):
        assert all(0 <= value <= 1 for value in found[kind].values())
    assert "strkm, principal: mig" in capsys.readouterr().out
