"""What a search learns from and where it looks; and that it finds what draws do not."""

from __future__ import annotations

import math

import pytest
import torch

from molae.densities import StandardNormal
from molae.names import SURROGATES
from molae.optimize import LatentOptimizer
from molae.optimize.search import LocalSearch, Points, WideSearch

CPU = torch.device("cpu")
D, CALLS, BATCH = 20, 80, 20
#: Six of twenty dimensions matter: Hartmann's function of six, Surjanovic and Bingham, *Virtual
#: Library of Simulation Experiments*; its maximum is 3.32237.
WEIGHT = torch.tensor([1.0, 1.2, 3.0, 3.2]).double()
SLOPE = torch.tensor(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
).double()
PEAK = 1e-4 * torch.tensor(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ],
    dtype=torch.float64,
)


def hartmann(u):
    gaps = (SLOPE * (u[:, None] - PEAK).square()).sum(-1)
    return (WEIGHT * (-gaps).exp()).sum(1)


def score(z):
    return hartmann(torch.special.ndtr(z[:, :6].double()))


def slope(z):
    """A quadratic whose top lies where next to no code is."""
    return -(z.double() - 0.7).square().sum(1)


def best_of_draws(function, seed, n=CALLS):
    return float(function(StandardNormal(D).sample_rows(seed, torch.arange(n))).max())


def best_found(function, seed, batch=BATCH, **settings):
    optimizer = LatentOptimizer(StandardNormal(D), D, seed=seed, candidates=500, **settings)
    for _ in range(CALLS // batch):
        z = optimizer.ask(batch)
        optimizer.tell(z, function(z))
    return optimizer.best[1]


def test_the_function_is_the_one_of_the_library():
    top = torch.tensor([[0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]])
    assert hartmann(top.double()).item() == pytest.approx(3.32237, abs=1e-5)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_eighty_calls_beat_eighty_draws(surrogate, seed):
    """And, by that, the best draw of three hundred."""
    found = best_found(score, seed, surrogate=surrogate, inducing=40)
    assert found > best_of_draws(score, seed) + 0.15
    assert found > best_of_draws(score, seed, 300)


@pytest.mark.parametrize("acquisition", ["thompson", "ucb"])
def test_so_they_do_with_other_acquisition_functions(acquisition):
    found = best_found(slope, 0, batch=10, acquisition=acquisition)
    assert found > best_of_draws(slope, 0) + 2.0


# What is learnt from -----------------------------------------------------------------------------


def points(x, y, scored=None):
    x = torch.as_tensor(x, dtype=torch.float64)
    y = torch.as_tensor(y, dtype=torch.float64)
    return Points(x, y, torch.ones(len(x), dtype=torch.bool) if scored is None else scored)


def local(limit=4):
    return LocalSearch(1, limit, CPU)


def test_a_region_learns_from_the_nearest_and_the_best():
    """On a line: the best point at 0.5, two good ones far away, bad ones beside it."""
    x = [[0.5], [0.51], [0.52], [0.9], [0.1], [0.7]]
    y = [9.0, 0.0, 1.0, 8.0, 7.0, 2.0]
    made = points(x, y)
    rows = local()._rows(made, made.x[0])
    assert rows.tolist() == [0, 1, 3, 4]
    assert local(6)._rows(made, made.x[0]).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_centre_is_the_best_that_has_a_score():
    scored = torch.tensor([True, False, True, True])
    made = points([[0.1], [0.2], [0.3], [0.4]], [1.0, 5.0, 2.0, 2.0], scored)
    assert local().center(made, 4) == 2
    assert WideSearch(1, 0, CPU).center(made, 4) == 2
    nothing = points([[0.1]], [0.0], torch.tensor([False]))
    assert local().center(nothing, 1) is None


def test_the_first_scores_are_no_round():
    """Ten thousand scores told at the start are neither success nor failure."""
    search = local()
    search.center(points([[0.1], [0.2]], [1.0, 2.0]), 10_000)
    assert search.region.state() == LocalSearch(1, 4, CPU).region.state()


def test_rounds_are_judged_by_the_best_score():
    search = local()
    x, y = [[0.1], [0.2]], [1.0, 2.0]
    search.center(points(x, y), 2)
    for better in (3.0, 4.0, 5.0):
        x, y = [*x, [better / 10]], [*y, better]
        search.center(points(x, y), len(y))
    assert search.region.length == 1.6
    search.center(points(x, y), len(y))  # asked again, nothing told
    assert search.region.length == 1.6
    search.center(points(x, y), len(y) + 4)  # four scores of codes known before
    assert search.region.length == 0.8


def test_after_a_restart_another_hill_is_climbed():
    search = local()
    made = points([[0.5], [0.51], [0.9]], [3.0, 2.0, 1.0])
    assert search.center(made, 3) == 0
    centers = [search.center(made, 3 + 4 * k) for k in range(1, 8)]
    assert centers == [0] * 6 + [2]
    assert search.facts() == {"length": 0.8, "restarts": 1}
    none_left = points([[0.5], [0.51]], [3.0, 2.0])
    assert search.center(none_left, 99) is None


def test_a_wide_search_is_limited_to_the_best_and_some_others(monkeypatch):
    monkeypatch.setattr("molae.optimize.search._EXACT", 6)
    seen = []
    search = WideSearch(1, 0, CPU)
    monkeypatch.setattr(search, "_exact", lambda made, rows, seed: seen.append(rows.tolist()))
    y = [math.sin(k) for k in range(50)]
    search._model(points([[k / 50] for k in range(50)], y), 0)
    (rows,) = seen
    assert len(set(rows)) == 6
    assert rows[:3] == sorted(range(50), key=lambda k: -y[k])[:3]
