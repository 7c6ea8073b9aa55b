"""Pictures of benchmarks, with matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from molae.datasets.files import replacing

#: Dots per inch of all pictures, and how many colours they are stored in: a third of the bytes.
DPI = 110
COLOURS = 64


def figure(
    rows: int, columns: int, size: tuple[float, float], heights: Sequence[float] | None = None
) -> tuple[Any, Any]:
    """A figure and its axes, always as an array (rows, columns).

    Args:
        rows: Of axes.
        columns: Of axes.
        size: Width and height of one, in inches.
        heights: Of each row, in units of that height; all 1 by default.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("pictures need matplotlib: pip install 'molae[plots]'") from error
    shares = [1.0] * rows if heights is None else list(heights)
    made = Figure(figsize=(columns * size[0], sum(shares) * size[1]), layout="constrained")
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False, height_ratios=shares)


def save(made: Any, path: Path) -> None:
    """Write a figure as ``.png`` of few colours, whole or not at all."""
    drawn = BytesIO()
    made.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    with replacing(path) as part, Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS).save(part, format="PNG", optimize=True)
