"""What benchmarks of optimisers share: cells, numbers, pages, data."""

from __future__ import annotations

import importlib
import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from molae.chem.molecules import canonical
from molae.chem.properties import score
from molae.runs import Run


@pytest.fixture(scope="module")
def bench():
    """The shared modules; their folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("optimization", "optimization_molecules", "cells")
    yield [importlib.import_module(f"benchmarks.{name}") for name in names]
    sys.path.remove(root)


@pytest.fixture(scope="module")
def common(bench):
    return bench[0]


@pytest.fixture(scope="module")
def store(bench):
    """Of cells and tables."""
    return bench[2]


@pytest.fixture(scope="module")
def molecules(bench):
    return bench[1]


# Cells -------------------------------------------------------------------------------------------


def jobs(store, *names, settings=None):
    return [store.Job(name, settings or {"k": 1}, {"seed": 0, "method": name}) for name in names]


def test_cells_are_made_once_and_say_how(store, tmp_path, capsys):
    made = []

    def make(job):
        made.append(job.name)
        return {"value": len(made)}

    def fill(*names):
        told = lambda found: f"value {found['value']}"  # noqa: E731
        store.fill(tmp_path, {"calls": 5}, jobs(store, *names), make, told)

    fill("a-0", "b-0")
    fill("b-0", "a-0", "c-0")
    assert made == ["a-0", "b-0", "c-0"]
    assert "1/1 c-0: value 3 in 0 s" in capsys.readouterr().out
    cells = store.read_cells(tmp_path)
    assert [each["value"] for each in cells] == [1, 2, 3]
    assert cells[0]["protocol"] == {"calls": 5}
    assert cells[0]["settings"] == {"k": 1}
    assert cells[0]["method"] == "a-0"
    whole = json.loads((tmp_path / "a-0.json").read_text())
    assert {"date", "command", "machine"} <= whole.keys()


def test_a_cell_that_failed_is_not_written(store, tmp_path):
    def make(job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.fill(tmp_path, {}, jobs(store, "a-0"), make, str)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("protocol", "settings", "odd"),
    [
        ({"calls": 6, "data": ("x", "0")}, {"k": 1}, "calls was 5 and is now 6"),
        ({"calls": 5}, {"k": 2}, "k was 1 and is now 2"),
    ],
)
def test_cells_that_were_made_otherwise_are_refused(protocol, settings, odd, store, tmp_path):
    first = {"calls": 5, "data": ("x", "0")}
    store.fill(tmp_path, first, jobs(store, "a-0"), lambda job: {}, str)
    again = jobs(store, "a-0", settings=settings)
    with pytest.raises(ValueError, match=f"was made otherwise: {odd};"):
        store.fill(tmp_path, protocol, again, lambda job: {}, str)
    # A tuple is a list in JSON, and no difference.
    store.fill(tmp_path, first, jobs(store, "a-0"), lambda job: {}, str)


def test_cells_of_several_protocols_are_no_table(store, tmp_path):
    with pytest.raises(ValueError, match="there are no cells"):
        store.read_cells(tmp_path)
    for calls in (5, 6):
        store.fill(tmp_path, {"calls": calls}, jobs(store, f"a-{calls}"), lambda job: {}, str)
    with pytest.raises(ValueError, match="made in several ways"):
        store.read_cells(tmp_path)


# Numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [([1.0, 2.0, 3.0], "2.00 ± 1.00"), ([1.5], "1.50"), ([None, 1.0], "1.00"), ([], "-")],
)
def test_mean_and_sample_deviation(values, text, store):
    assert store.spread(values) == text


def test_seeds_are_told_shortly(store):
    found = {n: store.seeds([{"seed": s} for s in n]) for n in [(2, 0, 1), (0, 1), (0, 2, 3)]}
    assert list(found.values()) == ["0-2", "0, 1", "0, 2, 3"]


FREE = ("duplicates", "known", "invalid")


def test_cost_counts_what_was_free(common):
    """20 candidates: 10 calls, 3 invalid, 5 repeats and 2 known; and a cell of 10 calls only."""
    repeats, none = {"duplicates": 5, "known": 2, "invalid": 3}, dict.fromkeys(FREE, 0)
    cells = [
        {"counts": {"calls": 10} | repeats, "seconds": {"ask": 4}},
        {"counts": {"calls": 10} | none, "seconds": {"ask": 1, "retrain": 3}},
    ]
    found = dict(zip(common.COST, common.cost(cells), strict=True))
    assert found["new valid calls"] == "10 ± 0"
    assert (found["invalid %"], found["repeated %"]) == ("10.0", "23.3")
    assert (found["ask, s"], found["decode, s"], found["retrain, s"]) == ("2.5", "0.0", "1.5")


def test_a_curve_keeps_every_so_many_calls_and_the_last(common):
    trace = [math.nan, 1.0, 2.0, 2.0, 3.0]
    assert common.curve(trace, 2) == [[2, 1.0], [4, 2.0], [5, 3.0]]
    assert common.curve(trace, 1)[0] == [2, 1.0]
    assert common.curve(trace[:1], 2) == common.curve([], 2) == []


# Page and command line ---------------------------------------------------------------------------


def test_a_page_is_rewritten_between_its_marks(store, tmp_path):
    page = tmp_path / "page.md"
    begin, end = store.marks("mine")
    page.write_text(f"before\n\n{begin}\n\nold\n\n{end}\n\nafter\n")
    lines = store.markdown((["a", "p(x|z)"], [["1", "2"]]))
    for _ in range(2):
        store.rewrite(page, "mine", lines)
    assert page.read_text() == (
        f"before\n\n{begin}\n\n| a | p(x\\|z) |\n| --- | --- |\n| 1 | 2 |\n\n{end}\n\nafter\n"
    )
    with pytest.raises(ValueError, match="once each, in order"):
        store.rewrite(page, "other", lines)


def test_tables_go_to_the_screen_and_to_the_page(common, store, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("\n".join(store.marks("mine")))
    words = ["--table", "--markdown", "--page", str(page), "--work", str(tmp_path)]
    options = common.settled(common.parser("doc", ["m"]), words, "mine", {"methods": (["m"], [])})
    console = Console(width=200, record=True, file=io.StringIO())
    shown = [store.Shown("Title", (["method", "x"], [["m", "1.0"]]))]
    store.present(options, "mine", shown, ["A note with [brackets]."], console)
    text = console.export_text()
    assert "Title" in text
    assert "A note with [brackets]." in text
    written = page.read_text()
    assert "**Title**\n\n| method | x |" in written
    assert "- A note with [brackets]." in written


def test_what_is_usual_depends_on_quick(common, tmp_path):
    usual = {"seeds": ([0, 1], [0])}

    def given(*words):
        return common.settled(common.parser("doc", ["m"]), list(words), "mine", usual)

    work = ("--work", str(tmp_path))
    real, quick = given("file.smi", *work), given("--quick", *work)
    assert (real.seeds, real.model, real.out.name) == ([0, 1], "zinc", "mine")
    assert (quick.seeds, quick.model, quick.out) == ([0], "tiny", tmp_path / "cells")
    assert given("--quick", "--seeds", "7", *work).seeds == [7]
    for wrong in ([], ["--quick", "--markdown", *work]):
        with pytest.raises(SystemExit):
            given(*wrong)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("no such thing"), 1, "error: no such thing"),
        (KeyboardInterrupt(), 130, "the same command goes on"),
    ],
)
def test_errors_are_sentences(error, status, told, bench, capsys):
    from benchmarks.command_line import guarded

    def work():
        raise error

    assert guarded(work) == status
    assert told in capsys.readouterr().err
    assert guarded(lambda: None) == 0


def test_a_row_of_cells_for_each_seed(store):
    made = store.jobs_of(["a", "b"], [0, 3], lambda name, seed: {"k": f"{name}{seed}"}, "way")
    assert [job.name for job in made] == ["a-0", "b-0", "a-3", "b-3"]
    assert made[2].settings == {"k": "a3"}
    assert made[2].facts == {"way": "a", "seed": 3}


# Molecules ---------------------------------------------------------------------------------------

SMILES = ("OCC", "CCO", "nonsense", "CCCCCCCCCC", "c1ccccc1", "CC(=O)O", "CCN", "C1CCCCC1C")


@pytest.fixture
def library(molecules, tmp_path):
    (tmp_path / "some.smi").write_text("\n".join(SMILES))
    return molecules.Library(tmp_path / "some.smi", tmp_path, 1)


def test_a_library_holds_each_molecule_once(molecules, library, tmp_path):
    wanted = [canonical(text) for text in SMILES[1:] if text != "nonsense"]
    assert library.texts == wanted
    assert list(library.scores("plogp")) == list(score(wanted, ["plogp"])["plogp"])
    for path in tmp_path.glob("*-plogp.npy"):  # kept: not computed again
        np.save(path, np.arange(6.0))
    again = molecules.Library(tmp_path / "some.smi", tmp_path, 1)
    assert list(again.scores("plogp")) == list(range(6))
    assert again.facts[0] == "some.smi"


def test_a_start_has_the_best_and_others(library):
    best = library.texts[int(np.argmax(library.scores("plogp")))]
    starts = [library.start("plogp", 5, seed) for seed in range(8)]
    for chosen in starts:
        assert len(set(chosen)) == 5
        assert chosen == [text for text in library.texts if text in chosen]
        assert best in chosen
    assert len({tuple(chosen) for chosen in starts}) > 1
    assert starts[0] == library.start("plogp", 5, 0)
    assert library.start("plogp", 7, 0) == library.texts


def test_a_plausible_start_has_the_best_plausible_ones(molecules, tmp_path):
    aldehyde = "CCCCCCCCCCCCCCCC=O"  # the best by far, and fails a filter
    (tmp_path / "some.smi").write_text("\n".join([aldehyde, *SMILES]))
    library = molecules.Library(tmp_path / "some.smi", tmp_path, 1)
    assert not molecules.is_plausible(aldehyde)
    taken = [set(library.start("plogp", 5, seed, plausible=True)) for seed in range(12)]
    assert all("CCCCCCCCCC" in chosen for chosen in taken)
    assert any(aldehyde not in chosen for chosen in taken)


def test_codes_of_a_library(library):
    run = Run.load("tiny", "cpu")
    z = library.codes(run)
    kept = ~z.isnan().any(1)
    assert z.shape == (6, run.size)
    assert kept.sum() >= 5
    known = [text for text, there in zip(library.texts, kept.tolist(), strict=True) if there]
    assert torch.allclose(z[kept], run.encode(known, refine=0), atol=1e-5)
    assert torch.allclose(library.codes(run), z, rtol=0, atol=0, equal_nan=True)


def test_quick_data_are_the_first_that_ship(molecules, tmp_path):
    first = molecules.quick_library(tmp_path, 20).read_text()
    assert len(first.split()) == 20
    assert molecules.quick_library(tmp_path, 30).read_text().startswith(first)


def test_models_are_told_by_name_and_digest(molecules):
    name, digest = molecules.model_facts("tiny")
    assert name == "tiny"
    assert len(digest) == 64
    with pytest.raises(ValueError, match="there is no run"):
        molecules.model_facts("no_such_model")


def test_the_best_are_told_in_three_ways(molecules):
    """A chain too long, an aldehyde, a known molecule, and others that are fine."""
    long, bad, old, fine = "C" * 40, "CCCCCC=O", "CCCCCCC", "CCCCCCCC"
    scored = [(1.0, fine), (9.0, long), (3.0, old), (5.0, bad), (0.5, "CCO")]
    found = molecules.best_of(scored, frozenset([old]), 3)
    assert [text for _, text in found["all"]] == [long, bad, old]
    assert [text for _, text in found["new"]] == [long, bad, fine]
    assert found["plausible"] == [[1.0, fine], [0.5, "CCO"]]
    other = {"all": [[9.0, long], [2.0, "CC"]]}
    pooled = molecules.pooled([{"best": found}, {"best": other}], "all", 4)
    assert pooled == [[9.0, long], [5.0, bad], [3.0, old], [2.0, "CC"]]
    assert molecules.listed(pooled[:2]) == "9.00, 5.00"
    assert molecules.listed([]) == "-"


def test_shares_of_a_campaign(molecules):
    counts = {"calls": 6, "duplicates": 2, "known": 0, "invalid": 2}
    assert molecules.shares(counts) == {"valid": 0.8, "unique": 0.75}
    nothing = dict.fromkeys(counts, 0)
    assert molecules.shares(nothing) == {"valid": None, "unique": None}


def test_chains_of_carbon(molecules):
    found = molecules.alkanes((20, 60), lambda text: float(len(text)))
    assert found == [("C20H42", 20.0, True), ("C60H122", 60.0, False)]
