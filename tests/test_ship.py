"""What is shipped is what was trained: ``benchmarks/ship.py`` on a small run."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from molae.densities import density
from molae.resources import data_path
from molae.runs import Run
from molae.runs.folder import RunError
from molae.workflows.train import train


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


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run of images, trained for some steps on the digits that are built in."""
    folder = tmp_path_factory.mktemp("images") / "run"
    small = {"width": 0.25, "components": 2, "validation": 0.2}
    return train("digits", folder, steps=30, **small, precision="fp32", device="cpu",
                 progress=False, remembered=False).folder  # fmt: skip


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
    codes = [run.encode(texts, refine=0) for run in (after, before)]  # the encoder's own
    torch.testing.assert_close(*codes, atol=close, rtol=0)
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


def test_images_come_back_as_well_as_before(ship, drawn, tmp_path, monkeypatch):
    target = tmp_path / "weights" / "digits"
    words = [str(drawn), str(target), "--data", "digits", "--machine", "a small one"]
    ship.ship(ship.parser().parse_args(words))
    run = Run.load(target, "cpu")
    assert "grammar.cfg" not in _files(target)
    stored = run.card["stored"]["squared_error"]
    assert stored["images"] == run.card["counts"]["validation"] < 500  # held out by the training
    measured = run.card["metrics"]["squared_error"]
    assert stored["as_trained"] == pytest.approx(measured, rel=1e-4)
    assert stored["as_stored"] == pytest.approx(measured, rel=2e-3)
    assert run.sample(3) == Run.load(target, "cpu").sample(3)
    monkeypatch.setitem(ship.DTYPES, "fp16", torch.float8_e5m2)  # 2 bits of mantissa
    with pytest.raises(ship.Refused, match="of squared error would be lost"):
        ship.ship(ship.parser().parse_args(words))


def test_another_part_of_a_source_was_not_learnt_from(ship, tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"x_train": 40, "x_test": 12}
    images = {name: rng.integers(0, 256, (n, 8, 8), np.uint8) for name, n in sizes.items()}
    np.savez(tmp_path / "some.npz", **images)
    file = str(tmp_path / "some.npz")
    run = train(file, tmp_path / "run", steps=2, width=0.25, components=1, validation=0.3,
                device="cpu", progress=False, remembered=False)  # fmt: skip
    held = ship.test_set(run, [file], 100)
    assert len(held.texts) == run.card["counts"]["validation"] < 40
    assert len(ship.test_set(run, [f"{file}:test"], 100).texts) == 12


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
