"""The folder of a campaign: what is written is read back exactly, whatever cut it off."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch

from molae.oracles.base import Answer, failure
from molae.oracles.ledger import Evaluation
from molae.runs.folder import RunError
from molae.workflows.campaign.folder import CampaignError, Folder

FIRST = [
    Evaluation(1, "CCO", Answer(0.1, {"qed": 0.1 + 0.2, "sa": 1e-300})),
    Evaluation(2, "C,N", failure('odd, "quoted"', {"qed": 2.0})),
    Evaluation(3, "CCN", Answer(-62.0, {"qed": math.nan, "sa": 3.0})),
]
SECOND = [Evaluation(4, "CCC", Answer(1 / 3, {"qed": 1.0}))]


def z(*values):
    return torch.tensor(values)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "out")
    made.begin({"oracle": "qed", "seed": 3}, [("CC", Answer(0.5, {"a": 1.0})), ("CN", None)])
    return made


def again(folder):
    return Folder(folder.path)


def same(left, right):
    def plain(each):
        parts = {k: v for k, v in each.answer.parts.items() if v == v}
        return each.call, each.text, repr(each.answer.score), parts, each.answer.error

    return list(map(plain, left)) == list(map(plain, right))


def test_there_and_back(folder):
    folder.append(FIRST, [z(1.5, 2.5), None, z(-1.0, 0.1)])
    folder.save({"t": torch.arange(3)}, {"nan": math.nan, "big": 2**100})
    folder.append(SECOND, [z(0.0, 1.0)])
    folder.save({"t": torch.arange(4)}, {"nan": math.nan, "big": 2**100})
    other = again(folder)
    assert other.settings()["seed"] == 3
    assert other.start() == [("CC", Answer(0.5, {"a": 1.0})), ("CN", None)]
    found, tensors, scalars = other.load()
    assert same(found, FIRST + SECOND)
    assert tensors["t"].tolist() == [0, 1, 2, 3]
    assert math.isnan(scalars["nan"])
    assert scalars["big"] == 2**100
    expected = np.array([[1.5, 2.5], [np.nan] * 2, [-1, 0.1], [0, 1]], np.float32)
    np.testing.assert_array_equal(other.codes, expected)
    np.testing.assert_array_equal(np.load(folder.path / "evaluations.npy"), expected)
    header = (folder.path / "evaluations.csv").read_text().splitlines()[0]
    assert header == "call,smiles,score,qed,sa,error"


@pytest.mark.parametrize("cut", [0, 1, 9, None], ids=["nothing", "a byte", "a piece", "a row"])
def test_what_was_cut_off_is_dropped(folder, cut):
    folder.append(FIRST, [z(1.0), z(2.0), z(3.0)])
    folder.save({}, {})
    table, codes = folder.path / "evaluations.csv", folder.path / "evaluations.npy"
    before = table.read_bytes(), codes.read_bytes()
    folder.append(SECOND, [z(4.0)])  # and killed before the state was saved
    table.write_bytes(table.read_bytes()[: None if cut is None else len(before[0]) + cut])
    found, _, _ = again(folder).load()
    assert same(found, FIRST)
    assert (table.read_bytes(), codes.read_bytes()) == before


def test_parts_that_come_later_become_columns(folder):
    folder.append(SECOND, [None])
    folder.save({}, {})
    folder.append([Evaluation(5, "N", Answer(1.0, {"new": 7.0, "score": 8.0}))], [None])
    rows = list(csv.DictReader((folder.path / "evaluations.csv").open(newline="")))
    assert [row["new"] for row in rows] == ["", "7.0"]
    assert [row["score"] for row in rows] == [str(1 / 3), "1.0"]  # a part cannot take its place
    assert not (folder.path / "evaluations.npy").exists()
    found, _, _ = again(folder).load()
    assert same(found, SECOND)


def test_a_start_that_failed_is_not_scored_again(tmp_path):
    start = [("CC", failure("no")), ("CN", None), ("CO", Answer(2.0))]
    folder = Folder(tmp_path / "out")
    folder.begin({}, start)
    (first, failed), second, third = again(folder).start()
    assert (first, failed.error) == ("CC", "no")
    assert second == ("CN", None)
    assert third[1].score == 2.0


def test_places_that_are_taken(tmp_path, folder):
    with pytest.raises(CampaignError, match="go on with it by --resume"):
        folder.check_free()
    (tmp_path / "mine").mkdir()
    Folder(tmp_path / "mine").check_free()
    (tmp_path / "mine" / "thesis.doc").touch()
    with pytest.raises(CampaignError, match="is not a campaign"):
        Folder(tmp_path / "mine").check_free()
    with pytest.raises(CampaignError, match="molae optimize --oracle"):
        Folder(tmp_path / "none").settings()


def test_what_a_kill_at_the_beginning_leaves_is_free(tmp_path):
    folder = Folder(tmp_path / "out")
    (folder.path / "state").mkdir(parents=True)
    (folder.path / "state" / "lock").touch()
    (folder.path / "start.csv.part").touch()
    folder.check_free()


def test_one_at_a_time(folder, tmp_path):
    with folder.alone(), pytest.raises(RunError, match="this campaign is running already"):
        again(folder).alone().__enter__()
    with folder.alone():
        pass
    with Folder(tmp_path / "new").alone():
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()  # nothing was begun


def test_damage(folder):
    folder.append(FIRST, [None] * 3)
    folder.save({}, {})
    table = folder.path / "evaluations.csv"
    whole = table.read_text()
    table.write_text("".join(whole.splitlines(keepends=True)[:3]))
    with pytest.raises(CampaignError, match=r"has 2 rows and the campaign 3: was it edited\?"):
        again(folder).load()
    table.write_text(whole.replace("0.1,", "zero,"))
    with pytest.raises(CampaignError, match="damaged"):
        again(folder).load()
    table.unlink()
    with pytest.raises(CampaignError, match="damaged"):
        again(folder).load()
    table.write_text(whole)
    (folder.path / "state" / "state.json").write_text("{}")
    with pytest.raises(CampaignError, match="damaged"):
        again(folder).load()


def test_codes_that_were_replaced(folder):
    folder.append(FIRST, [z(1.0), z(2.0), z(3.0)])
    folder.save({}, {})
    np.save(folder.path / "evaluations.npy", np.zeros((2, 1), np.float32))
    with pytest.raises(CampaignError, match="expected 3 codes"):
        again(folder).load()


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "damaged"), ("[]", "not of a campaign"), ('{"format": 99}', "newer molae")],
)
def test_settings_of_something_else(folder, text, told):
    (folder.path / "campaign.json").write_text(text)
    with pytest.raises(CampaignError, match=told):
        folder.settings()


def test_settings_are_json(folder):
    known = json.loads((folder.path / "campaign.json").read_text())
    assert known == {"oracle": "qed", "seed": 3, "format": 1}
