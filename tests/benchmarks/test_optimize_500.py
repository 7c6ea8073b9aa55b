"""Penalised logP with 500 calls: small cells made for real, a table of cells written by hand."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from molae.chem.molecules import read
from molae.names import STRATEGIES
from molae.workflows.campaign.retrain import parse_retrain

#: Options of a table that is made in seconds, but for places and methods.
TINY = "--quick --device cpu --workers 1 --calls 8 --batch 4"
#: Methods of the cells that are made.
MADE = ("retrained", "genetic", "screening")


@pytest.fixture(scope="module")
def bench():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.optimize_500")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("calls")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose methods are to be named."""
    folders = ("--out", str(place / "cells"), "--work", str(place / "work"))
    return [*folders, *TINY.split(), "--methods"]


@pytest.fixture(scope="module")
def made(bench, words, place):
    """The values of some cells, and what was printed."""
    console = Console(width=250, record=True, file=io.StringIO())
    assert bench.main([*words, *MADE, "--caps", "38"], console) == 0
    assert bench.main([*words, "screening", "--caps", "none"], console) == 0
    cells = {p.stem: json.loads(p.read_text())["values"] for p in (place / "cells").iterdir()}
    return cells, console.export_text()


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_says_all_that_was_measured(bench, made):
    cells, _ = made
    assert set(cells) == {*(f"{method}-38-0" for method in MADE), "screening-none-0"}
    for values in cells.values():
        assert values["counts"]["calls"] == 8
        assert values["curve"][-1] == [8, pytest.approx(values["best"]["all"][0][0], abs=1e-5)]
        assert values["ranks"]["1"] == values["best"]["all"][0][0]
        assert values["ranks"]["10"] is None
        assert values["ended"] == "all calls are made"
        for value, text in values["best"]["all"]:
            assert bench.worth(text) == pytest.approx(value)
    assert cells["retrained-38-0"]["seconds"]["retrain"] > 0
    assert cells["retrained-38-0"]["valid"] == 1.0
    assert cells["screening-38-0"]["best"]["new"] == []
    bred = [text for _, text in cells["genetic-38-0"]["best"]["new"]]
    assert bred
    assert max(read(text).GetNumHeavyAtoms() for text in bred) <= 38


def test_the_screen_shows_what_there_is_to_beat(made):
    for part in (
        "our optimiser, weighted retraining",
        "at most 38 heavy atoms",
        "no cap",
        "19.66 ± 6.00",
        "C38H78",
        "C100H202",
        "retrain, s",
    ):
        assert part in made[1]


def test_a_cell_that_is_there_is_not_made_again(bench, made, words, place, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    assert bench.main([*words, *MADE, "--caps", "38"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    assert bench.main([*words, "screening", "--caps", "38", "--calls", "9"]) == 1
    assert "was made otherwise: calls was" in capsys.readouterr().err


def test_every_method_can_be_asked_for(bench):
    assert bench.METHODS.keys() == bench.TITLES.keys()
    for settings in bench.METHODS.values():
        assert settings["strategy"] in STRATEGIES
        if "retrain" in settings:
            assert parse_retrain(settings["retrain"])["every"] == 50


# The table ---------------------------------------------------------------------------------------


def by_hand(method, cap, seed, best, **counts):
    """A cell with numbers of our own: one is the best from call 100 on, and 2 before."""
    none = dict.fromkeys(("invalid", "duplicates", "known", "failures"), 0)
    return {
        "method": method,
        "cap": cap,
        "seed": seed,
        "protocol": {"calls": 500, "batch": 10, "start": 5, "data": ["x", ""], "model": ["m", ""]},
        "curve": [[10, 2.0], [100, best], [500, best]],
        "ranks": {"1": best, "10": best - 1, "50": None},
        "best": {"all": [[best, "CCCC"]], "new": [[best, "CCCC"]], "plausible": []},
        "counts": {"calls": 500, **none, **counts},
        "seconds": {"ask": 2.0 + seed, "retrain": 1.0},
    }


def test_mean_and_deviation_over_seeds(bench):
    cells = [
        by_hand("latent", "none", 0, 5.0),
        by_hand("latent", "none", 1, 7.0, invalid=250, duplicates=250),
        by_hand("latent", "38", 0, 4.0),
        by_hand("screening", "none", 0, 3.0),
    ]
    head, lines = bench.result_rows(cells, "none")
    found = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    ours = found["our optimiser"]
    assert ours["seeds"] == "0, 1"
    assert (ours["best of 50"], ours["best of 100"]) == ("2.00 ± 0.00", "6.00 ± 1.41")
    assert (ours["10th best"], ours["50th best"]) == ("5.00 ± 1.41", "-")
    assert ours["best of all"] == "7.00"
    assert ours["best three, novel"] == "7.00"
    assert found["*weighted retraining, every 50 calls*"]["best of 500"] == "19.66 ± 6.00"
    head, lines = bench.cost_rows(cells, "none")
    cost = dict(zip(head, lines[0], strict=True))
    assert (cost["invalid %"], cost["repeated %"]) == ("16.7", "16.7")
    assert (cost["ask, s"], cost["retrain, s"]) == ("2.5", "1.0")
    assert [shown.title for shown in bench.tables(cells)] == [
        "Penalised logP, at most 38 heavy atoms",
        "Cost, at most 38 heavy atoms",
        "Penalised logP, no cap",
        "Cost, no cap",
    ]
