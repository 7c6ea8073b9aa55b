"""The table on molecules: small cells trained for real, a table of cells written by hand."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import signal
import sys
import threading
from itertools import islice
from pathlib import Path

import pytest
import torch
from rich.console import Console

from molae.codecs import CharacterCodec, restricted_codec, shipped_codec
from molae.resources import data_path
from molae.runs import build
from molae.workflows.asked import Asked
from molae.workflows.data import load_data
from molae.workflows.settings import settings
from molae.workflows.train import hold_out

NOTHING = dict.fromkeys(Asked.__dataclass_fields__) | {"properties": (), "options": {}}
#: Molecules in the file.
COUNT = 160
#: Options of a table that is made in seconds, but for files and models.
TINY = "--molecules 64 --batch-size 32 --held 30 --generated 40 --decoded 8 --width 8"
REST = "--precision fp32 --device cpu --workers 1"


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules; their folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("molecules", "molecules_models", "molecules_table", "molecules_cell")
    yield [importlib.import_module(f"benchmarks.{name}") for name in names]
    sys.path.remove(root)


@pytest.fixture(scope="module")
def main(bench):
    return bench[0].main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with some molecules in a file."""
    folder = tmp_path_factory.mktemp("table")
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        (folder / "demo.smi").write_text("".join(islice(stream, COUNT)))
    return folder


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose models are to be named."""
    files = [place / "demo.smi", "--out", place / "cells", "--work", place / "work"]
    return [*map(str, files), *TINY.split(), *REST.split(), "--models"]


@pytest.fixture(scope="module")
def made(main, words, place):
    """The values of two cells and that of the data."""
    assert main([*words, "cvae", "gvae"]) == 0
    return {p.stem: json.loads(p.read_text()) for p in sorted((place / "cells").iterdir())}


@pytest.fixture(scope="module")
def run_of_few():
    """A model with random weights, whose grammar knows the tokens of two molecules."""
    config = settings(Asked(**NOTHING))
    return build(config, restricted_codec(["CCO", "C1=CC=NC=C1"], max_steps=100))


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_says_all_that_was_measured(made):
    assert set(made) == {"data", "cvae-0", "gvae-0"}
    for name in ("cvae-0", "gvae-0"):
        found = made[name]["values"]
        assert 0 <= found["reconstruction"]["exact"] <= 1
        assert 10 < found["reconstruction"]["molecules"] < 50
        assert found["training"]["molecules_seen"] == pytest.approx(64, abs=16)
        assert found["training"]["seconds"] > 0
        buffers = found["size"]["bytes"] - 4 * found["size"]["parameters"]
        assert 0 <= buffers < 4096  # of the prior
        assert set(found["densities"]) == {"prior", "gmm"}
        for drawn in found["densities"].values():
            assert drawn["drawn"] == 40
            assert drawn["codes"] == 8
            assert {"uniqueness", "fcd", "snn"} <= drawn["metrics"].keys()
            assert 0 <= drawn["validity_no_masks"] <= 1
    assert {"processor", "cores", "versions"} <= made["gvae-0"]["machine"].keys()
    assert made["gvae-0"]["date"].startswith("20")


def test_characters_have_no_masks_and_zinc_has_only_those_of_the_grammar(made):
    characters = made["cvae-0"]["values"]["densities"]["prior"]
    assert characters["validity_all_masks"] is characters["validity_grammar_masks"] is None
    rules = made["gvae-0"]["values"]["densities"]["prior"]
    assert rules["validity_all_masks"] == rules["validity_grammar_masks"] is not None


def test_what_a_grammar_of_the_training_data_cannot_say_is_missed(bench, place, run_of_few):
    """Our grammar is cut down to what is learnt from, and held-out molecules may need more."""
    parts = bench[3].Parts(place / "demo.smi", 30, place / "work", 1)
    data = parts.sequences(run_of_few)
    assert len(data.rejects) > 0
    assert len(data.rejects) + len(data.x) == len(parts.held)
    assert parts.sequences(run_of_few) is data


def test_training_molecules_are_what_a_perfect_model_would_reach(made):
    found = made["data"]["values"]["metrics"]
    assert found["validity"] == 1
    assert found["novelty"] == 0


def test_what_is_held_out_is_what_a_training_holds_out(bench, place):
    parts = bench[3].Parts(place / "demo.smi", 30, place / "work", 1)
    data = load_data([place / "demo.smi"], workers=1, cache=place / "encoded")
    learnt, held = hold_out(data.data, 30 / COUNT, 0)
    codec = data.codec
    texts = codec.decode(torch.from_numpy(held.array(range(len(held)))))
    assert sorted(codec.decode(codec.encode(parts.held))) == sorted(texts)
    assert len(parts.learnt) == len(learnt) == COUNT - len(held)
    assert parts.file.read_text().split() == parts.learnt


def test_a_cell_that_is_there_is_not_made_again(made, main, words, place, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    assert main([*words, "gvae"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    assert "all 2 cells are in" in capsys.readouterr().out


def test_cells_of_another_protocol_are_not_mixed(made, main, words, capsys):
    assert main([*words, "gvae", "ae", "--molecules", "96"]) == 1
    assert "molecules was 64 and is now 96" in capsys.readouterr().err


def test_an_interrupted_training_goes_on(made, main, words, place, capsys):
    """Ctrl-C as soon as there is a checkpoint; the same command then ends the training."""
    other = ["--out", str(place / "other"), "--molecules", "960"]
    over = threading.Event()

    def press() -> None:
        while not over.wait(0.005):
            if list((place / "work").glob("ae-*/checkpoint/state.json")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    presser = threading.Thread(target=press)
    presser.start()
    assert main([*words, "ae", *other]) == 130
    over.set()
    presser.join()
    assert "the same command goes on" in capsys.readouterr().err
    assert not (place / "other" / "ae-0.json").exists()
    (folder,) = (place / "work").glob("ae-*")
    assert json.loads((folder / "checkpoint" / "state.json").read_text())["step"] < 30
    assert main([*words, "ae", *other]) == 0
    found = json.loads((place / "other" / "ae-0.json").read_text())["values"]
    assert found["training"]["steps"] == 30


def test_a_finished_training_is_only_measured_again(made, main, words, place):
    (folder,) = (place / "work").glob("gvae-0-*")
    before = (folder / "card.json").stat().st_mtime_ns
    (place / "cells" / "gvae-0.json").unlink()
    assert main([*words, "gvae"]) == 0
    assert (folder / "card.json").stat().st_mtime_ns == before
    again = json.loads((place / "cells" / "gvae-0.json").read_text())["values"]
    was = made["gvae-0"]["values"]
    assert again["reconstruction"] == was["reconstruction"]
    for name, drawn in again["densities"].items():
        assert drawn["metrics"] == was["densities"][name]["metrics"]


def test_every_model_can_be_built_as_the_table_asks_for_it(bench):
    """Without a training; all but the first and the last have the published sizes."""
    _, models, _, cells = bench
    protocol = cells.Protocol(("", ""), 30, 64, None, 32, 2e-3, 501, "fp32", 40, 8)
    codecs = {"zinc": shipped_codec("zinc", 277), "smiles": shipped_codec("smiles", 100)}
    codecs[None] = CharacterCodec("CNO", 121)
    sizes = {}
    for name in models.MODELS:
        asked = protocol.training(name, 0)
        config = settings(Asked(**(NOTHING | {k: v for k, v in asked.items() if k in NOTHING})))
        sizes[name] = build(config, codecs[config.pop("grammar")])
        assert config["densities"]["gmm"] == {"components": 10}
    published = {name for name in sizes if not name.startswith("ours")}
    assert len(published) == 9
    for name in published:
        model = sizes[name].model
        assert model.decoder.gru.hidden_size == 501
        assert model.decoder.gru.num_layers == 3
        assert model.encoder.dense.out_features == 435
    assert sizes["gvae"].objective.noise_scale == 0.01
    assert sizes["grae-gp"].objective.regularizer == "gp"
    assert sizes["grae-l2"].objective.noise == 0


# The table ---------------------------------------------------------------------------------------


def by_hand(folder, name, seed, exact, fcd, **more):
    """A cell with numbers of our own."""
    metrics = {"validity": 0.5, "uniqueness": 1.0, "snn": 0.25}
    values = {
        "model": name, "title": name.upper(), "remark": "nothing", "seed": seed,
        "protocol": {
            "data": ["zinc.smi.gz", "0"], "held": 5000, "molecules": 1000, "epochs": None,
            "batch_size": 128, "learning_rate": 2e-3, "width": 501, "generated": 5000,
            "decoded": 1000,
        },
        "reconstruction": {"molecules": 4980, "exact": exact},
        "training": {"seconds": 60.0, "molecules_per_second": 17, "precision": "bf16"},
        "densities": {
            key: {"validity_no_masks": 0.125, "metrics": metrics | {"fcd": value}}
            for key, value in fcd.items()
        },
    } | more  # fmt: skip
    machine = {"processor": "Abacus", "cores": 2, "versions": {"torch": "2"}}
    file = {"date": "2026-01-02T00:00:00+00:00", "machine": machine, "values": values}
    (folder / f"{name}-{seed}.json").write_text(json.dumps(file))


@pytest.fixture
def cells(tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    by_hand(folder, "gvae", 0, 0.1, {"prior": 10.0, "gmm": 4.0})
    by_hand(folder, "gvae", 1, 0.3, {"prior": 12.0, "gmm": 6.0})
    by_hand(folder, "ae", 0, 0.5, {"prior": 8.0, "gmm": 9.0})
    by_hand(folder, "cvae", 0, 0.0, {"prior": None, "gmm": 30.0})
    by_hand(folder, "gwae", 0, 0.0, {}, failed="the loss was not finite")
    return folder


def test_mean_and_deviation_over_seeds(bench, cells):
    _, _, table, _ = bench
    head, rows = table.model_rows(table.Cells(cells))
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(found) == ["CVAE", "GVAE", "GWAE (1 of 1 diverged)", "AE"]
    assert found["GVAE"]["seeds"] == "0, 1"
    assert found["GVAE"]["exact reconstruction %"] == "20.0 ± 14.1"
    assert found["AE"]["exact reconstruction %"] == "50.0"
    assert found["AE"]["molecules / s"] == "17"
    assert found["GWAE (1 of 1 diverged)"]["exact reconstruction %"] == "-"
    head, rows = table.draw_rows(table.Cells(cells))
    found = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}
    assert found["GVAE", "GMM-10"]["FCD"] == "5.00 ± 1.41"
    assert found["AE", "N(0, I)"]["FCD"] == "8.00"
    assert found["AE", "N(0, I)"]["valid, all masks %"] == "-"
    assert found["AE", "N(0, I)"]["no masks %"] == "12.5"


def test_it_is_said_where_the_mixture_does_not_help(bench, cells):
    told = bench[2].helped(bench[2].Cells(cells))
    assert told == [
        "CVAE: from N(0, I) there were too few molecules for a FCD.",
        "GVAE: it helps (FCD 11.00 to 5.00).",
        "GWAE (1 of 1 diverged): from N(0, I) and GMM-10 there were too few molecules for a FCD.",
        "AE: it does not help (FCD 8.00 to 9.00).",
    ]


def test_of_a_model_that_has_hardly_learnt_nothing_is_said(bench, tmp_path):
    by_hand(tmp_path, "gvae", 0, 0.02, {"prior": 20.0, "gmm": 10.0})
    assert bench[2].helped(bench[2].Cells(tmp_path)) == [
        "GVAE: nothing can be said, for it gives back less than 5% (FCD 20.00 to 10.00)."
    ]


def test_weights_that_were_trained_with_are_told(bench, tmp_path):
    objective = {"regularizer": "sn", "weight": 1e-5, "beta": 0.05, "noise": [0.1, 2.0]}
    model = {"decoder": {"name": "autoregressive", "noise": [0.1, 2.0]}}
    config = {"objective": objective, "model": model}
    by_hand(tmp_path, "ours-sn", 0, 0.5, {}, config=config, title="Ours")
    (told,) = bench[2].remarks(bench[2].Cells(tmp_path))
    assert told.startswith("Ours: regularizer sn, beta 0.05, noise 0.1:2, told to the decoder, ")


def test_the_screen_shows_every_row(bench, cells):
    console = Console(width=250, record=True, file=io.StringIO())
    bench[2].show(bench[2].Cells(cells), console)
    text = console.export_text()
    for word in ("1,000 molecules seen", "GVAE", "20.0 ± 14.1", "GMM-10", "5.00 ± 1.41"):
        assert word in text


def test_only_the_part_between_the_marks_is_rewritten(bench, main, cells, tmp_path):
    from benchmarks.cells import marks

    table = bench[2]
    page = tmp_path / "results.md"
    begin, end = marks("molecules", table.BY)
    page.write_text(f"# Mine\n\n{begin}\nold\n{end}\n\nkept\n")
    for _ in range(2):
        assert main(["--markdown", "--out", str(cells), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"# Mine\n\n{begin}\n")
    assert text.endswith(f"{end}\n\nkept\n")
    assert "\nold\n" not in text
    assert "| GVAE | 0, 1 | 20.0 ± 14.1 |" in text
    assert "AE: it does not help" in text
    assert "4,980 molecules held out" in text


def test_numbers_that_were_not_read_are_marked(bench):
    lines = bench[2].published()
    marked = [line for line in lines if "quoted from memory of the paper, not checked" in line]
    assert len(marked) == 4
    assert any(line.startswith("| GVAE | 53.7 | 7.2 |") for line in marked)
    (read,) = [line for line in lines if "PaddleHelix" in line]
    assert read not in marked


def test_the_pages_that_ship_have_the_marks(bench):
    from benchmarks.cells import marks

    assert set(bench[2].PAGES) == {"molecules", "study"}
    for name, page in bench[2].PAGES.items():
        text = page.read_text()
        assert [text.count(mark) for mark in marks(name, bench[2].BYS[name])] == [1, 1], name


def test_the_study_changes_one_thing_at_a_time_and_has_a_table_of_its_own(
    bench, main, words, place, tmp_path, capsys
):
    """Trained for real; the page then names what was changed beside what it came to."""
    from benchmarks.cells import marks

    study = bench[1].STUDY
    assert study["default"].settings == {"grammar": "smiles"}
    assert all(
        study["default"].settings.items() <= each.settings.items() for each in study.values()
    )
    page = tmp_path / "training.md"
    page.write_text("\n".join(marks("study", bench[2].BYS["study"])))
    out = ["--out", str(tmp_path / "cells"), "--page", str(page)]
    sizes = ["latent-28", "latent-112"]
    assert main([*words, *sizes, *out, "--study", "--markdown"]) == 0
    assert sorted(path.stem for path in (tmp_path / "cells").iterdir()) == [
        "data",
        "latent-112-0",
        "latent-28-0",
    ]
    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| 28 numbers",
        "| 112 numbers",
        "| training molecules",
    ]
    assert "FCD, GMM-10" in rows[0]
    assert "64 molecules seen in each training" in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--table", "--out", "{empty}"], "there are no cells"),
        (["--markdown", "--out", "{cells}", "--page", "{empty}/no.md"], "needs the lines"),
        (["{empty}/none.smi"], "there is no such file"),
    ],
)
def test_what_is_wrong_is_said(given, told, main, cells, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    words = [word.format(empty=empty, cells=cells) for word in given]
    work = ["--work", str(tmp_path / "work")]
    assert main([*words, *work, *([] if "--out" in words else ["--out", str(empty)])]) == 1
    assert told in capsys.readouterr().err


def test_cells_that_were_made_in_several_ways_are_no_table(bench, cells):
    by_hand(cells, "ae", 1, 0.5, {}, protocol={"molecules": 7})
    with pytest.raises(ValueError, match="made in several ways"):
        bench[2].Cells(cells)


def test_more_than_half_is_not_held_out(main, place, words, capsys):
    other = ["--out", str(place / "third")]
    assert main([*words, "gvae", "--held", "80", *other]) == 1
    assert "less than half" in capsys.readouterr().err
