"""Files of generated molecules beside a reference, whatever is wrong with them."""

from __future__ import annotations

import csv
import json

import pytest

from molae.datasets.files import DataError
from molae.names import METRICS
from molae.workflows.evaluate import Yardstick, evaluate_file, evaluate_molecules
from molae.workflows.report import check_report, write_report

QUIET = {"workers": 1, "progress": False}


@pytest.fixture
def files(tmp_path, smiles):
    """Generated molecules with bad lines among them, a reference and a training set."""
    lines = {
        "generated": [*smiles[:40], "C1CC", "not-a-molecule", smiles[0]],
        "reference": [*smiles[100:160], "C1CC("],
        "train": [*smiles[:20], "N(C)(C)(C)(C)C"],
    }
    for name, texts in lines.items():
        (tmp_path / f"{name}.smi").write_text("".join(f"{text}\n" for text in texts))
    return {name: tmp_path / f"{name}.smi" for name in lines}


def test_files(files):
    found = evaluate_file(*files.values(), **QUIET)
    values = found.comparison.values
    assert values["validity"] == pytest.approx(41 / 43)
    assert values["uniqueness"] == pytest.approx(40 / 41)
    assert values["novelty"] == pytest.approx(20 / 40)
    assert (found.generated.total, found.generated.valid) == (43, 41)
    assert found.generated.reasons == {"syntax": 2}
    assert (found.reference.total, found.reference.valid) == (61, 60)
    assert found.train is not None
    assert (found.train.total, found.train.valid) == (21, 20)
    assert [row["metric"] for row in found.rows()] == list(METRICS)


def test_lists_give_the_same(files, smiles):
    flat = evaluate_molecules(
        [*smiles[:40], None, None, smiles[0]], smiles[100:160], smiles[:20], **QUIET
    )
    found = evaluate_file(*files.values(), **QUIET).comparison
    for name in METRICS:
        assert flat[name] == found.values[name], name
    assert flat["reference_filters"] == found.reference["filters"]
    assert flat["reference_validity"] == 1


def test_one_reference_for_several_sets(smiles):
    ruler = Yardstick(smiles[100:160], **QUIET)
    for texts in (smiles[:30], smiles[30:60]):
        one = ruler.measure(ruler.look(texts)).flat()
        assert one == evaluate_molecules(texts, smiles[100:160], **QUIET)


def test_an_empty_cell_is_an_invalid_draw(tmp_path, files):
    (tmp_path / "drawn.csv").write_text("index,smiles\n1,CCO\n2,\n3,CCN\n4,C1CC\n")
    found = evaluate_file(tmp_path / "drawn.csv", files["reference"], **QUIET)
    assert found.comparison.values["validity"] == pytest.approx(2 / 4)
    assert found.generated.reasons == {"no SMILES": 1, "syntax": 1}
    assert found.train is None


def test_columns(tmp_path, files):
    """A column is of the generated file, and of the others where they have one of that name."""
    table = "mine,SMILES\nCCO,CCCC\nCCN,CCCCC\n"
    (tmp_path / "drawn.csv").write_text(table)
    (tmp_path / "held.csv").write_text(table)
    read = {"column": "mine", **QUIET}
    found = evaluate_file(tmp_path / "drawn.csv", tmp_path / "held.csv", files["train"], **read)
    assert found.profiles[0].smiles == found.profiles[1].smiles == ["CCO", "CCN"]
    other = evaluate_file(tmp_path / "drawn.csv", files["reference"], **read)
    assert other.reference.valid == 60
    numbered = evaluate_file(tmp_path / "drawn.csv", tmp_path / "held.csv", column="1", **QUIET)
    assert [one.smiles[0] for one in numbered.profiles] == ["CCO", "CCCC"]
    with pytest.raises(DataError, match=r"drawn\.csv: there is no column 'yours'.*'mine'"):
        evaluate_file(tmp_path / "drawn.csv", files["reference"], column="yours", **QUIET)


@pytest.mark.parametrize("name", ["generated", "reference", "train"])
def test_empty_and_missing_files_are_named(files, name):
    files[name].write_text("\n\n")
    with pytest.raises(DataError, match=rf"{name}\.smi: there is nothing in it"):
        evaluate_file(*files.values(), **QUIET)
    files[name].unlink()
    with pytest.raises(DataError, match=rf"{name}\.smi: there is no such file"):
        evaluate_file(*files.values(), **QUIET)


@pytest.mark.parametrize("name", ["reference", "train"])
def test_a_file_without_molecules_is_named(files, name):
    files[name].write_text("C1CC\nC1CC(\n")
    with pytest.raises(DataError, match=rf"{name}\.smi: none of its 2 records is a molecule"):
        evaluate_file(*files.values(), **QUIET)


def test_generated_without_molecules_is_a_result(files):
    files["generated"].write_text("C1CC\n")
    found = evaluate_file(*files.values(), **QUIET)
    assert found.comparison.values["validity"] == 0
    assert found.comparison.values["snn"] is None


def test_reports(files, tmp_path):
    found = evaluate_file(*files.values(), **QUIET)
    write_report(found, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert list(told["metrics"]) == list(METRICS)
    assert told["metrics"]["validity"]["value"] == pytest.approx(41 / 43)
    assert told["metrics"]["unique_1k"]["value"] is None
    assert "at least 900" in told["metrics"]["unique_1k"]["note"]
    assert told["files"]["generated"]["reasons"] == {"syntax": 2}
    write_report(found, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", encoding="utf-8", newline="") as stream:
        rows = {row["metric"]: row for row in csv.DictReader(stream)}
    assert list(rows) == list(METRICS)
    assert float(rows["filters"]["reference"]) == found.comparison.reference["filters"]
    assert rows["unique_1k"]["value"] == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [("report.txt", "use .json or .csv"), ("report.html", "-m RUN"), ("no/report.csv", "Make it")],
)
def test_places_that_cannot_be(tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        check_report(tmp_path / name, of_model=False)
