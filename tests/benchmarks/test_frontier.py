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
def measure(frontier, source, tmp_path):
    """The command, with results in a folder of the test's own: status and cells."""

    def run(*words):
        small = f"--densities gaussian --noise 0 -n 20 --rows 300 --workers 1 --out {tmp_path}"
        status = frontier.main(["tiny", str(source), *small.split(), *words])
        return status, {path.stem: path for path in tmp_path.glob("*.json")}

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
    protocol = {"weights": weights, "n": 20, "seed": 0, "rows": 300}
    assert made["values"]["protocol"] == protocol
    assert made["values"]["density"] == "gaussian"
    assert {"command", "machine", "date"} <= made.keys()
    assert json.loads(before["reconstruction"])["values"]["protocol"] == {"weights": weights}

    assert measure()[0] == 0  # nothing is made again
    for words, said in (
        (("-n", "30"), "n was 20 and is now 30"),
        (("--seed", "1"), "seed was 0 and is now 1"),
        (("--rows", "200"), "rows was 300 and is now 200"),
    ):
        assert measure(*words)[0] == 1
        assert said in capsys.readouterr().err
    assert {name: path.read_text() for name, path in cells.items()} == before

    cell = json.loads(before["reconstruction"])
    cell["values"]["protocol"]["weights"] = "of another"
    cells["reconstruction"].write_text(json.dumps(cell))
    assert measure()[0] == 1
    assert "weights was of another" in capsys.readouterr().err


def test_stored_cells_are_of_the_shipped_model(frontier):
    root = Path(frontier.__file__).parents[1]
    card = json.loads((root / "data" / "weights" / "zinc" / "card.json").read_text("utf-8"))
    weights = card["digests"]["weights.safetensors"]
    cells = list((root / "benchmarks" / "results" / "frontier").glob("*.json"))
    assert cells
    there = importlib.import_module("benchmarks.cells").there
    assert all(there(path, {"weights": weights}, {}) for path in cells)
    with pytest.raises(ValueError, match="n was 10000 and is now 5"):
        there(root / "benchmarks/results/frontier/flow-noise1-greedy.json", {"n": 5}, {})


def test_the_page_says_what_the_cells_say(frontier, tmp_path, capsys):
    """Of two cells of before, which have no protocol of their own, and one of now."""

    def of(density, noise, nats, **more):
        return {
            "density": density, "noise": noise, "temperature": None, "nats": nats, "fcd": 1.234,
            "unique_10k": 0.99, "novelty": 1.0, "mean_sa": 3.456, "ring_larger": 0.0123,
        } | more  # fmt: skip

    for name, cell in {
        "flow-noise1-greedy": of("flow", 1.0, -80.04),
        "gmm10-noise0.7-greedy": of("gmm:10", 0.7, -90.0, filters=0.5),
        "gmm10-noise1-t0.5": {"values": of("gmm:10", 1.0, -90.0, temperature=0.5)},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(cell))
    page, words = tmp_path / "page.md", ["--markdown", "--out", str(tmp_path)]
    begin, end = importlib.import_module("benchmarks.cells").marks("frontier", frontier.BY)
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert frontier.main([*words, "--page", str(page)]) == 1
    assert "there are no cells in" in capsys.readouterr().err
    exact = {"molecules": 10, "reconstruction": 0.5, "corrected": {"1": 0.6}}
    (tmp_path / "reconstruction.json").write_text(json.dumps(exact))
    assert frontier.main([*words, "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert [line for line in text.splitlines() if line.startswith("|")][2:] == [
        "| 10 Gaussians | -90.0 | 0.7 | 1.23 | 0.990 | 1.000 | 0.500 | 3.46 | 1.2 | - |",
        "| 10 Gaussians, at 0.5 | -90.0 | 1 | 1.23 | 0.990 | 1.000 | - | 3.46 | 1.2 | - |",
        "| flow | -80.0 | 1 | 1.23 | 0.990 | 1.000 | - | 3.46 | 1.2 | - |",
    ]


def test_the_page_that_ships_has_the_marks(frontier):
    marks = importlib.import_module("benchmarks.cells").marks("frontier", frontier.BY)
    assert [frontier.PAGE.read_text("utf-8").count(mark) for mark in marks] == [1, 1]
