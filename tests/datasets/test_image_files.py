"""Where images come from: every kind of source, and all that can be wrong with one."""

import gzip
import io
import os
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from molae.datasets.files import DataError, data_digest
from molae.datasets.image_files import divided, is_image_source, open_images, source_digest
from molae.datasets.images import image_codec, read_images

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def idx(path, values, packed=False):
    header = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    data = header + values.tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def bins(labels, images):
    """CIFAR-10's records: a label, then red, green and blue."""
    return b"".join(
        bytes([label]) + np.moveaxis(image, -1, 0).tobytes()
        for label, image in zip(labels, images, strict=True)
    )


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


# Folders and files -------------------------------------------------------------------------------


def test_a_folder_in_order_with_labels_and_without_what_is_no_image(tmp_path):
    pictures = {f"{kind}/{i}.png": noise(5, 4) for kind in ("cat", "ant") for i in range(2)}
    for name, pixels in pictures.items():
        save(tmp_path / "all" / name, pixels)
    (tmp_path / "all" / "README.txt").write_text("about")
    save(tmp_path / "all" / ".hidden" / "x.png", noise(5, 4))
    found = read_images(tmp_path / "all")
    assert found.names == [os.path.join(*name.split("/")) for name in sorted(pictures)]
    assert found.classes == ("ant", "cat")
    assert found.labels.tolist() == [0, 0, 1, 1]
    for name, image in zip(sorted(pictures), found.pixels, strict=True):
        assert (image[..., 0] == pictures[name]).all()


def test_one_image_outside_of_the_sub_folders_and_there_are_no_labels(tmp_path):
    save(tmp_path / "all" / "a" / "1.png", noise(3, 3))
    save(tmp_path / "all" / "2.png", noise(3, 3))
    assert open_images(tmp_path / "all").labels is None


def test_every_format_that_keeps_pixels(tmp_path):
    pixels = noise(6, 7, 3)
    for suffix in (".png", ".bmp", ".tif", ".ppm"):
        path = save(tmp_path / f"x{suffix}", pixels)
        assert is_image_source(path)
        assert (read_images(path).pixels[0] == pixels).all()
    assert read_images(save(tmp_path / "x.jpg", pixels)).pixels.shape == (1, 6, 7, 3)
    assert read_images(save(tmp_path / "x.gif", pixels[..., 0])).pixels.shape[:3] == (1, 6, 7)


def test_damaged_images_are_rejects(tmp_path):
    folder = tmp_path / "all"
    for i in range(4):
        save(folder / f"{i}.png", noise(8, 8))
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:50])
    (folder / "2.png").write_text("no image at all")
    save(folder / "4.png", noise(9, 8))
    (folder / "5.png").write_bytes(b"")
    bad = []
    found = read_images(folder, reject=bad.append)
    assert found.names == ["0.png", "3.png"]
    assert [(b.line, b.text) for b in bad] == [(n + 1, f"{n}.png") for n in (1, 2, 4, 5)]
    assert [b.reason.partition(":")[0] for b in bad] == [
        *["damaged image"] * 2,
        "wrong size",
        "damaged image",
    ]


def test_nothing_that_can_be_read_is_an_error_with_the_reasons(tmp_path):
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "1.png").write_text("no image at all")
    with pytest.raises(DataError, match=r"none of its 1 images could be used: damaged"):
        read_images(folder)
    save(folder / "1.png", noise(8, 8))
    with pytest.raises(DataError, match=r"none of its 1 images .*too small to crop \(1\)"):
        read_images(folder, crop="celeba")


def test_one_image_with_colours_gives_colours_to_all(tmp_path):
    grey = noise(4, 4)
    save(tmp_path / "all" / "1.png", grey)
    save(tmp_path / "all" / "2.png", noise(4, 4, 3))
    found = read_images(tmp_path / "all")
    assert found.pixels.shape == (2, 4, 4, 3)
    assert (found.pixels[0] == grey[..., None]).all()
    assert read_images(tmp_path / "all", channels=1).pixels.shape == (2, 4, 4, 1)


def test_sizes_and_crops(tmp_path):
    save(tmp_path / "faces" / "1.png", noise(218, 178, 3))
    assert read_images(tmp_path / "faces", crop="celeba").pixels.shape == (1, 64, 64, 3)
    assert read_images(tmp_path / "faces", 32, "celeba").pixels.shape == (1, 32, 32, 3)
    assert read_images(tmp_path / "faces", (16, 24)).pixels.shape == (1, 16, 24, 3)
    with pytest.raises(ValueError, match="no crop 'face'"):
        read_images(tmp_path / "faces", crop="face")


def test_a_folder_without_images_is_no_source(tmp_path):
    (tmp_path / "x.smi").write_text("C")
    assert not is_image_source(tmp_path)
    with pytest.raises(DataError, match="no images in this folder"):
        open_images(tmp_path)


def test_digests_see_names_and_bytes(tmp_path):
    path = save(tmp_path / "all" / "1.png", noise(3, 3))
    first = source_digest(tmp_path / "all")
    assert first == source_digest(tmp_path / "all")
    path.rename(path.with_name("2.png"))
    second = source_digest(tmp_path / "all")
    save(tmp_path / "all" / "2.png", noise(3, 3))
    assert len({first, second, source_digest(tmp_path / "all")}) == 3
    assert source_digest(tmp_path / "all" / "2.png") == data_digest(tmp_path / "all" / "2.png")


# Arrays ------------------------------------------------------------------------------------------


def test_npz_with_the_usual_names(tmp_path):
    train, test = noise(5, 4, 4), noise(2, 4, 4)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=train, y_train=np.arange(5), x_test=test, y_test=np.array([7, 8]))
    found = read_images(path)
    assert (found.pixels[..., 0] == train).all()
    assert found.labels.tolist() == [0, 1, 2, 3, 4]
    for part in ("x_test", "test"):
        found = read_images(f"{path}:{part}")
        assert (found.pixels[..., 0] == test).all()
        assert found.labels.tolist() == [7, 8]
    with pytest.raises(DataError, match="no part 'x_val' in it; found x_train"):
        read_images(f"{path}:x_val")


@pytest.mark.parametrize(
    "values",
    [
        noise(3, 4, 5, 1),
        noise(3, 4, 5, 3),
        noise(3, 1, 4, 5),
        noise(3, 3, 4, 5),
        noise(3, 4, 5).astype(np.int64),
        noise(3, 4, 5) > 127,
        noise(3, 4, 5) / 255,
        (noise(3, 4, 5) / 255).astype(np.float32),
    ],
)
def test_shapes_and_types_of_arrays(tmp_path, values):
    np.savez(tmp_path / "x.npz", whatever=values)
    found = read_images(tmp_path / "x.npz").pixels
    assert found.shape[:3] == (3, 4, 5)
    plain = values * 255 if values.dtype.kind in "bf" else values
    if plain.ndim == 4 and plain.shape[1] in (1, 3):
        plain = np.moveaxis(plain, 1, -1)
    assert (found == np.round(plain).reshape(found.shape)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 784), np.uint8), r"shape \(3, 784\) holds no images"),
        (np.zeros((3, 4, 4, 2), np.uint8), "holds no images"),
        (np.zeros((0, 4, 4), np.uint8), "holds no images"),
        (np.full((3, 4, 4), 1.5), "from 1.5 to 1.5; expected 0 to 1"),
        (np.full((3, 4, 4), np.nan), "from nan to nan"),
        (np.full((3, 4, 4), -1), "from -1 to -1; expected 0 to 255"),
        (np.full((3, 4, 4), "a"), "pixels of type <U1"),
        (np.full((3, 4, 4), None), "would execute code"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, values, message):
    np.savez(tmp_path / "x.npz", x=values)
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "x.npz")


def test_npz_that_says_too_little_or_is_damaged(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=noise(2, 3, 3), b=noise(2, 3, 3))
    with pytest.raises(DataError, match=r"which of its arrays.*a, b.*x\.npz:a"):
        read_images(path)
    assert len(read_images(f"{path}:b").pixels) == 2
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"x\.npz"):
        read_images(path)
    with pytest.raises(DataError, match=r"nowhere\.npz: there is no such file"):
        read_images(tmp_path / "nowhere.npz")


# idx ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_with_their_labels(tmp_path, packed):
    end = ".gz" if packed else ""
    train, test = noise(4, 3, 5), noise(2, 3, 5)
    file = idx(tmp_path / f"train-images-idx3-ubyte{end}", train, packed)
    idx(tmp_path / f"train-labels-idx1-ubyte{end}", np.arange(4, dtype=np.uint8), packed)
    idx(tmp_path / f"t10k-images-idx3-ubyte{end}", test, packed)
    for source in (file, tmp_path, f"{tmp_path}:train"):
        assert is_image_source(source)
        found = read_images(source)
        assert (found.pixels[..., 0] == train).all()
        assert found.labels.tolist() == [0, 1, 2, 3]
    found = read_images(f"{tmp_path}:test")
    assert (found.pixels[..., 0] == test).all()
    assert found.labels is None
    with pytest.raises(DataError, match="no part 'other' in it; found t10k"):
        read_images(f"{tmp_path}:other")


def test_idx_under_any_name_and_cut_off(tmp_path):
    path = idx(tmp_path / "digits", noise(4, 3, 5))
    assert is_image_source(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"cut off: 59 bytes for an array of \[4, 3, 5\]"):
        read_images(path)
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes(2000))[:-30])
    with pytest.raises(DataError, match="damaged or cut off"):
        read_images(path)


# CIFAR-10 ----------------------------------------------------------------------------------------


def test_cifar_as_the_public_archive_and_unpacked(tmp_path):
    images = noise(6, 32, 32, 3)
    names = "".join(f"kind{i}\n" for i in range(10)).encode()
    members = {
        "data_batch_2.bin": bins([2, 3], images[2:4]),
        "batches.meta.txt": names,
        "data_batch_1.bin": bins([0, 1], images[:2]),
        "test_batch.bin": bins([8, 9], images[4:]),
    }
    path = archive(tmp_path / "cifar-10-binary.tar.gz", members)
    for name, data in members.items():
        (tmp_path / "bins").mkdir(exist_ok=True)
        (tmp_path / "bins" / name).write_bytes(data)
    for source in (path, tmp_path / "bins"):
        assert is_image_source(source)
        found = read_images(source)
        assert (found.pixels == images[:4]).all()
        assert found.labels.tolist() == [0, 1, 2, 3]
        assert found.classes[9] == "kind9"
        found = read_images(f"{source}:test")
        assert (found.pixels == images[4:]).all()
        with pytest.raises(DataError, match="expected train or test"):
            read_images(f"{source}:validation")
    alone = read_images(tmp_path / "bins" / "test_batch.bin")
    assert (alone.pixels == images[4:]).all()


def test_cifar_as_a_pickle_is_not_executed(tmp_path):
    path = archive(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": b"\x80\x03."})
    with pytest.raises(DataError, match=r"a pickle.*Take cifar-10-binary\.tar\.gz"):
        read_images(path)


def test_cifar_that_is_damaged(tmp_path):
    path = archive(tmp_path / "cifar-10-binary.tar.gz", {"data_batch_1.bin": bytes(3000)})
    with pytest.raises(DataError, match="3000 bytes, expected a multiple of 3073"):
        read_images(path)
    path.write_bytes(b"nothing like it")
    with pytest.raises(DataError, match="damaged or cut off"):
        read_images(path)
    path = archive(tmp_path / "cifar-10-binary.tar.gz", {"other.txt": b"x"})
    with pytest.raises(DataError, match=r"no part 'train' in it; found other\.txt"):
        read_images(path)


# Names -------------------------------------------------------------------------------------------


def test_digits_are_built_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_images("digits")
    theirs = load_digits()
    assert found.pixels.shape == (1797, 8, 8, 1)
    assert (found.pixels.min(), found.pixels.max()) == (0, 255)
    assert (found.labels == theirs.target).all()
    assert np.abs(found.pixels[..., 0] / 255 * 16 - theirs.images).max() < 0.04
    assert len(set(found.keys.tolist())) == 1797
    (tmp_path / "digits").write_text("CCO\n")  # a file of that name comes first
    assert not is_image_source("digits")


def test_a_colon_divides_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert divided("a.npz:x") == (divided("a.npz")[0], "x")
    assert divided("folder:b/c.npz")[1] is None
    assert divided("C:file")[1] is None
    (tmp_path / "a.npz:x").write_text("")
    assert divided("a.npz:x")[1] is None


@pytest.mark.parametrize("name", ["CCO", "-", "C" * 5000, "a\0b", "data:image/png;base64,AA", ""])
def test_texts_are_no_sources(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_image_source(name)


def test_a_file_of_molecules_is_no_source_and_says_what_is_expected(tmp_path):
    for name, data in (("a.smi", b"CCO\n"), ("b.smi.gz", gzip.compress(b"C\n")), ("c", b"")):
        (tmp_path / name).write_bytes(data)
        assert not is_image_source(tmp_path / name)
        with pytest.raises(DataError, match="no images are found in this file"):
            open_images(tmp_path / name)


def test_the_codec_that_a_source_needs(tmp_path):
    np.savez(tmp_path / "x.npz", noise(3, 4, 5, 3))
    source = open_images(tmp_path / "x.npz")
    assert image_codec(source).to_dict() == {
        "kind": "images",
        "height": 4,
        "width": 5,
        "channels": 3,
        "crop": None,
        "resize": False,
    }
    codec = image_codec(source, 8, channels=1)
    assert (codec.shape, codec.resize) == ((1, 8, 8), True)
