"""How a campaign went: best so far and mean of the best ten, call by call, as a picture."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from molae.datasets.files import replacing
from molae.workflows.svg import Plot, lines_plot, ticks

Floats = NDArray[np.float64]

#: The score whose development is shown beside that of the best: the mean of so many, as in the
#: benchmark of practical molecular optimisation (Gao et al. 2022).
TOP = 10
#: Pixels of the picture, and how much larger it is drawn before it is made smooth.
_SIZE, _LARGER = (900, 440), 3
_INK, _RULE, _GROUND = "#5c6670", "#dcdfe2", "#ffffff"
#: Of the lines, as on the page.
_COLOURS = ("#0067a3", "#c24f00", "#00805c", "#a83f7c", "#8a6a00", "#2b8fd0", "#6b4bb0")


def best_so_far(scores: Sequence[float], *, minimize: bool = False) -> Floats:
    """The best score up to each call, (n,); nan as long as there is none."""
    sign = -1.0 if minimize else 1.0
    values = np.nan_to_num(sign * np.asarray(scores, np.float64), nan=-np.inf)
    best = np.maximum.accumulate(values) if len(values) else values
    return np.where(np.isfinite(best), sign * best, np.nan)


def top_mean(scores: Sequence[float], top: int = TOP, *, minimize: bool = False) -> Floats:
    """The mean of the best ``top`` scores up to each call, (n,); nan as long as there is none.

    While there are fewer, it is the mean of those that there are.
    """
    sign = -1.0 if minimize else 1.0
    kept: list[float] = []
    means = np.full(len(scores), np.nan)
    for call, score in enumerate(scores):
        if score == score:
            bisect.insort(kept, sign * score)
            del kept[:-top]
        if kept:
            means[call] = sign * float(np.mean(kept))
    return means


def write_trace(
    path: str | Path, series: Mapping[str, Floats], title: str, dots: Floats | None = None
) -> None:
    """Draw lines over the calls, with a key, as a ``.png``.

    Args:
        path: Where to write; the file appears when it is whole.
        series: Values by name, (n,) each, over calls 1, 2, 3, ...; nan is left out.
        title: Above the lines.
        dots: Single values, (n,), drawn beneath the lines.

    Raises:
        DataError: The file cannot be written.
    """
    width, height = _SIZE
    image = Image.new("RGB", (width * _LARGER, height * _LARGER), _GROUND)
    single = np.zeros(0) if dots is None else dots
    plot = lines_plot(list(series.values()), single, (width, height - 24))
    brush = _Brush(image)
    brush.write(width / 2, -8, title, anchor="mm")
    if plot is None:
        brush.write(width / 2, height / 2, "there is no score yet", anchor="mm")
    else:
        _axes(brush, plot)
        for x, y in plot.dots(single):
            brush.dot(x, y, "#a9b1b9")
        right, key = plot.left + plot.width, _key(plot, list(series.values()))
        for number, (name, values) in enumerate(series.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            brush.line(plot.steps(values), colour)
            place = key + 18 * number
            brush.line([(right - 24, place), (right - 4, place)], colour)
            brush.write(right - 30, place, name, anchor="rm")
    with replacing(path) as part:
        image.resize(_SIZE, Image.Resampling.LANCZOS).save(part)


def _key(plot: Plot, series: Sequence[Floats]) -> float:
    """Where the first line of the key stands: at the right, away from where the lines end."""
    ends = [plot.y(float(v[-1])) for v in series if len(v) and np.isfinite(v[-1])]
    if ends and np.mean(ends) > plot.top + plot.height / 2:
        return plot.top + 8
    return plot.top + plot.height - 18 * len(series) + 4


def _axes(brush: _Brush, plot: Plot) -> None:
    base = plot.top + plot.height
    for value in ticks(float(plot.up[0]), float(plot.up[1])):
        place = plot.y(value)
        brush.line([(plot.left, place), (plot.left + plot.width, place)], _RULE, 1)
        brush.write(plot.left - 8, place, f"{value:g}", anchor="rm")
    for value in ticks(float(plot.across[0]), float(plot.across[1])):
        place = plot.x(value)
        brush.line([(place, base), (place, base + 4)], _RULE, 1)
        brush.write(place, base + 12, f"{value:g}", anchor="mm")
    brush.line([(plot.left, base), (plot.left + plot.width, base)], _RULE, 1)
    brush.write(plot.left + plot.width / 2, plot.size[1] - 6, "calls", anchor="mm")


class _Brush:
    """Draws in the pixels of the finished picture on one that is larger, below the title."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)
        self._font = ImageFont.load_default(12 * _LARGER)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.8) -> None:
        """A line through points."""
        if len(points) > 1:
            places = [(x * _LARGER, (y + 20) * _LARGER) for x, y in points]
            self._draw.line(places, colour, round(width * _LARGER), joint="curve")

    def dot(self, x: float, y: float, colour: str, radius: float = 1.6) -> None:
        """A filled circle."""
        left, top = (x - radius) * _LARGER, (y + 20 - radius) * _LARGER
        side = 2 * radius * _LARGER
        self._draw.ellipse((left, top, left + side, top + side), colour)

    def write(self, x: float, y: float, text: str, anchor: str) -> None:
        """A word; see Pillow for the anchor."""
        self._draw.text(
            (x * _LARGER, (y + 20) * _LARGER), text, _INK, font=self._font, anchor=anchor
        )
