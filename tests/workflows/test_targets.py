"""Properties learnt with the codes: computed once, masked, standardised, predicted in units."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from molae.chem.properties import score
from molae.objectives import WithProperties
from molae.runs import Run, RunError
from molae.runs.compose import combinations
from molae.runs.folder import CONFIG
from molae.workflows import targets
from molae.workflows.data import load_data
from molae.workflows.info import info
from molae.workflows.targets import agreement, standardised
from molae.workflows.train import hold_out, train

NAMES = ["heavy_atoms", "logp"]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory, small, molecules, cache):
    """A run that has learnt two properties for a while."""
    folder = tmp_path_factory.mktemp("knowing") / "run"
    settings = small | {"learning_rate": 1e-2, "validation": 0.2}
    return train(molecules, folder, steps=150, properties=NAMES, property_weight=5.0, **settings)


def labelled(*rows):
    from molae.datasets.arrays import SequenceData

    y = np.array(rows)
    rules = np.zeros(len(y), np.uint16)
    return SequenceData(rules, np.arange(len(y) + 1), y=y)


def test_properties_are_those_of_the_molecules(molecules, smiles, tmp_path, monkeypatch):
    data = load_data([molecules], cache=tmp_path, properties=NAMES)
    expected = score(smiles, NAMES)
    assert data.data.y.shape == (300, 2)
    for column, name in enumerate(NAMES):
        np.testing.assert_allclose(data.data.y[:, column], expected[name], atol=1e-9)

    asked = []
    monkeypatch.setattr(targets, "score", lambda t, n, w: asked.append(n) or score(t, n, w))
    # Another codec encodes anew; the same one finds what was computed, and adds what was not.
    more = load_data([molecules], cache=tmp_path, properties=["logp", "mw", "heavy_atoms"])
    assert asked == [["mw"]]
    assert np.array_equal(more.data.y[:, [2, 0]], data.data.y)
    for path in data.encoded[0].folder.glob("property-*.npy"):
        path.write_bytes(path.read_bytes()[:40])
    again = load_data([molecules], cache=tmp_path, properties=NAMES)
    assert np.array_equal(again.data.y, data.data.y)
    assert asked == [["mw"], NAMES]


def test_properties_follow_their_rows(molecules, smiles, tmp_path):
    """Also where long molecules are left out, and with several files."""
    other = tmp_path / "other.smi"
    other.write_text("CCO\nc1ccccc1\n")
    data = load_data([molecules, other], max_steps=30, properties=["heavy_atoms"])
    assert 0 < len(data.long) < 302
    found = [int(data.data.batch([row]).y[0, 0]) for row in range(len(data.data))]
    texts = data.codec.decode(torch.from_numpy(data.data.array(range(len(data.data)))))
    assert found == score(texts, ["heavy_atoms"])["heavy_atoms"].tolist()
    assert found[-2:] == [3, 6]


def test_standardised_by_hand():
    nan = np.nan
    learnt = labelled([1.0, 5.0], [3.0, nan], [nan, 5.0])
    table = {"names": ["a", "b"]}
    mine, held = standardised(table, learnt, labelled([7.0, 6.0]))
    assert table == {"names": ["a", "b"], "mean": [2.0, 5.0], "std": [1.0, 1.0]}
    np.testing.assert_array_equal(mine.y, np.float32([[-1, 0], [1, nan], [nan, 0]]))
    np.testing.assert_array_equal(held.y, np.float32([[5, 1]]))
    kept = {"names": ["a", "b"], "mean": [0.0, 0.0], "std": [2.0, 1.0]}
    mine, _ = standardised(kept, learnt, labelled([7.0, 6.0]))
    assert mine.y[0].tolist() == [0.5, 5.0]
    with pytest.raises(ValueError, match="none of the molecules has a b"):
        standardised({"names": ["a", "b"]}, labelled([1.0, nan]), learnt)


def test_a_property_that_is_the_same_for_all_is_not_blown_up():
    table = {"names": ["a"]}
    mine, _ = standardised(table, labelled(*[[0.1]] * 7), labelled([0.1]))
    assert table["std"] == [1.0]
    assert np.abs(mine.y).max() < 1e-6


def test_predictions_are_in_units_and_better_than_the_mean(knowing, smiles):
    found = knowing.predict(knowing.encode(smiles))
    assert found.shape == (300, 2)
    assert found.dtype == torch.float32
    table = knowing.config["properties"]
    with torch.no_grad():
        raw = knowing.model.predict(knowing.encode(smiles))
    for column, name in enumerate(NAMES):
        by_hand = raw[:, column] * table["std"][column] + table["mean"][column]
        torch.testing.assert_close(found[:, column], by_hand)
        assert knowing.card["metrics"]["properties"][name]["r2"] > 0.1
    assert knowing.predict(torch.zeros(0, 16)).shape == (0, 2)
    with pytest.raises(ValueError, match=r"expected \(n, 16\)"):
        knowing.predict(torch.zeros(3, 15))


def test_the_card_tells_of_held_out_molecules(knowing, molecules):
    metrics = knowing.card["metrics"]
    data = load_data([molecules], properties=NAMES)
    _, held = hold_out(data.data, 0.2, 0)
    texts = data.codec.decode(torch.from_numpy(held.array(range(len(held)))))
    found = knowing.predict(knowing.encode(texts)).double().numpy()
    true = held.y[held.rows]
    for column, name in enumerate(NAMES):
        error, spread = found[:, column] - true[:, column], true[:, column].var()
        facts = metrics["properties"][name]
        assert facts["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-3)
        assert facts["r2"] == pytest.approx(1 - (error**2).mean() / spread, rel=1e-3)
        assert facts["measured"] == len(held)
    assert "logp R2 0." in info(knowing)["properties"]
    records = map(json.loads, (knowing.folder / "history.jsonl").read_text().splitlines())
    assert all("property" in record["parts"] for record in records)


def test_agreement_where_values_are_missing(knowing, molecules):
    data = load_data([molecules], properties=NAMES)
    y = data.data.y.copy()
    y[10:, 0], y[:, 1] = np.nan, np.nan
    table = dict(knowing.config["properties"])
    _, few = standardised(table, data.data, data.data.with_targets(y))
    facts = agreement(knowing, few)
    assert facts["heavy_atoms"]["measured"] == 10
    assert facts["logp"] == {"r2": None, "mae": None, "measured": 0}


def test_saved_and_loaded(knowing, smiles):
    loaded = Run.load(knowing.folder, "cpu")
    assert loaded.properties == NAMES
    z = knowing.encode(smiles[:9])
    assert torch.equal(loaded.predict(z), knowing.predict(z))
    saved = json.loads((knowing.folder / CONFIG).read_text())["properties"]
    assert saved == knowing.config["properties"]
    assert set(saved) == {"names", "mean", "std", "weight", "hidden"}


def test_a_run_without_properties(run):
    assert run.properties == []
    with pytest.raises(ValueError, match="train --property"):
        run.predict(torch.zeros(1, run.size))


@pytest.mark.parametrize(
    "objective", [one.objective for one in combinations() if "sequences" in one.media]
)
@pytest.mark.parametrize("codec", ["grammar", "characters"])
def test_every_objective_learns_them(small, molecules, tmp_path, objective, codec):
    told = {"objective": objective, "codec": codec, "properties": ["mw"]}
    made = train(molecules, tmp_path / "run", steps=2, **told, **small)
    assert isinstance(made.objective, WithProperties)
    assert made.predict(torch.zeros(2, 16)).shape == (2, 1)


def test_interrupted_and_resumed(small, molecules, tmp_path, monkeypatch):
    def killed(*_arguments):
        raise KeyboardInterrupt

    told = {"properties": NAMES, "patience": 3}
    with monkeypatch.context() as patch:
        patch.setattr("molae.workflows.train.fit_densities", killed)
        with pytest.raises(KeyboardInterrupt):
            train(molecules, tmp_path / "run", steps=3, **told, **small)
    with pytest.raises(RunError, match="properties was"):
        train(molecules, tmp_path / "run", steps=3, resume=True, **small)
    resumed = train(molecules, tmp_path / "run", steps=3, resume=True, **told, **small)
    straight = train(molecules, tmp_path / "straight", steps=3, **told, **small)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    assert "predictor.out.weight" in straight.model.state_dict()


def test_fine_tuning_keeps_units_and_head(knowing, run, small, tmp_path):
    new = tmp_path / "new.smi"
    new.write_text("CCO\nCC[Se]CC\nCCOCC\nCCNCC\nCCCCCCCC\n")
    short = {name: small[name] for name in ("batch_size", "device", "progress", "workers")}
    short["learning_rate"] = 1e-6
    tuned = train(new, tmp_path / "tuned", start_from=knowing.folder, steps=1, **short)
    for name in ("names", "mean", "std", "weight"):
        assert tuned.config["properties"][name] == knowing.config["properties"][name]
    z = torch.randn(5, 16)
    torch.testing.assert_close(tuned.predict(z), knowing.predict(z), atol=1e-2, rtol=1e-2)
    with pytest.raises(RunError, match=r"has properties \['heavy_atoms', 'logp'\]"):
        train(new, tmp_path / "x", start_from=knowing.folder, properties=["qed"], **short)
    # A run without any may get some.
    told = {"properties": ["mw"], "property_weight": 0.5}
    grown = train(new, tmp_path / "grown", start_from=run.folder, steps=1, **told, **short)
    assert grown.properties == ["mw"]
    assert run.properties == []


def test_only_molecules_have_properties(small, tmp_path):
    source = tmp_path / "expressions.txt"
    source.write_text("sin(x)\nx+1\nexp(x)*2\nx/3\nx*x\n")
    with pytest.raises(ValueError, match="this grammar writes none"):
        train(source, tmp_path / "run", grammar="equation", properties=["mw"], **small)
    assert not (tmp_path / "run").exists()


def test_rejects_cost_no_row(knowing, molecules):
    """One line of the file is no molecule, and there is no row for it."""
    assert knowing.card["counts"]["rejected"] == 1
    with open(knowing.folder / "rejects.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 1
