import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from molae.chem.formula import Isomer, MolecularFormulaError, atom_counts, parse_formula
from molae.chem.molecules import read
from molae.chem.properties import Sheet


def score(formula, smiles):
    return Isomer(formula)(Sheet(read(smiles)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C11H24", {"C": 11, "H": 24}),
        ("C9H10N2O2PF2Cl", {"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
        (" CH3CH2OH ", {"C": 2, "H": 6, "O": 1}),
        ("C6F6H0", {"C": 6, "F": 6, "H": 0}),
    ],
)
def test_formulas_are_read(text, expected):
    assert parse_formula(text) == expected


@pytest.mark.parametrize(
    ("text", "problem", "column"),
    [
        ("", "empty", 0),
        ("C2h6", "there is no element Ch|expected an element", 2),
        ("C2H6+", "expected an element", 4),
        ("Xy3", "there is no element Xy", 0),
        ("C2(OH)2", "expected an element", 2),
        ("6C", "expected an element", 0),
        ("C99999", "expected an element", 5),
    ],
)
def test_errors_point_at_the_place(text, problem, column):
    with pytest.raises(MolecularFormulaError, match=problem) as error:
        parse_formula(text)
    assert error.value.column == column
    assert f"\n  {' ' * column}^\n" in str(error.value)
    with pytest.raises(ValueError, match="not a molecular formula"):
        Isomer(text)


@pytest.mark.parametrize(
    "smiles",
    ["CCO", "c1ccccc1[N+](=O)[O-]", "[2H]C([2H])Cl", "[H][H]", "[Na+].[Cl-].O", "*CC", "F"],
)
def test_all_atoms_are_counted(smiles):
    mol = read(smiles)
    full = [atom.GetSymbol() for atom in Chem.AddHs(mol).GetAtoms()]
    assert {s: n for s, n in atom_counts(mol).items() if n} == {s: full.count(s) for s in full}


pieces = st.sampled_from(["C", "N", "O", "C(F)", "C(=O)", "c1ccccc1", "C1CC1", "C(Cl)", "S"])
molecules = st.lists(pieces, min_size=1, max_size=8).map("".join).map(lambda chain: f"C{chain}C")


@given(molecules)
def test_isomers_score_one(smiles):
    formula = rdMolDescriptors.CalcMolFormula(read(smiles))
    assert score(formula, smiles) == 1
    assert score(formula, smiles + "C") < 1  # CH2 more
    assert 0 <= score("C11H24", smiles) <= 1


ONE = math.exp(-0.5)  # of an element with one atom more or less


@pytest.mark.parametrize(
    ("formula", "smiles", "expected"),
    [
        ("C11H24", "CCCCCCCCCCC", 1),
        ("C11H24", "CC(CCC)CCCCCC", 1),
        # One atom more, of an element that the formula has not: half a sigma of the total.
        ("C11H24", "CCCCCCCCCCCO", math.exp(-1 / 8) ** (1 / 3)),
        ("C12H24", "CCCCCCCCOCCC", ONE ** (1 / 3)),
        # Carbon 1 off, hydrogen 2 off, 3 atoms too many in all.
        ("C2H6", "CCC", (ONE * ONE**4 * math.exp(-9 / 8)) ** (1 / 3)),
        ("HF", "F", 1),
    ],
)
def test_by_hand(formula, smiles, expected):
    assert score(formula, smiles) == pytest.approx(expected, rel=1e-12)


def test_terms_are_those_of_the_formula():
    isomer = Isomer("CH4O")
    assert [symbol for symbol, _ in isomer.elements] == ["C", "H", "O"]
    assert isomer.terms(Sheet(read("CN"))) == pytest.approx([1, ONE, ONE, math.exp(-1 / 8)])
    assert re.fullmatch(r"Isomer\(formula='CH4O'\)", repr(isomer))
    assert isomer == Isomer("CH4O") != Isomer("CH4S")
