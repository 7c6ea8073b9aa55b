"""The figures on fixed points, drawn small."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from molae.pictures import read_image

pytest.importorskip("matplotlib")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    made = importlib.import_module("benchmarks.fixed_points")
    monkeypatch.setitem(made.SIZES, True, (10, 36, 6))
    return made


def test_both_figures_and_their_numbers(bench, tmp_path, capsys):
    assert bench.main(["--quick", "--pictures", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "fixed_points.json", "fixed_points_2.png", "fixed_points_7.png"
    }  # fmt: skip
    for number in (2, 7):
        assert min(read_image(tmp_path / f"fixed_points_{number}.png").shape[:2]) > 300
    found = json.loads((tmp_path / "fixed_points.json").read_text())
    curve = found["temperatures"]
    assert len(curve["betas"]) == len(curve["errors"]) == len(curve["second_derivative"]) == 6
    assert curve["errors"] == sorted(curve["errors"])
    assert curve["components"][0] > curve["components"][-1] == 1
    assert set(found["lipschitz"]) == {"lines", "circles"}
    assert set(found["lipschitz"]["lines"]) == {"none", "local", "global"}
    for rows in found["lipschitz"].values():
        held = [cell["error"] for cell in rows["local"]]
        assert held == sorted(held)  # what is held together is farther from the data
    assert "critical:" in capsys.readouterr().out


def test_data_are_what_they_are_called(bench):
    for made in (bench.clusters, bench.lines, bench.circles):
        assert made(30).shape == (30, 2)
        assert made(30).abs().max() < 1
    assert not (sys.modules["benchmarks.fixed_points"].begin(4)[1] == bench.tiles(4)).all()
