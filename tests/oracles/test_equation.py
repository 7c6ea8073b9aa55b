import math
import pickle

import numpy as np
import pytest

from molae.oracles.arithmetic import FormulaError
from molae.oracles.equation import CAP, TARGET, WORST, Equation, points
from molae.resources import grammar_text


@pytest.fixture(scope="module")
def oracle():
    return Equation()


def published(values, target):
    return math.log(1 + np.mean(np.minimum((values - target) ** 2, 1000)))


def test_points():
    x = points()
    assert x.shape == (1000,)
    assert (x[0], x[-1]) == (-10, 10)
    assert 0 not in x


@pytest.mark.parametrize(
    ("text", "loss", "tolerance"),
    [
        ("1/3+x+sin(x*x)", 0.0, 1e-12),
        ("1/3+(x)+sin(x*x)", 0.0, 1e-12),
        ("sin(x*x) + x + 1/3", 0.0, 1e-12),
        # Read off the published data and tables: the expression x, and GVAE's best one.
        ("x", 0.488, 5e-4),
        ("x/1+sin(3)+sin(x*x)", 0.036, 5e-4),
    ],
)
def test_published_scores(oracle, text, loss, tolerance):
    (answer,) = oracle.answer([text])
    assert answer.parts["log1p_mse"] == pytest.approx(loss, abs=tolerance)
    assert answer.score == -answer.parts["log1p_mse"]
    assert answer.error is None


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("2", lambda x: 2 + 0 * x),
        ("1+2*x/3", lambda x: 1 + 2 * x / 3),  # usual precedence, true division
        ("sin(x)*exp(x)/x", lambda x: np.sin(x) * np.exp(x) / x),
        ("cos(x) - log(abs(x))**2", lambda x: np.cos(x) - np.log(abs(x)) ** 2),
        ("sqrt(x*x) + -x", lambda x: abs(x) - x),
    ],
)
def test_the_score_is_its_definition(oracle, text, function):
    x = points()
    (answer,) = oracle.answer([text])
    target = 1 / 3 + x + np.sin(x * x)
    assert -answer.score == pytest.approx(published(function(x), target))


@pytest.mark.parametrize("text", ["exp(exp(exp(3)))", "exp(x*x*x*x)", "x*x*x*x*x*x*x", "1/(x-x)"])
def test_infinite_values_count_as_large_ones(oracle, text):
    (answer,) = oracle.answer([text])
    assert answer.error is None
    assert -WORST <= answer.score <= -3
    assert pytest.approx(math.log(1 + CAP)) == WORST


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("exp(exp(x))/exp(exp(x))", "no number at x = "),
        ("log(x)", "no number at x = -10"),
        ("1/(1-1)", "cannot compute 1 / 0: float division by zero"),
        ("x+", "no expression: expected a number, a name or '(', got nothing (column 3)"),
        ("y", "no expression: unknown name 'y'"),
        ("", "no expression"),
        ("tan(x)", "no expression: unknown function 'tan'"),
    ],
)
def test_failures_have_the_published_score_as_their_part(oracle, text, error):
    bad, good = oracle.answer([text, "x"])
    assert error in bad.error
    assert math.isnan(bad.score)
    assert bad.parts == {"log1p_mse": WORST}
    assert good.parts["log1p_mse"] == pytest.approx(0.488, abs=5e-4)


def test_whatever_the_grammar_writes_is_read(oracle):
    """Every pair of rules for an operand and every operator, spelt by hand from the grammar."""
    assert "S -> S '+' T | S '*' T | S '/' T | T" in grammar_text("equation")
    operands = ["x", "1", "2", "3", "(x)", "sin(x)", "exp(1)", "sin(exp(x/2))", "(1+x*3)"]
    texts = [f"{a}{symbol}{b}" for a in operands for b in operands for symbol in "+*/"]
    assert not [answer.error for answer in oracle.answer(texts) if answer.failed]


def test_another_target():
    oracle = Equation("2 *x")
    assert oracle.name == 'equation("2*x")'
    good, other = oracle.answer(["x+x", "x"])
    assert good.score == 0
    assert -other.score == pytest.approx(published(points(), 2 * points()))
    assert oracle.key != Equation().key
    assert Equation(TARGET).name == "equation"
    assert oracle.columns == ("log1p_mse",)
    assert pickle.loads(pickle.dumps(oracle)).answer(["x"]) == [other]


@pytest.mark.parametrize("target", ["log(x)", "exp(exp(x))"])
def test_a_target_is_finite(target):
    with pytest.raises(ValueError, match="no finite value at x = "):
        Equation(target)


def test_a_target_is_an_expression():
    with pytest.raises(FormulaError, match="expected an operator or the end"):
        Equation("x x")
