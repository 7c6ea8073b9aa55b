"""``molae evaluate`` as it is typed."""

from __future__ import annotations

import gzip
import json
import shutil
from importlib.resources import files

import numpy as np
import pytest
from sklearn.datasets import load_digits

from molae.names import IMAGE_METRICS, METRICS


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "held-out.smi"
    lines = gzip.decompress(files("molae.data").joinpath("demo.smi.gz").read_bytes()).splitlines()
    path.write_bytes(b"\n".join(lines[64:128]) + b"\n")
    return path


def test_of_a_file(molae, molecules, held_out, tmp_path):
    drawn = tmp_path / "drawn.smi"
    drawn.write_text(molecules.read_text() + "C1CC\nbroken(\n")
    words = ["--reference", held_out, "--train", molecules, "--workers", 1]
    result = molae("evaluate", drawn, *words, "-o", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "report.json").read_text())["metrics"]
    assert told["validity"]["value"] == pytest.approx(64 / 66)
    assert told["novelty"]["value"] == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["METRIC"].split() == ["METRIC", "GENERATED", "REFERENCE"]
    assert set(METRICS) <= lines.keys()
    assert "0.9697" in lines["validity"]
    assert "needs at least 900 valid molecules" in lines["unique_1k"]
    assert "64 of 66 records are molecules (2 syntax)" in result.stderr


def test_on_a_terminal(monkeypatch, capsys):
    """A table with lines; brackets in a remark are not taken for markup."""
    from molae.cli import evaluate

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    evaluate._show(("metric", ""), [("fcd", "pip install 'molae[fcd]'"), ("snn", 0.5)])
    shown = capsys.readouterr().out
    assert "│ fcd    │ pip install 'molae[fcd]' │" in shown


def test_from_standard_input(molae, held_out):
    words = ["--reference", held_out, "--workers", 1, "-q"]
    result = molae("evaluate", "-", *words, input="CCO\nCCN\n")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    assert "needs the training set" in result.stdout


def test_of_a_model(molae, run_folder, molecules, tmp_path):
    words = ["-m", run_folder, "--train", molecules, "-n", 10, "--workers", 1, "-q"]
    result = molae("evaluate", *words, "-o", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert "reconstruction" in result.stdout
    assert "validity" in result.stdout
    assert "PRIOR" in result.stdout
    assert (tmp_path / "report.html").read_text().lower().startswith("<!doctype html>")
    refused = molae("evaluate", *words, "-o", tmp_path / "report.png")
    assert refused.exit_code == 1
    assert "report.png" in refused.stderr


def test_a_model_knows_its_data(molae, run_folder, molecules, tmp_path):
    """The training file is found where it was; of the densities only those that were named."""
    shutil.copytree(run_folder, tmp_path / "mine")
    words = ["-m", tmp_path / "mine", "-n", 4, "--workers", 1, "--density", "prior"]
    lost = molae("evaluate", *words)
    assert lost.exit_code == 0, lost.output
    assert "Trained on" not in lost.stderr
    assert "No data was given" in lost.stderr
    shutil.copy(molecules, tmp_path)
    result = molae("evaluate", *words, "-o", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    assert f"Trained on {(tmp_path / molecules.name).resolve()}" in result.stderr
    told = json.loads((tmp_path / "report.json").read_text())
    assert list(told["densities"]) == ["prior"]
    assert told["held_out"]["molecules"] > 0
    assert told["numbers"]["reconstruction"] is not None


def test_a_reference_of_ten(molae, molecules, tmp_path):
    (tmp_path / "ten.smi").write_text("".join(molecules.read_text().splitlines(True)[:10]))
    result = molae("evaluate", molecules, "--reference", tmp_path / "ten.smi", "--workers", 1)
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    for name in ("frag", "scaf", "w1_logp"):
        assert "valid molecules; 10 are in the reference" in lines[name]
    assert float(lines["snn"].split()[1]) > 0


def test_a_wrong_column(molae, held_out, tmp_path):
    (tmp_path / "drawn.csv").write_text("id,structure\n1,CCO\n2,CCN\n")
    words = [tmp_path / "drawn.csv", "--reference", held_out, "--workers", 1]
    result = molae("evaluate", *words, "--column", "structur")
    assert result.exit_code == 1
    assert "there is no column 'structur'. Did you mean 'structure'?" in result.stderr
    wrong = molae("evaluate", *words, "--column", "id")
    assert wrong.exit_code == 0, wrong.output  # numbers are no molecules: that is a result
    assert "0 of 2 records are molecules" in wrong.stderr
    assert "is this the right file and column?" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.smi", "-m", "run"], "either a file of generated molecules or a model"),
        (["a.smi"], "a file of molecules or images to compare with"),
        (["a.smi", "--reference", "b.smi", "-n", 5], "belongs to a model"),
        (["a.smi", "--reference", "b.smi", "--density", "gmm"], "belongs to a model"),
        (["a.smi", "--reference", "b.smi", "--condition", "7"], "belongs to a model"),
        (["--density", "gmmm"], "did you mean 'gmm'"),
        (["--features", "incepton=x.pth"], "did you mean 'inception'"),
    ],
)
def test_words_that_make_no_sense(molae, words, told):
    result = molae("evaluate", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("given", "told"),
    [("\n", "nothing in it"), ("C1CC\n", "none of its 1 records is a molecule (1 syntax)")],
)
def test_a_reference_without_molecules(molae, molecules, tmp_path, given, told):
    (tmp_path / "bad.smi").write_text(given)
    result = molae("evaluate", molecules, "--reference", tmp_path / "bad.smi", "--workers", 1)
    assert result.exit_code == 1
    assert "bad.smi" in result.stderr
    assert told in result.stderr


@pytest.fixture
def drawn(tmp_path):
    """Two files of images, and one of other ones: ``(generated, reference, noise)``."""
    rng = np.random.default_rng(0)
    images = np.kron(load_digits().images[:240] * 15.9, np.ones((1, 3, 3))).astype(np.uint8)
    noise = rng.integers(0, 256, (120, 24, 24), np.uint8)
    places = []
    for name, pixels in (("a", images[:120]), ("b", images[120:]), ("c", noise)):
        places.append(tmp_path / f"{name}.npz")
        np.savez(places[-1], images=pixels)
    return places


def test_of_files_of_images(molae, drawn, tmp_path):
    generated, reference, noise = drawn
    words = ["--reference", reference, "--train", generated]
    result = molae("evaluate", generated, *words, "-o", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "report.json").read_text())
    values = {name: row["value"] for name, row in told["metrics"].items()}
    assert set(values) < set(IMAGE_METRICS)
    assert values["nearest_train"] == pytest.approx(0, abs=1e-3)
    assert told["features"]["name"] == "classifier"
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["METRIC"].split() == ["METRIC", "GENERATED"]
    assert set(values) <= lines.keys()
    assert "generated: 120 of 120 records are images" in result.stderr
    assert "are of molecules" in result.stderr
    words = [noise, "--reference", reference, "--features", "pca", "-q"]
    other = molae("evaluate", *words, "-o", tmp_path / "noise.csv")
    assert other.exit_code == 0, other.output
    rows = (tmp_path / "noise.csv").read_text().splitlines()
    assert float(rows[1].split(",")[1]) > 5 * values["fd_pca"]
    assert "fd_classifier" not in other.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--column", "image"], "of images leave it out"),
        (["--features", "inception"], "--features inception=FILE"),
        (["-o", "report.html"], "add -m RUN"),
    ],
)
def test_of_images_what_does_not_apply(molae, drawn, words, told):
    result = molae("evaluate", drawn[0], "--reference", drawn[1], *words)
    assert result.exit_code == 1
    assert told in result.stderr


def test_images_and_molecules_are_not_compared(molae, drawn, molecules):
    result = molae("evaluate", drawn[0], "--reference", molecules)
    assert result.exit_code == 1
    assert "only the generated file holds images" in result.stderr
    result = molae("evaluate", molecules, "--reference", molecules, "--features", "pca")
    assert "of molecules leave it out" in result.stderr


def test_a_place_that_cannot_be_is_refused_before_the_work(molae, tmp_path):
    words = ["missing.smi", "--reference", "missing.smi", "-o", tmp_path / "report.txt"]
    result = molae("evaluate", *words)
    assert result.exit_code == 1
    assert "use .json or .csv" in result.stderr
