"""The table on images: small cells trained for real, a table of cells written by hand."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from molae.pictures import pixels_of, read_image, text_of
from molae.runs import build
from molae.workflows.asked import Asked
from molae.workflows.settings import settings

NOTHING = dict.fromkeys(Asked.__dataclass_fields__) | {"properties": (), "options": {}}
#: Models of the table that is made here, and options that keep it small.
MADE = ("vae", "2svae", "ae-l2")
TINY = "--quick --epochs 1 --generated 60 --fitted 300 --device cpu --models"


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules by name; their folder is at the end of the path."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("images", "images_models", "images_cell", "images_table", "images_picture")
    yield {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    sys.path.remove(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose models are to be named."""
    return ["--work", str(place / "work"), "--out", str(place / "cells"), *TINY.split()]


@pytest.fixture(scope="module")
def made(bench, words, place):
    """The values of some cells and that of the floor."""
    picture, curve = (str(place / name) for name in ("all.png", "curve.svg"))
    assert bench["images"].main([*words, *MADE, "--picture", picture, "--curve", curve]) == 0
    return {p.stem: json.loads(p.read_text())["values"] for p in (place / "cells").iterdir()}


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_says_all_that_was_measured(made):
    assert set(made) == {"data-0", *(f"{name}-0" for name in MADE)}
    middles = {f"midpoints, {kind}" for kind in ("linear", "rescaled", "spherical")}
    densities = {"prior", "centred", "gaussian", "gmm", "bayesian"}
    for name in ("vae-0", "ae-l2-0"):
        cell = made[name]
        assert set(cell["sets"]) == {"reconstructions", *middles, *densities}
        assert all(numbers["fd_pca"] > 0 for numbers in cell["sets"].values())
        assert 0 < cell["numbers"]["squared_error"] < 0.5
        assert cell["counts"]["training"] == 1250
        assert [point["components"] for point in cell["curve"]] == [1, 2, 5, 10]
        assert all(np.isfinite(point["validation"]) for point in cell["curve"])


def test_the_images_are_divided_in_three(made, bench, place):
    assert made["data-0"]["counts"] == {"learnt": 1250, "validation": 250, "test": 297}
    parts = bench["images_cell"].Parts("digits", None, place / "work")
    with np.load(parts.file) as stored:
        assert np.array_equal(stored["x_train"], parts.learnt)
    keys = {name: {i.tobytes() for i in getattr(parts, name)} for name in ("learnt", "test")}
    assert not keys["learnt"] & keys["test"]


def test_the_floor_is_of_images_that_nobody_has_learnt_from(made, bench, place, monkeypatch):
    """Measured again by hand; and all cells of a process are measured with one yardstick."""
    cells, built = bench["images_cell"], []
    parts = cells.Parts("digits", None, place / "work")
    ruler = cells.yardstick("pca", parts.test, parts.learnt, 60)
    wanted = ruler.measure(cells.some(parts.validation, 60, 0)).values
    assert made["data-0"]["sets"] == {"validation images": cells.finite(wanted)}
    assert wanted["nearest_train"] == pytest.approx(1, abs=0.2)
    monkeypatch.setattr(bench["images"], "ruler_of", lambda *given: built.append(given))
    for name in ("data_cell", "model_cell"):
        monkeypatch.setattr(bench["images"], name, lambda *given: {"failed": "not tried"})
    words = ["--quick", "--models", "ae", "rae", "--seeds", "0", "1", "--work", str(place / "new")]
    bench["images"].make(bench["images"].arguments(words))
    assert len(built) == 1


def test_a_source_with_a_part_for_tests(bench, tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (n, 28, 28), np.uint8)
              for name, n in (("x_train", 12), ("x_test", 5))}  # fmt: skip
    np.savez(tmp_path / "some.npz", **images)
    parts = bench["images_cell"].Parts(str(tmp_path / "some.npz"), 32, tmp_path)
    assert [len(part) for part in (parts.learnt, parts.validation, parts.test)] == [10, 2, 5]
    assert np.array_equal(parts.learnt[:, 2:-2, 2:-2, 0], images["x_train"][:10])  # in a frame
    assert np.array_equal(parts.test[:, 2:-2, 2:-2, 0], images["x_test"])


def test_the_two_stage_model_is_the_vae_with_other_codes(made, place):
    cell, vae = made["2svae-0"], made["vae-0"]
    assert len(list((place / "work").glob("vae-0-*"))) == 1
    assert cell["sets"]["reconstructions"] == vae["sets"]["reconstructions"]
    assert "two_stage" in cell["sets"]
    assert "gmm" not in cell["sets"]
    assert cell["curve"] == []


def test_a_cell_that_is_there_is_not_made_again(made, bench, words, place, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    assert bench["images"].main([*words, "vae"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    assert bench["images"].main([*words, "vae", "--generated", "50"]) == 1
    assert "was made otherwise: generated was" in capsys.readouterr().err


def test_a_finished_training_is_only_measured_again(made, bench, words, place):
    (folder,) = (place / "work").glob("ae-0-*")
    before = (folder / "card.json").stat().st_mtime_ns
    (place / "cells" / "ae-l2-0.json").unlink()
    assert bench["images"].main([*words, "ae-l2"]) == 0
    assert (folder / "card.json").stat().st_mtime_ns == before
    again = json.loads((place / "cells" / "ae-l2-0.json").read_text())["values"]
    for name, numbers in made["ae-l2-0"]["sets"].items():
        assert again["sets"][name]["fd_pca"] == pytest.approx(numbers["fd_pca"], rel=1e-6)


def test_weights_are_the_published_ones_in_our_units(bench):
    """REFERENCES: omega = 2 beta N / d, 128 beta on MNIST; sums instead of means, so times N."""
    models = bench["images_models"].MODELS
    assert len(models) == 10
    assert models["rae"].settings() == {"objective": "rae", "regularizer": "none", "beta": 0.064}
    assert models["rae-gp"].settings()["beta"] == pytest.approx(0.0128)
    assert models["rae-gp"].settings()["weight"] == pytest.approx(5e-8 * 1024)
    assert models["wae"].settings()["weight"] == pytest.approx(30.72)
    assert models["vae"].settings()["beta"] == 0.312
    assert "weight" not in models["ae"].settings()


def test_the_paper_s_models_can_be_built(bench):
    """Without a training: all with the published net and the learning rate of each."""
    from molae.codecs import ImageCodec

    options = bench["images"].arguments(["digits", "--paper"])
    with pytest.raises(ValueError, match=r"MNIST.*digits holds grey images, 8 x 8"):
        bench["images"].make(options)
    protocol = bench["images"].protocol_of(options)
    rates = {}
    for name in bench["images_models"].MODELS:
        asked = protocol.training(name, 0)
        rates[name] = asked["learning_rate"]
        known = {option: value for option, value in asked.items() if option in NOTHING}
        config = settings(Asked(**(NOTHING | known | {"width": 0.02})), medium="images")
        run = build(config, ImageCodec(32, 32, 1))
        assert config["model"]["decoder"]["name"] == "image_mnist"
        assert config["model"]["latent_dim"] == 16
        assert run.config["objective"]["name"] == asked["objective"]
        assert run.config["objective"].get("spectra") == ("both" if name == "rae-sn" else None)
    assert rates["vae"] == 1e-4
    assert rates["wae"] == 1e-3
    assert rates["rae-sn"] == 5e-4


# Pictures ----------------------------------------------------------------------------------------


def test_the_picture_has_a_row_for_each_model(made, place):
    sheet = read_image(place / "all.png")
    strip = pixels_of(made["vae-0"]["pictures"]["reconstructions"])
    assert strip.shape == (8, 8 * 9 - 1, 1)
    assert sheet.shape[0] > (1 + len(MADE)) * 6 * strip.shape[0]
    assert sheet.shape[1] > 4 * 6 * strip.shape[1]


def test_the_curve_has_a_line_for_each_model(made, place):
    drawing = (place / "curve.svg").read_text()
    assert drawing.startswith("<svg xmlns=")
    assert re.findall(r"start\">([^<]*)</text>", drawing) == ["VAE", "AE-L2"]


# The table ---------------------------------------------------------------------------------------


def by_hand(folder, name, seed, prior, gmm, **more):
    """A cell with numbers of our own."""
    sets = {"reconstructions": 1.0, "prior": prior, "gmm": gmm, "midpoints, linear": 30.0}
    values = {
        "model": name, "seed": seed, "settings": {},
        "protocol": {
            "data": ["mnist.npz", "0"], "net": "image", "image_size": None, "width": 1.0,
            "epochs": 10.0, "batch_size": 100, "learning_rate": 2e-3, "generated": 10000,
            "fitted": 20000, "features": "classifier", "components": [1, 2, 5],
        },
        "sets": {kind: {"fd_classifier": value, "fd_pca": 2 * value}
                 for kind, value in sets.items()},
        "numbers": {"squared_error": 0.01}, "parameters": 1_640_000,
        "training": {"seconds": 100.0},
        "curve": [{"components": k, "fitted": 0.0, "validation": v + 7 * seed}
                  for k, v in ((1, -20.0), (2, -18.0), (5, -17.5))],
        "pictures": {"reconstructions": text_of(np.zeros((4, 39), np.uint8))},
    } | more  # fmt: skip
    machine = {"processor": "Abacus", "cores": 2, "versions": {"torch": "2"}}
    file = {"date": "2026-01-02T00:00:00+00:00", "machine": machine, "values": values}
    (folder / f"{name}-{seed}.json").write_text(json.dumps(file))


@pytest.fixture
def folder(tmp_path):
    cells = tmp_path / "cells"
    cells.mkdir()
    for seed in range(3):
        by_hand(cells, "vae", seed, 80.0 + seed, 20.0 + seed)
        by_hand(cells, "rae", seed, 90.0, 9.0 + 0.1 * seed)
        by_hand(cells, "ae", seed, 900.0, 10.0 + seed)
    by_hand(cells, "wae", 0, 8.0, 9.0)
    by_hand(cells, "ae-l2", 0, 0.0, 0.0, failed="the loss was not finite")
    floor = {"sets": {"validation images": {"fd_classifier": 1.25}},
             "counts": {"learnt": 50000, "validation": 10000, "test": 10000},
             "pictures": {"truth": text_of(np.zeros((4, 39), np.uint8))}}  # fmt: skip
    by_hand(cells, "data", 0, 0.0, 0.0, **floor)
    return cells


def test_mean_and_deviation_over_seeds_and_the_floor(bench, folder):
    table = bench["images_table"]
    head, rows = table.distances(table.Cells(bench["images"].read_cells(folder)))
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    last = "validation images (floor)"
    assert list(found) == ["VAE", "WAE", "RAE", "AE", "AE-L2 (1 of 1 diverged)", last]
    assert found["VAE"]["N(0, I)"] == "81.00 ± 1.00"
    assert found["VAE"]["seeds"] == "0-2"
    assert found["VAE"]["N(mu, Sigma)"] == found["AE-L2 (1 of 1 diverged)"]["GMM-10"] == "-"
    assert found["WAE"]["GMM-10"] == "9.00"
    assert found[last]["midpoint"] == "1.25"


def test_it_is_said_whether_regularising_helps(bench, folder):
    """By hand: RAE - AE is -1, -1.9, -2.8, of mean -1.9 and deviation 0.9; t(0.975, 2) = 4.303."""
    table = bench["images_table"]
    cells = table.Cells(bench["images"].read_cells(folder))
    assert table.shape(cells) == [
        "GMM-10 is nearer than N(0, I) for VAE, RAE, AE.",
        "GMM-10 is not nearer than N(0, I) for WAE.",
    ]
    (told,) = table.against_plain(cells)
    half = 4.3027 * 0.9 / 3**0.5
    assert f"RAE -1.90 [{-1.9 - half:+.2f}, {-1.9 + half:+.2f}], no difference shown" in told
    assert "VAE +10.00 [+10.00, +10.00], worse" in told
    assert "WAE" not in told  # one seed is no interval


def test_the_order_is_held_against_the_published_one(bench, folder):
    """By hand, GMM-10: WAE = 9, RAE 9.1, AE 11, VAE 21; published 9.39, 9.81, 10.66, 17.66.

    N(0, I): WAE 8, VAE 81, RAE 90, AE 900; published 20.42, 19.21, 23.92, 58.73: one pair of six
    is the other way round, so tau is (5 - 1) / 6.
    """
    table = bench["images_table"]
    (told,) = table.like_published(table.Cells(bench["images"].read_cells(folder)))
    assert "GMM-10 +1.00" in told
    assert "N(0, I) beside the paper's N +0.67" in told
    assert "N(mu, Sigma)" not in told  # there are none


def test_components_are_compared_by_what_they_gain(bench, folder):
    table = bench["images_table"]
    head, rows = table.components(table.Cells(bench["images"].read_cells(folder)))
    assert head == ["model", "GMM-2", "GMM-5"]
    assert rows[0] == ["VAE", "2.00 ± 0.00", "2.50 ± 0.00"]


def test_only_the_part_between_the_marks_is_rewritten(bench, folder, tmp_path):
    from benchmarks.cells import marks

    begin, end = marks("images")
    page = tmp_path / "results.md"
    page.write_text(f"# Mine\n\n{begin}\nold\n{end}\n\nkept\n")
    for _ in range(2):
        assert bench["images"].main(["--markdown", "--out", str(folder), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"# Mine\n\n{begin}\n")
    assert text.endswith(f"{end}\n\nkept\n")
    assert "\nold\n" not in text
    assert "| VAE | 0-2 | 1.00 ± 0.00 | 81.00 ± 1.00 |" in text
    assert "| AE | 12.95 | 58.73 | 10.66 | 17.12 |" in text
    assert "only the order of rows and columns can be compared" in text
    assert "Abacus, 2 cores" in text


def test_the_page_that_ships_has_the_marks(bench):
    from benchmarks.cells import marks

    text = bench["images"].PAGE.read_text()
    for name in ("images", "images_paper"):
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
    assert bench["images"].main([*words, *work]) == 1
    assert told in capsys.readouterr().err


def test_numbers_of_a_hurry_stay_off_the_project_s_page(bench, capsys):
    with pytest.raises(SystemExit):
        bench["images"].main(["--quick", "--markdown"])
    assert "mean nothing" in capsys.readouterr().err
