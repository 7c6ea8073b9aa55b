"""Encoded data is made once, found again, and made again when anything about it is wrong."""

import io
import json
import os
import sys
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from molae.datasets.cache import cached
from molae.datasets.files import DataError
from molae.datasets.splits import text_keys

TEXTS = ["CCO", "N", "CCCC", "bad!", "O"]


@dataclass
class Reject:
    index: int
    text: str
    token: str
    reason: str


@dataclass
class Encoding:
    rules: np.ndarray
    offsets: np.ndarray
    kept: np.ndarray
    rejects: list


@dataclass
class Letters:
    """A codec whose rules are letters; texts with ``!`` are refused."""

    digest: str = "letters-1"
    calls: list = field(default_factory=list)

    def parse(self, items, workers=1):
        self.calls.append(len(items))
        kept = [i for i, text in enumerate(items) if "!" not in text]
        rules = np.array([ord(c) for i in kept for c in items[i]], np.uint16)
        offsets = np.cumsum([0] + [len(items[i]) for i in kept])
        rejects = [
            Reject(i, text, "!", "unknown token") for i, text in enumerate(items) if "!" in text
        ]
        return Encoding(rules, offsets, np.array(kept, np.int64), rejects)


def text_of(data):
    return ["".join(map(chr, data[i])) for i in range(len(data))]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "x.smi"
    path.write_text("# header\n" + "\n".join(TEXTS) + "\n")
    return path


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_made_once_then_found(source, chunk):
    codec, seen = Letters(), []
    made = cached(codec, source, chunk=chunk, progress=lambda n, share: seen.append((n, share)))
    assert made.fresh
    assert seen[-1][0] == 5
    assert 0 < seen[-1][1] <= 1
    calls = len(codec.calls)
    found = cached(codec, source)
    assert not found.fresh
    assert len(codec.calls) == calls
    for encoded in (made, found):
        assert text_of(encoded.data) == ["CCO", "N", "CCCC", "O"]
        assert encoded.lines.tolist() == [2, 3, 4, 6]
        assert encoded.rejected == 1
        assert encoded.reasons == {"unknown token": 1}
        assert [tuple(b) for b in encoded.rejects()] == [(5, "bad!", "unknown token", "!")]
        assert encoded.data.keys.tolist() == text_keys(["CCO", "N", "CCCC", "O"]).tolist()
    assert isinstance(found.data.rules, np.memmap)
    assert made.folder.parent.name == "x.smi.molae-cache"


def test_another_codec_column_or_content_is_encoded_anew(source):
    first = cached(Letters(), source)
    assert cached(Letters("letters-2"), source).folder != first.folder
    source.write_text("CC\n")
    assert text_of(cached(Letters(), source).data) == ["CC"]
    table = source.with_name("t.csv")
    table.write_text("a,b\nC,CC\n")
    assert text_of(cached(Letters(), table, column="a").data) == ["C"]
    assert text_of(cached(Letters(), table, column="b").data) == ["CC"]
    assert text_of(cached(Letters(), table, whole_lines=True).data) == ["a,b", "C,CC"]


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("rules.npy", _flip),
        ("offsets.npy", _flip),
        ("keys.npy", lambda path: path.write_bytes(path.read_bytes()[:-3])),
        ("lines.npy", lambda path: path.unlink()),
        ("rejects.csv", lambda path: path.unlink()),
        ("meta.json", lambda path: path.write_text("{")),
        ("meta.json", lambda path: path.write_text("[]")),
        ("meta.json", lambda path: path.write_text(json.dumps({"version": 99}))),
    ],
)
def test_a_damaged_cache_is_made_again(source, name, harm):
    made = cached(Letters(), source)
    harm(made.folder / name)
    again = cached(Letters(), source)
    assert again.fresh
    assert text_of(again.data) == ["CCO", "N", "CCCC", "O"]
    assert not cached(Letters(), source).fresh


def test_where_the_place_is_not_writable_the_users_cache_is_used(source, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "mine"))
    source.with_name("x.smi.molae-cache").write_text("in the way")
    made = cached(Letters(), source)
    assert tmp_path / "mine" in made.folder.parents
    assert not cached(Letters(), source).fresh
    asked = cached(Letters(), source, folder=tmp_path / "there")
    assert asked.folder.parent == tmp_path / "there"


def test_standard_input(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"CC\nN\n")))
    made = cached(Letters(), "-")
    assert text_of(made.data) == ["CC", "N"]
    assert made.source == "standard input"
    assert list((tmp_path / "input").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    ("name", "content"),
    [("x.smi", "CC\nN\n"), ("x.csv", "name,smiles\n1,CC\n2,N\n"), ("pipe", "CC\nN\n")],
)
def test_a_pipe_is_read_once_and_whole(tmp_path, monkeypatch, name, content):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "mine"))
    pipe = tmp_path / name
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(content,), daemon=True)
    writer.start()
    made = cached(Letters(), pipe)
    writer.join(10)
    assert text_of(made.data) == ["CC", "N"]
    assert made.source == str(pipe)
    assert list((tmp_path / "mine" / "input").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("molae-cache")] == []


def test_nothing_that_can_be_encoded(source):
    source.write_text("!\n!!\n")
    with pytest.raises(DataError, match=r"none of its 2 lines .* unknown token \(2\).*'!'"):
        cached(Letters(), source)
    assert list(source.with_name("x.smi.molae-cache").iterdir()) == []


def test_bad_rows_and_rejects_are_told_in_order(source):
    table = source.with_name("t.csv")
    table.write_text("smiles,x\nC,1\n,2\nN!,3\nO\nO,5\n")
    made = cached(Letters(), table, chunk=2)
    assert [b.line for b in made.rejects()] == [3, 4, 5]
    assert made.lines.tolist() == [2, 6]
    assert made.rejected == 3


def test_a_failure_on_the_way_leaves_nothing(source, monkeypatch):
    class Broken(Letters):
        def parse(self, items, workers=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(Broken(), source)
    assert list(source.with_name("x.smi.molae-cache").iterdir()) == []

    def full(self, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("molae.datasets.arrays.ArrayWriter.append", full)
    with pytest.raises(DataError, match="disc is full"):
        cached(Letters(), source)
    assert list(source.with_name("x.smi.molae-cache").iterdir()) == []


def test_a_missing_source(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        cached(Letters(), tmp_path / "none.smi")
