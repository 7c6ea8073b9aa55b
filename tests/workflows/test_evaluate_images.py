"""A run of images on the test bench: a small one, trained for a moment on 8 x 8 digits."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch

from molae.datasets.image_files import open_images
from molae.datasets.images import read_images
from molae.names import WAYS
from molae.pictures import pixels_of, text_of
from molae.workflows.data import load_data
from molae.workflows.evaluate_images import decoded, densities_of, encoded, image_data
from molae.workflows.evaluate_run import evaluate_model, evaluate_run
from molae.workflows.evaluation import DATA
from molae.workflows.held_images import held_images, images_of
from molae.workflows.image_evaluation import MIDDLES, OF_RUN, RECONSTRUCTIONS, definitions
from molae.workflows.image_page import image_page
from molae.workflows.report import write_report
from molae.workflows.train import hold_out, train

N = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return train(
        "digits", folder, steps=60, batch_size=64, latent_dim=4, components=3, width=0.5,
        validation=0.2, device="cpu", precision="fp32", progress=False, workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(run):
    return load_data(["digits"], codec=run.codec).data


@pytest.fixture(scope="module")
def done(run):
    told = []
    found = evaluate_model(run, n=N, say=told.append)
    assert told == ["Trained on digits: what was held out is found there."]
    return found


def test_every_set_is_measured(run, done):
    """All three readings of N: the one around the origin follows from the fitted Gaussian."""
    assert "centred" not in run.densities
    assert list(done.densities) == ["prior", "centred", "gaussian", "gmm"]
    assert list(done.sets()) == [
        *done.densities, RECONSTRUCTIONS, *(MIDDLES[kind] for kind in WAYS), DATA
    ]  # fmt: skip
    for name, numbers in done.sets().items():
        assert all(value is None or math.isfinite(value) for value in numbers.values())
        assert numbers["fd_classifier"] > 0
        assert (numbers.get("nearest_train") is None) == (name == DATA)
    best = min(done.sets(), key=lambda name: done.sets()[name]["fd_pca"])
    assert best in (DATA, RECONSTRUCTIONS)
    assert any("What a table calls N" in note for note in done.notes)
    assert any("bayesian" in note for note in done.notes)
    assert any("are of molecules and grammars" in note for note in done.notes)


def test_numbers_are_those_of_the_held_out_images(run, done, data):
    """Counted again, from the images that the training has held out."""
    _, held = hold_out(data, 0.2, 0)
    assert done.about["held_out"]["images"] == len(held) > 200
    assert done.sizes["squared_error"] == N
    pixels = held.bytes(range(len(held)))
    again = decoded(run, encoded(run, pixels))
    whole = np.square(pixels / 255 - again / 255).mean()
    low, high = done.sure("squared_error", done.numbers["squared_error"])
    assert low - 0.01 < whole < high + 0.01
    assert set(done.numbers) == {*OF_RUN, "sigma_opt", "injective_bound"}
    assert done.sizes["sigma_opt"] == done.sizes["injective_bound"] == N
    assert any("average_kl, marginal_kl: q(z|x) of the head 'delta'" in n for n in done.notes)


def test_held_out_images_are_found_again_in_any_order(run, data):
    learnt, held = hold_out(data, 0.2, 0)
    found = held_images(run, None, data.subset(np.arange(len(data))[::-1]))
    assert len(found.pixels) == len(held)
    assert np.array_equal(found.pixels[::-1], held.bytes(range(len(held))))
    assert len(found.learnt) == len(learnt)
    beside = held_images(run, data, data)
    assert f"{len(learnt):,} images of the reference were learnt from" in beside.notes[0]
    alone = held_images(run, data.subset(range(40)), None)
    assert len(alone.pixels) == 40
    assert "may be among it" in alone.notes[0]
    with pytest.raises(ValueError, match="Name them with --train"):
        held_images(run, None, None)


def test_the_seed_decides(run, done):
    again = evaluate_model(run, n=N, densities=["gmm"])
    same = dict(done.densities["gmm"])
    for numbers in (same, again.densities["gmm"]):
        numbers.pop("images_per_second")
    assert again.densities["gmm"] == same
    other = evaluate_model(run, n=N, seed=1, densities=["gmm"])
    assert list(other.densities) == ["gmm"]
    assert other.densities["gmm"]["fd_pca"] != same["fd_pca"]


def test_from_texts(run, data):
    """As Python has them: the text of an image is a PNG."""
    texts = [text_of(image) for image in data.bytes(range(90))]
    found = evaluate_run(run, reference=texts[:40], train=texts[40:], n=20, densities=["prior"])
    assert found.about["reference"] == 20
    with pytest.raises(ValueError, match="none of 1 texts is an image"):
        evaluate_run(run, reference=["CCO"], train=None, n=20)


def test_features_are_asked_for_by_name(run, done):
    found = evaluate_model(run, n=N, densities=["prior"], features="pca")
    assert "fd_classifier" not in found.columns()
    assert found.densities["prior"]["fd_pca"] == pytest.approx(done.densities["prior"]["fd_pca"])
    with pytest.raises(ValueError, match="do not ship"):
        evaluate_model(run, n=N, features="inception")
    with pytest.raises(ValueError, match="expected at least 2 images"):
        evaluate_run(run, reference=None, train=None, n=1)
    with pytest.raises(ValueError, match="expected at least 2 images"):
        evaluate_model(run, n=1)
    with pytest.raises(ValueError, match="density of this run 'flow'"):
        densities_of(run, ["flow"])


def test_a_source_of_other_images(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "other.npz", images=rng.integers(0, 256, (50, 8, 8), np.uint8))
    found = evaluate_model(run, reference=tmp_path / "other.npz", n=N, densities=["prior"])
    assert found.about["reference"] == 50
    assert found.about["held_out"]["images"] > 200
    assert found.data["fd_pca"] > 1  # digits are no noise
    assert any("depends on the number of images (50" in note for note in found.notes)
    np.savez(tmp_path / "large.npz", images=rng.integers(0, 256, (5, 9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"wrong size \(5\)"):
        evaluate_model(run, reference=tmp_path / "large.npz", n=N)


def test_every_number_is_defined(done):
    assert {*done.columns(), *done.numbers} <= done.definitions.keys()
    assert done.definitions.items() >= definitions().items()


def test_json_and_table(done, tmp_path):
    write_report(done, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["densities"]["gmm"] == done.densities["gmm"]
    assert told["others"][RECONSTRUCTIONS] == done.others[RECONSTRUCTIONS]
    assert told["training_data"]["fd_pca"] == done.data["fd_pca"]
    assert told["fitted"]["centred"] == "N(0, Sigma)"
    assert told["intervals_95"]["squared_error"][0] < told["numbers"]["squared_error"]
    write_report(done, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["set"] for row in rows] == list(done.sets())
    assert float(rows[0]["fd_pca"]) == pytest.approx(done.densities["prior"]["fd_pca"])
    head, lines = done.table()
    assert lines[1][0] == "centred: N(0, Sigma)"
    assert len(lines) == len(done.sets())
    assert "kid_error" not in head


def test_page(done, data):
    text = image_page(done)
    for name in done.sets():
        assert name in text
    for words in ("ground truth", "Interpolations", "not be measured", "N(mu, Sigma)"):
        assert words in text
    first = pixels_of(done.images.truth[0])
    assert first.shape[0] > 8 * 8  # a grid of 8 by 8 or so, enlarged
    assert text.count("data:image/png") == len(done.images.sets) + 3
    assert pixels_of(done.images.ways).shape[1] > pixels_of(done.images.ways).shape[0]


def test_the_images_of_codes_are_those_of_the_run(run):
    z = torch.randn(3, run.size, generator=torch.Generator().manual_seed(0))
    wanted = [pixels_of(text) for text in run.decode(z)]
    assert np.array_equal(decoded(run, z), wanted)
    assert len(read_images("digits").pixels) == len(open_images("digits"))


# Images that need fitting ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory):
    """A run of digits at 6 x 6, of a file of 8 x 8, and that file."""
    folder = tmp_path_factory.mktemp("shrunk")
    file = folder / "digits.npz"
    np.savez(file, images=open_images("digits").images[:300])
    return train(
        file, folder / "run", steps=2, batch_size=64, latent_dim=4, components=2, width=0.25,
        image_size=6, validation=0.3, device="cpu", precision="fp32", progress=False, workers=1,
        remembered=False,
    ), file  # fmt: skip


def test_one_rule_says_what_is_held_out(shrunk):
    """Files that are read again, from the cache or not, and texts: the same are held out."""
    run, file = shrunk
    cached = load_data([file], codec=run.codec).data
    _, wanted = hold_out(cached, 0.3, 0)
    assert len(wanted) == run.card["counts"]["validation"] > 50
    texts = [text_of(image) for image in np.load(file)["images"]]
    read, _ = images_of(run.codec, file)
    for data in (cached, read, image_data(texts, run.codec)):
        assert data.keys.tolist() == cached.keys.tolist()
        found = held_images(run, None, data)
        assert np.array_equal(found.pixels, wanted.bytes(range(len(wanted))))
    by_texts = evaluate_run(run, reference=None, train=texts, n=N, densities=["prior"])
    by_file = evaluate_model(run, train=file, n=N, densities=["prior"])
    assert by_texts.numbers == by_file.numbers
    assert by_texts.about["held_out"]["images"] == len(wanted)


def test_smaller_images_are_set_on_black_and_it_is_said(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.full((30, 8, 8), 255, np.uint8))
    found = load_data([tmp_path / "x.npz"], image_size=12)
    assert found.remarks == [
        f"{tmp_path / 'x.npz'}: images of 8 x 8 pixels are set on black at 12 x 12, not enlarged"
    ]
    assert found.data.bytes([0]).sum() == 255 * 64
    assert load_data([tmp_path / "x.npz"], image_size=6).remarks == []
    assert load_data([tmp_path / "x.npz"]).remarks == []
