"""A small run, trained once for all tests of workflows."""

from __future__ import annotations

import gzip
from itertools import islice

import pytest

from molae.resources import data_path

SMALL = {
    "latent_dim": 16,
    "encoder_hidden": 24,
    "decoder_hidden": 48,
    "embedding": 16,
    "components": 2,
    "batch_size": 32,
    "precision": "fp32",
    "device": "cpu",
    "progress": False,
    "workers": 1,
}


@pytest.fixture(scope="session")
def small():
    """Settings of a model that trains in a second or two."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def tiny():
    """Settings of a model of 8 x 8 images that trains in a second or less."""
    shared = {name: value for name, value in SMALL.items() if name != "embedding"}
    sizes = {"latent_dim": 4, "encoder_hidden": 16, "decoder_hidden": 16, "width": 0.25}
    return shared | sizes | {"batch_size": 64, "remembered": False}


@pytest.fixture(scope="session")
def smiles():
    """A few hundred molecules of the demo set."""
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        return [line.split()[0] for line in islice(stream, 300)]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of the tests' own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MOLAE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def molecules(tmp_path_factory, smiles):
    """A file of molecules with one bad line among them."""
    path = tmp_path_factory.mktemp("data") / "molecules.smi"
    lines = [*smiles[:150], "C1CC(", *smiles[150:]]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory, molecules, cache):
    """A run that was trained for a few steps."""
    from molae.workflows.train import train

    return train(molecules, tmp_path_factory.mktemp("runs") / "small", steps=30, **SMALL)
