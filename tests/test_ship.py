"""What is shipped is what was trained: ``benchmarks/ship.py`` on a small run."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from molae.densities import density
from molae.resources import data_path
from molae.runs import Run
from molae.runs.folder import RunError


@pytest.fixture(scope="module")
def ship():
    """The module; at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[1])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.ship")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def molecules(tmp_path_factory):
    """A file with some of the demo molecules, so not the file that the run was trained on."""
    path = tmp_path_factory.mktemp("data") / "some.smi"
    with data_path("demo.smi.gz") as packed:
        lines = gzip.decompress(packed.read_bytes()).splitlines()
    path.write_bytes(b"\n".join(sorted(lines, key=len)[:100]) + b"\n")
    return path


@pytest.fixture
def trained(tmp_path):
    """A finished run as a training leaves it."""
    folder = Run.load("tiny", "cpu").save(tmp_path / "run")
    (folder / "history.jsonl").write_text("{}\n")
    (folder / "rejects.csv").write_text("file,line,text\n")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "state.json").write_text("{}")
    return folder


@pytest.fixture
def shipped(ship, trained, molecules, tmp_path):
    """``shipped("--dtype", "bf16")``: ship the run with these words; gives the new folder."""

    def run(*words):
        target = tmp_path / "weights" / "small"
        line = [trained, target, "--data", molecules, "--machine", "a small one", *words]
        ship.ship(ship.parser().parse_args([str(word) for word in line]))
        return target

    return run


def _files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_the_same_model_in_fewer_bytes(ship, shipped, trained, molecules, dtype):
    before, folder = Run.load(trained, "cpu"), shipped("--dtype", dtype, "--margin", 0.1)
    after = Run.load(folder, "cpu")  # which compares all digests
    kept = {"card.json", "config.json", "grammar.cfg", "weights.safetensors"}
    assert _files(folder) == kept | {f"densities/{name}.safetensors" for name in after.densities}
    texts = molecules.read_text().split()
    close = {"fp16": 1e-2, "bf16": 1e-1, "fp32": 0}[dtype]
    torch.testing.assert_close(after.encode(texts), before.encode(texts), atol=close, rtol=0)
    ratio = (folder / "weights.safetensors").stat().st_size
    ratio /= (trained / "weights.safetensors").stat().st_size
    assert ratio < 0.56 if dtype != "fp32" else ratio == 1
    stored = after.card["stored"]
    assert stored["weights"] == dtype
    assert stored["reconstruction"]["molecules"] == 100
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.rglob("*.safetensors"))


def test_what_is_lost_is_refused(ship, shipped, monkeypatch):
    folder = shipped()
    before = (folder / "card.json").read_bytes()
    monkeypatch.setitem(ship.DTYPES, "fp16", torch.float8_e4m3fn)  # 3 bits of mantissa
    with pytest.raises(ship.Refused, match="would be lost, more than --margin"):
        shipped()
    assert (folder / "card.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_numbers_that_do_not_fit(ship):
    weights = {"a": torch.tensor([[1e6]]), "b": torch.tensor([1e6])}
    assert ship.rounded(weights, torch.bfloat16)["a"].isfinite().all()
    with pytest.raises(ship.Refused, match=r"a holds numbers too large for torch\.float16"):
        ship.rounded(weights, torch.float16)
    assert torch.equal(ship.rounded({"b": weights["b"]}, torch.float16)["b"], weights["b"])


def test_densities_that_float32_would_change_stay(ship):
    z = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = density("gmm", components=2).fit(z)
    assert ship.single(near, "gmm", z[:50].float()) is not None
    far = density("gmm", components=1).fit(1e6 + 1e-3 * z)
    assert ship.single(far, "gmm", (1e6 + 1e-3 * z[:50]).float()) is None


def test_the_card_says_how_it_was_made(shipped, trained, tmp_path):
    made = json.loads((trained / "card.json").read_text())["created"]
    found = {"made": made, "n": 10, "numbers": {"reconstruction": 0.5}, "definitions": {"x": "y"}}
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    commands = ["molae train /home/me/my.smi -o /tmp/run", "molae density fit -m run"]
    words = [word for command in commands for word in ("--command", command)]
    folder = shipped(
        *words, "--metrics", tmp_path / "metrics.json", "--about", "small", "--note", "so it is",
        "--densities", "gmm",
    )  # fmt: skip
    card = Run.load(folder, "cpu").card
    assert card["recipe"]["commands"] == ["molae train my.smi -o run", commands[1]]
    assert card["command"] == "molae train my.smi -o run"
    assert card["recipe"]["machine"] == "a small one"
    assert card["recipe"]["seed"] == 0
    assert card["recipe"]["seconds"] == card["training"]["seconds"]
    assert len(card["recipe"]["data"]["demo.smi.gz"]) == 64
    assert card["metrics"]["evaluation"] == {"n": 10, "numbers": {"reconstruction": 0.5}}
    assert card["metrics"]["densities"]["nats"].keys() == {"prior", "gmm"}
    assert (card["about"], card["notes"]) == ("small", ["so it is"])
    assert "densities/gaussian.safetensors" not in _files(folder)


def test_metrics_of_another_run(ship, shipped, tmp_path):
    (tmp_path / "metrics.json").write_text('{"made": "2001-01-01"}')
    with pytest.raises(ship.Refused, match="made 2001-01-01"):
        shipped("--metrics", tmp_path / "metrics.json")


def test_a_machine_that_is_not_known(ship):
    assert "cores" in ship.here("cpu")
    with pytest.raises(ship.Refused, match="--machine"):
        ship.here("cuda")


def test_nothing_else_is_overwritten(shipped, tmp_path):
    (tmp_path / "weights" / "small").mkdir(parents=True)
    (tmp_path / "weights" / "small" / "thesis.tex").write_text("dear")
    with pytest.raises(RunError, match="is not a run"):
        shipped()
    assert _files(tmp_path / "weights" / "small") == {"thesis.tex"}
