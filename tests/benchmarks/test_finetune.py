"""Fine-tuning beside starting from nothing: all three models, with a handful of molecules."""

from __future__ import annotations

import argparse
import gzip
import importlib
import sys
from itertools import islice
from pathlib import Path

import pytest

from molae.resources import data_path
from molae.runs.run import Run

#: Of the model that starts from nothing.
SIZES = {"latent_dim": 8, "encoder_hidden": 16, "decoder_hidden": 16, "embedding": 8}


@pytest.fixture(scope="module")
def finetune():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.finetune")
    sys.path.remove(root)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Forty molecules."""
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt", encoding="utf-8") as lines:
        (tmp_path / "some.smi").write_text("".join(islice(lines, 40)), encoding="utf-8")
    return str(tmp_path / "some.smi")


def test_molecules_are_chosen_by_the_seed(finetune, source):
    chosen = finetune.molecules(source, 24, 0)
    assert len(set(chosen)) == 24
    assert finetune.molecules(source, 12, 0) == chosen[:12]
    assert finetune.molecules(source, 24, 1) != chosen


def test_what_cannot_be_encoded_is_a_miss(finetune):
    run = Run.load("tiny", "cpu")
    known = ["CCO", "c1ccccc1"]
    whole = finetune.reconstructed(run, known)
    assert whole["not_encoded"] == 0
    found = finetune.reconstructed(run, ["C[Se]C", known[0], "C[Te]C", known[1]])
    assert found == {"reconstruction": whole["reconstruction"] / 2, "not_encoded": 0.5}


def test_three_models_are_compared(finetune, source, monkeypatch):
    made = []

    def small(file, *words, **settings):
        learnt = Path(file).read_text().split()
        sizes = {} if "start_from" in settings else SIZES
        made.append((learnt, train(file, *words, **settings, **sizes, progress=False)))
        return made[-1][1]

    train = finetune.train
    monkeypatch.setattr(finetune, "train", small)
    found = finetune.study(
        argparse.Namespace(
            data=source, start="tiny", number=12, held_out=12, draws=20, steps=2, batch_size=4,
            learning_rate=2e-3, tuning_rate=1e-3, seed=0,
        )
    )  # fmt: skip
    assert list(found) == ["shipped, as it is", "trained on", "from nothing"]
    for numbers in found.values():
        assert 0 <= numbers["reconstruction"] <= 1 - numbers["not_encoded"]
        assert numbers["fcd"] is None  # of 20 molecules
        assert 0 <= numbers["novelty"] <= 1
    assert [run.card["training"]["steps"] for _, run in made] == [2, 2]
    assert [run.size for _, run in made] == [Run.load("tiny", "cpu").size, 8]
    assert made[0][0] == made[1][0] == finetune.molecules(source, 12, 0)
