"""The commands on images, as they are typed."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch

from molae.datasets.image_files import open_images
from molae.names import IMAGE_METRICS
from molae.oracles import oracle
from molae.pictures import is_image, pixels_of, read_image, save_png
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
        said = result.output.replace("are of molecules and grammars; of images", "")
        assert "molecule" not in said or status
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


def test_evaluate(ask, digits, tmp_path):
    """A page with numbers and pictures, that says nothing of where things lie on this machine."""
    few = ("evaluate", "-n", 40, "--density", "prior,gmm", "--reference", "digits")
    result = ask(*few, "-o", tmp_path / "report.html")
    assert f"Everything is in {tmp_path / 'report.html'}" in result.output
    ask(*few, "-q", "-o", tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    found = [float(cell.replace(",", "")) for cell in re.findall(r"<td>([-\d.,e]+)</td>", page)]
    for name in ("prior", "gmm"):
        metrics = told["densities"][name].keys() & IMAGE_METRICS.keys()
        assert len(metrics) > 8
        for value in (told["densities"][name][metric] for metric in metrics):
            assert any(cell == pytest.approx(value, rel=1e-3, abs=1e-3) for cell in found)
    pictures = [pixels_of(text) for text in re.findall(r'src="([^"]*)"', page)]
    # Held-out images twice, two densities, midpoints in three ways, training data, and ways.
    assert len(pictures) == 2 + 2 + 3 + 1 + 1
    assert all(picture.std() > 5 for picture in pictures)
    for place in (tmp_path, digits.parent):
        assert str(place) not in page + json.dumps(told)


#: Densities of which the training fits none, with little to learn.
LITTLE = {
    "bayesian": ["components=3"],
    "kde": [],
    "flow": ["transforms=2", "hidden=8", "epochs=1"],
    "two_stage": ["gamma=0.012", "noise=false", "hidden=8", "layers=1", "epochs=1", "samples=4"],
}


@pytest.mark.parametrize("name", LITTLE)
def test_a_density_is_fitted_and_drawn_from(molae, ask, tmp_path, name):
    settings = [word for each in LITTLE[name] for word in ("--set", each)]
    copy = tmp_path / "copy"
    fitted = ask("density", "fit", "--density", name, *settings, "--workers", 1, "-o", copy)
    assert name in [line.split()[0] for line in fitted.stdout.splitlines()]
    out = tmp_path / "drawn.npz"
    words = ("-n", 6, "--density", name, "--device", "cpu", "-o", out)
    drawn = molae("generate", "-m", copy, *words)
    assert drawn.exit_code == 0, drawn.output
    assert "6 images to" in drawn.output
    run = Run.load(copy, "cpu")
    theirs = decoded(run, run.densities[name].sample_rows(0, torch.arange(6)))
    images = np.load(out)["images"]
    assert (images == theirs).all()
    assert len(np.unique(images, axis=0)) == 6


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


def test_optimize_a_class(ask, tmp_path):
    """What the shipped classifier says of the images is what the campaign writes down."""
    out = tmp_path / "out"
    words = ("--oracle", "images:class=7", "--calls", 12, "--no-cache", "--seed", 1, "-o", out)
    assert "12 calls, 0 failures" in ask("optimize", *words).output
    rows = list(csv.DictReader((out / "evaluations.csv").open()))
    answers = oracle("images:class=7").answer([row["smiles"] for row in rows])
    assert [float(row["score"]) for row in rows] == pytest.approx([a.score for a in answers])
    assert all(0 <= answer.score <= 1 for answer in answers)
    assert len({row["score"] for row in rows}) > 6
    assert (out / "report.html").is_file()


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


def test_people_give_the_scores(molae, ask, tmp_path):
    """What is suggested is a table of images, which other commands read, too."""
    lab, asked = tmp_path / "lab", tmp_path / "next.csv"
    assert "3 suggestions" in ask("suggest", "-o", lab, "-n", 3, "--to", asked).output
    ask("reconstruct", asked, "-o", tmp_path / "look.png")
    assert read_image(tmp_path / "look.png").shape[1] == side(3)
    rows = list(csv.DictReader(asked.open()))
    with asked.open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(row | {"score": pixels_of(row["image"]).mean()} for row in rows)
    told = molae("tell", lab, asked)
    assert told.exit_code == 0, told.output
    kept = list(csv.DictReader((lab / "evaluations.csv").open()))
    assert [row["smiles"] for row in kept] == [row["image"] for row in rows]
    assert all(float(row["score"]) > 0 for row in kept)


@pytest.mark.parametrize(
    "words", ["score digits", "prepare digits -o {out}", "encode digits -m {run} -o {out}"]
)
def test_what_is_of_molecules_says_so(molae, run_folder, tmp_path, words):
    typed = words.format(run=run_folder, out=tmp_path / "x.csv").split()
    refused = molae(*typed)
    assert refused.exit_code == 1
    assert "digits: these are images, and this is of molecules" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_an_oracle_of_images_is_none_of_molecules(molae, run_folder, tmp_path):
    words = ["--oracle", "images:ink", "-m", run_folder, "-o", tmp_path / "out"]
    told = molae("optimize", *words).output
    assert "scores images, and this model writes molecules" in told


TINY = "--steps 3 --latent-dim 4 --width 0.1 --components 2 --workers 1 --device cpu"


def test_train_on_a_folder(molae, tmp_path):
    """Of a damaged file no good one suffers, and it is said which it was."""
    folder, run = tmp_path / "images", tmp_path / "run"
    for number, image in enumerate(open_images("digits").images[:60]):
        (folder / "abc"[number % 3]).mkdir(parents=True, exist_ok=True)
        save_png(image, folder / "abc"[number % 3] / f"{number:02d}.png")
    whole = (folder / "b" / "04.png").read_bytes()
    (folder / "b" / "04.png").write_bytes(whole[: len(whole) // 2])
    result = molae("train", f"{folder}/", "-o", run, *TINY.split())
    assert result.exit_code == 0, result.output
    (source,) = json.loads((run / "card.json").read_text())["data"]
    assert (source["used"], source["rejected"]) == (59, 1)
    assert "59 used, 1 rejected" in result.stdout
    (reject,) = csv.DictReader((run / "rejects.csv").open())
    assert "04.png" in " ".join(reject.values())
    assert "damaged image" in " ".join(reject.values())
    drawn = molae("generate", "-m", run, "-n", 2, "-o", tmp_path / "x.npz")
    assert drawn.exit_code == 0, drawn.output
    assert np.load(tmp_path / "x.npz")["images"].shape == (2, 8, 8, 1)


def test_train_on_faces(molae, tmp_path):
    """The paper's crop of CelebA's size, and the paper's net for it; what is too small is lost."""
    folder, run = tmp_path / "faces", tmp_path / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (20, 218, 178, 3)).astype(np.uint8)
    faces[:, :39], faces[:, 179:], faces[:, :, :19], faces[:, :, 159:] = 255, 255, 255, 255
    for number, face in enumerate([*faces, faces[0, :100]]):
        save_png(face, folder / f"{number:02d}.png")
    words = ("--encoder", "image_celeba", "--crop", "celeba", "--width", 1 / 64, "--regularizer")
    result = molae("train", folder, "-o", run, *TINY.split(), *words, "l2")
    assert result.exit_code == 0, result.output
    assert "20 used, 1 rejected" in result.stdout
    assert "colour images, 64 x 64 pixels" in result.stdout
    pairs = tmp_path / "pairs.csv"
    shown = molae("reconstruct", folder, "-m", run, "--limit", 3, "-o", pairs)
    assert shown.exit_code == 0, shown.output
    given = [pixels_of(row["image"]) for row in csv.DictReader(pairs.open())]
    assert all(image.shape == (64, 64, 3) for image in given)
    assert max(image[0].mean() for image in given) < 160  # nothing of the white around the face


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
