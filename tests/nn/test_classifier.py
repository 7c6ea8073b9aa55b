from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from molae.nn.classifier import CARD, WEIGHTS, ImageClassifier
from molae.resources import features_names, features_path


@pytest.fixture(scope="module")
def net():
    return ImageClassifier.load()


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's digits, which it has never seen, in a frame as MNIST has it: (n, 28, 28)."""
    found = load_digits()
    images = [Image.fromarray((image * 15.9).astype(np.uint8)) for image in found.images[:500]]
    large = np.stack([np.asarray(i.resize((20, 20), Image.Resampling.BICUBIC)) for i in images])
    return np.pad(large, ((0, 0), (4, 4), (4, 4)))[..., None], found.target[:500]


def test_it_knows_digits_of_another_source(net, digits):
    pixels, labels = digits
    assert (net.probabilities(pixels).argmax(1) == labels).mean() > 0.7


def test_shapes_and_ranges(net, digits):
    pixels, _ = digits
    features, chances = net.answers(pixels[:300])
    assert features.shape == (300, 64)
    assert features.min() >= 0
    assert np.allclose(chances.sum(1), 1)
    assert np.allclose(net.features(pixels[:7]), features[:7], atol=1e-4)
    assert net.features(pixels[:0]).shape == (0, 64)
    assert net.classes == list("0123456789")


def test_other_sizes_and_colours(net, digits):
    pixels, _ = digits
    grey = np.repeat(pixels[:50], 3, axis=3)
    assert np.allclose(net.features(grey), net.features(pixels[:50]), atol=1e-3)
    framed = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)))
    same = net.probabilities(framed).argmax(1) == net.probabilities(pixels).argmax(1)
    assert same.mean() > 0.85


def test_the_card_says_how_good_it_is(net):
    assert features_names() == ["mnist"]
    assert net.card["accuracy"]["test, 28 x 28"] > 0.98
    assert net.card["accuracy"]["test, 32 x 32"] > 0.98
    floor = net.card["floor"]["10,000 training images not learnt from, and the 10,000 test images"]
    ladder = net.card["ladder"]
    assert floor < ladder["noise sd 0.1"] < ladder["noise sd 0.3"]
    assert floor < ladder["blur 3x3"] < ladder["blur 5x5"]
    assert floor < ladder["no ones"] < ladder["no digit above 4"]


def test_damage_is_seen(net, tmp_path):
    with features_path("mnist") as folder:
        stored = (folder / WEIGHTS).read_bytes()
        card = json.loads((folder / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card))
    (tmp_path / WEIGHTS).write_bytes(stored)
    assert ImageClassifier.load(tmp_path).digest == net.digest
    (tmp_path / WEIGHTS).write_bytes(stored[:-1] + b"!")
    with pytest.raises(ValueError, match="damaged"):
        ImageClassifier.load(tmp_path)
    with pytest.raises(ValueError, match="no feature net named 'mnits' is shipped; did you mean"):
        ImageClassifier.load("mnits")
    with pytest.raises(ValueError, match="no classifier can be read"):
        ImageClassifier.load(tmp_path.parent)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("[1, 2]", "its digest is not that of its card"),
        ("{", "no classifier can be read"),
        ({"settings": None}, "are of no such classifier"),
        ({"settings": {"classes": ["a", "b"]}}, "are of no such classifier"),
        ({"settings": {"classes": ["a", "b"], "widht": 3}}, "are of no such classifier"),
        (b"nothing", r"are of no such classifier .*benchmarks\.features"),
    ],
)
def test_a_folder_of_something_else(changed, told, net, tmp_path):
    """Its card is none, says something else than the weights, or these are no weights."""
    with features_path("mnist") as folder:
        stored = (folder / WEIGHTS).read_bytes()
        card = json.loads((folder / CARD).read_text())
    if isinstance(changed, bytes):
        stored, changed = changed, {"digest": hashlib.sha256(changed).hexdigest()}
    text = changed if isinstance(changed, str) else json.dumps(card | changed)
    (tmp_path / CARD).write_text(text)
    (tmp_path / WEIGHTS).write_bytes(stored)
    with pytest.raises(ValueError, match=told):
        ImageClassifier.load(tmp_path)


@pytest.mark.parametrize("pixels", [np.zeros((2, 28, 28), np.uint8), np.zeros((2, 28, 28, 1))])
def test_bad_input(net, pixels):
    with pytest.raises(ValueError, match=r"expected \(n, H, W, 1 or 3\) of type uint8"):
        net.features(pixels)
    with pytest.raises(ValueError, match="1 classes"):
        ImageClassifier(["a"])
