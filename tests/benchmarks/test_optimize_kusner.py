"""The published protocol: its surrogate in closed form, small cells made for real, the table."""

from __future__ import annotations

import importlib
import io
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from molae.names import STRATEGIES
from molae.optimize.fingerprint import log_expected_improvement
from molae.workflows.campaign.retrain import parse_retrain

#: Options of a table that is made in seconds, but for places and methods.
TINY = "--quick --device cpu --workers 1 --rounds 2 --batch 4"


#: Methods of the cells that are made.
MADE = ("published", "published_density", "plausible", "screening")


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules; their folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("", "_cell", "_rounds", "_surrogate")
    yield [importlib.import_module(f"benchmarks.optimize_kusner{name}") for name in names]
    sys.path.remove(root)


@pytest.fixture(scope="module")
def surrogate(bench):
    return bench[3]


# The surrogate -----------------------------------------------------------------------------------


def data(n=30, size=2, seed=0):
    """Points x (n, D) and scores (n,) that depend on the first coordinate only."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(n, size, generator=chance, dtype=torch.float64)
    y = torch.sin(2.0 * x[:, 0]) + 0.1 * torch.randn(n, generator=chance, dtype=torch.float64)
    return x, (y - y.mean()) / y.std()


def some_kernel(surrogate, inducing):
    number = lambda value: torch.tensor(value, dtype=torch.float64)  # noqa: E731
    return surrogate.Kernel(number([0.7, 1.5]), number(1.3), number(0.2), inducing)


def exact(kernel, x, y, new):
    """Mean and covariance of the function at new points, of an exact process."""
    covariance = kernel(x, x) + kernel.noise * torch.eye(len(x), dtype=x.dtype)
    across = torch.linalg.solve(covariance, kernel(x, new))
    return across.T @ y, kernel(new, new) - kernel(new, x) @ across


def test_the_kernel_is_squared_exponential(surrogate):
    kernel = some_kernel(surrogate, torch.zeros(1, 2, dtype=torch.float64))
    x = torch.tensor([[0.7, 1.5]], dtype=torch.float64)
    assert float(kernel(x, torch.zeros_like(x))) == pytest.approx(1.3 * math.exp(-1.0))


def test_with_all_points_inducing_the_process_is_exact(surrogate):
    x, y = data()
    kernel = some_kernel(surrogate, x)
    process = surrogate.Process(kernel, x, y)
    new, _ = data(7, seed=1)
    mean, covariance = exact(kernel, x, y, new)
    found = process(new)
    assert torch.allclose(found.mean, mean, atol=1e-3)
    assert torch.allclose(found.variance, covariance.diagonal(), atol=1e-3)
    assert torch.allclose(process.covariance(new, found, new, found), covariance, atol=1e-3)
    means, variances = process.scores(new)
    assert torch.allclose(means, mean, atol=1e-3)
    assert torch.allclose(variances, covariance.diagonal() + 0.2, atol=1e-3)


def test_the_bound_is_that_of_titsias(surrogate):
    """With all points inducing it is log p(y), with fewer it is below."""
    x, y = data()
    kernel = some_kernel(surrogate, x)
    covariance = kernel(x, x) + kernel.noise * torch.eye(len(x), dtype=x.dtype)
    likelihood = torch.distributions.MultivariateNormal(torch.zeros_like(y), covariance)
    whole = float(likelihood.log_prob(y))
    assert float(surrogate.bound(kernel, x, y)) == pytest.approx(whole, abs=0.05)
    assert float(surrogate.bound(some_kernel(surrogate, x[:4]), x, y)) < whole - 1.0


def test_what_is_chosen_is_known_afterwards(surrogate):
    """Variance left: the conditional one of the exact process, and none at a chosen point."""
    x, y = data()
    kernel = some_kernel(surrogate, x)
    process = surrogate.Process(kernel, x, y)
    new, _ = data(6, seed=2)
    _, covariance = exact(kernel, x, y, new)
    chosen, rest = covariance[:2, :2], covariance[2:, :2]
    wanted = covariance[2:, 2:].diagonal() - (rest @ torch.linalg.inv(chosen) * rest).sum(1)
    left = process.left(new, process(new), new[:2])
    assert torch.allclose(left[2:], wanted, atol=2e-3)
    assert float(left[:2].max()) < 1e-3
    assert torch.equal(process.left(new, process(new), new[:0]), process(new).variance)


def test_learning_finds_what_matters(surrogate):
    """Scores depend on the first of two dimensions: the other gets the longer scale."""
    x, y = data(200)
    generator = torch.Generator().manual_seed(0)
    before = surrogate.learnt(x, y, 20, 0, torch.Generator().manual_seed(0))
    after = surrogate.learnt(x, y, 20, 100, generator)
    assert float(surrogate.bound(after, x, y)) > float(surrogate.bound(before, x, y)) + 20
    assert float(after.lengths[1]) > 2 * float(after.lengths[0])
    assert float(after.noise) < 0.2
    assert float(before.noise) == float(before.variance) == 1.0
    assert after.inducing.shape == (20, 2)
    process = surrogate.Process(after, x, y)
    new, truth = data(100, seed=3)
    assert float((process.scores(new)[0] - truth).square().mean().sqrt()) < 0.4


def test_points_move_uphill_within_the_box(surrogate):
    low, high = -torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    box = surrogate.Box(low, high)
    start = torch.tensor([0.3, -0.4], dtype=torch.float64)
    for top, wanted in (([0.5, 0.2], [0.5, 0.2]), ([3.0, 0.2], [1.0, 0.2])):
        goal = torch.tensor(top, dtype=torch.float64)
        found = box.uphill(lambda p, goal=goal: -(p - goal).square().sum(1), start)
        assert found.tolist() == pytest.approx(wanted, abs=1e-4)


def test_a_batch_spreads_out(surrogate):
    """The best expected improvement first, then elsewhere; moved points are no worse."""
    x, y = data()
    process = surrogate.Process(some_kernel(surrogate, x), x, y)
    grid = torch.rand(300, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    grid = 4.0 * grid - 2.0
    chosen = surrogate.batch(process, grid, 5, None)
    assert all(bool((grid == row).all(1).any()) for row in chosen)
    assert float(torch.pdist(chosen).min()) > 0.05
    of = process(grid)
    z = (of.mean - of.mean.max()) / of.variance.sqrt()
    normal = torch.distributions.Normal(0.0, 1.0)
    gain = of.variance.sqrt() * (normal.log_prob(z).exp() + z * normal.cdf(z))
    assert torch.equal(chosen[0], grid[int(gain.argmax())])
    edge = torch.full((2,), 2.0, dtype=torch.float64)
    box = surrogate.Box(-edge, edge)
    moved = surrogate.batch(process, grid, 3, box)
    assert bool(((moved >= -edge) & (moved <= edge)).all())
    top = box.uphill(lambda p: process(p).mean, grid[int(of.mean.argmax())])
    best = float(process(top[None]).mean)
    assert best > float(of.mean.max())
    at_grid, at_moved = (
        log_expected_improvement(each.mean, each.variance, best)
        for each in (of, process(moved[:1]))
    )
    assert float(at_moved) > float(at_grid.max())


# Cells -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kusner")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose methods are to be named."""
    folders = ("--out", str(place / "cells"), "--work", str(place / "work"))
    return [*folders, *TINY.split(), "--methods"]


@pytest.fixture(scope="module")
def made(bench, words, place):
    """The values of some cells, and what was printed."""
    console = Console(width=250, record=True, file=io.StringIO())
    assert bench[0].main([*words, *MADE], console) == 0
    cells = {p.stem: json.loads(p.read_text())["values"] for p in (place / "cells").iterdir()}
    return cells, console.export_text()


def test_a_cell_says_all_that_was_measured(made):
    cells, _ = made
    assert set(cells) == {
        f"{m}-0" for m in ("published", "published_density", "plausible", "screening")
    }
    for values in cells.values():
        assert values["protocol"]["model"][0] == "tiny"
        assert values["valid"] == 1.0
        assert sum(values["counts"][n] for n in ("calls", "duplicates", "known", "invalid")) >= 8
        assert {"ask", "decode", "oracle"} & values["seconds"].keys()
        scores = [score for score, _ in values["best"]["all"]]
        assert scores == sorted(scores, reverse=True)
    assert cells["screening-0"]["novel"] == 0.0
    assert cells["screening-0"]["best"]["new"] == []
    ours = cells["plausible-0"]
    assert ours["counts"]["calls"] == 8
    assert ours["best"]["plausible"] == ours["best"]["new"]
    for name in ("published-0", "published_density-0"):
        assert cells[name]["valid_points"] == 1.0
        assert len(cells[name]["surrogate"]["rmse"]) == 2
        assert cells[name]["distance"] > 0
        assert all(value > 0 for value in cells[name]["surrogate"]["rmse"])


def test_the_best_have_the_score_that_is_told(bench, made):
    for values in made[0].values():
        for score, text in values["best"]["all"]:
            assert bench[0].worth(text) == pytest.approx(score)


def test_the_screen_shows_what_there_is_to_beat(made):
    for part in (
        "published protocol, our model",
        "our optimiser, plausible molecules only",
        "0.72 ± 0.09",
        "5.30, 4.93, 4.49",
        "6.45, 11.19",
        "1.290",
        "new valid calls",
    ):
        assert part in made[1]


def test_points_of_the_box_lie_far_out(made):
    """Uniform in a box of 32 dimensions is far from where codes are; the density is not."""
    cells = made[0]
    assert cells["published-0"]["distance"] > 1.3
    assert 0.7 < cells["published_density-0"]["distance"] < 1.3


def test_rounds_that_are_done_are_not_made_again(bench, made, words, place):
    """The second round alone, after an interruption: the same cell."""
    (place / "cells" / "published-0.json").unlink()
    folder = next((place / "work").glob("published-0-*"))
    first, second = sorted(folder.iterdir())
    before = first.stat().st_mtime_ns
    second.unlink()
    assert bench[0].main([*words, "published"]) == 0
    again = json.loads((place / "cells" / "published-0.json").read_text())["values"]
    was = made[0]["published-0"]
    assert first.stat().st_mtime_ns == before
    assert again["best"] == was["best"]
    assert again["average"] == pytest.approx(was["average"])
    assert again["surrogate"]["rmse"] == pytest.approx(was["surrogate"]["rmse"])


def test_a_campaign_that_is_done_is_not_made_again(bench, made, words, place):
    """Killed between the last batch and the cell: the same cell, at no new call."""
    (place / "cells" / "plausible-0.json").unlink()
    rows = next((place / "work").glob("plausible-0-*")) / "evaluations.csv"
    before = rows.read_text()
    assert bench[0].main([*words, "plausible"]) == 0
    again = json.loads((place / "cells" / "plausible-0.json").read_text())["values"]
    was = made[0]["plausible-0"]
    assert rows.read_text() == before
    for name in ("best", "average", "counts", "valid", "novel"):
        assert again[name] == was[name]


def test_cells_of_another_protocol_are_not_mixed(bench, made, words, capsys):
    assert bench[0].main([*words, "screening", "--rounds", "3"]) == 1
    assert "was made otherwise: rounds was" in capsys.readouterr().err


def test_the_modal_molecule_counts(bench):
    """Three points in two rounds: one invalid, one molecule twice, one that is known."""
    rounds = [
        {"texts": ["CCO", None], "scores": [1.0, -60.0], "valid": [2, 0], "seconds": {"ask": 1.0}},
        {"texts": ["CCO", "CCN"], "scores": [1.0, 3.0], "valid": [4, 3], "seconds": {"ask": 2.0}},
    ]
    for each in rounds:
        each |= {"rmse": 1.5, "log_likelihood": -2.0}
    found = bench[2].summed(rounds, frozenset(["CCN"]), 4)
    assert found["valid"] == pytest.approx(9 / 16)
    assert found["valid_points"] == 0.75
    assert found["unique"] == pytest.approx(2 / 3)
    assert found["novel"] == 0.5
    assert found["average"] == pytest.approx(5 / 3)
    assert found["best"]["all"] == [[3.0, "CCN"], [1.0, "CCO"]]
    assert found["best"]["new"] == [[1.0, "CCO"]]
    assert found["counts"] == {"calls": 1, "duplicates": 1, "known": 1, "invalid": 1}
    assert found["seconds"] == {"ask": 3.0}


def test_every_method_can_be_asked_for(bench):
    assert bench[1].METHODS.keys() == bench[1].TITLES.keys()
    for settings in bench[1].METHODS.values():
        assert settings.get("points") in (None, "box", "density")
        assert settings.get("strategy", "latent") in STRATEGIES
        if "retrain" in settings:
            parse_retrain(settings["retrain"])


def test_no_cells_is_said(bench, tmp_path, capsys):
    assert bench[0].main(["--table", "--out", str(tmp_path), "--work", str(tmp_path)]) == 1
    assert "there are no cells" in capsys.readouterr().err
