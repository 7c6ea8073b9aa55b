from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from molae.training import CheckpointError, checkpoint


def content(number: int):
    return {"a": torch.full((3,), float(number))}, {"step": number, "loss": float("nan")}


def test_round_trip(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    tensors = {"a/x": tied, "a/y": tied.t(), "b": torch.tensor(3, dtype=torch.uint8)}
    checkpoint.save(tmp_path / "c", tensors, {"step": 5, "total": None})
    found, scalars = checkpoint.load(tmp_path / "c")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert scalars["step"] == 5
    assert scalars["total"] is None
    assert checkpoint.branch(found, "a").keys() == {"x", "y"}


class Killed(BaseException):
    """Nothing catches it: the program is gone."""


def test_killed_between_any_two_file_operations(tmp_path, monkeypatch):
    """Kill before the n-th operation on a file name, for every n: old or new, never broken."""
    outcomes = set()
    for n in range(20):
        folder = tmp_path / str(n)
        checkpoint.save(folder, *content(1))
        checkpoint.save(folder, *content(2))
        left = [n]

        def guard(real, left=left):
            def call(*args, **options):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return real(*args, **options)

            return call

        with monkeypatch.context() as patch:
            for owner, name in [
                (Path, "replace"), (Path, "unlink"), (Path, "write_text"), (Path, "open"),
                (checkpoint, "save_file"), (checkpoint, "flush_folder"),
            ]:  # fmt: skip
                patch.setattr(owner, name, guard(getattr(owner, name)))
            try:
                checkpoint.save(folder, *content(3))
                killed = False
            except Killed:
                killed = True
        tensors, scalars = checkpoint.load(folder)
        assert scalars["step"] in (2, 3)
        assert torch.equal(tensors["a"], content(scalars["step"])[0]["a"])
        outcomes.add((killed, scalars["step"]))
        checkpoint.save(folder, *content(4))
        assert checkpoint.load(folder)[1]["step"] == 4
    assert outcomes == {(True, 2), (True, 3), (False, 3)}


def test_half_written_files_are_never_read(tmp_path):
    checkpoint.save(tmp_path, *content(1))
    (tmp_path / "b.safetensors.part").write_bytes(b"half")
    (tmp_path / "b.safetensors").write_bytes(b"half")
    (tmp_path / "state.json.part").write_text('{"format"')
    assert checkpoint.load(tmp_path)[1]["step"] == 1


def test_full_disc_keeps_the_old_one(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, *content(1))

    def full(tensors, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match=r"No space left.*kept") as caught:
        checkpoint.save(tmp_path, *content(2))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "b.safetensors")
    assert checkpoint.load(tmp_path)[1]["step"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "state.json"]


def test_the_number_of_an_error_that_safetensors_has_only_in_words(tmp_path):
    def full(_path):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.replace_file(tmp_path / "x", full)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("state.json", "{", "not JSON"),
        ("state.json", "[1]", "not a checkpoint"),
        ("state.json", json.dumps({"format": 99, "tensors": "a.safetensors"}), "format 99"),
        ("state.json", json.dumps({"format": 1, "tensors": "../x"}), "not a checkpoint"),
        ("a.safetensors", "nonsense", "damaged"),
    ],
)
def test_damage_is_named(tmp_path, name, text, says):
    checkpoint.save(tmp_path, *content(1))
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=says):
        checkpoint.load(tmp_path)


def test_none_there(tmp_path):
    assert not checkpoint.exists(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path)
