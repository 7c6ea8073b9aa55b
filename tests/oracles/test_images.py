"""Oracles of images: what they score, what they refuse."""

import re

import numpy as np
import pytest

from molae.nn.classifier import ImageClassifier
from molae.oracles import ClassChance, Ink, Likeness, oracle
from molae.pictures import save_png, text_of


@pytest.fixture
def stroke():
    """An upright stroke, as a one is written: (28, 28)."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:15] = 255
    return pixels


def test_ink():
    pixels = np.array([[0, 255], [51, 0]], np.uint8)
    made = oracle("Images:ink")
    assert isinstance(made, Ink)
    assert made.columns == ()
    (answer,) = made.answer([text_of(pixels)])
    assert answer.score == pytest.approx((255 + 51) / 4 / 255)
    colours = np.stack([pixels, pixels, 0 * pixels], axis=-1)
    assert made.answer([text_of(colours)])[0].score == pytest.approx(answer.score * 2 / 3)


def test_a_class(stroke):
    answers = {n: oracle(f"images:class={n}").answer([text_of(stroke)])[0].score for n in "0123"}
    chances = ImageClassifier.load("mnist").probabilities(stroke[None, ..., None])[0]
    assert list(answers.values()) == pytest.approx(chances[:4])
    assert answers["1"] > 0.5
    assert oracle("images:class=1").key != oracle("images:class=2").key


def test_likeness(stroke, tmp_path):
    path = tmp_path / "stroke.png"
    save_png(stroke, path)
    made = oracle(f"images:similar={path}")
    assert isinstance(made, Likeness)
    other = stroke.copy()
    other[0, :7] = 255  # 7 of 784 values are off by one
    same, near = made.answer([text_of(stroke), text_of(other)])
    assert same.score == 0
    assert near.score == pytest.approx(-7 / 784)
    wide = np.zeros((32, 32, 3), np.uint8)
    wide[2:30, 2:30] = stroke[..., None]
    assert made.answer([text_of(wide)])[0].score == 0
    before = made.key
    save_png(other, path)
    assert oracle(f"images:similar={path}").key != before


def test_one_of_many():
    made = oracle("images:similar=digits:3")
    assert made.name == "images:similar=digits:3"
    assert oracle("images:similar=digits:4").key != made.key


def test_what_is_no_image_has_no_score(stroke):
    text = text_of(stroke)
    no, damaged, good = Ink().answer(["CCO", text[:60], text])
    assert no.error.startswith("no image")
    assert damaged.error.startswith("damaged image")
    assert not good.failed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("images:inc", "did you mean 'images:ink'"),
        ("images:", "did you mean 'images:ink'"),
        ("images:ink=3", "takes no value"),
        ("images:class", "which one? Write for example images:class=7"),
        ("images:class=seven", "unknown class 'seven': choose from 0, 1"),
        ("images:similar", "images:similar=FILE.png"),
        ("images:similar=CCO", "expected an image"),
        ("images:similar=digits:1798", "there are 1797 images"),
    ],
)
def test_what_cannot_be_understood(text, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        oracle(text)


def test_requirements_are_of_molecules(stroke):
    (answer,) = oracle("images:ink", requirements=["mw<500"]).answer([text_of(stroke)])
    assert "not a molecule" in answer.error


def test_a_class_is_looked_up():
    assert ClassChance("7").name == "images:class=7"
