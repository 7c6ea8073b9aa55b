"""Killed with SIGKILL in the middle of a campaign and resumed: as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from molae.workflows.optimize import optimize

ORACLE = """
import os, time
def score(texts):
    time.sleep(float(os.environ.get("PAUSE", "0")) * len(texts))
    return [{"score": t.count("C") - 0.01 * len(t), "length": len(t)} for t in texts]
"""


def rows(folder):
    state = folder / "state" / "state.json"
    return json.loads(state.read_text())["rows"] if state.exists() else -1


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("strategy", ["latent", "genetic"])
def test_sigkill(tmp_path, strategy):
    (tmp_path / "slow.py").write_text(ORACLE)
    (tmp_path / "start.smi").write_text("CCO\nCCN\nCCCC\nc1ccccc1O\n")
    scorer = f"{tmp_path / 'slow.py'}:score"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words = ["--oracle", scorer, "--calls", "21", "--batch", "3", "--strategy", strategy]
    words += ["--start", tmp_path / "start.smi", "-m", "tiny", "--no-cache", "-o", cut]
    process = subprocess.Popen(
        [sys.executable, "-m", "molae", "optimize", *map(str, words)],
        env=os.environ | {"PAUSE": "0.05", "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 300
    while rows(cut) < 9 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1 * (time.time_ns() % 10) / 10)  # at another moment each time
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 9 <= rows(cut) < 21
    resumed = optimize(cut, resume=True)
    start = tmp_path / "start.smi"
    optimize(whole, scorer, calls=21, batch=3, strategy=strategy, start=start, model="tiny")
    for name in ("evaluations.csv", "best.smi"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    assert len(resumed.evaluations) == 21
    assert resumed.evaluations[0].answer.parts == {"length": 3}
    if strategy == "latent":
        name = "evaluations.npy"
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
