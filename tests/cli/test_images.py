"""The commands on images, as they are typed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from molae.datasets.image_files import open_images
from molae.pictures import is_image, pixels_of, read_image
from molae.runs import Run
from molae.workflows.evaluate_images import decoded, densities_of


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """200 digits, 8 by 8."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=open_images("digits").images[:200])
    return path


@pytest.fixture(scope="module")
def ask(molae, digits):
    """Type a command with a run that has seen the digits for a moment; it must succeed."""
    run = digits.parent / "run"
    short = ("--steps", 60, "--batch-size", 50, "--latent-dim", 4, "--components", 2)
    trained = molae("train", digits, "-o", run, "--device", "cpu", *short)
    assert trained.exit_code == 0, trained.output
    assert "images.png" in trained.output

    def typed(*words, status=0):
        result = molae(*words, "-m", run)
        assert result.exit_code == status, result.output
        assert "molecule" not in result.output or status
        return result

    return typed


def side(n):
    """Pixels of n images of 8 by 8, eight times as large, with a line between two."""
    return 65 * n - 1


def test_generate(ask, tmp_path):
    result = ask("generate", "-n", 14, "-o", tmp_path / "grid.png")
    assert "14 images to" in result.output
    sheet = read_image(tmp_path / "grid.png")
    assert sheet.shape == (side(4), side(4), 1)  # near square, two places empty
    ask("generate", "-n", 14, "-o", tmp_path / "many.npz")
    many = np.load(tmp_path / "many.npz")["images"]
    assert many.shape == (14, 8, 8, 1)
    assert (sheet[:64:8, 65:129:8] == many[1]).all()
    ask("generate", "-n", 3, "-o", f"{tmp_path}/folder/")
    files = sorted((tmp_path / "folder").iterdir())
    assert [(read_image(path) == many[i]).all() for i, path in enumerate(files)] == [True] * 3
    ask("generate", "-n", 3, "-o", tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [(pixels_of(row["image"]) == many[i]).all() for i, row in enumerate(rows)] == [True] * 3
    like = ask("generate", "-n", 2, "--like", f"{tmp_path}/folder", "-o", tmp_path / "like.png")
    assert "Images to be like: 3." in like.output


def test_a_density_that_follows_from_another(molae, tmp_path):
    """N(0, Sigma) of the shipped model, as the evaluation draws from it."""
    out = tmp_path / "x.png"
    words = ("generate", "-m", "mnist", "--device", "cpu", "-n", 4, "--density", "centred", "-o")
    assert molae(*words, out).exit_code == 0
    assert out.is_file()
    assert molae(*words, tmp_path / "x.npz").exit_code == 0
    run = Run.load("mnist", "cpu")
    density = densities_of(run, ["centred"])["centred"]
    assert torch.equal(density.scale_tril, run.density("gaussian").scale_tril)
    assert not density.mean.any()
    theirs = decoded(run, density.sample_rows(0, torch.arange(4)))
    assert (np.load(tmp_path / "x.npz")["images"] == theirs).all()


@pytest.mark.parametrize("words", ["--filters", "--require mw<500", "--scaffold C", "-p qed"])
def test_what_makes_no_sense_for_images(ask, tmp_path, words):
    out = tmp_path / "no.csv"
    told = ask("generate", "-n", 2, *words.split(), "-o", out, status=1).output
    assert "this run writes no molecules" in told
    assert "Traceback" not in told
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    ["generate -n 999999", "reconstruct {data}", "neighbors {data}:3", "decode {missing}",
     "interpolate {data}:3 {data}:4"],
)  # fmt: skip
def test_lines_are_refused_before_anything_is_done(ask, digits, tmp_path, words):
    given = words.format(data=digits, missing=tmp_path / "none.npy").split()
    told = ask(*given, "-o", tmp_path / "grid.svg", status=1).output
    assert "images have pixels; write .png" in told
    assert not list(tmp_path.iterdir())


def test_reconstruct(ask, digits, tmp_path):
    result = ask("reconstruct", digits, "--limit", 7, "-o", tmp_path / "pairs.png")
    assert "exact" not in result.output
    given = np.load(digits)["images"][:7].reshape(7, 8, 8, 1)
    sheet = read_image(tmp_path / "pairs.png")
    assert sheet.shape == (side(4), side(4), 1)  # 4 above 4, 3 above 3
    assert (sheet[:64:8, 65:129:8] == given[1]).all()
    assert (sheet[130:194:8, 130:194:8] == given[6]).all()
    assert (sheet[130:, 195:] == 128).all()
    ask("reconstruct", digits, "--limit", 7, "-o", tmp_path / "pairs.csv")
    rows = list(csv.DictReader((tmp_path / "pairs.csv").open()))
    again = np.stack([pixels_of(row["decoded"]) for row in rows])
    assert (sheet[65:129:8, 65:129:8] == again[1]).all()
    errors = np.square(given / 255 - again / 255).mean((1, 2, 3))
    assert [float(row["squared_error"]) for row in rows] == pytest.approx(errors)
    assert f"{errors.mean():.4g} a value" in result.output
    assert "shows the first 100 of 200" in ask(
        "reconstruct", digits, "-o", tmp_path / "many.png"
    ).output  # fmt: skip


def test_between_and_around(ask, digits, tmp_path):
    ask("generate", "-n", 2, "-o", f"{tmp_path}/two/")
    ends = [tmp_path / "two" / f"00000{n}.png" for n in (1, 2)]
    ask("interpolate", *ends, "--steps", 7, "-o", tmp_path / "strip.png")
    assert read_image(tmp_path / "strip.png").shape == (side(1), side(7), 1)
    for path in ("spherical", "rescaled"):
        ask("interpolate", f"{digits}:3", "digits:8", "--path", path, "-o", tmp_path / "way.png")
    ask("neighbors", f"{digits}:3", "-n", 4, "-o", tmp_path / "near.png")
    assert read_image(tmp_path / "near.png").shape == (side(2), side(2), 1)
    ask("encode", digits, "-o", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (200, 4)
    told = ask("decode", tmp_path / "codes.npy", "-o", tmp_path / "grid.png").output
    assert "200 images to" in told


def test_optimize_ink(ask, digits, tmp_path):
    out = tmp_path / "out"
    result = ask("optimize", "--oracle", "images:ink", "--calls", 30, "--no-cache", "-o", out)
    assert "(image)" in result.output
    assert "base64" not in result.output
    rows = list(csv.DictReader((out / "evaluations.csv").open()))
    scores = [float(row["score"]) for row in rows]
    assert len(scores) == 30
    assert all(is_image(row["smiles"]) for row in rows)
    assert scores[0] == pytest.approx(pixels_of(rows[0]["smiles"]).mean() / 255)
    assert max(scores[10:]) > max(scores[:10])
    assert np.mean(scores[-10:]) > np.mean(scores[:10])
    page = (out / "report.html").read_text()
    assert page.count('src="data:image/png') > 20
    best = rows[int(np.argmax(scores))]["smiles"]
    assert (read_image(out / "best.png")[:64:8, :64:8] == pixels_of(best)).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--oracle qed", "the oracle qed is of molecules, and this model writes none"),
        ("--oracle median1", "the oracle median1 is of molecules"),
        ("--oracle equation", "scores expressions, and this model writes images"),
        ("--oracle images:ink --require mw<500", "requirements are of molecules"),
        ("--oracle images:ink --strategy genetic", "is of molecules, and this model writes none"),
    ],
)
def test_oracles_that_do_not_fit(ask, tmp_path, words, told):
    assert told in ask("optimize", *words.split(), "-o", tmp_path / "out", status=1).output


def test_an_oracle_of_images_is_none_of_molecules(molae, run_folder, tmp_path):
    words = ["--oracle", "images:ink", "-m", run_folder, "-o", tmp_path / "out"]
    told = molae("optimize", *words).output
    assert "scores images, and this model writes molecules" in told


def test_conditions_and_transforms(molae, ask, digits, tmp_path):
    """Data with contexts is made, a model is told labels, and draws what it is told."""
    made = molae("data", "transform", "digits", "sum", "-o", tmp_path / "sum.npz", "--seed", 3)
    assert made.exit_code == 0, made.output
    assert "1,797 images of 8 x 8" in made.output
    assert set(np.load(tmp_path / "sum.npz")) == {"images", "labels", "context"}
    assert molae("data", "transform", "digits", "sun", "-o", "x.npz").exit_code == 2
    assert molae("data", "transform", "digits", "sum", "-o", "x.png").exit_code == 2
    run = tmp_path / "run"
    few = ("--steps", 3, "--latent-dim", 4, "--components", 2, "--objective", "vae", "--quiet")
    words = ("--condition", "label", "--prior", "conditional", "--device", "cpu")
    trained = molae("train", tmp_path / "sum.npz", "-o", run, *few, *words)
    assert trained.exit_code == 0, trained.output
    drawn = molae("generate", "-m", run, "--condition", 7, "-n", 16, "-o", tmp_path / "sevens.png")
    assert drawn.exit_code == 0, drawn.output
    assert read_image(tmp_path / "sevens.png").shape == (side(4), side(4), 1)
    assert molae("generate", "-m", run, "-n", 2, "-o", tmp_path / "any.npz").exit_code == 0
    odd = molae("generate", "-m", run, "--condition", "seven", "-n", 1, "-o", tmp_path / "x.png")
    assert odd.exit_code != 0
    assert "labels 0, 1, 2" in " ".join(odd.output.split())
    refused = ask("generate", "-n", 1, "--condition", 7, "-o", tmp_path / "x.png", status=1)
    assert "trained without a condition" in " ".join(refused.output.split())
    encoded = molae("encode", "digits", "-m", run, "-o", tmp_path / "z.csv")
    assert encoded.exit_code != 0
    assert "conditioned on a label" in " ".join(encoded.output.split())
