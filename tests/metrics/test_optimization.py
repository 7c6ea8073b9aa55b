import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.chem.guacamol_targets import MOLECULES
from molae.metrics.optimization import (
    BUDGET,
    EVERY,
    TOP,
    final_score,
    guacamol_score,
    top_auc,
    top_average,
    top_curve,
)

NAN = math.nan


def test_top_average():
    assert top_average([0.1, 0.9, 0.5, 0.7], 2) == pytest.approx(0.8)
    assert top_average([0.9], 2) == pytest.approx(0.45)  # a missing molecule counts as zero
    assert top_average([0.9, NAN], 1) == 0.9
    assert top_average([], 3) == 0


def test_final_score_by_hand():
    scores = [1.0, 0.5] + [0.2] * 8 + [0.1] * 90
    tens = (1 + 0.5 + 1.6) / 10
    assert final_score(scores) == pytest.approx((1 + tens + (3.1 + 9) / 100) / 3)
    assert final_score(scores[::-1]) == final_score(scores)
    assert final_score([1.0]) == pytest.approx((1 + 1 / 10 + 1 / 100) / 3)
    assert final_score([0.3, 0.6], (1,)) == 0.6


def test_guacamol_removes_stereo_then_duplicates():
    assert guacamol_score("celecoxib_rediscovery", ["CCO", MOLECULES["celecoxib"], "nothing"]) == 1
    chiral = ["CCCCC[C@H](C)CCCC", "CCCCC[C@@H](C)CCCC", "CCCCCC(C)CCCC", "CCCCCCCCCCC"]
    assert guacamol_score("isomers_c11h24", chiral) == pytest.approx(2 / 159)
    # Similar to albuterol for one of the best one, ten and hundred.
    only = guacamol_score("albuterol_similarity", [MOLECULES["albuterol"]])
    assert only == pytest.approx((1 + 1 / 10 + 1 / 100) / 3)
    with pytest.raises(ValueError, match="did you mean 'median2'"):
        guacamol_score("median_2", [])


def test_curve_by_hand():
    scores = [0.1, NAN, 0.5, 0.3, 0.2]
    expected = [(2, 0.1), (4, 0.4), (5, 0.4)]
    assert list(top_curve(scores, top=2, every=2)) == [(n, pytest.approx(y)) for n, y in expected]
    assert list(top_curve([NAN, NAN], every=1)) == [(1, 0), (2, 0)]
    assert list(top_curve([], every=1)) == []


def test_auc_by_hand():
    # Through (0, 0), (2, 0.1), (4, 0.4), (5, 0.4), and level to 10.
    area = 2 * 0.1 / 2 + 2 * 0.5 / 2 + 0.4 + 5 * 0.4
    assert top_auc([0.1, NAN, 0.5, 0.3, 0.2], 10, top=2, every=2) == pytest.approx(area / 10)
    # What lies beyond the budget is left out.
    assert top_auc([0.5, 0.5, 1, 1], 2, top=1, every=1) == pytest.approx((0.25 + 0.5) / 2)
    assert top_auc([], 100) == 0


def test_the_convention_of_pmo():
    assert (TOP, EVERY, BUDGET) == (10, 100, 10_000)
    # The line begins at zero, so even a perfect method loses half a step.
    assert top_auc([1.0] * BUDGET) == pytest.approx(1 - EVERY / 2 / BUDGET)
    assert top_auc([1.0] * 250) == pytest.approx(1 - EVERY / 2 / BUDGET)
    assert top_auc([0.0] * 5000 + [1.0] * 5000) == pytest.approx((5000 - 50) / BUDGET)


def naive(scores, budget, top, every):
    """The definition, sorted anew at every point."""
    ends = list(range(every, min(len(scores), budget), every))
    ends.append(min(len(scores), budget))
    area, before, called = 0.0, 0.0, 0
    for end in ends:
        best = sorted(scores[:end], reverse=True)[:top]
        now = sum(best) / len(best)
        area += (end - called) * (now + before) / 2
        before, called = now, end
    return (area + max(0, budget - called) * before) / budget


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    st.integers(1, 80),
    st.integers(1, 12),
    st.integers(1, 25),
)
def test_auc_is_the_definition(scores, budget, top, every):
    found = top_auc(scores, budget, top, every)
    assert found == pytest.approx(naive(scores, budget, top, every), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(60, 80))
def test_more_is_better(scores, budget):
    found = top_auc(scores, budget, every=7)
    assert 0 <= found <= max(scores)
    assert top_auc([0.0, *scores][: len(scores)], budget, every=7) <= found + 1e-12


def test_errors():
    with pytest.raises(ValueError, match="top is 0: expected at least 1"):
        top_average([1.0], 0)
    with pytest.raises(ValueError, match="tops is empty"):
        final_score([1.0], ())
    with pytest.raises(ValueError, match="budget is 0: expected at least 1"):
        top_auc([1.0], 0)
    with pytest.raises(ValueError, match="every is 0: expected at least 1"):
        list(top_curve([1.0], every=0))
