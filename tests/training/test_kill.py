"""Killed with SIGKILL at any moment and resumed: the same bits as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from molae.training import checkpoint

SCRIPT = Path(__file__).with_name("toy.py")


def start(folder, out, *flags):
    command = [sys.executable, str(SCRIPT), str(folder), str(out), *flags]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def steps_done(folder):
    if not checkpoint.exists(folder / "checkpoint"):
        return -1
    return json.loads((folder / "checkpoint" / "state.json").read_text())["step"]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_sigkill(tmp_path, same, toy):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # Two kills, at moments that are different in each run of this test.
    for kill in range(2):
        process = start(
            cut, tmp_path / "cut.safetensors", "--resume", "--players", "--pause", "0.05"
        )
        before, deadline = steps_done(cut), time.monotonic() + 60
        while steps_done(cut) <= before + 3 * kill and time.monotonic() < deadline:
            time.sleep(0.003)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        checkpoint.load(cut / "checkpoint")
    assert 0 < steps_done(cut) < 42
    toy.main(str(cut), str(tmp_path / "cut.safetensors"), "--resume", "--players")
    toy.main(str(whole), str(tmp_path / "whole.safetensors"), "--players")
    a, b = (load_file(tmp_path / name) for name in ("whole.safetensors", "cut.safetensors"))
    assert same(a, b)
    histories = [(folder / "history.jsonl").read_text().splitlines() for folder in (whole, cut)]
    first, second = (
        [(r["kind"], r["step"], r["loss"], r["parts"]) for r in map(json.loads, lines)]
        for lines in histories
    )
    assert first == second
