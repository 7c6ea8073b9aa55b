"""Patterns: what they hit, and what is said of those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.chem.molecules import read
from molae.chem.substructure import SmartsError, first_missing, hits, misses_itself, pattern


@pytest.mark.parametrize(
    ("smiles", "smarts", "hit"),
    [
        ("c1ccccc1O", "c1ccccc1", True),
        ("C1=CC=CC=C1O", "c1ccccc1", True),  # read as the aromatic molecule that it is
        ("C1CCCCC1", "c1ccccc1", False),
        ("C1CCCCC1", "[#6]1[#6][#6][#6][#6][#6]1", True),
        ("CCN", "[NX3;H2][CX4]", True),
        ("CCNC", "[NX3;H2][CX4]", False),
        ("CC(=O)N", "[$(NC=O)]", True),
        ("C[C@H](N)O", "C[C@H](N)O", True),
        ("C[C@@H](N)O", "C[C@H](N)O", False),
        ("CC(N)O", "C[C@H](N)O", False),
        ("C[C@@H](N)O", "CC(N)O", True),
        ("F/C=C/F", "F/C=C/F", True),
        ("F/C=C\\F", "F/C=C/F", False),
        ("F/C=C\\F", "FC=CF", True),
        ("CC.O", "C.O", True),
        ("CCO", " CO ", True),
    ],
)
def test_hits(smiles, smarts, hit):
    assert hits(read(smiles), smarts) is hit


def test_first_missing():
    mol = read("c1ccncc1O")
    assert first_missing(mol, ["n", "[OH]", "S", "F"]) == "S"
    assert first_missing(mol, ["n", "[OH]"]) is None
    assert first_missing(mol, []) is None


@pytest.mark.parametrize(
    ("smarts", "missed"),
    [
        ("C1=CC=CC=C1", True),
        ("c1ccccc1", False),
        ("CCO", False),
        ("[NX3]", False),
        ("C1=CCC1", False),
    ],
)
def test_a_kekule_smiles_is_no_pattern_for_itself(smarts, missed):
    assert misses_itself(smarts) is missed


@pytest.mark.parametrize(
    ("smarts", "column", "problem"),
    [
        ("C1CC(", 4, "syntax error"),
        ("c1ccQcc1", 4, "syntax error"),
        ("C(C))C", 4, "syntax error"),
        ("[C&]", 3, "syntax error"),
        ("=C", 0, "syntax error"),
        ("CC>>CC", 2, "syntax error"),
        ("CC1CC", 2, "unclosed ring"),
        ("C1CC1C%12[C;R1]C", 6, "unclosed ring"),
        ("C12CC1", 2, "unclosed ring"),
        ("CC name", 2, "blank inside"),
        ("  ", None, "empty"),
        ("C" * 2001, None, "2001 characters"),
    ],
)
def test_errors_point_at_the_place(smarts, column, problem, capfd):
    with pytest.raises(SmartsError, match=problem) as error:
        pattern(smarts)
    assert error.value.column == column
    lines = str(error.value).splitlines()
    if column is not None:
        assert lines[1:3] == ["  " + smarts, " " * (2 + column) + "^"]
    assert capfd.readouterr() == ("", "")  # RDKit keeps quiet


def test_logs_go_where_they_went_before(capfd):
    from rdkit import Chem

    with pytest.raises(SmartsError):
        pattern("C((")
    assert Chem.MolFromSmiles("C((") is None
    assert "SMILES Parse Error" in capfd.readouterr().err


@given(st.text("CNcn1=()[]#;&$!@+-.2%", max_size=10))
def test_any_text_is_read_or_refused(smarts):
    try:
        query = pattern(smarts)
    except SmartsError:
        return
    assert query.GetNumAtoms() > 0
