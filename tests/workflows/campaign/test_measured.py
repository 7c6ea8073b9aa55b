"""Measured values out of tables as laboratories write them."""

from __future__ import annotations

import csv

import pytest

from molae.datasets.files import DataError
from molae.workflows.campaign.measured import SCORE_NAMES, chosen, number, read_measured


@pytest.fixture
def table(tmp_path):
    def write(text, name="results.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def read(path, **options):
    return read_measured(path, workers=1, **options)


def test_values_by_molecule(table):
    found = read(table("id,score,SMILES\n1,0.5,OCC\n2,,CCN\n3,1.5,CCO\n4,-2e1,c1ccccc1\n"))
    assert found.values == {"CCO": [0.5, 1.5], "c1ccccc1": [-20.0]}
    assert (found.column, found.unmeasured, found.rejected) == ("score", 1, 0)


def test_what_cannot_be_used(table, tmp_path):
    text = "smiles;score\nCCO;n.d.\nC1CC(;1\nCCN;1,5\nCC;inf\nCCC;nan\nCCF;1_0\nCCCl;2\n"
    found = read(table(text), rejects=tmp_path / "bad.csv")
    assert found.values == {"CCCl": [2.0]}
    assert found.rejected == 6
    assert sum(found.reasons.values()) == 6
    assert [bad.line for bad in found.first] == [2, 3, 4, 5, 6]
    assert found.first[0].reason == "no finite number: 'n.d.'"
    assert found.first[1].reason.startswith("syntax")
    assert found.first[2].reason.endswith("write 1.5")
    rows = list(csv.DictReader((tmp_path / "bad.csv").open(newline="")))
    assert [(row["line"], row["text"]) for row in rows][-1] == ("7", "CCF")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), (" -1.5e3 ", -1500.0), ("", None), ("  ", None)],
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["a", "1_000", "nan", "-inf", "1,2,3", "<5", "5 nM", "0x1"])
def test_no_numbers(text):
    assert number(text).startswith("no finite number")


def test_columns(table):
    path = table("Smiles,pIC50,target,n\nCCO,7,1,2\n")
    assert read(path).values == {"CCO": [1.0]}  # what is called as such columns are
    assert read(path, value="pic50").values == {"CCO": [7.0]}
    with pytest.raises(DataError, match=r"no column 'pKi'.*'pIC50'"):
        read(path, value="pKi")
    assert read(path, names=SCORE_NAMES, needed=False).values == {"CCO": []}
    bare = table("smiles,pIC50\nCCO,7\n")
    with pytest.raises(DataError, match=r"looks like measured values.*pIC50.*--value NAME"):
        read(bare)
    assert read(bare, needed=False).values == {"CCO": []}
    listed = table("CCO one\nOCC\nCCN\n", "list.smi")
    assert read(listed, needed=False).values == {"CCO": [], "CCN": []}
    with pytest.raises(DataError, match="no columns but that of the molecules"):
        read(listed)


def test_expressions(table):
    path = table("smiles,score\n1 / x,0.5\nx,1\n")
    assert read(path, molecules=False).values == {"1 / x": [0.5], "x": [1.0]}
    listed = table("1 / x\nx\n", "list.txt")
    assert read(listed, molecules=False, needed=False).values == {"1 / x": [], "x": []}


def test_choice_of_a_start():
    values = {str(n): float(n % 50) for n in range(100)}
    assert list(chosen(values, 100, 0)) == list(values)
    taken = list(chosen(values, 20, 0))
    assert len(set(taken)) == 20
    assert {"48", "49", "98", "99"} <= set(taken)  # a fifth are the best
    assert taken == sorted(taken, key=int)
    assert {"0", "1", "50", "51"} <= set(chosen(values, 20, 0, minimize=True))
    assert list(chosen(values, 20, 0)) == taken != list(chosen(values, 20, 1))
    assert len(list(chosen(dict.fromkeys(values), 20, 0))) == 20
