"""Writing molecules: whole or not at all."""

import errno
import io
import os
import sys
from itertools import chain

import numpy as np
import pytest

from molae.datasets.files import DataError, data_digest, replacing
from molae.datasets.readers import BadLine, read
from molae.datasets.writers import RejectWriter, open_writer

SUFFIXES = [".smi", ".csv", ".tsv", ".sdf", ".smi.gz", ".csv.gz", ".parquet"]


def stopped(error):
    """An iterator that raises, as when somebody stops the program there."""
    raise error
    yield


def rows(n=3):
    return [{"smiles": "C" * (i + 1), "name": f"m{i}"} for i in range(n)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_writer(path, ["smiles", "name"]) as writer:
        writer.write_all(chain(rows(), stopped(KeyboardInterrupt())))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


class FullDisc(io.RawIOBase):
    """Takes a few bytes, then the disc is full."""

    def __init__(self, stream, room):
        self.inner, self.room = stream, room

    def writable(self):
        return True

    def fileno(self):
        return self.inner.fileno()

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.inner.write(data)

    def close(self):
        self.inner.close()
        super().close()


@pytest.mark.parametrize("room", [0, 200, 100_000])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disc_leaves_nothing(tmp_path, monkeypatch, suffix, room):
    real = open

    def limited(path, *args, **kwargs):
        stream = real(path, *args, **kwargs)
        return FullDisc(stream, room) if "part" in str(path) else stream

    path = tmp_path / f"x{suffix}"
    monkeypatch.setattr("molae.datasets.files.open", limited, raising=False)
    rng = np.random.default_rng(0)  # names that do not compress
    many = [{"smiles": "CCO", "name": rng.bytes(40).hex()} for _ in range(4000)]
    if suffix == ".sdf":
        many = many[:500]
    with (
        pytest.raises(DataError, match="disc is full") as caught,
        open_writer(path, ["smiles", "name"]) as w,
    ):
        w.write_all(many)
    assert path.name in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_that_is_full():
    with (
        pytest.raises(DataError, match="disc is full"),
        open_writer("/dev/full", format="smi") as w,
    ):
        w.write({"smiles": "C"})


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match=r"folder .*nowhere does not exist"):
        open_writer(tmp_path / "nowhere" / "x.smi")
    (tmp_path / "d.smi").mkdir()
    with pytest.raises(DataError, match="this is a folder"):
        open_writer(tmp_path / "d.smi")
    with pytest.raises(DataError, match="cannot tell the format"):
        open_writer(tmp_path / "x.docx")
    with pytest.raises(DataError, match="cannot tell the format"):
        open_writer(tmp_path / "x.parquet.gz")


def test_lists_are_plain_until_there_are_more_columns(tmp_path):
    path = tmp_path / "x.smi"
    with open_writer(path, ["smiles", "name"]) as writer:
        writer.write_all(rows(2))
        writer.write({"smiles": "N"})
    assert path.read_text() == "C\tm0\nCC\tm1\nN\n"
    with open_writer(path, ["smiles", "qed"]) as writer:
        writer.write({"smiles": "C", "qed": 0.5})
    assert path.read_text() == "smiles\tqed\nC\t0.5\n"


def test_cells(tmp_path):
    path = tmp_path / "x.csv"
    with open_writer(path, ["smiles", "a", "b"]) as writer:
        writer.write({"smiles": "C", "a": None, "b": float("nan")})
        writer.write({"smiles": "C", "a": np.float32(0.1), "b": 'x, "y"'})
        with pytest.raises(ValueError, match="unexpected column c"):
            writer.write({"smiles": "C", "c": 1})
    assert path.read_text() == 'smiles,a,b\nC,,\nC,0.1,"x, ""y"""\n'


def test_the_same_rows_are_the_same_bytes(tmp_path):
    for name in ("a.smi.gz", "b.smi.gz"):
        with open_writer(tmp_path / name, ["smiles", "name"]) as writer:
            writer.write_all(rows())
    assert data_digest(tmp_path / "a.smi.gz") == data_digest(tmp_path / "b.smi.gz")


def test_standard_output(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    with open_writer("-", ["smiles", "name"]) as writer:
        writer.write_all(rows(1))
    with open_writer("-", ["smiles"], format="csv") as writer:
        writer.write({"smiles": "N"})
    assert out.buffer.getvalue() == b"C\tm0\nsmiles\nN\n"


def test_a_reader_of_standard_output_that_leaves_is_no_data_error(monkeypatch):
    end, start = os.pipe()
    os.close(end)
    monkeypatch.setattr(sys, "stdout", os.fdopen(start, "w"))
    with pytest.raises(BrokenPipeError), open_writer("-") as writer:
        writer.write_all({"smiles": "C" * 50} for _ in range(10_000))
    monkeypatch.undo()


def test_links_stay_links(tmp_path):
    real, link = tmp_path / "real.smi", tmp_path / "link.smi"
    real.write_text("old")
    link.symlink_to(real)
    with open_writer(link) as writer:
        writer.write({"smiles": "C"})
    assert link.is_symlink()
    assert real.read_text() == "C\n"


def test_parquet_keeps_types_over_many_groups(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("molae.datasets.writers.GROUP", 10)
    path = tmp_path / "x.parquet"
    with open_writer(path, ["smiles", "n", "z"]) as writer:
        for i in range(35):
            writer.write({"smiles": "C", "n": np.int64(i), "z": np.float32(i / 2)})
    table = pq.read_table(path)
    assert table["n"].to_pylist() == list(range(35))
    assert table["z"].to_pylist() == [i / 2 for i in range(35)]
    with (
        pytest.raises(DataError, match="do not fit"),
        open_writer(path, ["smiles", "n"]) as writer,
    ):
        writer.write_all({"smiles": "C", "n": 1 if i < 20 else "one"} for i in range(35))
    assert len(pq.read_table(path)) == 35
    with open_writer(path, {"smiles": str, "q": float}) as writer:
        writer.write_all({"smiles": "C", "q": None if i < 20 else 0.5} for i in range(35))
    assert pq.read_table(path)["q"].to_pylist() == [None] * 20 + [0.5] * 15
    with open_writer(path, ["smiles"]):
        pass
    assert len(pq.read_table(path)) == 0


def test_sdf_of_something_unreadable_says_so(tmp_path):
    with (
        pytest.raises(ValueError, match="does not read"),
        open_writer(tmp_path / "x.sdf") as writer,
    ):
        writer.write({"smiles": "C1CC"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_rejects(tmp_path, suffix):
    path = tmp_path / f"rejects{suffix}"
    with RejectWriter(path) as writer:
        writer.write("in.smi", BadLine(3, 'C,"?', "syntax: at 2", "?"))
        writer.write("in.smi", BadLine(9, "*", "syntax", "*"))
    assert writer.count == 2
    assert writer.reasons == {"syntax": 2}
    found = [r.row for r in read(path, column="text")]
    assert found[0] == {
        "file": "in.smi",
        "line": "3",
        "text": 'C,"?',
        "token": "?",
        "reason": "syntax: at 2",
    }
    with RejectWriter(None) as counter:
        counter.write("x", BadLine(1, "", "empty"))
    assert counter.count == 1


def test_replacing_for_libraries_that_want_a_name(tmp_path):
    path = tmp_path / "z.npy"
    with replacing(path) as temporary:
        assert temporary.suffix == ".npy"
        np.save(temporary, np.arange(3))
    assert np.load(path).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        np.save(temporary, stopped(RuntimeError()).__next__())
    assert np.load(path).tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]
