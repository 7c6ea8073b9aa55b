import math
import pickle

import pytest

from molae import names
from molae.chem import properties
from molae.chem.molecules import read
from molae.chem.properties import Sheet
from molae.chem.requirements import parse_requirements
from molae.oracles import formula, measured
from molae.oracles.arithmetic import FormulaError
from molae.oracles.formula import Formula

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_the_names_are_those_that_people_type():
    assert [name for name in formula.TABLE if name.isalpha() and name != "neg"] == list(
        names.FUNCTIONS
    )
    everything = [*names.PROPERTIES, *names.TASKS, *names.REFERENCES, *names.FUNCTIONS]
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("name", [*names.PROPERTIES, *names.TASKS])
def test_every_name_is_a_formula(name):
    oracle = Formula(name)
    (answer,) = oracle.answer([ASPIRIN])
    assert oracle.columns == (name,)
    assert math.isfinite(answer.score)
    assert answer.parts == {name: answer.score}
    if name in names.PROPERTIES:
        assert answer.score == Sheet(read(ASPIRIN))[name]


def test_arithmetic_of_properties():
    oracle = Formula("QED-0.2 * sa + max(0, logp)**2")
    assert oracle.name == "qed - 0.2*sa + max(0, logp)**2"
    assert oracle.columns == ("qed", "sa", "logp")
    for text, answer in zip(["CCO", ASPIRIN], oracle.answer(["CCO", ASPIRIN]), strict=True):
        sheet = Sheet(read(text))
        expected = sheet["qed"] - 0.2 * sheet["sa"] + max(0, sheet["logp"]) ** 2
        assert answer.score == pytest.approx(expected, rel=1e-12)
        assert answer.parts == {name: sheet[name] for name in oracle.columns}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gauss(rings, 1, 2)", 1.0),
        ("gauss(rings, 3, 2)", math.exp(-0.5)),
        ("gauss(rings, 1e300, 1e-300)", 0.0),
        ("clip(heavy_atoms, 0, 10)", 10.0),
        ("clip(heavy_atoms, 20, 30)", 20.0),
        ("sqrt(abs(-4*rings))", 2.0),
        ("log(exp(rings))", 1.0),
        ("min(heavy_atoms, hbd, 7)", 1.0),
        ('smarts("C(=O)O")', 2.0),
        ("smarts('[#6]')*10", 90.0),
        ('similarity("OC(=O)c1ccccc1OC(C)=O")', 1.0),
        ('isomer("C9H8O4")', 1.0),
    ],
)
def test_functions_and_references(text, expected):
    (answer,) = Formula(text).answer([ASPIRIN])
    assert answer.score == pytest.approx(expected)


def test_parts_of_references_are_named_as_written():
    oracle = Formula('similarity("CCO") + similarity("CCN") - smarts("[#7,#8]")')
    assert oracle.columns == ("similarity(CCO)", "similarity(CCN)", "smarts([#7,#8])")
    (answer,) = oracle.answer(["CCO"])
    assert answer.parts["similarity(CCO)"] == 1
    assert 0 < answer.parts["similarity(CCN)"] < 1
    assert answer.parts["smarts([#7,#8])"] == 1


def test_backslashes_stay_what_they_are():
    (answer,) = Formula(r'similarity("C/C(C)=N\O")').answer([r"C/C(C)=N\O"])
    assert answer.score == 1


def test_molecules_are_read_once(monkeypatch):
    seen = []
    monkeypatch.setattr(measured, "read", lambda text: seen.append(text) or read(text))
    wanted = parse_requirements(["mw<100, sa<9"])
    oracle = Formula("plogp - sa + logp", wanted)
    computed = []
    sa = properties.TABLE["sa"]
    monkeypatch.setitem(properties.TABLE, "sa", lambda sheet: computed.append(1) or sa(sheet))
    oracle.answer(["CCO", "CCN"])
    assert seen == ["CCO", "CCN"]
    assert len(computed) == 2


def test_requirements_are_parts_and_an_unmet_one_is_named():
    oracle = Formula("qed", parse_requirements(["mw<100", "heavy_atoms >= 3, qed>0"]))
    assert oracle.columns == ("qed", "mw", "heavy_atoms")
    ethanol, aspirin, methane = oracle.answer(["CCO", ASPIRIN, "C"])
    assert ethanol.score == ethanol.parts["qed"]
    assert ethanol.parts["mw"] == pytest.approx(46.069, abs=1e-3)
    assert aspirin.error == "requirement mw<100 is not met"
    assert math.isnan(aspirin.score)
    assert aspirin.parts["qed"] == pytest.approx(0.55, abs=0.01)
    assert methane.error == "requirement heavy_atoms>=3 is not met"


def test_what_goes_wrong_with_one_molecule_is_its_answer():
    oracle = Formula("1/rings")
    bad, ring, chain, empty = oracle.answer(["C1CC", "C1CC1", "CCC", ""])
    assert ring.score == 1
    assert bad.error == "not a molecule: syntax: 'C1CC'"
    assert math.isnan(bad.parts["rings"])
    assert chain.error == "cannot compute 1 / 0: float division by zero"
    assert chain.parts == {"rings": 0}
    assert empty.error.startswith("not a molecule: empty")
    (large,) = Formula("1e308*heavy_atoms").answer(["CCC"])
    assert large.error == "the score is inf"


def test_a_property_that_raises_is_named(monkeypatch):
    def broken(sheet):
        if sheet["rings"]:
            raise RuntimeError("Pre-condition Violation\n\tno rings please")
        return math.nan

    monkeypatch.setitem(properties.TABLE, "tpsa", broken)
    ring, chain = Formula("tpsa + mw").answer(["C1CC1", "CCC"])
    assert ring.error == "tpsa: RuntimeError: Pre-condition Violation no rings please"
    assert ring.parts["mw"] > 0
    assert chain.error == "tpsa is nan"


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("qedd", 0, "did you mean 'qed'"),
        ("1 + 2", 0, "without any property of a molecule"),
        ('qed + similarity("C1CC")', 17, "similarity: syntax: 'C1CC'"),
        ('smarts("[#6")', 10, "smarts: not a SMARTS pattern"),
        ('isomer("C9Q2")', 10, "isomer: not a molecular formula"),
        ("qed - sin(sa)", 6, "unknown function 'sin'"),
    ],
)
def test_errors_point_at_the_place(text, column, problem):
    with pytest.raises(FormulaError) as error:
        Formula(text)
    assert problem in str(error.value)
    assert error.value.column == column


def test_keys_and_copies():
    one = Formula("qed-0.2*sa", parse_requirements(["mw<500"]))
    assert one.key == Formula("qed - .2*sa".replace(".2", "0.2"), one.requirements).key
    assert one.key != Formula("qed-0.2*sa").key
    assert one.key != Formula("qed-0.2*sa", parse_requirements(["mw<501"])).key
    copy = pickle.loads(pickle.dumps(one))
    assert copy.key == one.key
    assert copy.answer(["CCO"]) == one.answer(["CCO"])


def test_nothing_to_answer():
    assert Formula("qed").answer([]) == []
