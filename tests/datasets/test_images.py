"""Images as data sets, from a cache, as texts of a reader, and written again."""

import numpy as np
import pytest
import torch
from PIL import Image

from molae.codecs import ImageCodec
from molae.datasets.arrays import join
from molae.datasets.files import DataError
from molae.datasets.image_cache import cached_images
from molae.datasets.images import ImageData, read_images
from molae.datasets.readers import read
from molae.datasets.splits import text_key, text_keys
from molae.datasets.writers import open_writer
from molae.pictures import key_of, text_of

RNG = np.random.default_rng(1)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def folder_of(path, images):
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path / f"{i}.png")
    return path


# In memory ---------------------------------------------------------------------------------------


def test_batches_are_channels_first_from_0_to_1():
    pixels = noise(5, 3, 4, 3)
    data = ImageData(pixels, keys=np.arange(5, dtype=np.uint64)).subset([4, 2, 0])
    batch = data.batch([2, 0])
    assert batch.x.dtype == torch.float32
    assert batch.x.shape == (2, 3, 3, 4)
    assert np.allclose(batch.x.numpy(), np.moveaxis(pixels[[0, 4]], -1, 1) / 255)
    assert batch.index.tolist() == [2, 0]
    assert batch.y is None
    assert data.keys.tolist() == [4, 2, 0]
    assert (data.bytes([1]) == pixels[2]).all()
    assert (len(data), data.lengths) == (3, None)


def test_subsets_of_subsets_and_targets():
    data = ImageData(noise(5, 2, 2, 1)).subset(np.array([True, False, True, True, False]))
    data = data.with_targets(np.array([10.0, 12.0, 13.0]))
    assert data.subset([2, 0]).batch([0, 1]).y.tolist() == [13.0, 10.0]
    assert len(data.subset([])) == 0
    with pytest.raises(ValueError, match="2 targets for 3 images"):
        data.with_targets(np.zeros(2))


def test_joining():
    one = ImageData(noise(3, 2, 2, 1), keys=np.arange(3, dtype=np.uint64))
    two = ImageData(noise(2, 2, 2, 1), keys=np.arange(5, 7, dtype=np.uint64))
    both = join([one.subset([2, 1]), two])
    assert both.keys.tolist() == [2, 1, 5, 6]
    assert (both.pixels == np.concatenate([one.pixels[[2, 1]], two.pixels])).all()
    assert join([one]) is one


@pytest.mark.parametrize("pixels", [noise(3, 2, 2), np.zeros((3, 2, 2, 1))])
def test_arrays_that_are_no_images(pixels):
    with pytest.raises(ValueError, match="holds no images"):
        ImageData(pixels)
    with pytest.raises(ValueError, match="keys has 2 rows; expected 3"):
        ImageData(noise(3, 2, 2, 1), keys=np.zeros(2, np.uint64))


# From the cache ----------------------------------------------------------------------------------


def test_the_cache_holds_what_reading_gives(tmp_path):
    source = folder_of(tmp_path / "all", noise(4, 5, 6, 3))
    (source / "1.png").write_bytes(b"damaged")
    codec = ImageCodec(5, 6, 3)
    made, found = (cached_images(codec, source) for _ in range(2))
    assert (made.fresh, found.fresh) == (True, False)
    assert (tmp_path / "all.molae-cache").is_dir()
    whole = read_images(source)
    assert (found.data.pixels == whole.pixels).all()
    assert isinstance(found.data.pixels, np.memmap)
    assert found.data.keys.tolist() == whole.keys.tolist() == [key_of(p) for p in whole.pixels]
    assert found.lines.tolist() == [1, 3, 4]
    assert (found.rejected, found.reasons) == (1, {"damaged image": 1})
    assert [(bad.line, bad.text) for bad in found.rejects()] == [(2, "1.png")]


def test_what_changes_is_read_again(tmp_path):
    source = folder_of(tmp_path / "all", noise(2, 8, 8, 1))
    codec = ImageCodec(8, 8, 1)
    first = cached_images(codec, source)
    assert cached_images(ImageCodec(4, 4, 1, resize=True), source).data.pixels.shape[1] == 4
    Image.fromarray(noise(8, 8)).save(source / "0.png")
    again = cached_images(codec, source)
    assert again.fresh
    assert again.digest != first.digest
    (again.folder / "pixels.npy").write_bytes(b"damaged")
    assert cached_images(codec, source).fresh


def test_parts_of_a_file_do_not_share_a_cache(tmp_path):
    train, test = noise(3, 4, 4), noise(2, 4, 4)
    np.savez(tmp_path / "x.npz", x_train=train, x_test=test)
    codec = ImageCodec(4, 4, 1)
    for part, wanted in (("x_train", train), ("x_test", test)):
        found = cached_images(codec, f"{tmp_path / 'x.npz'}:{part}", folder=tmp_path / "kept")
        assert (found.data.pixels[..., 0] == wanted).all()
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_nothing_of_the_right_size_is_an_error_and_leaves_nothing(tmp_path):
    source = folder_of(tmp_path / "all", noise(2, 8, 8, 1))
    with pytest.raises(DataError, match=r"none of its 2 images could be used: wrong size \(2\)"):
        cached_images(ImageCodec(9, 8, 1), source)
    assert not list((tmp_path / "all.molae-cache").iterdir())


# As texts ----------------------------------------------------------------------------------------


def test_a_reader_gives_texts_with_numbers(tmp_path):
    images = noise(3, 4, 4, 1)
    source = folder_of(tmp_path / "all", images)
    (source / "1.png").write_bytes(b"damaged")
    bad = []
    with read(source, whole_lines=True, reject=bad.append) as reader:
        records = list(reader)
        assert reader.fraction == 1.0
    assert [(r.line, r.name, r.row) for r in records] == [(1, "0.png", None), (3, "2.png", None)]
    assert [r.smiles for r in records] == [text_of(images[0]), text_of(images[2])]
    assert [(b.line, b.text, b.reason) for b in bad] == [
        (2, "1.png", "damaged image: not in a known format")
    ]


def test_the_key_of_a_text_is_that_of_its_pixels(tmp_path):
    source = folder_of(tmp_path / "all", noise(3, 4, 4, 3))
    texts = [record.smiles for record in read(source)]
    assert text_keys(texts).tolist() == read_images(source).keys.tolist()
    assert text_key(texts[0][:-9]) != text_key(texts[0])  # a damaged one is any text


@pytest.mark.parametrize("name", ["x.csv", "x.tsv.gz", "x.parquet", "x.smi", "x.npz", "x"])
def test_what_is_written_is_read_back(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    texts = [text_of(image) for image in noise(3, 20, 30, 3)]
    with open_writer(tmp_path / name, {"smiles": str, "t": float}) as out:
        out.write_all({"smiles": text, "t": 0.5} for text in texts)
    assert out.count == 3
    with read(tmp_path / name, whole_lines=True) as reader:
        records = list(reader)
    assert [record.smiles for record in records] == texts
    if records[0].row is not None:
        assert list(records[0].row) == ["image", "t"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_list_of_texts_needs_no_header(tmp_path):
    texts = [text_of(image) for image in noise(3, 4, 4, 1)]
    with open_writer(tmp_path / "x.smi", ["smiles"]) as out:
        out.write_all({"smiles": text} for text in texts)
    assert (tmp_path / "x.smi").read_text().split() == texts
    assert [record.smiles for record in read(tmp_path / "x.smi", whole_lines=True)] == texts


def test_large_images_fit_into_a_table(tmp_path):
    text = text_of(noise(300, 300, 3))  # beyond the 131,072 characters of a usual cell
    assert len(text) > 300_000
    with open_writer(tmp_path / "x.csv", ["smiles", "name"]) as out:
        out.write({"smiles": text, "name": "big"})
    (record,) = read(tmp_path / "x.csv", whole_lines=True)
    assert (record.smiles, record.name) == (text, "big")


def test_other_texts_keep_their_columns_and_are_no_tables(tmp_path):
    with open_writer(tmp_path / "x.csv", ["smiles", "t"]) as out:
        out.write({"smiles": "sin(x)", "t": 1})
    assert (tmp_path / "x.csv").read_text() == "smiles,t\nsin(x),1\n"
    lines = [record.smiles for record in read(tmp_path / "x.csv", whole_lines=True)]
    assert lines == ["smiles,t", "sin(x),1"]
    with open_writer(tmp_path / "empty.csv", ["smiles", "t"]):
        pass
    assert (tmp_path / "empty.csv").read_text() == "smiles,t\n"


# To files ----------------------------------------------------------------------------------------


def test_npz_holds_numbers_too(tmp_path):
    images = noise(2, 3, 4, 1)
    with open_writer(tmp_path / "x.npz", {"smiles": str, "t": float, "name": str}) as out:
        out.write({"smiles": text_of(images[0]), "t": 0.25, "name": "a"})
        out.write({"smiles": text_of(images[1]), "name": "b"})
    with np.load(tmp_path / "x.npz") as arrays:
        assert sorted(arrays) == ["images", "t"]
        assert (arrays["images"] == images).all()
        assert arrays["t"][0] == 0.25
        assert np.isnan(arrays["t"][1])
    first = (tmp_path / "x.npz").read_bytes()
    with open_writer(tmp_path / "x.npz", {"smiles": str, "t": float}) as out:
        out.write({"smiles": text_of(images[0]), "t": 0.25})
        out.write({"smiles": text_of(images[1])})
    assert (tmp_path / "x.npz").read_bytes() == first


def test_a_folder_has_numbered_images_or_is_not_there(tmp_path):
    images = noise(2, 3, 4, 3)
    with open_writer(f"{tmp_path}/out/") as out:
        out.write_all({"smiles": text_of(image)} for image in images)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000001.png", "000002.png"]
    assert (read_images(tmp_path / "out").pixels == images).all()
    with pytest.raises(DataError, match="this folder is not empty"):
        open_writer(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with open_writer(tmp_path / "empty") as out:
        out.write({"smiles": text_of(images[0])})
    assert len(list((tmp_path / "empty").iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="this is a file, and a folder was asked for"):
        open_writer(tmp_path / "file")


@pytest.mark.parametrize("name", ["x.npz", "x"])
def test_what_is_no_image_leaves_nothing_behind(tmp_path, name):
    def write(*texts):
        with open_writer(tmp_path / name) as out:
            out.write_all({"smiles": text} for text in texts)

    with pytest.raises(DataError, match=r"only images can be written here, and this is 'CCO'"):
        write(text_of(noise(2, 2, 1)), "CCO")
    assert not list(tmp_path.iterdir())


def test_npz_wants_one_size_and_an_image(tmp_path):
    with open_writer(tmp_path / "x.npz") as out:
        out.write({"smiles": text_of(noise(2, 2, 1))})
        with pytest.raises(DataError, match=r"image 2 is \(2, 3, 1\).*write a folder"):
            out.write({"smiles": text_of(noise(2, 3, 1))})
    with pytest.raises(DataError, match="no image to write"), open_writer(tmp_path / "y.npz"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
