"""Suggestions and measured values, over several sessions."""

from __future__ import annotations

import csv
import json
import random

import numpy as np
import pytest

from molae.chem.properties import score
from molae.chem.requirements import parse_requirements
from molae.datasets.files import DataError
from molae.oracles.base import Answer
from molae.workflows.campaign.folder import CampaignError, Folder
from molae.workflows.campaign.laboratory import Laboratory
from molae.workflows.criteria import Criteria
from molae.workflows.optimize import optimize, suggest, tell


def rows(path):
    return list(csv.DictReader(path.open(newline="")))


def measured(texts):
    return score(texts, ["heavy_atoms"], 1)["heavy_atoms"].tolist()


def fill(path, values):
    table = rows(path)
    with path.open("w", newline="") as stream:
        out = csv.DictWriter(stream, list(table[0]))
        out.writeheader()
        out.writerows({**row, "score": values.get(row["smiles"], "")} for row in table)


@pytest.fixture
def laboratory(tmp_path, listed):
    """A laboratory with a known strategy, gone on with where it was begun."""

    def make(texts, start=(), **options):
        folder = Folder(tmp_path / "out")
        if not folder.begun:
            folder.begin({}, start)
        made = Laboratory(listed(texts), folder, **options)
        made.restore()
        return made

    return make


def test_several_sessions(tiny, tmp_path):
    out = tmp_path / "out"
    table, first = suggest(out, 5, model="tiny", seed=4)
    assert table == out / "suggestions-1.csv"
    assert [row["smiles"] for row in rows(table)] == first
    assert [row["id"] for row in rows(table)] == [f"1-0{n}" for n in range(1, 6)]
    assert len(set(first)) == 5
    # Some are measured, and the rows come back in another order.
    values = dict(zip(first, measured(first), strict=True))
    fill(table, {text: values[text] for text in first[:3]})
    head, *body = table.read_text().splitlines()
    random.Random(1).shuffle(body)
    table.write_text("\n".join([head, *body]) + "\n")
    found, told = tell(out, table)
    assert (told.new, told.unknown, told.repeated, found.unmeasured) == (3, 0, 0, 2)
    # The next ones are new, and so are those after them although nothing was told meanwhile.
    _, second = suggest(out, 4)
    third_table, third = suggest(out, 2)
    assert third_table == out / "suggestions-3.csv"
    assert len({*first, *second, *third}) == 11
    # The same table with more rows filled in, and one that changed its mind.
    fill(table, values | {first[0]: 100.0})
    found, told = tell(out, table)
    assert (told.new, told.more, told.repeated, told.unknown) == (2, 1, 2, 0)
    record = {row["smiles"]: row for row in rows(out / "evaluations.csv")}
    assert set(record) == set(first)
    assert float(record[first[0]]["score"]) == (values[first[0]] + 100) / 2
    assert record[first[0]]["measurements"] == "2.0"
    assert float(record[first[3]]["score"]) == values[first[3]]
    codes = np.load(out / "evaluations.npy")
    own = tiny.encode(list(record)).numpy()
    np.testing.assert_allclose(codes, own, atol=1e-5)
    for name in ("best.smi", "best.png", "trace.png", "report.html"):
        assert (out / name).stat().st_size > 0
    assert (out / "best.smi").read_text().split()[0] == first[0]


def test_molecules_that_were_not_suggested(laboratory):
    lab = laboratory(["CC", "CCC"])
    assert lab.suggest(1) == ["CC"]
    told = lab.tell({"CC": [1.0], "N": [2.0, 4.0], "O": [5.0]})
    assert (told.new, told.unknown, told.replicated) == (3, 2, 1)
    assert lab.strategy.told == [("CC", 1.0), ("N", 3.0), ("O", 5.0)]
    assert lab.values["N"] == [2.0, 4.0]
    assert lab.record.best[0].text == "O"


def test_replicates(laboratory):
    lab = laboratory([])
    lab.tell({"CC": [2.0, 2.0, 5.0]})
    again = laboratory([])
    assert again.tell({"CC": [2.0, 5.0]}).repeated == 2
    assert again.tell({"CC": [2.0, 2.0, 5.0, 2.0, 9.0]}).repeated == 3
    assert sorted(again.values["CC"]) == [2.0, 2.0, 2.0, 5.0, 9.0]
    assert again.strategy.told == [("CC", 4.0)]  # the mean of all
    answer = again.record.evaluations[0].answer
    assert answer.score == 4.0
    assert answer.parts["measurements"] == 5
    assert answer.parts["sd"] == pytest.approx(np.std([2, 2, 2, 5, 9], ddof=1))


def test_replicates_have_one_mean_everywhere(tiny, tmp_path):
    out, results = tmp_path / "out", tmp_path / "results.csv"
    _, [text] = suggest(out, 1, model=tiny)
    for values in ([5, 5, 5], [9]):
        results.write_text("smiles,score\n" + "".join(f"{text},{value}\n" for value in values))
        tell(out, results, model=tiny)
    _, state, _ = Folder(out).load()
    assert float(rows(out / "evaluations.csv")[0]["score"]) == 6.0
    assert state["known/scores"].tolist() == [6.0]
    assert state["optimizer/told.y"].tolist() == [6.0]


def test_what_is_not_suggested(laboratory):
    start = [("CCCC", Answer(4.0)), ("CO", None)]
    wanted = ["CC", None, "CCCC", "CCCCCCCC", "CC", "N", "CO", "NN"]
    criteria = Criteria(requirements=tuple(parse_requirements(["heavy_atoms<5"])))
    lab = laboratory(wanted, start, criteria=criteria)
    assert lab.strategy.told == [("CCCC", 4.0)]
    # The start comes first; invalid, known and unmet ones are told at once, without a measurement.
    assert lab.suggest(4) == ["CO", "CC", "N", "NN"]
    told = [(text, None if score != score else score) for text, score in lab.strategy.told[1:]]
    assert told == [(None, None), ("CCCC", 4.0), ("CCCCCCCC", None)]
    assert lab.suggest(3) == []
    assert lab.counts == {"invalid": 1, "duplicates": 3, "unmet": 1}
    lab.save()
    again = laboratory(wanted, start)
    assert again.pending == ["CO", "CC", "N", "NN"]
    assert again.round == 1


def test_filters_of_suggestions(tiny, tmp_path):
    out, demands = tmp_path / "out", {"requirements": ["rings<3"], "filters": ["brenk", "rings"]}
    _, found = suggest(out, 6, model=tiny, strategy="sampling", **demands)
    assert len(found) == 6
    judged = Criteria.typed(**demands)
    assert not any(judged.verdict(text).kind for text in found)
    assert json.loads((out / "campaign.json").read_text())["filters"] == ["brenk", "rings"]
    _, plain = suggest(tmp_path / "plain", 6, model=tiny, strategy="sampling")
    assert any(judged.verdict(text).kind for text in plain)
    for options in ({"resume": True}, {}):
        with pytest.raises(CampaignError, match="no oracle but a laboratory"):
            optimize(out, "qed", **options)


def test_low_values(laboratory):
    lab = laboratory([], minimize=True)
    lab.tell({"CC": [2.0], "N": [1.0]})
    assert lab.strategy.told == [("CC", -2.0), ("N", -1.0)]
    assert lab.record.best[0].text == "N"


def test_a_start_with_values(tiny, tmp_path):
    known = tmp_path / "known.csv"
    texts = ["CCO", "CCN", "CCCC", "c1ccccc1", "CC(=O)O"]
    known.write_text("smiles,activity\n" + "".join(f"{t},{len(t)}\n" for t in texts) + "CBr,\n")
    out = tmp_path / "out"
    _, found = suggest(out, 3, model=tiny, start=known, start_value="activity")
    assert "CBr" not in texts
    assert not set(found) & set(texts)
    assert len(found) == 3
    _, more = suggest(out, 2)  # the model is found again
    assert not set(more) & {*found, *texts}


def test_what_cannot_be(tiny, tmp_path):
    out = tmp_path / "out"
    results = tmp_path / "results.csv"
    results.write_text("smiles,score\nCCO,n.d.\nC1CC(,2\nCC,\n")
    with pytest.raises(CampaignError, match="holds no campaign"):
        tell(out, results)
    assert not out.exists()
    suggest(out, 1, model=tiny, requirements=["mw<600"])
    with pytest.raises(DataError, match="does not exist"):
        suggest(out, 1, to=tmp_path / "none" / "x.csv")
    before = (out / "state" / "state.json").read_text()
    assert json.loads(json.loads(before)["state"])["round"] == 1  # what nobody saw is not pending
    with pytest.raises(DataError, match=r"1 rows without one, 2 that cannot be used \(line 2"):
        tell(out, results)
    assert (out / "state" / "state.json").read_text() == before
    with pytest.raises(CampaignError, match=r"requirements was \['mw<600'\], and is now"):
        suggest(out, 1, requirements=["mw<500"])
    with pytest.raises(CampaignError, match="molae suggest and molae tell"):
        optimize(out, resume=True)
    other = tmp_path / "other"
    optimize(other, "heavy_atoms", calls=2, batch=2, strategy="sampling", model=tiny)
    with pytest.raises(CampaignError, match=r"has an oracle.*--start"):
        suggest(other, 1)
    with pytest.raises(CampaignError, match="has an oracle"):
        tell(other, results)
    _, found = suggest(tmp_path / "third", 1, model=tiny, start=other / "evaluations.csv")
    assert len(found) == 1
