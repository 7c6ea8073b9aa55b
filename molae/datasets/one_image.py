"""One image, as people name it."""

from __future__ import annotations

import re
from pathlib import Path

from molae.datasets.files import DataError
from molae.datasets.image_files import SUFFIXES, is_image_source, open_images
from molae.pictures import is_image, text_of


def as_text(given: str) -> str:
    """What was given as a text: the image where it names one, else the text itself.

    A file of one image stands for it, ``digits:17`` or ``mnist.npz:17`` for the 17th of many, and
    a source of many without a number for its first.

    Raises:
        DataError: There is no such image or file, or it cannot be read.
    """
    source, _, number = given.rpartition(":")
    if not (number.isdecimal() and is_image_source(source)):
        source, number = given, "1"
    if is_image(given) or not is_image_source(source):
        _check_there(given)
        return given
    images, row = open_images(source), int(number) - 1
    if not 0 <= row < len(images):
        raise DataError(f"{given}: there are {len(images)} images in {source}, from 1 on")
    try:
        return text_of(images.pixels(row))
    except ValueError as error:
        raise DataError(f"{given}: {error}") from error


def _check_there(given: str) -> None:
    """Refuse what is called like a file of images and is not there."""
    name = re.sub(r":\d+$", "", given)
    if name.lower().endswith((*SUFFIXES, ".npz")) and not Path(name).exists():
        raise DataError(f"{name}: there is no such file")
