"""The table of objectives: small cells trained for real, a table of cells written by hand."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import re
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import molae
from molae.names import OBJECTIVES
from molae.pictures import grid, pixels_of, read_image, text_of
from molae.resources import data_path
from molae.runs import build
from molae.workflows.asked import Asked
from molae.workflows.settings import settings

NOTHING = dict.fromkeys(Asked.__dataclass_fields__) | {"properties": (), "options": {}}
#: A posterior in closed form, a point, and one of several steps.
MADE = ("vae", "ae", "convdraw")
TINY = "--quick --learnt 300 --epochs 1 --nll-images 6 --nll-samples 4"
MORE = "--kl-images 30 --kl-draws 8 --generated 40 --device cpu"


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules by name; their folder is at the end of the path."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("", "_models", "_cell", "_picture", "_table", "_molecules")
    yield {name: importlib.import_module(f"benchmarks.objectives{name}") for name in names}
    sys.path.remove(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("objectives")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose models are to be named."""
    return [
        *TINY.split(),
        *MORE.split(),
        "--work",
        str(place / "work"),
        "--out",
        str(place / "cells"),
    ]


@pytest.fixture(scope="module")
def made(bench, words, place):
    """The values of cells."""
    assert bench[""].main([*words, "--models", *MADE]) == 0
    files = (place / "cells").glob("*.json")
    return {path.stem: json.loads(path.read_text())["values"] for path in files}


def printed(bench, folder):
    """What the command prints of a folder of cells."""
    console = Console(file=io.StringIO(), width=400)
    options = bench[""].arguments(["--table", "--out", str(folder)])
    bench[""].show(options, console)
    return console.file.getvalue()


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_has_every_column_or_says_why_not(made, bench):
    assert set(made) == {"data-0", *(f"{name}-0" for name in MADE)}
    columns = bench["_table"].of_models() + bench["_table"].of_draws()
    for name in MADE:
        cell = bench["_table"].with_epochs(made[f"{name}-0"])
        for column in columns:
            value, missing = column.read(cell), column.path[-1] in cell["missing"]
            assert (value is None) == missing, (name, column.head)
            assert value is None or np.isfinite(value)
    lacking = {name: set(made[f"{name}-0"]["missing"]) for name in MADE}
    kl = {"average", "marginal", "information", "error"}
    assert lacking["vae"] == set()
    assert lacking["ae"] == kl | {"minus_elbo"}
    assert lacking["convdraw"] == (kl - {"average"}) | {"gaussian", "gmm"}


def test_numbers_of_a_bound_keep_their_order(made):
    """The estimate with several samples is below the bound of the same draws, and KL adds up."""
    for name in ("vae-0", "convdraw-0"):
        found = made[name]["numbers"]
        assert 0 < found["nll"] <= found["minus_elbo"]
    found = made["vae-0"]["numbers"]
    assert found["average"] == pytest.approx(found["marginal"] + found["information"])
    assert 0 < found["wrong"] < 1
    assert made["ae-0"]["surrogate"]
    assert not made["vae-0"]["surrogate"]


def test_images_are_black_and_white_and_the_first_are_learnt_from(made, bench, place):
    parts = bench["_cell"].BinaryParts("digits", None, place / "work", 300)
    assert made["data-0"]["counts"] == {"learnt": 300, "validation": 250, "test": 297}
    with np.load(parts.file) as stored:
        assert set(np.unique(stored["x_train"])) == {0, 255}
        assert np.array_equal(stored["x_train"], parts.learnt)
    assert bench["_cell"].black_and_white(np.array([127, 128])).tolist() == [0, 255]


def test_a_cell_that_is_there_is_not_made_again(made, bench, words, place, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    assert bench[""].main([*words, "--models", "vae"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    assert bench[""].main([*words, "--models", "vae", "--nll-samples", "5"]) == 1
    assert "was made otherwise: nll_samples was" in capsys.readouterr().err


def test_a_finished_training_is_only_measured_again(made, bench, words, place):
    (folder,) = (place / "work").glob("ae-0-*")
    before = (folder / "card.json").stat().st_mtime_ns
    (place / "cells" / "ae-0.json").unlink()
    assert bench[""].main([*words, "--models", "ae"]) == 0
    assert (folder / "card.json").stat().st_mtime_ns == before
    again = json.loads((place / "cells" / "ae-0.json").read_text())["values"]
    assert again["numbers"] == pytest.approx(made["ae-0"]["numbers"], rel=1e-5)


def test_the_table_prints_a_row_for_each_and_a_sentence_for_what_is_missing(made, bench, place):
    text = printed(bench, place / "cells")
    for name in MADE:
        assert bench["_models"].MODELS[name].title in text
    assert "AE *" in text
    assert ") there is no q(z|x) with a known density, and so no bound." in text
    assert bench["_cell"].TOO_WIDE in text
    assert "a point has no density" in text
    assert "floor" in text


def test_molecules_have_their_column_and_what_is_refused_says_why(bench, words, place, tmp_path):
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        (tmp_path / "some.smi").write_text("".join(islice(stream, 120)))
    cells, work = tmp_path / "cells", tmp_path / "work"
    bench["_molecules"].make(
        tmp_path / "some.smi", ["vae", "ali", "pixelvae", "vae-vamp"], [0],
        size_of_table="quick", out=cells, work=work, device="cpu",
    )  # fmt: skip
    text = printed(bench, cells)
    assert "On molecules" in text
    assert "the objective 'ali' is for images, and the data are sequences." in text
    assert "the decoder 'pixelcnn' is not for texts" in text
    assert "the prior 'vamp' is for images, and the data are sequences" in text
    assert "at least 100 valid molecules" in text  # for a FCD
    values = json.loads((cells / "molecules" / "vae-0.json").read_text())["values"]
    assert values["densities"]["own"]["validity_all_masks"] == 1.0
    assert "training molecules (floor)" in text


# Pictures ----------------------------------------------------------------------------------------


def test_a_picture_has_held_out_images_what_comes_back_and_what_is_generated(
    made, bench, words, place, tmp_path
):
    from typer.testing import CliRunner

    from molae.cli.main import app

    shown, names = bench["_picture"].SHOWN, ("ae", "convdraw")
    drawn = ["--models", *names, "--pictures", str(tmp_path)]
    assert bench[""].main([*words, *drawn]) == 0
    test = bench["_cell"].BinaryParts("digits", None, place / "work", 300).test[:shown]
    for name in names:
        (folder,) = (place / "work").glob(f"{name}-0-*")
        target = tmp_path / f"{name}.npz"
        asked = ["generate", "-m", folder, "-n", shown, "-o", target, "--device", "cpu", "-q"]
        result = CliRunner().invoke(app, list(map(str, asked)))
        assert result.exit_code == 0, result.output
        with np.load(target) as stored:
            (new,) = stored.values()
        run = molae.load(folder, device="cpu")
        codes = run.encode([text_of(image) for image in test], refine=0)
        again = map(pixels_of, run.decode(codes))
        image = read_image(tmp_path / f"{name}.png")[..., 0]
        scale = (len(image) - 2) // 24  # three lines of eight pixels, with lines between them
        wanted = grid([*test, *again, *new.reshape(test.shape)], shown, scale=scale)
        assert np.array_equal(image, wanted[..., 0])


def test_what_was_not_trained_has_no_picture_and_is_named(bench, words, place, tmp_path, capsys):
    options = bench[""].arguments(words)
    parts = bench["_cell"].BinaryParts("digits", None, place / "work", 300)
    protocol = bench[""].protocol_of(options)
    bench["_picture"].pictures(["wae"], 0, parts, protocol, tmp_path, "cpu")
    assert "no picture of wae: there is no finished training" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        bench[""].arguments(["--table", "--pictures", str(tmp_path)])


def test_pictures_that_the_page_shows_are_of_rows(bench):
    page = (bench[""].PAGE.parent / "objectives.md").read_text("utf-8")
    shown = re.findall(r"!\[[^]]*\]\(objectives/(.*?)\.png\)", page)
    assert shown
    assert len(set(shown)) == len(shown) == page.count("(objectives/")
    assert set(shown) <= set(bench["_models"].MODELS)


# The rows ----------------------------------------------------------------------------------------


def test_every_objective_has_a_row(bench):
    models = bench["_models"].MODELS
    assert {row.settings["objective"] for row in models.values()} == set(OBJECTIVES)
    titles = [row.title for row in models.values()]
    assert len(set(titles)) == len(titles)


def test_every_row_can_be_built_on_digits_of_mnist_s_size(bench):
    """Without a training; the bound itself for VAEs, whatever the likelihood's usual weight."""
    from molae.codecs import ImageCodec

    protocol = bench[""].protocol_of(bench[""].arguments(["digits"]))
    for name in bench["_models"].MODELS:
        asked = protocol.training(name, 0, (1, 28, 28))
        known = {option: value for option, value in asked.items() if option in NOTHING}
        config = settings(Asked(**(NOTHING | known | {"width": 0.1})), medium="images")
        run = build(config, ImageCodec(28, 28, 1))
        assert run.config["model"]["decoder"]["likelihood"] == "bernoulli"
        if asked["objective"] in ("vae", "cvvae"):
            assert run.config["objective"]["beta"] == 1.0
        assert run.size == (196 if name == "convdraw" else 16)


# The table ---------------------------------------------------------------------------------------


def by_hand(folder, name, seed, **more):
    """A cell with numbers of our own."""
    values = {
        "model": name, "seed": seed, "settings": {},
        "protocol": {
            "data": ["mnist.npz", "0"], "net": "image", "image_size": None, "width": 0.5,
            "epochs": 5.0, "batch_size": 100, "learning_rate": 2e-3, "generated": 2000,
            "features": "classifier", "nll_samples": 500, "nll_images": 500, "kl_images": 5000,
            "kl_draws": 100, "geco": {"tolerance": 0.2},
        },
    } | more  # fmt: skip
    machine = {"processor": "Abacus", "cores": 2, "versions": {"torch": "2"}}
    (folder / f"{name}-{seed}.json").write_text(json.dumps({"machine": machine, "values": values}))


@pytest.fixture
def folder(tmp_path):
    cells = tmp_path / "cells"
    cells.mkdir()
    for seed in range(3):
        numbers = {"nll": 90.0 + seed, "wrong": 0.025, "own": 4.0}
        done = {"seconds": 50.0, "epochs": 5.0}
        by_hand(cells, "vae", seed, numbers=numbers, training=done, dimensions=16,
                missing={"gaussian": "it is told why."})  # fmt: skip
    by_hand(cells, "ali", 0, failed="the loss was not finite")
    by_hand(cells, "wae", 0, refused="this does not go with that.")
    by_hand(cells, "data", 0, floor=1.25, counts={"learnt": 20000})
    return cells


def test_means_over_seeds_and_letters_for_what_is_missing(bench, folder):
    table = bench["_table"]
    remarks = table.Remarks()
    first, second = table.tables(table.Cells(folder), remarks)
    head, rows = first.rows
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(found) == ["VAE", "ALI (1 of 1 diverged)", "WAE"]
    assert found["VAE"]["NLL"] == "91.0 ± 1.0"
    assert found["VAE"]["seeds"] == "0-2"
    assert found["VAE"]["wrong pixels %"] == "2.50 ± 0.00"
    head, rows = second.rows
    drawn = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert drawn["VAE"]["seconds per epoch"] == "10.0 ± 0.0"
    assert drawn["validation images (floor)"]["GMM-10"] == "1.25"
    told = dict(line.split(" ", 1) for line in remarks.told())
    assert told[drawn["VAE"]["N(mu, Sigma)"].removeprefix("- ")] == "it is told why."
    assert told[found["WAE"]["NLL"].removeprefix("- ")] == "this does not go with that."
    assert found["ALI (1 of 1 diverged)"]["NLL"] == drawn["ALI (1 of 1 diverged)"]["GMM-10"]
    assert [table.letter_of(number) for number in (0, 25, 26, 27)] == ["a", "z", "aa", "ab"]


def test_only_the_part_between_the_marks_is_rewritten(bench, folder, tmp_path):
    from benchmarks.cells import marks

    begin, end = marks("objectives")
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{begin}\nold\n{end}\n\nkept\n")
    assert bench[""].main(["--markdown", "--out", str(folder), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"# Mine\n\n{begin}\n")
    assert text.endswith(f"{end}\n\nkept\n")
    assert "| VAE | 0-2 | 91.0 ± 1.0 |" in text
    assert "Abacus, 2 cores" in text


def test_the_page_that_ships_has_the_marks(bench):
    from benchmarks.cells import marks

    text = bench[""].PAGE.read_text()
    for name in ("objectives", "objectives_full"):
        assert [text.count(mark) for mark in marks(name)] == [1, 1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--table", "--out", "{empty}"], "there are no cells"),
        (["{empty}/none.npz"], "there is no such file"),
    ],
)
def test_what_is_wrong_is_said(given, told, bench, tmp_path, capsys):
    words = [word.format(empty=tmp_path) for word in given]
    work = ["--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    assert bench[""].main([*words, *work]) == 1
    assert told in capsys.readouterr().err


def test_numbers_of_a_hurry_stay_off_the_project_s_page(bench, capsys):
    with pytest.raises(SystemExit):
        bench[""].main(["--quick", "--markdown"])
    assert "mean nothing" in capsys.readouterr().err
