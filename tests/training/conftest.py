from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def toy():
    """The module ``toy.py`` beside this file."""
    path = Path(__file__).with_name("toy.py")
    spec = importlib.util.spec_from_file_location("training_toy", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_toy"] = module
    spec.loader.exec_module(module)
    return module


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
