"""Densities fitted after training: what changes in a run's folder, and what does not."""

from __future__ import annotations

import errno
import json
import shutil

import pytest
import torch

from molae.datasets.splits import split_by_text
from molae.names import FITTED_DENSITIES
from molae.resources import weights_path
from molae.runs import Run, RunError
from molae.runs.folder import CARD, CONFIG, WEIGHTS, digest
from molae.workflows import density as work
from molae.workflows.closing import HELD_OUT
from molae.workflows.density import fit_density, list_densities
from molae.workflows.origin import training_files

#: Little of everything, as typed.
QUICK = {
    "centred": {},
    "gaussian": {},
    "gmm": {"components": "3"},
    "bayesian": {"components": "3"},
    "kde": {"bandwidth": "scott"},
    "flow": {"transforms": "2", "hidden": "8", "epochs": "1"},
    "two_stage": {"hidden": "8", "layers": "1", "epochs": "1", "samples": "4"},
    "learned_mixture": {"components": "3", "epochs": "1"},
    "autoregressive": {"components": "2", "hidden": "8", "epochs": "1"},
}


@pytest.fixture
def mine(run, molecules, tmp_path, monkeypatch):
    """A copy of the run, in the folder of its data."""
    shutil.copytree(run.folder, tmp_path / "run")
    monkeypatch.chdir(molecules.parent)
    return Run.load(tmp_path / "run", "cpu")


def parts(run, smiles):
    """Codes of the texts that the training learnt from: to be fitted to, and held out."""
    share, seed = run.config["training"]["validation"], run.config["training"]["seed"]
    learnt = split_by_text(smiles, {"learnt": 1 - share, "held": share}, seed)["learnt"]
    texts = [smiles[i] for i in learnt]
    rows = split_by_text(texts, {"fitted": 1 - HELD_OUT, "held": HELD_OUT}, -1)
    return [run.encode([texts[i] for i in rows[name]]) for name in ("fitted", "held")]


def test_the_training_leaves_some_out(run, smiles):
    fitted, held = parts(run, smiles)
    facts = run.card["metrics"]["densities"]
    assert facts["held_out"] == len(held) > 10
    assert facts["nats"].keys() == {"prior", "gaussian", "gmm"}
    assert torch.allclose(run.densities["gaussian"].mean, fitted.double().mean(0), atol=1e-6)
    value = float(run.log_density(held, "gaussian").mean())
    assert facts["nats"]["gaussian"] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in FITTED_DENSITIES if name != "indices"])
def test_every_density_is_fitted_saved_and_drawn_from(mine, smiles, name):
    before = {path: path.read_bytes() for path in mine.folder.rglob("*") if path.is_file()}
    done = fit_density(mine, name, settings=QUICK[name], workers=1)
    again = Run.load(mine.folder, "cpu")  # which compares all digests
    assert again.config["densities"][name] == mine.densities[name].settings()
    index = torch.arange(6)
    drawn = again.density(name).sample_rows(1, index)
    assert torch.equal(drawn, mine.density(name).sample_rows(1, index))
    assert all(again.sample(4, density=name))
    _, held = parts(mine, smiles)
    assert done.facts["held_out"] == len(held)
    value = float(again.log_density(held, name).mean())
    assert done.facts["nats"][name] == pytest.approx(value, rel=1e-4)
    assert again.card["metrics"]["densities"] == done.facts
    assert again.card["metrics"]["reconstruction"] == mine.card["metrics"]["reconstruction"]
    changed = {f"densities/{name}.safetensors", CONFIG, CARD}
    for path, content in before.items():
        if str(path.relative_to(mine.folder)) not in changed:
            assert path.read_bytes() == content
    left = {path.name for path in mine.folder.rglob("*")} - {path.name for path in before}
    assert left <= {f"{name}.safetensors", "densities", "checkpoint"}


def test_the_seed_decides(mine):
    seen = []
    for seed in (1, 1, 2):
        fit_density(mine, "kde", seed=seed, workers=1, settings={"rows": "20"})
        seen.append(mine.densities["kde"].points)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert mine.config["densities"]["kde"]["seed"] == 2


def test_components_are_chosen(mine):
    done = fit_density(mine, "gmm", components="auto", workers=1)
    numbers = [number for number, _ in done.tried]
    assert numbers == [1, 2, 5, 10][: len(numbers)]
    values = [nats for _, nats in done.tried]
    # Each was better than the one before, except that the last may be what ended it.
    assert values[:-1] == sorted(values[:-1])
    best = numbers[values.index(max(values))]
    assert mine.densities["gmm"].components == best
    assert len(mine.densities["gmm"].log_weights) == best
    assert done.facts["nats"]["gmm"] == pytest.approx(max(values))
    assert Run.load(mine.folder, "cpu").config["densities"]["gmm"]["components"] == best


def test_numbers_of_components():
    numbers = work._numbers()
    assert [next(numbers) for _ in range(8)] == [1, 2, 5, 10, 20, 50, 100, 200]


def test_other_data(mine, smiles, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("name,smiles\n" + "".join(f"x,{s}\n" for s in smiles[:60]) + "y,nonsense\n")
    done = fit_density(mine, "gaussian", files=[other], workers=1)
    rows = split_by_text(smiles[:60], {"fitted": 1 - HELD_OUT, "held": HELD_OUT}, -1)
    assert (done.fitted, done.facts["held_out"]) == (len(rows["fitted"]), len(rows["held"]))
    assert done.rejected == 1
    mean = mine.encode([smiles[i] for i in rows["fitted"]]).double().mean(0)
    assert torch.allclose(mine.densities["gaussian"].mean, mean, atol=1e-6)


def test_fewer_codes(mine):
    assert fit_density(mine, "gaussian", codes=40, workers=1).fitted == 40
    with pytest.raises(ValueError, match="codes is 1"):
        fit_density(mine, "gaussian", codes=1)


def test_next_to_no_data(mine, tmp_path):
    few = tmp_path / "few.smi"
    few.write_text("CCO\nCCN\n")
    with pytest.warns(UserWarning, match="2 codes"):
        done = fit_density(mine, "gaussian", files=[few], workers=1)
    assert done.fitted + done.facts["held_out"] == 2
    few.write_text("CCO\n")
    with pytest.raises(ValueError, match="at least 2 codes"):
        fit_density(mine, "gaussian", files=[few], workers=1)


def test_data_that_is_not_there(mine, molecules, tmp_path, monkeypatch):
    assert [path.resolve() for path in training_files(mine)] == [molecules.resolve()]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"molecules\.smi, is not found here.*--data FILE"):
        fit_density(mine, "gaussian")
    (tmp_path / molecules.name).write_text("CCO\n")  # beside the run
    with pytest.raises(RunError, match=r"has changed since.*--data FILE"):
        fit_density(mine, "gaussian")
    mine.card["command"] = f"molae train '{molecules}' -o run"
    assert training_files(mine) == [molecules]
    mine.config["data"] = []
    with pytest.raises(RunError, match=r"does not say.*--data FILE"):
        fit_density(mine, "gaussian")


def test_data_sets_that_molae_knows(mine, tmp_path, monkeypatch):
    from molae.resources import data_path

    monkeypatch.chdir(tmp_path)
    with data_path("demo.smi.gz") as path:
        mine.config["data"] = [["demo.smi.gz", digest(path)]]
        assert digest(training_files(mine)[0]) == digest(path)


def test_a_copy(mine, tmp_path):
    before = (mine.folder / CARD).read_bytes()
    source = mine.folder
    done = fit_density(mine, "kde", output=tmp_path / "copy", workers=1)
    assert done.folder == tmp_path / "copy"
    assert "kde" in Run.load(tmp_path / "copy", "cpu").densities
    assert (source / CARD).read_bytes() == before
    assert digest(source / WEIGHTS) == digest(tmp_path / "copy" / WEIGHTS)


def test_a_shipped_model_is_not_changed(mine):
    with weights_path("tiny") as shipped:
        for run, output in ((Run.load(shipped, "cpu"), None), (mine, shipped)):
            with pytest.raises(RunError, match=r"tiny ships with molae.*-o"):
                fit_density(run, "kde", output=output)


def test_a_place_that_is_taken_is_refused_before_the_work(mine, tmp_path):
    taken = tmp_path / "thesis"
    taken.mkdir()
    (taken / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis exists and is not a run"):
        fit_density(mine, "kde", files=["not looked for.smi"], output=taken)


def test_a_full_disc_changes_nothing(mine, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path: path.read_bytes() for path in mine.folder.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr("molae.runs.folder.save_file", full)
        with pytest.raises(ValueError, match="disc is full"):
            fit_density(mine, "kde", workers=1)
    assert {p: p.read_bytes() for p in mine.folder.rglob("*") if p.is_file()} == before
    assert "kde" not in Run.load(mine.folder, "cpu").densities


def test_a_damaged_run_is_refused(mine):
    config = json.loads((mine.folder / CONFIG).read_text())
    config["training"]["seed"] = 5
    (mine.folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(RunError, match="damaged"):
        fit_density(mine, "gaussian", workers=1)


def test_two_densities_from_two_processes(mine):
    """Each puts its own into what is there by then."""
    other = Run.load(mine.folder, "cpu")
    fit_density(mine, "kde", workers=1)
    fit_density(other, "bayesian", settings=QUICK["bayesian"], workers=1)
    assert {"kde", "bayesian"} <= Run.load(mine.folder, "cpu").densities.keys()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("prior", {}, "fitted to nothing"),
        ("gmmm", {}, "did you mean 'gmm'"),
        ("gaussian", {"components": 3}, "no components"),
        ("gmm", {"components": 0}, "components must be 1"),
        ("gmm", {"settings": {"componets": "3"}}, "did you mean 'components'"),
        ("gmm", {"settings": {"components": "many"}}, "expected a whole number"),
        ("gmm", {"settings": {"tolerance": "NaN"}}, "expected a number"),
        ("kde", {"settings": {"bandwidth": "scot"}}, "did you mean 'scott'"),
        ("kde", {"settings": {"shrink": "1"}}, "expected true or false"),
        ("bayesian", {"settings": {"concentration": "x"}}, "expected a number or null"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(mine, name, options, message):
    with pytest.raises(ValueError, match=message):
        fit_density(mine, name, files=["not looked for.smi"], **options)


def test_settings_as_typed(mine):
    typed = {"bandwidth": "1", "shrink": "false", "rows": "50"}
    fit_density(mine, "kde", settings=typed, workers=1)
    settings = mine.config["densities"]["kde"]
    assert settings | {"bandwidth": 1.0, "shrink": False, "rows": 50} == settings
    assert isinstance(settings["bandwidth"], float)


def test_the_list(mine):
    rows = {row["density"]: row for row in list_densities(mine)}
    assert list(rows) == ["prior", "gaussian", "gmm"]
    assert rows["gmm"]["usual"]
    assert "2 components" in rows["gmm"]["fitted"]
    assert rows["prior"]["held-out nats"] == mine.card["metrics"]["densities"]["nats"]["prior"]
    del mine.card["metrics"]["densities"]  # of a run that was made before this was measured
    assert list_densities(mine)[0]["held-out nats"] is None


def test_progress(mine):
    from contextlib import contextmanager

    seen: dict[str, list[float]] = {}

    @contextmanager
    def stage(label):
        yield seen.setdefault(label, []).append

    fit_density(mine, "flow", settings=QUICK["flow"] | {"epochs": "3"}, workers=1, stage=stage)
    assert list(seen) == ["reading molecules.smi", "encoding", "fitting flow", "judging"]
    assert seen["encoding"][-1] == 1.0
    assert len(seen["fitting flow"]) == 3
