"""The benchmark of GECO: small cells trained for real, a table, and two pictures."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from molae.pictures import read_image

WAYS = ("elbo", "annealed", "re0.2", "micro_elbo", "micro_re0.2")
TINY = "--quick --device cpu --epochs 2 --micro-steps 20 --draws 60 --width 0.25 --ways"


@pytest.fixture(scope="module")
def bench():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(Path(__file__).parents[2]))
    yield importlib.import_module("benchmarks.geco")
    patch.undo()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("geco")


@pytest.fixture(scope="module")
def made(bench, place):
    """Values of the cells by name."""
    assert bench.main(["--work", str(place), *TINY.split(), *WAYS]) == 0
    return {p.stem: json.loads(p.read_text())["values"] for p in (place / "cells").iterdir()}


def test_a_cell_says_where_a_model_lies(made):
    assert set(made) == {f"{way}-0" for way in WAYS}
    for name in ("elbo-0", "annealed-0", "re0.2-0"):
        cell = made[name]
        kl = cell["kl"]
        assert kl["examples"] == 1250
        assert kl["marginal"] == pytest.approx(kl["average"] - kl["information"])
        assert kl["information"] <= math.log(1250)
        assert 0 < cell["sigma_opt"] < 0.6
        # Of a normal distribution at its best sigma, in bins of 1 / 255.
        wanted = 0.5 * math.log(2 * math.pi * cell["sigma_opt"] ** 2) + 0.5 + math.log(255)
        assert cell["nats"] == pytest.approx(wanted, abs=0.05)
        assert cell["history"]["step"][-1] == 50
    assert made["re0.2-0"]["history"]["multiplier"][-1] > 1
    assert "multiplier" not in made["elbo-0"]["history"]


def test_micro_mnist_is_seven_clouds_in_a_plane(made):
    for name in ("micro_elbo-0", "micro_re0.2-0"):
        assert np.asarray(made[name]["codes"]).shape == (7, 100, 2)
        assert made[name]["kl"]["information"] <= math.log(7)


def test_cells_are_made_once_and_shown(made, bench, place):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    with (place / "told").open("w") as stream:
        words = ["--work", str(place), *TINY.split(), *WAYS]
        assert bench.main(words, Console(file=stream, width=200)) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    told = (place / "told").read_text()
    for title in ("Information plane", "Micro-MNIST", "GECO, RE 0.2", "ELBO, beta from 0 to 1"):
        assert title in told
    words[words.index("2")] = "3"
    assert bench.main(words) == 1  # made otherwise


def test_pictures(made, bench, place):
    pytest.importorskip("matplotlib")
    plane, micro = place / "plane.png", place / "micro.png"
    words = ["--table", "--out", str(place / "cells"), "--plane", str(plane)]
    assert bench.main([*words, "--micro", str(micro)]) == 0
    for path in (plane, micro):
        assert min(read_image(path).shape[:2]) > 300


def test_ways_are_those_of_the_paper_or_of_the_digits(bench):
    usual, quick = bench.usual_ways(False), bench.usual_ways(True)
    assert [name for name in usual if name.startswith("re")] == ["re0.06", "re0.1", "re0.175"]
    assert [name for name in quick if name.startswith("re")] == ["re0.14", "re0.16", "re0.2"]
    assert [name for name in usual if name[:2] != "re"] == [n for n in quick if n[:2] != "re"]
