"""Best so far and mean of the best, and their pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from molae.workflows import svg
from molae.workflows.campaign.trace import best_so_far, top_mean, write_trace

NAN = math.nan
SCORES = [NAN, 3.0, 1.0, NAN, 4.0, 2.0]


def test_best_so_far():
    np.testing.assert_array_equal(best_so_far(SCORES), [NAN, 3, 3, 3, 4, 4])
    np.testing.assert_array_equal(best_so_far(SCORES, minimize=True), [NAN, 3, 1, 1, 1, 1])
    assert best_so_far([]).shape == (0,)


def test_mean_of_the_best():
    np.testing.assert_array_equal(top_mean(SCORES, 2), [NAN, 3, 2, 2, 3.5, 3.5])
    np.testing.assert_array_equal(top_mean(SCORES, 2, minimize=True), [NAN, 3, 2, 2, 2, 1.5])
    rng = np.random.default_rng(0)
    scores = rng.normal(size=300)
    expected = [np.sort(scores[: n + 1])[-10:].mean() for n in range(300)]
    np.testing.assert_allclose(top_mean(scores.tolist()), expected)


@pytest.mark.parametrize("scores", [SCORES, [], [NAN, NAN], [1.0], [5.0, 5.0]])
def test_pictures(tmp_path, scores):
    best = best_so_far(scores)
    write_trace(tmp_path / "trace.png", {"best": best}, "title", np.array(scores))
    with Image.open(tmp_path / "trace.png") as image:
        assert image.size == (900, 440)
        colours = {colour for _, colour in image.getcolors(1 << 20)}
    drawn = (0, 103, 163) in colours  # the colour of the first line
    assert drawn == bool(np.isfinite(best).any())
    text = svg.lines({"best": best}, "calls", "a <title>", dots=scores)
    assert text.startswith("<svg") == text.endswith("</svg>") is True
    assert "a &lt;title&gt;" in text
    assert text.count("<circle") == int(np.isfinite(scores).sum())
    assert ('class="line c0"' in text) == drawn


@pytest.mark.parametrize("falling", [False, True])
def test_the_key_is_away_from_the_lines(tmp_path, falling):
    scores = np.linspace(1, 0, 50) if falling else np.linspace(0, 1, 50)
    lines = {f"line {i}": scores + i / 100 for i in range(5)}
    write_trace(tmp_path / "trace.png", lines, "title")
    with Image.open(tmp_path / "trace.png") as image:
        corners = [image.crop((860, top, 880, top + 100)) for top in (24, 290)]
    found = [(0, 103, 163) in {c for _, c in each.getcolors(1 << 16)} for each in corners]
    assert found[0 if falling else 1]  # the first line of the key


def test_lines_are_steps():
    plot = svg.lines_plot([np.array([0.0, 1.0])], np.zeros(0), (200, 100))
    left, corner, right = plot.steps(np.array([0.0, 1.0]))
    assert left[1] == corner[1] > right[1]  # upwards is towards 0
    assert corner[0] == right[0] > left[0]


def test_one_bad_score_does_not_squeeze_the_rest():
    dots = np.concatenate([np.linspace(0, 1, 99), [-1000.0]])
    plot = svg.lines_plot([np.ones(100)], dots, (200, 100))
    assert -1 < plot.up[0] < 0.1
    assert plot.dots(dots)[-1][1] == plot.y(-5.0) == plot.top + plot.height  # on the border
