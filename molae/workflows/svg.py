"""Plots as SVG text for a page: histograms, point clouds, a scale of colours.

Lines and words take their colours from the page (``currentColor`` and the classes ``c0``, ``c1``,
... and ``ref``), so that a plot is readable on light and on dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import chain, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Bins of a histogram.
BINS = 36
#: Share of the values that is left out at each end of an axis: one outlier would squeeze the rest.
_TAIL = 0.005
#: The same of the dots of a campaign, where a bad molecule may have any score.
_FAR = 0.03
#: Room around a plot: left, right, top, bottom; with words below it, without, and with numbers at
#: the left side too.
_WORDS, _BARE, AXES = (16, 16, 12, 36), (8, 8, 8, 8), (56, 16, 12, 36)
#: From low to high in even steps of lightness (CIE L* 38 to 77), so that they are told apart in
#: grey too; none is near black or white: dots in these colours are seen on either ground.
_SCALE = np.array(
    [
        (95, 70, 180),
        (61, 106, 193),
        (36, 138, 172),
        (41, 166, 125),
        (120, 185, 75),
        (222, 186, 44),
    ],
    dtype=np.float64,
)
#: What has no value.
_UNKNOWN = "#999999"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About so many round numbers from ``low`` to ``high``, which is larger."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= 0.75 * rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def histogram(
    series: Mapping[str, ArrayLike],
    label: str,
    *,
    filled: str | None = None,
    size: tuple[int, int] = (520, 240),
) -> str:
    """Distributions of a number, drawn over each other: heights are shares of each set.

    What is far out in all sets together is not drawn, but counts in the shares.

    Args:
        series: Values by name, (n,) each, finite. The i-th that is not ``filled`` has class ci.
        label: Below the axis: what it is, with its unit.
        filled: The one that is drawn as an area (class ``ref``), beneath the others.
        size: Width and height.

    Returns:
        An ``<svg>`` element; one with a sentence where there is nothing to draw.
    """
    data = {name: np.asarray(values, np.float64) for name, values in series.items()}
    data = {name: values for name, values in data.items() if len(values)}
    if not data:
        return _empty(label, size)
    low, high = _range(np.concatenate(list(data.values())))
    edges = np.linspace(low, high, BINS + 1)
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in data.items()}
    top = max(float(share.max()) for share in shares.values())
    plot = Plot(size, (low, high), (0.0, 1.05 * top))
    parts = [plot.bottom_axis(label)]
    order = sorted(shares, key=lambda name: name != filled)
    lines = [name for name in series if name != filled]
    for name in order:
        kind = "ref" if name == filled else f"line c{lines.index(name)}"
        outline = _steps(plot, edges, shares[name])
        parts.append(f'<path class="{kind}" d="{outline}"><title>{escape(name)}</title></path>')
    return plot.svg("".join(parts), f"Histogram of {label}")


def lines(
    series: Mapping[str, ArrayLike],
    label: str,
    title: str,
    *,
    dots: ArrayLike = (),
    size: tuple[int, int] = (720, 320),
) -> str:
    """How numbers develop: each series in steps from left to right over 1, 2, 3, ...

    Args:
        series: Values by name, (n,) each, any n; nan is left out. The i-th has class ci.
        label: Below the axis: what is counted there.
        title: Read out where the plot cannot be seen.
        dots: Single values, (n,), drawn as dots beneath the lines.
        size: Width and height.

    Returns:
        An ``<svg>`` element; one with a sentence where there is nothing to draw.
    """
    data = {name: np.asarray(values, np.float64) for name, values in series.items()}
    single = np.asarray(dots, np.float64)
    plot = lines_plot(list(data.values()), single, size)
    if plot is None:
        return _empty(title, size)
    parts = [plot.bottom_axis(label), plot.left_axis()]
    circles = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" fill="{_UNKNOWN}"/>' for x, y in plot.dots(single)
    )
    parts.append(f'<g class="dots">{circles}</g>')
    for number, (name, values) in enumerate(data.items()):
        path = "L".join(f"{x:.1f},{y:.1f}" for x, y in plot.steps(values))
        if path:
            parts.append(
                f'<path class="line c{number}" d="M{path}"><title>{escape(name)}</title></path>'
            )
    return plot.svg("".join(parts), title)


def lines_plot(
    series: Sequence[NDArray[np.float64]], dots: NDArray[np.float64], size: tuple[int, int]
) -> Plot | None:
    """The rectangle in which numbers fit over 1, 2, 3, ...; None where there are none.

    Args:
        series: Values of lines, (n,) each, all of which fit.
        dots: Single values, (n,), of which nearly all fit.
        size: Width and height.
    """
    single = dots[np.isfinite(dots)]
    known = np.concatenate([values[np.isfinite(values)] for values in [*series, single[:0]]])
    if len(single):
        known = np.concatenate([known, np.quantile(single, (_FAR, 1 - _FAR))])
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    room = 0.04 * (high - low) or 0.5
    last = max(2, *(len(values) for values in [*series, dots]))
    return Plot(size, (1.0, float(last)), (low - room, high + room), AXES)


def cloud(
    points: ArrayLike,
    values: ArrayLike,
    title: str,
    *,
    window: tuple[tuple[float, float], tuple[float, float]],
    span: tuple[float, float],
    size: tuple[int, int] = (260, 230),
) -> str:
    """Points in a plane, coloured by a number.

    Args:
        points: (n, 2).
        values: (n,); nan is a hollow dot.
        title: Read out where the plot cannot be seen.
        window: What is shown, ((left, right), (bottom, top)); points outside lie on the border.
        span: Values that have the first and the last colour.
        size: Width and height.

    Returns:
        An ``<svg>`` element.

    Raises:
        ValueError: There are not as many values as points.
    """
    places, numbers = np.asarray(points, np.float64), np.asarray(values, np.float64)
    if places.shape != (len(numbers), 2):
        raise ValueError(f"points {places.shape} and {len(numbers)} values; expected (n, 2) and n")
    plot = Plot(size, *window, room=_BARE)
    dots = []
    for (x, y), colour in zip(places, colours(numbers, span), strict=True):
        kind = 'class="none"' if colour == _UNKNOWN else f'fill="{colour}"'
        dots.append(f'<circle cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" {kind}/>')
    return plot.svg(f'<g class="dots">{"".join(dots)}</g>', title)


def window(points: ArrayLike) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds for ``cloud`` that hold nearly all points (n, 2), n at least 1."""
    places = np.asarray(points, np.float64)
    return _range(places[:, 0]), _range(places[:, 1])


def colours(values: ArrayLike, span: tuple[float, float]) -> list[str]:
    """``#rrggbb`` for each value (n,): the first colour at ``span[0]``, the last at the other."""
    numbers = np.asarray(values, np.float64)
    width = span[1] - span[0]
    place = np.clip((numbers - span[0]) / (width if width > 0 else 1.0), 0, 1)
    stops = np.linspace(0, 1, len(_SCALE))
    known = np.isfinite(numbers)
    rgb = np.stack([np.interp(np.where(known, place, 0), stops, c) for c in _SCALE.T], -1)
    return [
        "#" + "".join(f"{round(part):02x}" for part in row) if there else _UNKNOWN
        for row, there in zip(rgb, known, strict=True)
    ]


def scale(label: str, span: tuple[float, float], size: tuple[int, int] = (420, 52)) -> str:
    """The colours of ``cloud`` with their numbers."""
    plot = Plot(size, span if span[1] > span[0] else (span[0], span[0] + 1), (0.0, 1.0))
    count = 48
    width = plot.width / count
    places = np.linspace(span[0], span[1], count)
    bars = "".join(
        f'<rect x="{plot.left + i * width:.2f}" y="4" width="{width + 0.5:.2f}" height="12" '
        f'fill="{colour}" shape-rendering="crispEdges"/>'
        for i, colour in enumerate(colours(places, span))
    )
    return plot.svg(bars + plot.bottom_axis(label), f"Colours of {label}")


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Where nearly all values lie, never of no width."""
    low, high = (float(edge) for edge in np.quantile(values, (_TAIL, 1 - _TAIL)))
    if high - low > 1e-9 * max(1.0, abs(low), abs(high)):
        return low, high
    return low - 0.5, high + 0.5


def _steps(plot: Plot, edges: NDArray[np.float64], heights: NDArray[np.float64]) -> str:
    """The outline of a histogram, closed along the axis."""
    path = [f"M{plot.x(edges[0]):.1f},{plot.y(0):.1f}"]
    for right, height in zip(edges[1:], heights, strict=True):
        path.append(f"V{plot.y(float(height)):.1f}H{plot.x(float(right)):.1f}")
    return "".join([*path, f"V{plot.y(0):.1f}"])


def _empty(label: str, size: tuple[int, int]) -> str:
    plot = Plot(size, (0.0, 1.0), (0.0, 1.0))
    return plot.svg(plot.caption(f"{label}: there is nothing to draw"), label)


class Plot:
    """A rectangle with room for words around it, and its coordinates.

    Args:
        size: Width and height of the whole.
        across: Data at the left and right border.
        up: Data at the lower and upper border.
        room: Around the rectangle: left, right, top, bottom.
    """

    def __init__(
        self,
        size: tuple[int, int],
        across: Sequence[float],
        up: Sequence[float],
        room: tuple[int, int, int, int] = _WORDS,
    ) -> None:
        self.size, self.across, self.up = size, across, up
        self.left, right, self.top, bottom = room
        self.width = size[0] - self.left - right
        self.height = size[1] - self.top - bottom

    def x(self, value: float) -> float:
        """Pixels from the left; what lies outside is on the border."""
        share = (value - self.across[0]) / (self.across[1] - self.across[0])
        return self.left + self.width * min(1.0, max(0.0, share))

    def y(self, value: float) -> float:
        """Pixels from the top; what lies outside is on the border."""
        share = (value - self.up[0]) / (self.up[1] - self.up[0])
        return self.top + self.height * (1 - min(1.0, max(0.0, share)))

    def bottom_axis(self, label: str) -> str:
        """A line with numbers and what they are."""
        base = self.top + self.height
        parts = [f'<path class="axis" d="M{self.left},{base}h{self.width}"/>']
        for value in ticks(float(self.across[0]), float(self.across[1])):
            place = self.x(value)
            parts.append(f'<path class="axis" d="M{place:.1f},{base}v4"/>')
            parts.append(f'<text x="{place:.1f}" y="{base + 16}">{value:g}</text>')
        return "".join([*parts, self.caption(label)])

    def left_axis(self) -> str:
        """Numbers at the left border, with thin lines across."""
        parts = []
        for value in ticks(float(self.up[0]), float(self.up[1])):
            place = self.y(value)
            parts.append(f'<path class="axis" d="M{self.left},{place:.1f}h{self.width}"/>')
            parts.append(
                f'<text x="{self.left - 8}" y="{place + 4:.1f}" style="text-anchor:end">'
                f"{value:g}</text>"
            )
        return "".join(parts)

    def dots(self, values: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Pixels of values (n,) over 1, 2, 3, ...; those that are nan are left out."""
        return [
            (self.x(call), self.y(value))
            for call, value in enumerate(values.tolist(), 1)
            if math.isfinite(value)
        ]

    def steps(self, values: NDArray[np.float64]) -> list[tuple[float, float]]:
        """The same with the corners between, where a value holds until the next one comes."""
        dots = self.dots(values)
        corners = [(right[0], left[1]) for left, right in pairwise(dots)]
        return [*chain.from_iterable(zip(dots, corners, strict=False)), *dots[-1:]]

    def caption(self, text: str) -> str:
        """Words in the middle of the lower border."""
        middle = self.left + self.width / 2
        return f'<text x="{middle:.0f}" y="{self.size[1] - 5}">{escape(text)}</text>'

    def svg(self, body: str, title: str) -> str:
        """The element; its title is read out where it cannot be seen."""
        width, height = self.size
        return (
            f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}">{body}</svg>'
        )
