"""Campaigns as a whole: what is asked for, what is refused, what goes on."""

from __future__ import annotations

import csv
import json
import re

import pytest

from molae.datasets.files import DataError
from molae.oracles import oracle
from molae.runs import Run
from molae.runs.folder import RunError
from molae.workflows.campaign.folder import CampaignError
from molae.workflows.optimize import optimize, suggest
from molae.workflows.train import train

FAST = {"strategy": "sampling", "model": "tiny", "batch": 4, "calls": 8}


def rows(folder, name="evaluations.csv"):
    return list(csv.DictReader((folder / name).open(newline="")))


@pytest.fixture(scope="module")
def expressions(tmp_path_factory, small):
    """A model of arithmetic expressions, trained for a moment."""
    folder = tmp_path_factory.mktemp("expressions")
    parts = ["x", "1", "2", "3", "sin(x)", "x*x", "exp(x)", "sin(3)"]
    lines = [f"{a}{op}{b}" for a in parts for b in parts for op in "+*/"]
    (folder / "data.txt").write_text("\n".join(lines) + "\n")
    return train(folder / "data.txt", folder / "run", steps=200, grammar="equation", **small)


def test_everything_is_written(tmp_path):
    out = tmp_path / "out"
    said = []
    done = optimize(
        out, "qed - 0.1*sa", requirements=["mw<450"], minimize=False, model="tiny", calls=14,
        batch=7, seed=2, say=said.append, typed="molae optimize <b>",
    )  # fmt: skip
    table = rows(out)
    assert list(table[0]) == ["call", "smiles", "score", "qed", "sa", "mw", "error"]
    assert [int(row["call"]) for row in table] == list(range(1, 15))
    for row in table:
        if row["score"]:
            value = float(row["qed"]) - 0.1 * float(row["sa"])
            assert float(row["score"]) == pytest.approx(value)
            assert float(row["mw"]) < 450
        else:
            assert row["error"] == "requirement mw<450 is not met"
    best = max((float(row["score"]), row["smiles"]) for row in table if row["score"])
    assert (out / "best.smi").read_text().split()[:2] == [best[1], str(best[0])]
    assert (out / "best.png").read_bytes()[:4] == b"\x89PNG"
    page = (out / "report.html").read_text()
    assert "molae optimize &lt;b&gt;" in page
    assert "Where the time went" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)  # nothing from elsewhere
    assert done.ended == "all calls are made"
    known = json.loads((out / "campaign.json").read_text())
    assert known["model"] == "tiny"
    assert known["requirements"] == ["mw<450"]


def test_same_seed_same_campaign(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        optimize(tmp_path / name, "qed", seed=seed, **FAST)
    a, b, c = ((tmp_path / name / "evaluations.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_going_on(tmp_path):
    out = tmp_path / "out"
    optimize(out, "qed", **FAST)
    with pytest.raises(CampaignError, match="go on with it by --resume"):
        optimize(out, "qed", **FAST)
    for other, told in (
        ({"oracle": "logp"}, "oracle was 'qed', and is now 'logp'"),
        ({"seed": 1}, "seed was 0, and is now 1"),
        ({"model": "zinc"}, "model was 'tiny'"),
    ):
        with pytest.raises(CampaignError, match=told):
            optimize(out, resume=True, **other)
    first = rows(out)
    assert len(optimize(out, "qed", **FAST, resume=True).evaluations) == 8
    more = optimize(out, resume=True, calls=12)
    assert len(more.evaluations) == 12
    assert rows(out)[:8] == first
    assert json.loads((out / "campaign.json").read_text())["calls"] == 12
    optimize(tmp_path / "whole", "qed", **{**FAST, "calls": 12})
    assert rows(tmp_path / "whole") == rows(out)
    with pytest.raises(ValueError, match="12 calls were made already"):
        optimize(out, resume=True, calls=5)
    with pytest.raises(CampaignError, match="holds no campaign"):
        optimize(tmp_path / "none", resume=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"oracle": "qued"}, "qed"),
        ({"oracle": None}, "expected an oracle or a command"),
        ({"oracle": "qed", "strategy": "latnt"}, "did you mean 'latent'"),
        ({"oracle": "qed", "retrain": "every=0"}, "every is 0"),
        ({"oracle": "qed", "retrain": "every=5", "strategy": "genetic"}, "goes with the strategy"),
        ({"oracle": "qed", "baselines": ["nothing"]}, "unknown strategy"),
        ({"oracle": "qed", "batch": 0}, "batch is 0"),
        ({"oracle": "math:fsum", "timeout": 60.0}, "timeout is for programs"),
        ({"oracle": "qed", "retries": 0}, "retries is for programs"),
        ({"oracle": "qed", "oracle_batch": 5}, "and the oracle qed is neither"),
        ({"command": "echo {smiles}", "oracle_batch": 5}, "and the oracle echo"),
        ({"oracle": "qed", "filters": ["pain"]}, "did you mean 'pains'"),
        ({"oracle": "equation"}, "scores expressions, and this model writes molecules"),
        ({"oracle": "qed", "density": "flow"}, "flow"),
        ({"oracle": "qed", "start": "nowhere.smi"}, "no such file"),
        ({"oracle": "qed", "start": []}, "nothing in"),
        ({"oracle": "qed", "model": "nowhere"}, "there is no run"),
    ],
)
def test_what_makes_no_sense(tmp_path, options, told):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=told):
        optimize(out, **{"model": "tiny", **options})
    assert not out.exists()


def test_a_start(tmp_path):
    texts = ["OCC", "c1ccccc1", "CCCCC", "CCN"]
    listed = tmp_path / "list.smi"
    listed.write_text("\n".join([*texts, "C1CC("]) + "\n")
    counted, free, known = (tmp_path / name for name in ("counted", "free", "known"))
    said = []
    optimize(counted, "heavy_atoms", start=listed, say=said.append, **FAST)
    assert [row["smiles"] for row in rows(counted)][:4] == ["CCO", *texts[1:]]
    assert "1 rows were left out: 1 syntax" in said[0]
    assert len(said) == 1
    done = optimize(free, "heavy_atoms", start=listed, start_free=True, **FAST)
    assert not {"CCO", *texts} & {row["smiles"] for row in rows(free)}
    assert done.record.given == [3.0, 6.0, 5.0, 3.0]
    assert [row["score"] for row in rows(free, "start.csv")] == ["3.0", "6.0", "5.0", "3.0"]
    table = tmp_path / "scored.csv"
    table.write_text("name,smi,score\na,OCC,1\nb,CCO,3\nc,CCCC,7\n")
    done = optimize(known, "heavy_atoms", start=table, say=said.append, **FAST)
    assert said[-1].endswith("column 'score' is taken as the score of 2 texts.")
    assert done.record.given == [2.0, 7.0]  # what is said, replicates averaged
    few = {**FAST, "calls": 2}
    optimize(tmp_path / "few", "qed", start=listed, start_limit=2, say=said.append, **few)
    assert "2 texts to start from have no score and are a call each, of 2" in said[-1]
    assert {row["smiles"] for row in rows(tmp_path / "few")} < {"CCO", *texts}


def test_another_column_is_no_score(tmp_path):
    table = tmp_path / "act.csv"
    table.write_text("smiles,activity,value\nCCO,1000,1\nCCN,2000,2\n")
    said = []
    options = {**FAST, "calls": 2, "start": table, "say": said.append}
    done = optimize(tmp_path / "out", "qed", **options)
    assert done.record.given == []
    assert [row["score"] for row in rows(tmp_path / "out", "start.csv")] == ["", ""]
    assert 0 < float(rows(tmp_path / "out")[0]["score"]) < 1
    assert "no column is taken as the score (--start-score NAME)" in said[0]
    assert "'activity', 'value'" in said[0]
    done = optimize(tmp_path / "named", "qed", start_value="activity", **options)
    assert done.record.given == [1000.0, 2000.0]
    assert said[-1] == f"{table}: column 'activity' is taken as the score of 2 texts."
    _, found = suggest(
        tmp_path / "lab", 1, start=table, model="tiny", strategy="sampling", say=said.append
    )
    assert len(found) == 1
    assert said[-1] == f"{table}: column 'value' is taken as the score of 2 texts."


def test_the_best_of_a_start_that_is_too_large(tmp_path):
    texts = ["C" * n for n in range(1, 30)]
    said = []
    few = {**FAST, "start": texts, "start_limit": 10, "start_free": True, "say": said.append}
    done = optimize(tmp_path / "out", "heavy_atoms", **few)
    assert len(done.record.given) == 10
    assert {29.0, 28.0} <= set(done.record.given)  # a fifth
    assert min(done.record.given) < 20
    assert said[0] == "29 texts to start from are scored, to take the best of them."
    assert said[1].endswith("(--start-limit): the best and a random sample.")
    assert done.ledger.counts.calls == 8
    low = optimize(tmp_path / "low", "heavy_atoms", minimize=True, **few)
    assert {1.0, 2.0} <= set(low.record.given)
    said.clear()
    seen = []
    mine = optimize(tmp_path / "mine", lambda texts: [seen.append(t) or 1.0 for t in texts], **few)
    assert len(mine.record.given) == 10  # somebody's own may be dear
    assert len(seen) == 18
    assert said == [
        "10 of 29 texts to start from are used (--start-limit): a random sample, as none has a "
        "score."
    ]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"start": "training"}, "name a file with --start FILE"),
        ({"strategy": "screening"}, "name a file with --library FILE"),
        ({"baselines": ["screening"]}, "name a file with --library FILE"),
    ],
)
def test_training_data_that_is_not_there(tmp_path, options, remedy):
    with pytest.raises(RunError, match=rf"zinc\.smi\.gz, is not found here: {remedy}"):
        optimize(tmp_path / "out", "qed", **{**FAST, "model": "zinc", **options})
    assert not (tmp_path / "out").exists()  # no call was made first
    with pytest.raises(RunError, match="choose another --strategy"):
        suggest(tmp_path / "out", model="zinc", strategy="screening")


def test_a_library_that_is_not_there(tmp_path):
    options = {**FAST, "library": tmp_path / "none.smi", "baselines": ["screening"]}
    with pytest.raises(DataError, match="no such file"):
        optimize(tmp_path / "out", "qed", **options)
    assert not (tmp_path / "out").exists()


def test_the_best_of_the_start_is_not_a_find(tmp_path):
    (tmp_path / "scored.csv").write_text("smiles,score\nCCO,1e9\n")
    done = optimize(tmp_path / "out", "qed", start=tmp_path / "scored.csv", **FAST)
    assert done.record.best[0].answer.score < 1
    assert "best of 1 to start from" in (tmp_path / "out" / "report.html").read_text()


def test_baselines(tmp_path):
    out = tmp_path / "out"
    optimize(out, "qed", baselines=["screening"], library="training", **FAST)
    page = (out / "report.html").read_text()
    assert "screening" in page
    beside = rows(out / "baselines" / "screening")
    assert len(beside) == 8
    optimize(out, resume=True, baselines=["local"], calls=10)
    assert [len(rows(out / "baselines" / name)) for name in ("screening", "local")] == [10, 10]
    assert rows(out / "baselines" / "screening")[:8] == beside


def test_a_baseline_with_an_acquisition_of_its_own(tmp_path):
    """The one on fingerprints does not know thompson."""
    out, options = tmp_path / "out", {**FAST, "acquisition": "thompson"}
    optimize(out, "qed", baselines=["gp_genetic"], initial=8, **options)
    assert len(rows(out / "baselines" / "gp_genetic")) == 8
    kept = json.loads((out / "baselines" / "gp_genetic" / "campaign.json").read_text())
    assert kept["acquisition"] is None
    optimize(out, resume=True)
    with pytest.raises(ValueError, match="acquisition of 'gp_genetic' 'thompson'"):
        optimize(tmp_path / "b", "qed", strategy="gp_genetic", acquisition="thompson")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"baselines": ["gp_genetic"], "requirements": ["heavy_atoms<1"]}, "no molecule meets"),
        ({"baselines": ["local"], "initial": 0}, "initial is 0"),
    ],
)
def test_baselines_that_cannot_be_made_are_refused_first(tmp_path, options, said):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=said):
        optimize(out, "qed", **FAST, **options)
    assert not out.exists()
    del options["baselines"]
    optimize(out, "qed", **FAST, **options)
    with pytest.raises(ValueError, match=said):
        optimize(out, resume=True, baselines=["genetic"])
    optimize(out, resume=True)  # the folder does not know of it


def test_retraining_goes_on_where_it_was(tmp_path, smiles):
    listed = tmp_path / "start.csv"
    listed.write_text("smiles,score\n" + "".join(f"{t},{t.count('N')}\n" for t in smiles[:30]))
    options = {"model": "tiny", "batch": 3, "start": listed, "retrain": "every=6,epochs=0.3"}
    for calls in (6, 12):
        cut = optimize(tmp_path / "cut", "mw", calls=calls, resume=calls > 6, **options)
    whole = optimize(tmp_path / "whole", "mw", calls=12, **options)
    assert cut.strategy.retrainer.retrained == whole.strategy.retrainer.retrained == 2
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert whole.seconds["retrain"] > 0
    plain = {**options, "retrain": None}
    optimize(tmp_path / "plain", "mw", calls=3, **plain)
    assert rows(tmp_path / "plain") != rows(tmp_path / "whole")[:3]


def test_molecules_without_a_model(tmp_path):
    (tmp_path / "library.smi").write_text("\n".join("C" * n for n in range(1, 30)) + "\n")
    out = tmp_path / "out"
    library = tmp_path / "library.smi"
    optimize(out, "heavy_atoms", strategy="genetic", library=library, calls=12, batch=6)
    assert json.loads((out / "campaign.json").read_text())["model"] is None
    assert len(rows(out)) == 12


def test_genetic_begins_with_the_start(tmp_path):
    """Without a model, and within the size that is required."""
    out, start = tmp_path / "out", ["NCCO", "c1ccccc1CC", "CCCCC"]
    options = {"strategy": "genetic", "requirements": ["heavy_atoms<=9"], "batch": 4}
    optimize(out, "heavy_atoms", start=start, calls=15, **options)
    table = rows(out)
    assert json.loads((out / "campaign.json").read_text())["model"] is None
    assert [row["smiles"] for row in table][:3] == ["NCCO", "CCc1ccccc1", "CCCCC"]
    assert len(table) == 15
    assert not any(row["error"] for row in table)  # nothing larger was proposed
    nothing = optimize(tmp_path / "no", "1/rings", start=["CC", "CCC"], calls=9, **options)
    assert nothing.ended.startswith("nothing new was proposed")  # no parent has a score
    with pytest.raises(ValueError, match="no molecule meets heavy_atoms<3, heavy_atoms>5"):
        optimize(
            tmp_path / "none", "qed", start=start, strategy="gp_genetic",
            requirements=["heavy_atoms<3,heavy_atoms>5"],
        )  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_filters_beside_requirements(tmp_path):
    texts = ["CCO", "CC=O", "CCCCCCCCCC", "C1=CC(=O)C=CC1=O"]
    demands = {"requirements": ["mw<140"], "filters": ["brenk", "pains"]}
    done = optimize(tmp_path / "out", "qed", start=texts, **demands, **{**FAST, "calls": 4})
    table = rows(tmp_path / "out")
    assert list(table[0])[2:] == ["score", "qed", "mw", "filter_brenk", "filter_pains", "error"]
    assert [row["error"] for row in table] == [
        "",
        "filter brenk: aldehyde",
        "requirement mw<140 is not met",
        "filter brenk: chinone_1",
    ]
    assert [row["filter_brenk"] for row in table] == ["1.0", "0.0", "0.0", "0.0"]
    assert table[3]["filter_pains"] == "0.0"
    assert done.record.counts["failures"] == 3
    assert "filters: brenk, pains" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(CampaignError, match=r"filters was \['brenk', 'pains'\]"):
        optimize(tmp_path / "out", resume=True, filters=["nih"])


def test_a_campaign_of_an_older_molae_goes_on(tmp_path):
    optimize(tmp_path / "out", "qed", **FAST)
    place = tmp_path / "out" / "campaign.json"
    known = json.loads(place.read_text())
    del known["filters"]
    place.write_text(json.dumps(known))
    assert len(optimize(tmp_path / "out", resume=True, calls=10).evaluations) == 10


def test_an_oracle_from_python(tmp_path, tiny_run):
    scorer = oracle("rings")
    done = optimize(tmp_path / "out", scorer, **{**FAST, "model": tiny_run})
    assert done.ledger.oracle is scorer
    with pytest.raises(CampaignError, match="begun in Python with the oracle 'rings'"):
        optimize(tmp_path / "out", resume=True)
    again = optimize(tmp_path / "out", scorer, resume=True, calls=9)
    assert len(again.evaluations) == 9
    with pytest.raises(CampaignError, match="'qed'"):
        optimize(tmp_path / "out", oracle("qed"), resume=True)


def test_a_python_function(tmp_path):
    seen = []

    def score(texts):
        seen.extend(texts)
        if "CCN" in texts:
            raise ValueError("no nitrogen")
        return [{"score": len(text), "carbons": text.count("C")} for text in texts]

    out = tmp_path / "out"
    start = ["CCO", "CCN", "CCCCCCCCCCCCCCCC"]
    options = {**FAST, "cache": tmp_path / "cache.sqlite", "requirements": ["mw<200"]}
    optimize(out, score, start=start, **options)
    table = rows(out)
    assert list(table[0]) == ["call", "smiles", "score", "mw", "carbons", "error"]
    assert (table[0]["score"], table[0]["carbons"]) == ("3.0", "2.0")
    assert table[1]["error"] == "ValueError: no nitrogen"
    assert table[2]["error"] == "requirement mw<200 is not met"
    assert start[2] not in seen  # nobody asks about it
    with pytest.raises(CampaignError, match=r"begun in Python with the oracle '.*score'"):
        optimize(out, resume=True)
    assert len(optimize(out, score, resume=True, calls=10).evaluations) == 10
    many = optimize(tmp_path / "many", lambda texts: [1] * len(texts), workers=2, **options)
    assert {row["score"] for row in rows(tmp_path / "many")} <= {"1.0", ""}
    assert many.ledger.counts.cached == 0
    with pytest.raises(ValueError, match="the oracle is of type int"):
        optimize(tmp_path / "none", 5, **FAST)


@pytest.fixture
def tiny_run():
    return Run.load("tiny", "cpu")


def test_a_model_that_changed(tmp_path, tiny_run):
    saved = tiny_run.save(tmp_path / "run")
    optimize(tmp_path / "out", "qed", **{**FAST, "model": saved})
    weights = tiny_run.model.state_dict()
    next(iter(weights.values())).add_(1.0)
    tiny_run.save(saved)
    with pytest.raises(CampaignError, match="has changed since this campaign was begun"):
        optimize(tmp_path / "out", resume=True, calls=9)
    saved.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="the model of this campaign cannot be loaded"):
        optimize(tmp_path / "out", resume=True, calls=9)


def test_cache(tmp_path):
    (tmp_path / "count.py").write_text(
        "import pathlib\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        "def score(texts):\n"
        "    with log.open('a') as f: f.writelines(t + '\\n' for t in texts)\n"
        "    return [float(len(t)) for t in texts]\n"
    )
    scorer, cache = f"{tmp_path / 'count.py'}:score", tmp_path / "cache.sqlite"
    optimize(tmp_path / "a", scorer, cache=cache, **FAST)
    asked = (tmp_path / "log").read_text()
    assert len(asked.split()) == 8
    done = optimize(tmp_path / "b", scorer, cache=cache, **FAST)
    assert (tmp_path / "log").read_text() == asked
    assert (done.ledger.counts.calls, done.ledger.counts.cached) == (8, 8)


def test_a_program_is_given_a_batch_at_once(tmp_path):
    script = tmp_path / "score.sh"
    script.write_text(
        f"#!/bin/sh\nwhile read -r t; do echo 1; echo x >> {tmp_path}/$$; done\n"
        f"wc -l < {tmp_path}/$$ >> {tmp_path}/sizes\n"
    )
    script.chmod(0o755)
    out, wanted = tmp_path / "out", {"command": str(script), **FAST}
    optimize(out, requirements=["mw<9999"], **wanted)
    assert (tmp_path / "sizes").read_text().split() == ["4", "4"]
    optimize(out, resume=True, calls=12, oracle_batch=3)
    assert (tmp_path / "sizes").read_text().split()[2:] == ["3", "1"]
    optimize(out, resume=True, calls=16)  # as it was said last
    assert (tmp_path / "sizes").read_text().split()[4:] == ["3", "1"]


def test_what_failed_is_scored_when_that_is_mended(tmp_path):
    place, out = tmp_path / "mine.py", tmp_path / "out"
    place.write_text("def score(texts):\n    raise RuntimeError('no license')\n")
    settings = {"model": "tiny", "calls": 6, "batch": 3, "baselines": ["sampling"]}
    settings["cache"] = tmp_path / "cache.sqlite"
    done = optimize(out, f"{place}:score", **settings)
    assert done.ledger.counts.failures == 6
    assert done.strategy.optimizer.best is None
    place.write_text("def score(texts):\n    return [float(len(text)) for text in texts]\n")
    done = optimize(out, resume=True, retry_failed=True, cache=settings["cache"])
    for table in (rows(out), rows(out / "baselines" / "sampling")):
        assert [int(row["call"]) for row in table] == list(range(1, 7))
        assert all(float(row["score"]) == len(row["smiles"]) for row in table)
    assert done.ledger.counts.failures == 0
    # Each at the code it had: none is left there as a failure.
    lengths = sorted(float(len(row["smiles"])) for row in rows(out))
    assert sorted(done.strategy.optimizer._told.y.tolist()) == lengths
    assert "no license" not in (out / "report.html").read_text()


def test_expressions(tmp_path, expressions):
    out = tmp_path / "out"
    done = optimize(out, "equation", model=expressions, calls=12, batch=6)
    table = rows(out)
    assert list(table[0]) == ["call", "smiles", "score", "log1p_mse", "error"]
    assert len(table) == 12
    scored = [row for row in table if row["score"]]
    assert scored
    assert all(float(row["score"]) == -float(row["log1p_mse"]) for row in scored)
    assert done.record.best[0].text == (out / "best.smi").read_text().split()[0]
    assert not (out / "best.png").exists()
    assert (out / "trace.png").exists()
    for options, told in (
        ({"oracle": "qed"}, "writes none"),
        ({"oracle": "equation", "requirements": ["mw<5"]}, "requirements are of molecules"),
        ({"oracle": "equation", "filters": ["pains"]}, "filters are of molecules"),
        ({"oracle": "equation", "baselines": ["genetic"]}, "is of molecules"),
        ({"oracle": "equation", "strategy": "genetic"}, "is of molecules"),
    ):
        with pytest.raises(ValueError, match=told):
            optimize(tmp_path / "no", model=expressions, **options)
    again = optimize(out, resume=True, calls=14)
    assert len(again.evaluations) == 14
