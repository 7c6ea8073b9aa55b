from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from molae.training import progress
from molae.training.history import Journal, Meter
from molae.training.progress import Progress, clock


def test_meter_is_a_weighted_mean_and_starts_anew():
    meter = Meter()
    meter.add({"a": torch.tensor(1.0)}, torch.tensor(3.0))
    meter.add({"a": torch.tensor(5.0), "b": torch.tensor(2.0)}, torch.tensor(1.0))
    assert meter.means(lambda t: t) == {"a": 2.0, "b": 2.0}
    assert meter.means(lambda t: t) == {}


def test_journal_drops_what_comes_after_a_step_and_half_a_line(tmp_path):
    journal = Journal(tmp_path)
    journal.open(None)
    for step in (1, 2, 3):
        journal.write({"kind": "train", "step": step, "loss": float("inf")})
    journal.close()
    path = tmp_path / "history.jsonl"
    with path.open("a") as stream:
        stream.write('{"kind": "tr')
    again = Journal(tmp_path)
    again.open(2)
    again.write({"kind": "train", "step": 3, "loss": 1.0})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [line["loss"] for line in lines] == [None, None, 1.0]
    assert lines == again.records
    Journal(tmp_path).open(None)
    assert path.read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disc_is_said_of_the_history(tmp_path):
    journal = Journal(tmp_path)
    journal.open(None)
    journal.path.unlink()
    journal.path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="cannot be written") as caught:
        journal.write({"kind": "train", "step": 1})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "history.jsonl")


def test_tensorboard_needs_a_folder():
    with pytest.raises(ValueError, match="folder"):
        Journal(None, tensorboard=True)


def test_tensorboard_curves(tmp_path):
    pytest.importorskip("tensorboard")
    journal = Journal(tmp_path, tensorboard=True)
    journal.open(None)
    journal.write({"kind": "train", "step": 1, "loss": 2.0, "parts": {"a": 1.0, "b": None}})
    journal.close()
    assert [path for path in (tmp_path / "tensorboard").iterdir() if path.stat().st_size > 0]


def test_progress_says_a_line_now_and_then_without_a_terminal(monkeypatch):
    stream = io.StringIO()
    with Progress(True, "molecules", Console(file=stream)) as shown:
        shown.measure(100, 0.5)
        shown.show(1, 11, 3.0)
        assert stream.getvalue() == ""
        monkeypatch.setattr(progress, "INTERVAL", 0.0)
        shown.show(1, 11, 3.0)
    assert stream.getvalue() == "step 1/11  loss 3.000  200 molecules/s  0:05 left\n"


def test_progress_bar_on_a_terminal_and_silence():
    for enabled in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=True, width=100)
        with Progress(enabled, "molecules", console) as shown:
            shown.measure(100, 0.5)
            shown.show(1, None, 3.0)
            shown.show(2, 10, 3.0)
        assert ("molecules/s" in stream.getvalue()) is enabled


def test_clock():
    assert [clock(s) for s in (5, 65, 3723)] == ["0:05", "1:05", "1:02:03"]
