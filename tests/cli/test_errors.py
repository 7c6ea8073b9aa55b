"""Failures become one sentence and a status; nobody sees a traceback who has not asked for it."""

from __future__ import annotations

import errno

import pytest

from molae.cli.errors import Stopped, explain


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("my.smi: the file is empty."), 1, "Error: my.smi: the file is empty."),
        (OSError(errno.ENOSPC, "No space left", "x.smi"), 1, "Error: x.smi: the disc is full."),
        (OSError(errno.ENOSPC, "No space left"), 1, "standard output: the disc is full."),
        (RuntimeError("the loss is not a number"), 1, "Error: the loss is not a number"),
        (MemoryError(), 1, "not enough memory"),
        (KeyError("x"), 1, "MOLAE_TRACEBACK=1"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Stopped("Go on with --resume"), 130, "Stopped. Go on with --resume"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_explain(capsys, error, status, words):
    assert explain(error) == status
    told = capsys.readouterr()
    assert words in told.err
    assert not told.out
    if not words:
        assert not told.err


def test_traceback_where_asked_for(molae, monkeypatch, tmp_path):
    monkeypatch.setenv("MOLAE_TRACEBACK", "1")
    result = molae("data", "path", "nothing")
    assert isinstance(result.exception, ValueError)


def test_without_it_a_sentence(molae):
    result = molae("data", "path", "nothing")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
