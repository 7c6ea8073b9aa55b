import math

import numpy as np
import pytest
from rdkit import Chem

from molae.chem.molecules import read
from molae.chem.properties import CONVENTIONS, TABLE, Sheet, longest_cycle, score
from molae.names import PROPERTIES

LONG = "ClC1=CC=C2C(C=C(C(C)=O)C(C(NC3=CC(NC(NC4=CC(C5=C(C)C=CC=C5)=CC=C4)=O)=CC=C3)=O)=C2)=C1"
MOLECULES = [LONG, "CCO", "C1CC2CCC1C2", "c1ccc2c(c1)C1CCC2C1", "C1CCCCCCCCC1", "[Na+].[Cl-]"]
# Fused and bridged systems, in which the cycle basis depends on the order of the atoms.
CAGES = [
    "C1C2CC3CC1CC(C2)C3",
    "C12C3C4C1C5C2C3C45",
    "c1ccc2c3c(cccc13)C=C2",
    "C1CC2CCC1C2.C1CCCCCCC1",
    "c1cc2cc3ccc(cc4ccc(cc5ccc(cc1n2)[nH]5)n4)[nH]3",
]


def test_the_names_are_those_that_people_type():
    assert list(TABLE) == list(PROPERTIES)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        (
            "CCO",
            {
                "mw": 46.069, "hbd": 1, "hba": 1, "tpsa": 20.23, "heavy_atoms": 3, "rings": 0,
                "largest_ring": 0, "aromatic_rings": 0, "fsp3": 1, "charge": 0,
                "rotatable_bonds": 0, "stereocentres": 0,
            },
        ),
        (
            "C[C@H](N)c1ccc2ccccc2c1",
            {"rings": 2, "aromatic_rings": 2, "stereocentres": 1, "fsp3": 1 / 6},
        ),
        ("CC(N)C1CCCCCC1", {"stereocentres": 1, "largest_ring": 7, "aromatic_rings": 0}),
        ("[NH3+]CC(=O)[O-].[Na+]", {"charge": 1, "heavy_atoms": 6}),
        ("C", {"plogp": None}),
    ],
)  # fmt: skip
def test_counted_by_hand(smiles, expected):
    sheet = Sheet(read(smiles))
    for name, value in expected.items():
        if value is not None:
            assert sheet[name] == pytest.approx(value, abs=1e-3), name
        assert math.isfinite(sheet[name])


@pytest.mark.parametrize("smiles", MOLECULES)
def test_ranges(smiles):
    sheet = Sheet(read(smiles))
    assert 0 <= sheet["qed"] <= 1
    assert 1 <= sheet["sa"] <= 10
    assert -6 < sheet["np"] < 6
    assert sheet["aromatic_rings"] <= sheet["rings"]


def test_published_penalised_logp():
    sheet = Sheet(read(LONG))
    assert sheet["plogp"] == pytest.approx(5.3004, abs=1e-4)
    assert sheet["plogp_b"] == pytest.approx(5.3019, abs=1e-4)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_penalised_logp_is_its_definition(name):
    (ml, sl), (ms, ss), (mc, sc) = CONVENTIONS[name]
    for smiles, excess in [("CCO", 0), ("C1CCCCC1", 0), ("C1CCCCCCCCC1", 4)]:
        sheet = Sheet(read(smiles))
        by_hand = (sheet["logp"] - ml) / sl + (-sheet["sa"] - ms) / ss + (-excess - mc) / sc
        assert sheet[name] == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("smiles", "atoms"),
    [("CCO", 0), ("C1CC1", 3), ("c1ccccc1", 6), ("C1CCCCCCC1.C1CC1", 8), ("C1CC1CC1CCCC1", 5)],
)
def test_longest_cycle_of_separate_rings(smiles, atoms):
    assert longest_cycle(read(smiles)) == atoms


@pytest.mark.parametrize("smiles", CAGES + MOLECULES)
def test_scores_do_not_depend_on_spelling(smiles):
    texts = [smiles, *Chem.MolToRandomSmilesVect(read(smiles), 20, randomSeed=3)]
    assert len({longest_cycle(read(text)) for text in texts}) == 1
    scores = score(texts, ["plogp", "largest_ring", "mw"])
    for values in scores.values():
        np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_a_sheet_computes_once_and_only_what_is_asked():
    sheet = Sheet(read("CCO"))
    assert len(sheet) == 0
    assert sheet["plogp"] == sheet["plogp"]
    assert set(sheet) == {"plogp", "logp", "sa"}
    with pytest.raises(ValueError, match="did you mean 'qed'"):
        sheet["qedd"]


def test_score_marks_what_cannot_be_read():
    table = score(["CCO", "C1CC", "", "C"], ["mw", "qed"])
    assert list(table) == ["mw", "qed"]
    for values in table.values():
        assert values.shape == (4,)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(np.isnan(values), [False, True, True, False])


def test_score_of_nothing():
    assert score([], ["mw"])["mw"].shape == (0,)
    assert score(["C"], []) == {}


def test_score_does_not_depend_on_workers():
    items = [*MOLECULES, "bad"] * 200
    names = ["mw", "tpsa", "rings"]
    one, two = score(items, names), score(items, names, workers=2)
    for name in names:
        np.testing.assert_array_equal(one[name], two[name])


def test_unknown_property(capfd):
    with pytest.raises(ValueError, match=r"unknown property 'sas'.*'sa'"):
        score(["C"], ["mw", "sas"])
    score(["CCO"], ["np", "sa"])
    assert capfd.readouterr().err == ""
