"""The codec of images: exact for what has 8 bits, and honest about the rest."""

import numpy as np
import pytest
import torch

from molae.codecs import EncodeError, ImageCodec, codec_from_dict
from molae.codecs.images import eight_bits, unit
from molae.pictures import text_of


def images(n=4, height=6, width=5, channels=3, seed=0):
    shape = (n, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_every_byte_comes_back():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = torch.from_numpy(unit(ramp))
    assert x.dtype == torch.float32
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    assert (eight_bits(x) == ramp).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_texts_come_back(channels):
    codec = ImageCodec(6, 5, channels)
    texts = [text_of(image) for image in images(channels=channels)]
    x = codec.encode(texts)
    assert x.shape == (4, channels, 6, 5)
    assert codec.decode(x) == texts
    assert codec.size == channels * 30


def test_channels_come_first():
    codec, picture = ImageCodec(2, 2, 3), np.zeros((2, 2, 3), np.uint8)
    picture[0, 1] = (255, 51, 0)
    x = codec.encode([text_of(picture)])[0]
    assert x[:, 0, 1].tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert float(x.sum()) == pytest.approx(1.2)


def test_what_is_beyond_the_range_is_cut_off():
    x = torch.tensor([[[[-1.0, 0.4999 / 255, 0.5001 / 255, 7.0, float("nan")]]]])
    assert eight_bits(x)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 0]


def test_rejects_have_places_and_reasons():
    codec = ImageCodec(6, 5, 3)
    good = [text_of(image) for image in images()]
    found = codec.parse([good[0], "CCO", good[1], text_of(images(height=7)[0]), good[2][:-30]])
    assert found.kept.tolist() == [0, 2]
    assert found.padded().shape == (2, 3, 6, 5)
    reasons = [(r.index, r.reason.partition(":")[0]) for r in found.rejects]
    assert reasons == [(1, "no image"), (3, "wrong size"), (4, "damaged image")]
    assert "7 by 5 pixels, expected 6 by 5" in found.rejects[1].reason
    with pytest.raises(EncodeError, match=r"cannot encode 1 of the items.*no image"):
        codec.encode(["CCO"])
    empty = codec.parse(["CCO"])
    assert empty.padded().shape == (0, 3, 6, 5)


def test_other_sizes_are_brought_to_this_one_where_that_was_asked_for():
    codec = ImageCodec(32, 32, 1, resize=True)
    digit = images(1, 28, 28, 1)[0]
    x = codec.encode([text_of(digit)])
    assert (eight_bits(x)[0, 2:30, 2:30] == digit).all()
    photo = ImageCodec(64, 64, 3, "celeba", resize=True)
    assert photo.encode([text_of(images(1, 218, 178, 3)[0])]).shape == (1, 3, 64, 64)
    # What has the size of the model was cut already, or comes out of it.
    own = text_of(images(1, 64, 64, 3)[0])
    assert photo.decode(photo.encode([own])) == [own]
    assert (
        photo.parse([text_of(images(1, 100, 100, 3)[0])])
        .rejects[0]
        .reason.startswith("too small to crop")
    )


def test_grey_in_colour_and_colour_in_grey():
    grey = images(1, 6, 5, 1)[0]
    assert (ImageCodec(6, 5, 3).encode([text_of(grey)])[0, 2].numpy() * 255).round().tolist() == (
        grey[..., 0].tolist()
    )
    assert ImageCodec(6, 5, 1).encode([text_of(images()[0])]).shape == (1, 1, 6, 5)


def test_a_codec_is_its_settings():
    codec = ImageCodec(64, 48, 3, "celeba", resize=True)
    again = codec_from_dict(codec.to_dict())
    assert isinstance(again, ImageCodec)
    assert again.to_dict() == codec.to_dict()
    assert again.digest == codec.digest != ImageCodec(64, 48, 3).digest
    assert again.shape == (3, 64, 48)


@pytest.mark.parametrize("wrong", [(0, 5, 1), (5, 5, 2), (5, -1, 3)])
def test_sizes_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="expected at least 1 by 1, and 1 or 3 channels"):
        ImageCodec(*wrong)
    with pytest.raises(ValueError, match="no crop 'face': expected one of celeba"):
        ImageCodec(5, 5, 1, "face")


def test_hashes_are_those_of_pixels():
    codec = ImageCodec(6, 5, 3)
    one, two = (text_of(image) for image in images(2))
    first, second, third = codec.parse([one, two, one]).hashes()
    assert first == third != second


def test_agreement_is_the_mean_squared_error():
    codec = ImageCodec(1, 2, 1)
    black, half = (text_of(np.array([row], np.uint8)) for row in ([0, 0], [0, 255]))
    assert codec.agreement([black, black], [black, half]) == {"squared_error": 0.25}
