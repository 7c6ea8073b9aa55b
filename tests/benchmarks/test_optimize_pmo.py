"""Tasks of PMO: small cells made for real, sums over cells written by hand, published numbers."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from molae.chem.guacamol import PMO, PMO_CHANGED
from molae.metrics import top_auc
from molae.names import STRATEGIES
from molae.oracles import oracle

#: Options of a table that is made in seconds, but for places, methods and tasks.
TINY = "--quick --device cpu --workers 1 --calls 106 --batch 20"


@pytest.fixture(scope="module")
def bench():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.optimize_pmo")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("pmo")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose methods and tasks are to be named."""
    return ["--out", str(place / "cells"), "--work", str(place / "work"), *TINY.split()]


@pytest.fixture(scope="module")
def made(bench, words, place):
    """The values of some cells, and what was printed."""
    console = Console(width=250, record=True, file=io.StringIO())
    methods = ["--methods", "gp_genetic", "genetic", "screening"]
    assert bench.main([*words, *methods, "--tasks", "albuterol_similarity"], console) == 0
    more = ["--methods", "latent", "sampling", "--tasks", "qed"]
    assert bench.main([*words, *more], console) == 0
    cells = {p.stem: json.loads(p.read_text())["values"] for p in (place / "cells").iterdir()}
    return cells, console.export_text()


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_says_all_that_was_measured(made):
    cells, _ = made
    assert len(cells) == 5
    for values in cells.values():
        assert values["counts"]["calls"] == 106
        assert 0 < values["auc"] < values["top"]["10"] <= values["top"]["1"] <= 1
        assert values["curve"][-1] == [106, pytest.approx(values["top"]["10"], abs=1e-4)]
        scorer = oracle(values["task"])
        for value, text in values["best"]:
            assert scorer.answer([text])[0].score == pytest.approx(value)


def test_those_that_learn_begin_with_the_same_molecules(bench, made, place):
    def first(name):
        folder = next((place / "work").glob(f"{name}-0-*"))
        return [line.split(",")[1] for line in (folder / "evaluations.csv").open()][1:]

    latent, bred = first("latent-qed"), first("gp_genetic-albuterol_similarity")
    assert latent[:100] == bred[:100]
    assert len(set(latent)) == 106
    assert not set(first("sampling-qed")) & set(latent[:100])
    assert set(latent[100:]) != set(bred[100:])


def test_the_area_is_that_of_the_scores(made, place):
    folder = next((place / "work").glob("genetic-albuterol_similarity-0-*"))
    scores = [float(line.split(",")[2]) for line in list((folder / "evaluations.csv").open())[1:]]
    area = made[0]["genetic-albuterol_similarity-0"]["auc"]
    assert area == pytest.approx(top_auc(scores, 106, 10, 1))


def test_the_screen_shows_what_there_is_to_beat(made):
    for part in ("gp_genetic", "REINVENT", "11.59", "10.8", "0.898", "they do not compare"):
        assert part in made[1]


def test_cells_of_another_protocol_are_not_mixed(bench, made, words, capsys):
    again = [*words, "--methods", "sampling", "--tasks", "qed"]
    assert bench.main(again) == 0
    assert bench.main([*again, "--calls", "107"]) == 1
    assert "was made otherwise: calls was" in capsys.readouterr().err


def test_every_method_can_be_asked_for(bench):
    assert all(settings["strategy"] in STRATEGIES for settings in bench.METHODS.values())


# Tasks and published numbers ---------------------------------------------------------------------


def test_every_task_is_an_oracle_and_has_published_numbers(bench, capsys):
    assert len(PMO) == 20
    for task in PMO:
        assert 0 <= oracle(task).answer(["CC(C)NCC(O)c1ccc(O)cc1"])[0].score <= 1
    for areas in bench.PUBLISHED.values():
        assert set(areas) == set(PMO)
    with pytest.raises(SystemExit) as ended:
        bench.main(["--list"])
    assert ended.value.code == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 20
    assert sum("defined otherwise" in line for line in told) == len(PMO_CHANGED) == 4


@pytest.mark.parametrize(
    ("method", "total"),
    [("screening", 7.41), ("SMILES-VAE-BO", 7.40), ("SELFIES-VAE-BO", 7.76), ("GP-BO", 10.82)],
)
def test_published_tasks_add_up_to_the_published_sums(method, total, bench):
    """To what 20 rounded numbers can be off by."""
    assert sum(bench.PUBLISHED[method].values()) == pytest.approx(total, abs=0.02)


def test_results_of_other_budgets_have_a_place_of_their_own(bench, tmp_path):
    given = ["--table", "--work", str(tmp_path)]
    usual, long = (bench.arguments([*given, "--calls", n]) for n in ("1000", "10000"))
    assert (usual.name, usual.out.name) == ("optimize_pmo", "optimize_pmo")
    assert (long.name, long.out.name) == ("optimize_pmo_10000", "optimize_pmo_10000")


def by_hand(method, task, seed, auc):
    """A cell with numbers of our own."""
    return {
        "method": method,
        "task": task,
        "seed": seed,
        "protocol": {
            **{"calls": 10_000, "batch": 10, "start": 5},
            **{"data": ["x", ""], "model": ["m", ""]},
        },
        "auc": auc,
        "top": {"1": auc, "10": auc},
        "counts": {"calls": 10, "duplicates": 0, "known": 0, "invalid": 0},
        "seconds": {},
    }


def test_sums_are_over_all_tasks_of_a_seed(bench):
    cells = [by_hand("genetic", task, seed, 0.5 + 0.1 * seed) for task in PMO for seed in (0, 1)]
    cells += [by_hand("genetic", "qed", 2, 1.0)]  # a seed that is not complete
    cells += [by_hand("latent", task, 0, 0.25) for task in PMO[:7]]
    head, lines = bench.sum_rows(cells)
    found = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    whole, agreed = "sum over 20 tasks", "over the 16 defined as published"
    assert found["genetic"][whole] == "11.000 ± 1.414"
    assert found["genetic"][agreed] == "8.800 ± 1.131"
    assert found["latent"][whole] == "7 of 20 tasks"
    assert found["*GP-BO*"][agreed] == "9.25"
    head, lines = bench.task_rows(cells)
    tasks = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert len(tasks) == 20
    assert tasks["qed"]["genetic"] == "0.700 ± 0.265"
    assert tasks["median1"]["genetic"] == "0.550 ± 0.071"
    assert "zaleplon_mpo †" in tasks
    assert all("do not compare" not in note for note in bench.notes(cells))
