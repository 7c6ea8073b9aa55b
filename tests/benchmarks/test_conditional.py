"""The benchmark of conditional models, small."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from molae.datasets.images import read_images
from molae.pictures import read_image

pytest.importorskip("matplotlib")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    made = importlib.import_module("benchmarks.conditional")
    short = {"latent_dim": 4, "width": 0.25, "steps": 2, "batch_size": 64, "progress": False}
    monkeypatch.setitem(made.SETTINGS, True, short | {"components": 2, "device": "cpu"})
    return made


def test_the_picture_and_its_numbers(bench, tmp_path, capsys):
    assert bench.main(["--quick", "--pictures", str(tmp_path)]) == 0
    assert min(read_image(tmp_path / "conditional.png").shape[:2]) > 300
    found = json.loads((tmp_path / "conditional.json").read_text())
    assert set(found["models"]) == {"label", "sum", "rotate"}
    for numbers in found["models"].values():
        assert numbers["true images"] > 0.9
        assert 0 <= numbers["obeys"] <= 1
    assert "told of others" in capsys.readouterr().out


def test_no_image_is_on_both_sides(bench):
    images = read_images("digits")
    learnt, held = bench.parted(images, 0)
    assert len(held.pixels) == 179
    together = np.concatenate([learnt.keys, held.keys])
    assert (np.sort(together) == np.sort(images.keys)).all()
    assert not set(learnt.names) & set(held.names)
