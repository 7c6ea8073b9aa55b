"""The frontier of reconstruction and sample quality: small cells, measured for real."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from molae.metrics.reconstruction import exact_share
from molae.resources import data_path
from molae.runs.run import Run


@pytest.fixture(scope="module")
def frontier():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.frontier")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Some of what ``tiny`` was trained on; about 16 of them it holds out."""
    folder = tmp_path_factory.mktemp("frontier")
    patch = pytest.MonkeyPatch()
    patch.setenv("MOLAE_CACHE", str(folder / "cache"))
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt", encoding="utf-8") as lines:
        (folder / "some.smi").write_text("".join(islice(lines, 800)), encoding="utf-8")
    yield folder / "some.smi"
    patch.undo()


@pytest.fixture
def measure(frontier, source, tmp_path, monkeypatch):
    """The command, with results in a folder of the test's own: status and cells."""
    for name in ("frontier", "record"):
        monkeypatch.setattr(sys.modules[f"benchmarks.{name}"], "RESULTS", tmp_path)

    def run(*words):
        small = "--densities gaussian --noise 0 -n 20 --rows 300 --workers 1"
        status = frontier.main(["tiny", str(source), *small.split(), *words])
        return status, {path.stem: path for path in (tmp_path / "frontier").glob("*.json")}

    return run


def test_one_sweep_tells_what_each_number_of_steps_gives(frontier, source):
    run = Run.load("tiny", "cpu")
    subject = frontier.Subject(run, str(source), 1)
    told = subject.reconstruction()
    x = torch.from_numpy(subject.held.array(np.arange(len(subject.held))))
    wanted = run.spelling(run.codec.decode(x))

    def direct(steps):
        return exact_share(wanted, run.decode(run.codes(x, steps)))

    assert told["molecules"] == len(x)
    assert told["reconstruction"] == direct(0) < told["corrected"][20] == direct(20)
    assert told["corrected"][2] == direct(2)


def test_how_far_codes_were_moved_and_what_densities_say(frontier, source):
    run = Run.load("tiny", "cpu")
    subject = frontier.Subject(run, str(source), 1)
    z = torch.randn(400, run.size, generator=torch.Generator().manual_seed(0))
    better = z.clone()
    better[:100, 0] += 3.0  # a typical number of a code has a standard deviation of 1
    told = subject.moved(z, better)
    assert told["moved"] == 100
    assert told["distance"] == pytest.approx(3.0, rel=0.03)
    assert set(told["nats"]) == {"gaussian", "gmm"}
    for name, of in told["nats"].items():
        for part, codes in (("encoder", z), ("moved_from", z[:100]), ("moved_to", better[:100])):
            assert of[part] == pytest.approx(float(run.log_density(codes, name).double().mean()))
    still = subject.moved(z, z)
    assert (still["moved"], still["distance"]) == (0, None)


def test_cells_say_what_they_were_made_of_and_others_are_refused(measure, capsys):
    status, cells = measure()
    assert status == 0
    assert set(cells) == {"reconstruction", "gaussian-noise0-greedy"}
    assert "were moved by correction" in capsys.readouterr().out
    before = {name: path.read_text() for name, path in cells.items()}
    weights = Run.load("tiny", "cpu").card["digests"]["weights.safetensors"]
    made = json.loads(before["gaussian-noise0-greedy"])
    assert {name: made[name] for name in ("weights", "n", "seed", "rows")} == {
        "weights": weights, "n": 20, "seed": 0, "rows": 300,
    }  # fmt: skip
    assert json.loads(before["reconstruction"])["weights"] == weights

    assert measure()[0] == 0  # nothing is made again
    for words, said in (
        (("-n", "30"), "n was 20 and is now 30"),
        (("--seed", "1"), "seed was 0 and is now 1"),
        (("--rows", "200"), "rows was 300 and is now 200"),
    ):
        assert measure(*words)[0] == 1
        assert said in capsys.readouterr().err
    assert {name: path.read_text() for name, path in cells.items()} == before

    cell = json.loads(before["reconstruction"]) | {"weights": "of another"}
    cells["reconstruction"].write_text(json.dumps(cell))
    assert measure()[0] == 1
    assert "weights was of another" in capsys.readouterr().err


def test_stored_cells_are_of_the_shipped_model(frontier):
    root = Path(frontier.__file__).parents[1]
    card = json.loads((root / "data" / "weights" / "zinc" / "card.json").read_text("utf-8"))
    weights = card["digests"]["weights.safetensors"]
    cells = list((root / "benchmarks" / "results" / "frontier").glob("*.json"))
    assert cells
    assert all(frontier.there(path, {"weights": weights}) for path in cells)
