"""Runs of images: read, trained on, and used by every verb as runs of texts are."""

import numpy as np
import pytest

from molae.codecs import CharacterCodec, ImageCodec
from molae.datasets.files import DataError
from molae.datasets.image_files import open_images
from molae.datasets.one_image import as_text
from molae.datasets.readers import read
from molae.metrics.reconstruction import exact_share
from molae.pictures import pixels_of, read_image, text_of
from molae.runs.run import Run
from molae.workflows.data import data_of, load_data, medium_of
from molae.workflows.density import fit_density
from molae.workflows.encode import decode_file, encode_file
from molae.workflows.generate import generate
from molae.workflows.held_out import held_out
from molae.workflows.interpolate import interpolate
from molae.workflows.like import density_like, read_examples
from molae.workflows.neighbors import neighbors
from molae.workflows.origin import training_files
from molae.workflows.output import open_output
from molae.workflows.reconstruct import reconstruct
from molae.workflows.train import train


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """300 of the digits, as a file."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=open_images("digits").images[:300])
    return path


@pytest.fixture(scope="module")
def run(digits):
    return train(
        digits,
        digits.parent / "run",
        steps=60,
        batch_size=50,
        latent_dim=4,
        validation=0.1,
        device="cpu",
        progress=False,
        remembered=False,
        command=f"molae train {digits} -o run",
    )


def texts(source, n=None):
    return [record.smiles for record in read(source)][:n]


# Reading -----------------------------------------------------------------------------------------


def test_files_decide_what_is_built(digits, tmp_path):
    (tmp_path / "x.smi").write_text("CCO\n")
    assert medium_of([digits]) == medium_of(["digits"]) == "images"
    assert medium_of([tmp_path / "x.smi", "-"]) == "sequences"
    with pytest.raises(DataError, match=r"some are images \(digits\) and others are not"):
        medium_of(["digits", tmp_path / "x.smi"])
    with pytest.raises(DataError, match="no files"):
        medium_of([])


def test_several_sources_make_one_set_of_the_first_ones_size(digits, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", colours)
    np.savez(tmp_path / "b.npz", np.zeros((2, 9, 9), np.uint8), other=np.zeros(2))
    files = [digits, tmp_path / "a.npz"]
    data = load_data(files, cache=tmp_path / "kept")
    assert data.codec.to_dict() == ImageCodec(8, 8, 3).to_dict()
    assert [source["used"] for source in data.sources] == [300, 3]
    assert data.data.batch([302]).x.shape == (1, 3, 8, 8)
    with pytest.raises(DataError, match="none of its 2 images could be used: wrong size"):
        load_data([digits, f"{tmp_path / 'b.npz'}:arr_0"], cache=tmp_path / "kept")
    larger = load_data([digits], image_size=[16, 12], cache=tmp_path / "kept")
    assert larger.codec.shape == (1, 16, 12)
    inner = larger.data.bytes([0])[0, 4:12, 2:10]
    assert (inner == data.data.bytes([0])[0, ..., :1]).all()


def test_a_codec_of_the_other_kind_is_refused(digits, tmp_path, run):
    (tmp_path / "x.smi").write_text("CCO\nCC\n")
    sequences = CharacterCodec("CO", spelling="aromatic")
    with pytest.raises(DataError, match="these are images, and the run has learnt molecules"):
        load_data([digits], base=sequences, cache=tmp_path)
    with pytest.raises(DataError, match="no images, and the run has learnt images"):
        load_data([tmp_path / "x.smi"], base=run.codec, cache=tmp_path)


def test_a_training_writes_down_what_it_could_not_use(tmp_path):
    folder = tmp_path / "all"
    with open_output(folder) as out:
        for text in texts("digits", 20):
            out.write({"smiles": text})
    (folder / "000003.png").write_bytes(b"damaged")
    options = {"steps": 2, "latent_dim": 2, "components": 1, "device": "cpu", "progress": False}
    run = train(folder, tmp_path / "run", remembered=False, **options)
    assert run.card["data"][0]["rejected"] == 1
    lines = (tmp_path / "run" / "rejects.csv").read_text().splitlines()
    assert lines[1].endswith("all,3,000003.png,,damaged image: not in a known format")


def test_texts_in_memory_are_a_data_set_too(run, digits):
    given = texts(digits, 3)
    data = data_of(run.codec.parse([*given, "CCO"]))
    assert run.codec.decode(data.batch([0, 1, 2]).x) == given
    assert len(data_of(run.codec.parse([]))) == 0


# Verbs -------------------------------------------------------------------------------------------


def test_a_run_is_loaded_as_it_was_saved(run, digits):
    again = Run.load(run.folder, "cpu")
    given = texts(digits, 5)
    assert again.sample(3) == run.sample(3)
    assert (again.encode(given) == run.encode(given)).all()
    assert again.codec.to_dict() == run.codec.to_dict()


def test_draws_are_images_and_depend_on_their_number_only(run):
    rows = list(generate(run, 6, seed=2))
    assert all(pixels_of(row["smiles"]).shape == (8, 8, 1) for row in rows)
    assert run.sample(3, 2, start=3) == [row["smiles"] for row in rows][3:]
    assert len({row["smiles"] for row in generate(run, 50, unique=True)}) == 50


def test_codes_to_files_and_back(run, digits, tmp_path):
    assert encode_file(run, digits, tmp_path / "z.npy").written == 300
    encode_file(run, digits, tmp_path / "z.csv")
    assert decode_file(run, tmp_path / "z.npy", tmp_path / "back.npz").written == 300
    decode_file(run, tmp_path / "z.csv", tmp_path / "back.csv")
    back = texts(tmp_path / "back.npz")
    assert back == [record.smiles for record in read(tmp_path / "back.csv", whole_lines=True)]
    assert back == run.decode(run.encode(texts(digits)))
    # A table that was written is a source: its column of images is encoded again.
    assert encode_file(run, tmp_path / "z.csv", tmp_path / "again.npy").written == 300
    z, again = (np.load(tmp_path / name) for name in ("z.npy", "again.npy"))
    assert np.allclose(z, again, atol=1e-6)


def test_what_is_damaged_or_no_image_is_rejected_with_its_line(run, tmp_path):
    (tmp_path / "x.txt").write_text("\n".join([*texts("digits", 2), "CCO"]))
    done = encode_file(run, tmp_path / "x.txt", tmp_path / "z.npy", rejects=tmp_path / "r.csv")
    assert (done.written, done.rejected, done.reasons) == (2, 1, {"no image": 1})
    assert ",3,CCO," in (tmp_path / "r.csv").read_text()


def test_reconstruction(run, digits):
    done = reconstruct(run, digits, limit=20)
    assert done.tried == 20
    found = run.decode(run.encode(texts(digits, 20)))
    assert done.rate == exact_share(texts(digits, 20), found)
    assert 0 < run.codec.agreement(texts(digits, 20), found)["squared_error"] < 0.2


def test_ways_and_neighbours(run, digits, tmp_path):
    first, last = texts(digits, 2)
    rows = interpolate(run, first, last, steps=3)
    assert [row["smiles"] for row in rows][::2] == run.decode(run.encode([first, last]))
    assert rows == interpolate(run, f"{digits}:1", f"{digits}:2", steps=3)
    near = neighbors(run, first, 5, radius=0.1)
    far = neighbors(run, first, 5, radius=2.0)
    own = run.decode(run.encode([first]))[0]

    def away(rows):
        return run.codec.agreement([own] * 5, [row["smiles"] for row in rows])["squared_error"]

    assert len({row["smiles"] for row in near}) == 5
    assert away(near) < away(far)


def test_more_like_some(run, digits, tmp_path):
    examples = texts(digits, 3)
    found = read_examples(run, [*examples, examples[0]])
    assert (len(found.z), found.duplicates) == (3, 1)
    assert len(read_examples(run, [digits]).z) == len(set(texts(digits)))
    density, noise = density_like(run, found.z)
    assert len(list(generate(run, 4, density=density, noise=noise))) == 4


def test_what_was_held_out_is_found_again(run, digits):
    found = held_out(run, None, texts(digits))
    counts = run.card["counts"]
    assert (len(found.learnt), len(found.texts)) == (counts["training"], counts["validation"])
    assert training_files(run) == [digits]


def test_a_density_is_fitted_to_the_same_data(run, tmp_path):
    fit_density(run, "gmm", components=2, output=tmp_path / "copy")
    assert Run.load(tmp_path / "copy", "cpu").config["densities"]["gmm"]["components"] == 2


def test_pictures_are_grids(run, tmp_path):
    drawn = run.sample(5)
    with open_output(tmp_path / "grid.png") as out:
        for text in drawn:
            out.write({"smiles": text})
    sheet = read_image(tmp_path / "grid.png")
    assert sheet.shape == (2 * 64 + 1, 3 * 64 + 2, 1)
    assert (sheet[:64:8, :64:8] == pixels_of(drawn[0])).all()
    with (
        pytest.raises(DataError, match=r"write \.png"),
        open_output(tmp_path / "grid.svg") as out,
    ):
        out.write({"smiles": drawn[0]})
    assert not (tmp_path / "grid.svg").exists()


def test_what_names_an_image_stands_for_it(digits, tmp_path):
    first, second = texts(digits, 2)
    assert as_text(str(digits)) == as_text(f"{digits}:1") == as_text(first) == first
    assert as_text(f"{digits}:2") == second
    assert as_text("CCO") == "CCO"
    with pytest.raises(DataError, match="there are 300 images in"):
        as_text(f"{digits}:301")
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"x\.png: damaged image"):
        as_text(str(tmp_path / "x.png"))
    for missing in ("none.png", "none.npz", "none.npz:3"):
        with pytest.raises(DataError, match=r"none\.\w+: there is no such file"):
            as_text(missing)
    assert text_of(pixels_of(first)) == first
