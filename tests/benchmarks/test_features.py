"""The command that trains the classifier of ``data/features``, on a handful of digits."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmarks import features
from molae.nn.classifier import CARD, ImageClassifier


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's, 24 x 24 in a frame: (n, 28, 28), and labels."""
    found = load_digits()
    large = np.kron(found.images * 15.9, np.ones((1, 3, 3))).astype(np.uint8)
    return np.pad(large, ((0, 0), (2, 2), (2, 2))), found.target.astype(np.int64)


def test_it_learns_and_what_is_written_is_what_was_learnt(digits, tmp_path, monkeypatch):
    pixels, labels = digits
    monkeypatch.setattr(features, "LEARNT", 1000)
    arrays = {"train_images": pixels[:1300], "train_labels": labels[:1300]}
    np.savez(tmp_path / "d.npz", test_images=pixels[1300:], test_labels=labels[1300:], **arrays)
    net = features.learn(pixels[:1000, ..., None], labels[:1000], epochs=12, seed=0)
    data, output = tmp_path / "d.npz", tmp_path / "net"
    options = argparse.Namespace(data=data, output=output, seed=0, epochs=12)
    features.write(net, features.stored(net), options, 1.0)
    card = json.loads((output / CARD).read_text())
    assert card["accuracy"]["test, 28 x 28"] > 0.8
    floor = next(iter(card["floor"].values()))
    assert floor < card["ladder"]["no digit above 4"]
    assert card["ladder"]["noise sd 0.1"] < card["ladder"]["noise sd 0.3"]
    assert card["recipe"]["data"].keys() == {"d.npz"}
    kept = ImageClassifier.load(output)
    some = pixels[:50, ..., None]
    assert np.allclose(kept.probabilities(some), net.probabilities(some), atol=0.01)


def test_corruptions_change_what_they_say(digits):
    pixels, labels = digits
    worse = features.corrupted(pixels[:100, ..., None], labels[:100], 0)
    assert all(image.dtype == np.uint8 for image in worse.values())
    assert len(worse["no ones"]) == (labels[:100] != 1).sum()
    rough = [np.abs(np.diff(worse[name].astype(int), axis=1)).mean() for name in
             ("blur 5x5", "blur 3x3")]  # fmt: skip
    assert rough[0] < rough[1]
    assert features.framed(pixels[:2, ..., None]).shape == (2, 32, 32, 1)
