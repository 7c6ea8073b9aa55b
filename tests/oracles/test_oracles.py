import pytest

from molae import names
from molae.chem.requirements import RequirementError
from molae.oracles import (
    Answer,
    Command,
    Equation,
    Formula,
    FormulaError,
    Function,
    Required,
    TaskOracle,
    oracle,
)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("qed", Formula, "qed"),
        (" QED-0.2*SA ", Formula, "qed - 0.2*sa"),
        ('smarts("[C:1]")', Formula, 'smarts("[C:1]")'),
        ("median1", TaskOracle, "median1"),
        ("median1 - 0.1*sa", Formula, "median1 - 0.1*sa"),
        ("math:fsum", Function, "math:fsum"),
        ("os.path:exists", Function, "os.path:exists"),
        ("equation", Equation, "equation"),
        ("Equation", Equation, "equation"),
        ('equation( "x*x" )', Equation, 'equation("x*x")'),
        ("equation('x*x')", Equation, 'equation("x*x")'),
    ],
)
def test_the_door(text, kind, name):
    made = oracle(text)
    assert type(made) is kind
    assert made.name == name


def test_every_oracle_of_the_table_is_made():
    values = {"images:class": "=7", "images:similar": "=digits:3"}
    for name in names.ORACLES:
        typed = name + values.get(name, "")
        assert oracle(typed).name == typed


def test_a_file(tmp_path):
    path = tmp_path / "my scores.py"
    path.write_text("def f(texts):\n    return [2.0] * len(texts)\n")
    assert oracle(f"{path}:f").answer(["C"]) == [Answer(2.0)]
    with pytest.raises(ValueError, match="which function of this file"):
        oracle(str(path))


def test_whose_texts_are_given_together():
    assert oracle("math:fsum").together
    assert oracle(command="cat").together
    assert oracle("math:fsum", requirements=["mw<500"]).together
    for other in ({"command": "echo {smiles}"}, {"text": "qed"}, {"text": "equation"}):
        assert not oracle(**other).together
    assert not oracle(command="echo {smiles}", filters=["pains"]).together


def test_a_command():
    made = oracle(command="echo {smiles}", timeout=5, retries=2)
    assert isinstance(made, Command)
    assert (made.timeout, made.retries) == (5, 2)
    assert made.answer(["12"]) == [Answer(12)]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"text": "qed"}, Formula),
        ({"text": "median1"}, TaskOracle),
        ({"command": "expr length {smiles}"}, Required),
    ],
)
def test_requirements(given, kind):
    made = oracle(**given, requirements=["mw<50", "rings==0,sa<9"])
    assert type(made) is kind
    good, bad = made.answer(["CCO", "CCOCCO"])
    assert not good.failed
    assert bad.error == "requirement mw<50 is not met"
    assert made.key != oracle(**given).key


@pytest.mark.parametrize(
    ("given", "kind", "problem"),
    [
        ({}, ValueError, "got neither"),
        ({"text": "qed", "command": "cat"}, ValueError, "got both"),
        ({"text": ""}, FormulaError, "expected a number, a name"),
        ({"text": "qedd"}, FormulaError, "did you mean 'qed'"),
        ({"text": "median_1"}, FormulaError, "did you mean 'median1'"),
        ({"text": "my.module"}, FormulaError, "package.module:function"),
        ({"text": "nil_package_:f"}, ValueError, "there is no module 'nil_package_'"),
        ({"text": 'equation("")'}, FormulaError, "got nothing"),
        ({"text": "qed", "requirements": ["mw=5"]}, RequirementError, "expected one of"),
    ],
)
def test_what_cannot_be_understood(given, kind, problem):
    with pytest.raises(kind) as error:
        oracle(**given)
    assert problem in str(error.value)
