"""Files of images beside files of real ones."""

from __future__ import annotations

import numpy as np
import pytest

from molae.datasets.image_files import open_images
from molae.workflows import evaluate_pictures as module
from molae.workflows.evaluate_pictures import evaluate_pictures


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Digits in three parts, and the second with an image of another size among them."""
    folder, images = tmp_path_factory.mktemp("images"), open_images("digits").images
    parts = {"drawn": images[:90], "real": images[90:180], "train": images[180:]}
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", images=part)
    return {name: folder / f"{name}.npz" for name in parts}


def test_every_metric_and_what_was_read(files):
    found = evaluate_pictures(
        files["drawn"], files["real"], files["train"], features="pca", progress=False
    )
    assert found.comparison.values["fd_pca"] > 0
    assert found.comparison.values["nearest_train"] == pytest.approx(1, abs=0.3)
    assert found.told()[:3] == [
        "generated: 90 of 90 records are images",
        "reference: 90 of 90 records are images",
        "train: 1,617 of 1,617 records are images",
    ]
    assert "not read" not in " ".join(found.told())


def test_no_more_is_read_than_is_looked_at(files, monkeypatch):
    """Of each file so many records, chosen at random; the others are not even decoded."""
    monkeypatch.setattr(module, "MOST", 50)
    monkeypatch.setattr(module, "LEARNT", 100)
    words = (files["drawn"], files["real"], files["train"])
    first, again, other = (
        evaluate_pictures(*words, features="pca", seed=seed, progress=False) for seed in (0, 0, 1)
    )
    assert "train: 1,517 more were not read, chosen at random" in first.told()
    assert "generated: 40 more were not read, chosen at random" in first.told()
    assert first.files["train"] == again.files["train"]
    assert first.files["train"]["total"] == first.files["train"]["valid"] == 100
    assert first.comparison.values == again.comparison.values
    assert first.comparison.values["fd_pca"] != other.comparison.values["fd_pca"]
