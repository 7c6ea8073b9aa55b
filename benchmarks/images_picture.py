"""What the cells of the table on images look like: the picture of the paper, and the curve."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.cells import Values
from benchmarks.images_cell import COMPONENTS, SHOWN
from benchmarks.images_models import MODELS
from benchmarks.images_table import Cells, gained
from molae.datasets.files import replacing
from molae.pictures import Pixels, enlarged, in_channels, pixels_of, save_png
from molae.workflows.svg import Plot

#: Columns of the picture: what strips are called in cells (the first that is there), and above.
COLUMNS = {
    ("reconstructions",): "reconstructions",
    ("prior",): "samples, N(0, I)",
    ("gmm", "two_stage"): f"samples, GMM-{COMPONENTS} (2sVAE: its own)",
    ("interpolation",): "interpolation between the first two",
}
#: Room for names and heads, between columns and rows, and the size of letters, in pixels.
_NAME, _HEAD, _GAP, _LETTERS = 86, 24, 12, 14
#: Colours of the lines of the curve, which repeat dashed.
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#9c6b4e")
_STYLE = (
    "text{font:12px sans-serif;text-anchor:middle;fill:#444}.axis{stroke:#ddd;fill:none}"
    ".line{fill:none;stroke-width:2}svg{background:#fff}"
)


def picture(cells: Cells, path: Path) -> None:
    """Draw reconstructions, samples and interpolations of each model, of its first seed.

    Above is what the reconstructions are of. All strips are of the same images, and of the same
    draws as far as densities have any in common.

    Args:
        cells: Of which those of the lowest seed are drawn.
        path: A ``.png``.

    Raises:
        ValueError: No model was trained to its end, or the floor is missing.
    """
    models = [(name, cells.whole(name)[0]) for name in cells.rows if cells.whole(name)]
    if not models or cells.data is None:
        raise ValueError("there is nothing to draw: make the cells of the table first")
    truth = _large(cells.data["pictures"]["truth"])
    height, width = truth.shape[:2]
    places = [_NAME + number * (width + _GAP) for number in range(len(COLUMNS))]
    rows = 1 + len(models)
    sheet = Image.new("RGB", (places[-1] + width, _HEAD + rows * (height + _GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LETTERS)
    _row(sheet, draw, font, _HEAD, "test images", [(places[0], truth)])
    for place, head in zip(places, COLUMNS.values(), strict=True):
        draw.text((place, 2), head, "black", font)
    for number, (name, cell) in enumerate(models, 1):
        top = _HEAD + number * (height + _GAP)
        found = [
            (place, _chosen(cell, names)) for place, names in zip(places, COLUMNS, strict=True)
        ]
        there = [(place, strip) for place, strip in found if strip is not None]
        _row(sheet, draw, font, top, MODELS[name].title, there)
    with replacing(path) as part:
        save_png(np.asarray(sheet), part)


def _chosen(cell: Values, names: tuple[str, ...]) -> Pixels | None:
    """The first strip that a cell has of some."""
    text = next((cell["pictures"][name] for name in names if name in cell["pictures"]), None)
    return None if text is None else _large(text)


def _large(text: str) -> Pixels:
    """A strip at a size at which it can be looked at, in colours."""
    strip = pixels_of(text)
    scale = enlarged(strip.shape[0], strip.shape[1] // SHOWN, 48)
    return in_channels(strip, 3).repeat(scale, 0).repeat(scale, 1)


def _row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    top: int,
    name: str,
    strips: list[tuple[int, Pixels]],
) -> None:
    """A name, and strips at their places."""
    for place, strip in strips:
        sheet.paste(Image.fromarray(strip), (place, top))
    middle = top + strips[0][1].shape[0] // 2
    draw.text((2, middle), name, "black", font, anchor="lm")


def curve(cells: Cells, path: Path) -> None:
    """Draw how much likelier validation codes become with more components, mean over seeds.

    Args:
        cells: With curves.
        path: An ``.svg``.

    Raises:
        ValueError: No cell has a curve.
    """
    lines: dict[str, list[tuple[int, float]]] = {}
    for name in cells.rows:
        gains = [gain for cell in cells.whole(name) if (gain := gained(cell))]
        if gains:
            counts = sorted(set.intersection(*(set(gain) for gain in gains)))
            means = [(k, float(np.mean([gain[k] for gain in gains]))) for k in counts]
            lines[MODELS[name].title] = means
    if not lines:
        raise ValueError("no cell has a curve of components: there were too few codes for it")
    points = [point for line in lines.values() for point in line]
    top = max(value for _, value in points)
    low = min(0.0, *(value for _, value in points))
    plot = Plot(
        (720, 380), (0, max(count for count, _ in points)), (low, top + 0.05 * (top - low or 1))
    )  # fmt: skip
    parts = [plot.bottom_axis("components of the mixture"), plot.left_axis()]
    for number, (name, line) in enumerate(lines.items()):
        parts += _line(plot, number, name, line)
    body = f"<style>{_STYLE}</style>" + "".join(parts)
    drawing = plot.svg(body, "Nats per validation code gained over one Gaussian")
    drawing = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    with replacing(path) as part:
        part.write_text(drawing + "\n", "utf-8")


def _line(plot: Plot, number: int, name: str, line: list[tuple[int, float]]) -> list[str]:
    """A line of the curve, and its name below it on the right."""
    points = "L".join(f"{plot.x(count):.1f},{plot.y(value):.1f}" for count, value in line)
    dashed = ' stroke-dasharray="5 3"' if number >= len(_COLOURS) else ""
    mark = f'stroke="{_COLOURS[number % len(_COLOURS)]}"{dashed}'
    left = plot.left + plot.width - 230 + 115 * (number % 2)
    height = plot.top + plot.height - 90 + 16 * (number // 2)
    return [
        f'<path class="line" {mark} d="M{points}"/>',
        f'<path class="line" {mark} d="M{left},{height}h24"/>',
        f'<text x="{left + 30}" y="{height + 4}" style="text-anchor:start">{escape(name)}</text>',
    ]
