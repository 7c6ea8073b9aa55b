import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.chem.molecules import read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement, RequirementError, first_unmet, parse_requirements
from molae.names import PROPERTIES


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("mw<500", 499.9, True), ("mw<500", 500, False), ("mw<=500", 500, True),
        ("qed>=0.5", 0.5, True), ("qed>0.5", 0.5, False), ("rings==2", 2, True),
        ("rings==2", 3, False), ("rings!=2", 3, True), ("rings!=2", 2, False),
        ("logp > -1.5e0", -1.4, True), ("  LogP<.5 ", 0.4, True), ("charge<=+1", 1, True),
    ],
)  # fmt: skip
def test_comparisons(text, value, holds):
    requirement = Requirement.parse(text)
    assert requirement.holds({requirement.name: value}) is holds


@given(
    st.sampled_from(sorted(PROPERTIES)),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(-1000, 1000).map(lambda x: round(x, 2)),
)
def test_written_and_read_again(name, comparison, bound):
    requirement = Requirement(name, comparison, bound)
    again = Requirement.parse(str(requirement))
    assert (again.name, again.comparison) == (name, comparison)
    assert again.bound == pytest.approx(bound, rel=1e-4)
    assert not requirement.holds({name: math.nan})


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("mw=500", 2, "expected one of < <= > >= == !=, got '=500'"),
        ("mw<", 3, "expected a number, got nothing"),
        ("mw<five", 3, "expected a number"),
        ("mw<<5", 3, "expected a number"),
        ("mw<5 g", 5, "expected nothing after the number"),
        ("mw<5)", 4, "expected nothing after the number"),
        ("<5", 0, "expected the name of a property"),
        ("", 0, "expected the name of a property, got nothing"),
        ("  qedd<5", 2, "did you mean 'qed'"),
        ("__import__('os')<5", 10, "expected one of"),
        ("mw", 2, "expected one of"),
    ],
)
def test_errors_point_at_the_place(text, column, problem):
    with pytest.raises(RequirementError) as error:
        Requirement.parse(text)
    assert problem in str(error.value)
    assert error.value.column == column
    lines = str(error.value).splitlines()
    assert lines[1] == "  " + text
    assert lines[2] == " " * (2 + column) + "^"


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    try:
        requirement = Requirement.parse(text)
    except RequirementError:
        return
    assert requirement.name in PROPERTIES


def test_lists_and_sheets():
    wanted = parse_requirements(["mw<500, rings==0", "tpsa>10"])
    assert [str(each) for each in wanted] == ["mw<500", "rings==0", "tpsa>10"]
    assert first_unmet(wanted, Sheet(read("CCO"))) is None
    sheet = Sheet(read("c1ccccc1"))
    assert first_unmet(wanted, sheet) == wanted[1]
    assert set(sheet) == {"mw", "rings"}  # the third was not computed
    assert parse_requirements([]) == []
