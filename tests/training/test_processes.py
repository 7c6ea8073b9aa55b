"""Two processes with half of every batch each train the same model as one with all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)


def test_two_equal_one(in_two_and_one, tmp_path):
    in_two_and_one(Path(__file__).with_name("processes.py"), tmp_path)
    for kind in ("plain", "weighted"):
        compare(tmp_path / "one" / kind, tmp_path / "two" / kind)


def compare(first, second):
    one, two = (load_file(folder / "out.safetensors") for folder in (first, second))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    histories = [json.loads((folder / "out.json").read_text()) for folder in (first, second)]
    assert len(histories[0]) == len(histories[1]) > 5
    for a, b in zip(*histories, strict=True):
        assert (a["kind"], a["step"]) == (b["kind"], b["step"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3, abs=1e-4)
        assert a["parts"] == pytest.approx(b["parts"], rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def ends(in_two_and_one, tmp_path_factory):
    """What a script of objectives ends with: of the only process, and of the first and second."""
    folder = tmp_path_factory.mktemp("objectives")
    in_two_and_one(Path(__file__).with_name("processes_objectives.py"), folder)

    def read(kind):
        files = ("one/{}-0", "two/{}-0", "two/{}-1")
        return [load_file(folder / f"{name.format(kind)}.safetensors") for name in files]

    return read


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("geco", "o.log_multiplier"),
        ("vqvae", "head.sums"),
        ("aae", "o.critic.layers.0.weight"),
        ("wae", None),
        ("vcae", None),
        ("strkm", "head.mean"),
        ("free", None),
        ("sigma", "decoder.pixels.error"),
    ],
)
def test_objectives_that_look_at_the_whole_batch_or_remember_or_play(ends, kind, state):
    """Weights, and what is remembered: the same in both, and as of the whole batch."""
    one, first, second = ends(kind)
    assert state is None or state in one
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-5)


def test_entries_are_moved_to_codes_of_the_batch_and_not_between(ends):
    _, first, second = ends("moved")
    assert torch.equal(first["codebook"], second["codebook"])
    distance = torch.cdist(first["codebook"], first["codes"]).min(1).values
    # 16 groups are nearest to 16 of the 40 entries at most: all others were moved.
    assert (distance < 1e-5).sum() >= 24
