"""Data sets made of digits: shapes, arithmetic, chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molae.datasets.image_files import open_images
from molae.datasets.images import read_images
from molae.datasets.transforms import save_images, transformed, turn
from molae.names import TRANSFORMS


@pytest.fixture(scope="module")
def digits():
    """400 digits of 8 by 8 pixels."""
    whole = read_images("digits")
    return replace(
        whole,
        pixels=whole.pixels[:400],
        labels=whole.labels[:400],
        keys=whole.keys[:400],
        names=whole.names[:400],
    )


def label_of(digits, image):
    """The label of the image that has these very pixels."""
    same = (digits.pixels == image).all((1, 2, 3))
    (label,) = set(digits.labels[same].tolist())
    return label


def test_the_sum_is_right_and_the_addends_are_its_context(digits):
    made = transformed("sum", digits)
    assert made.pixels.shape == (400, 8, 8, 1)
    assert made.context.shape == (400, 8, 8, 2)
    assert made.context.dtype == np.uint8
    assert (made.pixels == digits.pixels).all()  # every digit is the sum once
    assert (made.labels == digits.labels).all()
    addends = [
        [label_of(digits, made.context[row, :, :, k : k + 1]) for k in range(2)]
        for row in range(100)
    ]
    assert (np.sum(addends, 1) % 10 == made.labels[:100]).all()
    assert len({tuple(pair) for pair in addends}) > 40  # of a hundred


def test_triplets_lie_side_by_side(digits):
    made = transformed("triplets", digits)
    assert made.pixels.shape == (400, 8, 24, 1)
    assert made.context is None
    for row in range(50):
        first, second, third = (
            label_of(digits, part) for part in np.split(made.pixels[row], 3, axis=1)
        )
        assert (first + second) % 10 == third == made.labels[row]


def test_the_third_digit_says_how_far_to_turn(digits):
    made = transformed("rotate", digits)
    assert made.pixels.shape == (400, 8, 8, 1)
    assert made.context.shape == (400, 8, 8, 2)
    for row in range(50):
        twin, third = (made.context[row, :, :, k : k + 1] for k in range(2))
        assert label_of(digits, twin) == made.labels[row]
        assert (twin != digits.pixels[row]).any()  # another instance
        angle = 36 * label_of(digits, third)
        assert (made.pixels[row] == turn(digits.pixels[row], angle)).all()


def test_a_quarter_turn_is_counter_clockwise():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert (turn(image, 90.0) == np.rot90(image)).all()
    assert (turn(image, 0.0) == image).all()


def test_colours_are_two_an_image_and_linear_between(digits):
    made = transformed("colour", digits)
    assert made.pixels.shape == (400, 8, 8, 3)
    share = digits.pixels / 255
    for row in range(20):
        back = made.pixels[row][digits.pixels[row, :, :, 0] == 0][0].astype(float)
        front = made.pixels[row][digits.pixels[row, :, :, 0] == 255]
        if len(front):
            expected = back + share[row] * (front[0] - back)
            assert np.abs(made.pixels[row] - expected).max() <= 0.5001
    corners = made.pixels[:, 0, 0].astype(float)
    assert np.abs(corners.mean(0) - 127.5).max() < 5 * 74 / 20  # uniform: sd 74, 400 of them


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_seed_decides(name, digits):
    first, again, other = (transformed(name, digits, seed) for seed in (1, 1, 2))
    assert (first.pixels == again.pixels).all()
    assert first.context is None or (first.context == again.context).all()
    looked_at = "pixels" if first.context is None else "context"
    assert (getattr(first, looked_at) != getattr(other, looked_at)).any()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_files_are_read_again(name, digits, tmp_path):
    made = transformed(name, digits)
    save_images(made, tmp_path / "made.npz")
    opened = open_images(tmp_path / "made.npz")
    again = read_images(tmp_path / "made.npz")
    assert (again.pixels == made.pixels).all()
    assert (opened.labels == made.labels).all()
    assert (again.context is None) == (made.context is None)
    if made.context is not None:
        assert (again.context == made.context).all()
        told = again.data().subset([3, 5]).batch([1]).context
        assert told.shape == (1, 2, 8, 8)
        assert np.allclose(told[0].numpy() * 255, np.moveaxis(made.context[5], -1, 0))


def test_what_cannot_be_made(digits):
    some = digits.labels == 3
    threes = replace(digits, pixels=digits.pixels[some], labels=digits.labels[some])
    with pytest.raises(ValueError, match="two digits that add up to the label 3"):
        transformed("sum", threes)
    one = replace(threes, pixels=threes.pixels[:1], labels=threes.labels[:1])
    with pytest.raises(ValueError, match="another image of the label 3"):
        transformed("rotate", one)
    with pytest.raises(ValueError, match="have none"):
        transformed("sum", replace(digits, labels=None))
    with pytest.raises(ValueError, match="from 0 to 19"):
        transformed("triplets", replace(digits, labels=digits.labels + 10 * (digits.labels == 9)))
    with pytest.raises(ValueError, match="rotate"):
        transformed("rotated", digits)


def test_a_context_that_does_not_fit_is_refused(digits, tmp_path):
    for context in (np.zeros(400), np.zeros((3, 2)), np.full((400, 2), np.nan)):
        np.savez(tmp_path / "bad.npz", images=digits.pixels, context=context)
        with pytest.raises(ValueError, match="context"):
            open_images(tmp_path / "bad.npz")
