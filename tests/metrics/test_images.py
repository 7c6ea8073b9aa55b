from __future__ import annotations

import json

import numpy as np
import pytest

from molae.metrics.features import PixelComponents, feature_net
from molae.metrics.images import ImageYardstick, squared_error
from molae.names import FEATURES, IMAGE_METRICS
from molae.nn.classifier import CARD, WEIGHTS
from molae.resources import features_path


def blobs(count, seed=0, shade=255, channels=1):
    """Images (n, 12, 12, C) of a bright square in a random place."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((count, 12, 12, channels), np.uint8)
    for image, (top, left) in zip(pixels, rng.integers(0, 8, (count, 2)), strict=True):
        image[top : top + 4, left : left + 4] = shade - rng.integers(0, 40)
    return pixels


@pytest.fixture(scope="module")
def ruler():
    return ImageYardstick(feature_net("pca", blobs(300)), blobs(300), blobs(400, 5))


def test_names_are_those_of_the_table(ruler):
    names = {*ImageYardstick(feature_net("classifier", blobs(9)), blobs(9)).columns()}
    assert {*names, *ruler.columns(), "fid"} == set(IMAGE_METRICS)
    assert set(FEATURES) == {"classifier", "pca", "inception"}


def test_equal_sets_and_other_ones(ruler):
    same = ruler.measure(blobs(300, 1)).values
    dark = ruler.measure(blobs(300, 2, shade=120)).values
    assert same["fd_pca"] < dark["fd_pca"] / 5
    assert abs(same["kid"]) < 5 * same["kid_error"] + 1e-3
    assert dark["kid"] > 5 * dark["kid_error"]
    assert same["prd_f8"] > 0.9 > 0.5 > dark["prd_f8"]
    assert same["coverage"] > 0.9 > 0.6 > dark["coverage"]
    assert same["nearest_train"] == pytest.approx(1, abs=0.2)
    assert ruler.measure(blobs(400, 5)).values["nearest_train"] == pytest.approx(0, abs=1e-6)


def test_what_is_too_little_says_so(ruler):
    found = ruler.measure(blobs(3))
    assert found.values["kid"] is None
    assert found.notes["kid"] == "needs at least 20 images; 3 were generated"
    assert found.values["coverage"] is None
    assert found.values["fd_pca"] > 0
    assert "depends on the number of images (3" in found.notes["fd_pca"]
    one = ruler.measure(blobs(1))
    assert one.values["fd_pca"] is None
    lost = ImageYardstick(feature_net("pca", blobs(30)), blobs(30)).measure(blobs(30, 1))
    assert lost.values["nearest_train"] is None
    assert "learnt from" in lost.notes["nearest_train"]
    with pytest.raises(ValueError, match="at least 2"):
        ImageYardstick(feature_net("classifier", blobs(1)), blobs(1))


def test_components_keep_distances():
    """All components of small images are a rotation of their pixels."""
    pixels = blobs(400)[:, 2:8, 2:8]
    net = PixelComponents.of(pixels)
    found = net.features(pixels)
    flat = pixels.reshape(400, -1) / 255.0
    assert np.linalg.norm(found[3] - found[7]) == pytest.approx(np.linalg.norm(flat[3] - flat[7]))
    assert np.allclose(found.mean(0), 0)
    assert net.digest == PixelComponents.of(pixels).digest
    assert net.digest != PixelComponents.of(pixels[:300]).digest


def test_components_of_large_colour_images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 50, 40, 3), np.uint8)
    assert PixelComponents.of(pixels).features(pixels).shape == (20, 19)
    with pytest.raises(ValueError, match="same size"):
        PixelComponents.of(pixels).features(blobs(3))


def test_squared_error_by_hand():
    pixels = np.zeros((2, 2, 2, 1), np.uint8)
    again = pixels.copy()
    again[1, 0, 0, 0] = 255
    assert squared_error(pixels, again) == pytest.approx([0, 0.25])
    with pytest.raises(ValueError, match="cannot have come back"):
        squared_error(pixels, again[:1])


def test_a_classifier_with_nothing_but_what_it_needs(tmp_path):
    """Its card need not say how good it is."""
    with features_path("mnist") as folder:
        card = json.loads((folder / CARD).read_text())
        (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    (tmp_path / CARD).write_text(json.dumps({key: card[key] for key in ("settings", "digest")}))
    net = feature_net(f"classifier={tmp_path}", blobs(5))
    assert net.about.startswith("Features: those of a classifier. Of other kinds")
    assert np.allclose(
        net.features(blobs(3)), feature_net("classifier", blobs(5)).features(blobs(3))
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clasifier", "did you mean 'classifier'"),
        ("pca=x", "takes no file"),
        ("classifier=/nowhere", "/nowhere: there is no such folder"),
        ("classifier=", "classifier=: no folder is named; .* classifier alone"),
        ("inception=", "no file was named"),
        ("inception", "do not ship with molae"),
        ("inception=/nowhere.pth", "/nowhere.pth: there is no such file"),
    ],
)
def test_features_that_are_not_there(text, told):
    with pytest.raises(ValueError, match=told):
        feature_net(text, blobs(5))
