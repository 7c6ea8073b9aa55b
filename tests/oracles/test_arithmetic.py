import math
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molae.oracles.arithmetic import (
    DEEPEST,
    LONGEST,
    OPERATORS,
    CalculationError,
    FormulaError,
    Leaf,
    Vocabulary,
    parse,
)

WORDS = Vocabulary({"min": (2, 100), "log": (1, 1), "clip": (3, 3)}, ["a", "b", "end"], ["like"])
TABLE = {
    **OPERATORS,
    "**": math.pow,
    "min": min,
    "log": math.log,
    "clip": lambda x, low, high: min(max(x, low), high),
}
VALUES = {"a": 2.0, "b": 3.0, "end": 5.0, "like(CCO)": 7.0, 'like(")': 11.0}


def value(text):
    return parse(text, WORDS).evaluate(VALUES, TABLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", 2), ("1 + 2*3", 7), ("(1+2)*3", 9), ("8/4/2", 1), ("8-4-2", 2), ("2**3**2", 512),
        ("-a**2", -4), ("(-a)**2", 4), ("2**-1", 0.5), ("2**-1**2", 0.5), ("-a*b", -6),
        ("a - -b", 5), ("--a", 2), ("a*-b", -6), ("2*b**2", 18), ("1.5e1 + .5", 15.5),
        ("min(a, b, 1)", 1), ("min(b, a) + 1", 3), ("clip(7, a, b)", 3), ("log(1)", 0),
        ('like("CCO") / a', 3.5), ("like('CCO')", 7), ("""like('"')""", 11), ("END", 5),
        ("\ta\n+ b ", 5), ("min((a), (a+b)*2)", 2), ("3.", 3),
    ],
)  # fmt: skip
def test_values(text, expected):
    assert value(text) == pytest.approx(expected)


@settings(max_examples=40)
@given(
    st.recursive(
        st.sampled_from(["a", "b", "2.0", "0.5"]),
        lambda inner: (
            st.tuples(inner, st.sampled_from(["+", "-", "*", "**"]), inner).map(" ".join)
            | inner.map("({})".format)
            | inner.map("-{}".format)
        ),
        max_leaves=8,
    )
)
def test_precedence_is_that_of_python(text):
    # Python's own result for the same text; ** of a negative number and too large a number differ.
    try:
        expected = eval(text, {"a": 2.0, "b": 3.0})
    except ArithmeticError:
        return
    if isinstance(expected, complex):
        return
    try:
        assert value(text) == pytest.approx(expected, nan_ok=True)
    except CalculationError:
        assert "**" in text


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        (" a-0.2 *B", "a - 0.2*b"),
        ("MIN(a,-b)", "min(a, -b)"),
        ("like( 'CCO' )+a", 'like("CCO") + a'),
        ("(a+b)** 2/b", "(a + b)**2/b"),
    ],
)
def test_one_spelling_whatever_was_typed(text, spelt):
    once = parse(text, WORDS)
    assert once.text == spelt
    assert parse(spelt, WORDS).steps == once.steps


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 0, "expected a number, a name or '(', got nothing"),
        ("a +", 3, "expected a number, a name or '(', got nothing"),
        ("a b", 2, "expected an operator or the end, got 'b'"),
        ("a end", 2, "expected an operator or the end, got 'end'"),
        ("(a", 2, "expected ')', got nothing"),
        ("a)", 1, "expected an operator or the end, got ')'"),
        ("+a", 0, "expected a number"),
        ("a ^ 2", 2, "write ** for a power"),
        ("a<5", 1, "--require"),
        ("3a", 0, "write * between a number and a name"),
        ("1.2.3", 0, "no number"),
        ("a + lik", 4, "unknown name 'lik': did you mean 'like'"),
        ("sin(a)", 0, "unknown function 'sin': did you mean 'min'?"),
        ("like(a)", 5, "expected a text in quotation marks, got 'a'"),
        ('like("CCO', 5, "the quotation mark is not closed"),
        ("like", 4, "expected '('"),
        ("log", 3, "expected '('"),
        ("1 + log(a, b)", 4, "log takes 1 argument, got 2"),
        ("min(a)", 0, "min takes at least 2 arguments, got 1"),
        ("min()", 4, "expected a number"),
        ("zzz(1)", 0, "unknown function 'zzz': choose from a, b, end, like, min, log, clip"),
        ("__import__('os')", 0, "unknown function '__import__'"),
        ("__import__('os').system('ls')", 16, "'.'"),
        ("a.b", 1, "a Python function is package.module:function"),
        ("a if b else a", 2, "expected an operator or the end"),
        ("[a]", 0, "'[': no part of a formula"),
        ("é", 0, "no part of a formula"),
        ("(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), DEEPEST, "nested deeper than"),
        ("-" * 5000 + "a", 0, f"at most {LONGEST} are read"),
        ("-" * 3000 + "a", DEEPEST, "nested deeper than"),
    ],
)
def test_errors_point_at_the_place(text, column, problem):
    with pytest.raises(FormulaError) as error:
        parse(text, WORDS)
    assert problem in str(error.value)
    assert error.value.column == column
    assert str(error.value).splitlines()[2] == " " * (2 + column) + "^"


def test_a_caret_stands_under_a_text_of_several_lines():
    with pytest.raises(FormulaError) as error:
        parse("a +\n  c", WORDS)
    lines = str(error.value).splitlines()
    assert lines[1] == "  a +   c"
    assert lines[2].index("^") == lines[1].index("c")


@settings(max_examples=40)
@given(st.text("ab12.+-*/()\"' ,minlogke", max_size=20))
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse(text, WORDS)
    except FormulaError as error:
        column = error.column
    else:
        assert parse(expression.text, WORDS).steps == expression.steps
        column = 0
    assert 0 <= column <= len(text)


def test_long_sums_do_not_recurse():
    assert value("+".join(["a"] * 1500)) == 3000


def test_each_term_once():
    expression = parse('a + like("CCO")*a - like("CCO") - b', WORDS)
    assert expression.leaves == [Leaf("a"), Leaf("like", "CCO"), Leaf("b")]
    assert [leaf.label for leaf in expression.leaves] == ["a", "like(CCO)", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/(b-3)", "cannot compute 2 / 0: float division by zero"),
        ("log(a - b)", "cannot compute log(-1)"),
        ("(-8)**0.5", "cannot compute -8 ** 0.5"),
        ("10**400", "cannot compute 10 ** 400"),
    ],
)
def test_what_has_no_result(text, message):
    with pytest.raises(CalculationError) as error:
        value(text)
    assert str(error.value).startswith(message)


def test_operators_are_functions_of_arrays_too():
    numpy = pytest.importorskip("numpy")
    values = {"a": numpy.array([1.0, 2.0]), "b": numpy.array([3.0, 5.0])}
    numpy.testing.assert_array_equal(parse("b - 2*a", WORDS).evaluate(values, TABLE), [1.0, 1.0])
    assert OPERATORS["/"] is operator.truediv
