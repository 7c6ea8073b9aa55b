import math

import pytest

from molae import names
from molae.chem import terms
from molae.chem.fingerprints import morgan, tanimoto
from molae.chem.molecules import read
from molae.chem.properties import Sheet
from molae.chem.terms import MOST_HITS, Hits, measure, referred


def test_the_names_are_those_that_people_type():
    assert list(terms.TABLE) == list(names.REFERENCES)
    with pytest.raises(ValueError, match="did you mean 'smarts'"):
        referred("smart", "C")


@pytest.mark.parametrize(
    ("smarts", "smiles", "count"),
    [
        ("[#7]", "CCO", 0),
        ("c1ccccc1", "c1ccc(cc1)-c1ccccc1", 2),  # each ring once, not in all its numberings
        ("C(=O)O", "CC(=O)OC(=O)C", 2),
        ("[C@H](N)(C)C(=O)O", "C[C@@H](N)C(=O)O", 0),
        ("[C@@H](N)(C)C(=O)O", "C[C@@H](N)C(=O)O", 1),
        ("C", "C" * (MOST_HITS + 5), MOST_HITS),
    ],
)
def test_hits_are_counted(smarts, smiles, count):
    assert referred("smarts", smarts)(Sheet(read(smiles))) == count


def test_similarity_is_that_of_counts():
    pair = ["CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1O"]
    folded = tanimoto(*(morgan([text], size=1 << 16, counts=True) for text in pair))
    value = referred("similarity", pair[1])(Sheet(read(pair[0])))
    assert value == pytest.approx(float(folded[0, 0]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "reference", "problem"),
    [
        ("similarity", "C1CC", "syntax"),
        ("similarity", "", "empty"),
        ("smarts", "[#6", "not a SMARTS pattern"),
        ("isomer", "C9Q", "there is no element Q"),
    ],
)
def test_references_that_cannot_be_read(name, reference, problem):
    with pytest.raises(ValueError, match=problem):
        referred(name, reference)


def test_measure_goes_on_after_a_failure():
    def broken(sheet):
        raise RuntimeError("no")

    sheet = Sheet(read("CCO"))
    wanted = {"nan": lambda sheet: math.nan, "broken": broken, "hits": Hits("[#8]")}
    values, problem = measure(sheet, wanted)
    assert values["hits"] == 1
    assert math.isnan(values["nan"])
    assert math.isnan(values["broken"])
    assert problem == "nan is nan"
    assert measure(sheet, {"broken": broken})[1] == "broken: RuntimeError: no"
    assert measure(sheet, {"hits": Hits("[#8]")}) == ({"hits": 1.0}, None)


def test_rdkit_is_quiet(capfd):
    measure(Sheet(read("CCO")), {"sa": lambda sheet: sheet["sa"]})
    assert capfd.readouterr().err == ""
