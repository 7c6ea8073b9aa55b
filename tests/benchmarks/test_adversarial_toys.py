"""The pictures of toys are drawn, of whatever was learnt in two steps."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def bench():
    """The benchmark, whose folder is at the end of the path."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.adversarial_toys")
    sys.path.remove(root)


def test_all_pictures_are_drawn(bench, tmp_path, monkeypatch):
    words = ["adversarial_toys", "--quick", "--steps", "20", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    values = json.loads((tmp_path / "values.json").read_text("utf-8"))
    assert values["steps"] == 2
    assert set(values) == {"steps", *bench.TOYS}
    for name in bench.TOYS:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert len(picture.getcolors(1 << 20)) > 4
    assert values["four_points"]["best"]["log p(x), mean"] == -1.3863
    assert set(values["iae"]) == {"gan", "gan, smooth", "ali", "iae", "seconds"}


def test_points_are_drawn_where_they_are(bench):
    torch = importlib.import_module("torch")
    sheet = bench.scatter(torch.tensor([[1.0, 1.0], [9.0, 0.0]]), torch.tensor([0, 1]), 2.0)
    places = (sheet != 255).any(-1).nonzero()
    assert len(places[0]) == 4  # one is outside
    assert (places[0] < bench.PANEL / 2).all()  # up
    assert (places[1] > bench.PANEL / 2).all()  # on the right
