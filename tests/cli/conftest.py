"""One tiny trained run for all tests of the command line, and a way to type commands."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

SMALL = "--latent-dim 8 --encoder-hidden 32 --decoder-hidden 32 --embedding 16 --components 2"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: what they train is not the user's last run."""
    before = {name: os.environ.get(name) for name in ("MOLAE_CACHE", "MOLAE_TRACEBACK")}
    folder = tmp_path_factory.mktemp("cache")
    os.environ["MOLAE_CACHE"] = str(folder)
    os.environ.pop("MOLAE_TRACEBACK", None)
    yield folder
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def molae():
    """``molae("score", "x.smi")``: type a command; the result has exit_code, stdout, stderr."""
    from molae.cli.main import app

    def run(*words, input=None):
        return CliRunner().invoke(app, [str(word) for word in words], input=input)

    return run


@pytest.fixture(scope="session")
def shell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in a process of its own, through a shell where pipes and limits are wanted."""

    def run(line, folder, **options):
        command = f'molae() {{ "{sys.executable}" -m molae "$@"; }}; {line}'
        return subprocess.run(
            ["bash", "-c", command], cwd=folder, text=True, capture_output=True, timeout=120,
            **options,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def molecules(tmp_path_factory):
    """A list of 64 molecules."""
    path = tmp_path_factory.mktemp("molecules") / "my.smi"
    lines = gzip.decompress(files("molae.data").joinpath("demo.smi.gz").read_bytes()).splitlines()
    path.write_bytes(b"\n".join(lines[:64]) + b"\n")
    return path


@pytest.fixture(scope="session")
def run_folder(molae, molecules, tmp_path_factory):
    """A run that was trained for a moment, by the command itself."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    words = f"--steps 12 --batch-size 32 --validation 0.1 --workers 1 {SMALL}".split()
    result = molae("train", molecules, "-o", folder, *words)
    assert result.exit_code == 0, result.output
    return folder
