from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def loaded(name, path):
    """A module out of a file beside this one."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy():
    """The module ``toy.py`` beside this file."""
    return loaded("training_toy", Path(__file__).with_name("toy.py"))


@pytest.fixture(scope="session")
def in_two_and_one():
    """Runs ``main(folder)`` of a script: in two processes for ``two``, and here for ``one``."""

    def run(script, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        common = {
            "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        processes = [
            subprocess.Popen(
                [sys.executable, str(script), str(folder / "two")],
                env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(2)
        ]
        try:
            loaded(f"training_{script.stem}", script).main(str(folder / "one"))
            assert [process.wait(timeout=120) for process in processes] == [0, 0]
        finally:
            for process in processes:
                process.kill()

    return run


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def same():
    """Whether two modules or dictionaries hold the same bits."""

    def check(a, b) -> bool:
        a, b = (m if isinstance(m, dict) else m.state_dict() for m in (a, b))
        return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)

    return check
