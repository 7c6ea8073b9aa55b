"""Images as text: exact both ways, and everything else refused by name."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from molae.pictures import (
    PREFIX,
    centred,
    cropped,
    enlarged,
    framed,
    grid,
    in_channels,
    key_of,
    pixels_of,
    read_image,
    text_of,
)


def noise(height, width, channels, seed=0):
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def uri(image, format="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return PREFIX + base64.b64encode(stream.getvalue()).decode()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]), st.integers(0, 99))
def test_what_is_written_is_read_back(height, width, channels, seed):
    pixels = noise(height, width, channels, seed)
    text = text_of(pixels)
    assert text == text_of(pixels.copy())
    assert (pixels_of(text) == pixels).all()
    assert pixels_of(text).shape == pixels.shape


def test_two_axes_are_grey():
    pixels = noise(4, 5, 1)
    assert text_of(pixels[..., 0]) == text_of(pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2), float),
        np.zeros((0, 2), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_image_is_not_written(pixels):
    with pytest.raises(ValueError, match="is no image"):
        text_of(pixels)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CCO", "no image"),
        ("", "no image"),
        ("data:image/jpeg;base64,AAAA", "no image"),
        (PREFIX, "damaged image"),
        (PREFIX + "not base64!", "damaged image"),
        (PREFIX + "AAAA", "damaged image: not in a known format"),
        (text_of(noise(9, 9, 3))[:-40], "damaged image"),
    ],
)
def test_other_texts_are_refused_by_name(text, reason):
    with pytest.raises(ValueError, match=reason):
        pixels_of(text)


def test_a_jpeg_that_calls_itself_a_png_is_refused():
    with pytest.raises(ValueError, match="damaged image"):
        pixels_of(uri(Image.new("RGB", (4, 4)), "JPEG"))


def test_a_bomb_is_refused():
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="damaged image"):
        pixels_of(PREFIX + base64.b64encode(png).decode())


def kept_as(format):
    """The bytes of a small photograph, with a remark on it where the format keeps such."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    stream, image = io.BytesIO(), Image.fromarray(noise(9, 7, 3))
    more = {} if format in ("GIF", "BMP") else {"exif": exif}
    image.save(stream, format=format, **more)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow complains of broken tags, too
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_damaged_bytes_are_refused_with_a_reason_or_read(format):
    """Cut off, or with some bytes changed, most of them in the head: never another error."""
    rng, whole, refused = np.random.default_rng(0), kept_as(format), 0
    for trial in range(300):
        data = bytearray(whole)
        if trial % 3:
            for _ in range(trial % 4 + 1):
                data[rng.integers(min(len(data), 80 if trial % 2 else len(data)))] = rng.integers(
                    256
                )
        else:
            del data[rng.integers(len(data)) :]
        try:
            assert read_image(io.BytesIO(data)).ndim == 3
        except ValueError as error:
            refused += 1
            assert str(error).startswith(("damaged image: ", "unknown range: "))  # noqa: PT017
    assert refused > 50


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_letters_where_a_photograph_has_a_number():
    """Pillow reads them, and fails with struct.error when it turns the picture upright."""
    data = kept_as("JPEG").replace(b"\x01\x0e\x00\x02", b"\x01\x28\x00\x02")
    with pytest.raises(ValueError, match="damaged image: required argument"):
        read_image(io.BytesIO(data))


def test_other_modes_become_eight_bits():
    sixteen = np.array([[0, 257, 65535]], dtype=np.uint16)
    assert pixels_of(uri(Image.fromarray(sixteen)))[..., 0].tolist() == [[0, 1, 255]]
    bits = Image.fromarray(np.array([[True, False]]))
    assert pixels_of(uri(bits))[..., 0].tolist() == [[255, 0]]
    clear = Image.fromarray(np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], dtype=np.uint8))
    assert pixels_of(uri(clear)).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    palette = Image.fromarray(noise(3, 3, 3)).convert("P")
    assert pixels_of(uri(palette)).shape == (3, 3, 3)
    grey = Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8), "LA")
    assert pixels_of(uri(grey))[..., 0].tolist() == [[7, 255]]


def test_fractions_have_no_range(tmp_path):
    path = tmp_path / "x.tif"
    Image.fromarray(np.array([[0.5, 2.0]], dtype=np.float32)).save(path)
    with pytest.raises(ValueError, match="unknown range"):
        read_image(path)


def test_photographs_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.new("RGB", (20, 10)).save(tmp_path / "x.jpg", exif=exif)
    assert read_image(tmp_path / "x.jpg").shape == (20, 10, 3)


def test_a_missing_file_is_said():
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_image("nowhere.png")


def test_keys_are_of_pixels_and_shape():
    pixels = noise(4, 6, 1)
    assert key_of(pixels) == key_of(pixels_of(uri(Image.fromarray(pixels[..., 0]), optimize=True)))
    assert key_of(pixels) != key_of(pixels.reshape(6, 4, 1))
    assert key_of(pixels) != key_of(255 - pixels)
    assert key_of(pixels[:, ::2]) == key_of(np.ascontiguousarray(pixels[:, ::2]))


# Sizes -------------------------------------------------------------------------------------------


def test_digits_are_set_on_black_as_published():
    image = np.full((28, 28, 1), 9, np.uint8)
    set_in = framed(image, 32, 32)
    assert (set_in[2:30, 2:30] == 9).all()
    assert set_in.sum() == image.sum()


def test_larger_images_are_scaled_to_cover_and_cut():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = 200  # the middle half
    small = framed(image, 10, 10)
    assert small.shape == (10, 10, 3)
    assert (abs(small[:, 1:-1].astype(int) - 200) < 5).all()  # Lanczos rings a little


def test_an_odd_frame_differs_by_one():
    image = np.arange(1, 4, dtype=np.uint8).reshape(1, 3, 1)
    assert centred(image, 1, 6)[0, :, 0].tolist() == [0, 1, 2, 3, 0, 0]
    assert centred(image, 1, 1)[0, :, 0].tolist() == [2]


def test_the_crop_of_celeba_is_the_middle():
    image = noise(218, 178, 3)
    assert (cropped(image, 140) == image[39:179, 19:159]).all()
    with pytest.raises(ValueError, match="too small to crop: 218 by 139"):
        cropped(image[:, :139], 140)


def test_channels():
    grey = noise(2, 2, 1)
    assert (in_channels(grey, 3) == grey).all()
    assert (in_channels(in_channels(grey, 3), 1) == grey).all()
    white = np.full((1, 1, 3), 255, np.uint8)
    assert in_channels(white, 1).tolist() == [[[255]]]


# Grids -------------------------------------------------------------------------------------------


def test_a_grid_is_row_by_row_with_lines_between():
    images = [np.full((2, 3), 10 * i, np.uint8) for i in range(5)]
    sheet = grid(images)  # as square as it can be: 3 in a row
    assert sheet.shape == (2 * 2 + 1, 3 * 3 + 2, 1)
    assert (sheet[2] == 128).all()
    assert (sheet[:, 3] == 128).all()
    assert (sheet[3:, 4:7] == 40).all()
    assert (sheet[3:, 8:] == 0).all() or (sheet[3:, 8:] == 128).all()


def test_a_grid_of_unlike_images_has_the_largest_cell_and_colours():
    sheet = grid([noise(2, 2, 3), noise(4, 6, 1)], columns=1, scale=2)
    assert sheet.shape == (2 * 8 + 1, 12, 3)
    assert grid([noise(2, 2, 1)], columns=9).shape == (2, 2, 1)
    for columns, scale in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            grid([noise(2, 2, 1)], columns, scale=scale)
    with pytest.raises(ValueError, match="no image to show"):
        grid([])


def test_small_images_are_shown_larger():
    assert [enlarged(8, 8), enlarged(28, 28), enlarged(64, 64), enlarged(500, 2)] == [8, 2, 1, 1]
