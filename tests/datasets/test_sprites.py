"""Sprites: factors say what is drawn, and commands take them as they take digits."""

from __future__ import annotations

import numpy as np

from molae.datasets.image_files import is_image_source, open_images, source_digest
from molae.datasets.sprites import FACTORS, SHAPES, factors, sprites


def test_every_combination_once():
    rows = factors()
    assert rows.shape == (768, 4)
    assert len(np.unique(rows, axis=0)) == 768
    assert (rows.max(0) + 1).tolist() == list(FACTORS.values())
    assert rows[1].tolist() == [0, 0, 0, 1]


def test_images_show_their_factors():
    images, labels, names = sprites()
    assert images.shape == (768, 16, 16, 1)
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(768, -1), axis=0)) == 768
    rows = factors()
    assert (labels == rows[:, 0]).all()
    assert names == SHAPES
    white = images[..., 0] / 255.0
    area = white.sum((1, 2))
    place = np.arange(16) + 0.5
    across, down = ((white * axis).sum((1, 2)) / area for axis in (place, place[:, None]))
    # Nothing is cut off: the area depends on shape and size only, and grows with size.
    for shape in range(3):
        means = []
        for scale in range(4):
            same = (rows[:, 0] == shape) & (rows[:, 1] == scale)
            assert np.ptp(area[same]) < 0.25 * area[same].mean()
            means.append(area[same].mean())
        assert (np.diff(means) > 0).all()
    assert abs(np.corrcoef(across, rows[:, 2])[0, 1]) > 0.995
    assert abs(np.corrcoef(down, rows[:, 3])[0, 1]) > 0.98


def test_a_source_like_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_image_source("sprites")
    source = open_images("sprites")
    assert len(source) == 768
    assert source.classes == SHAPES
    assert source_digest("sprites") == open_images("sprites").digest()
