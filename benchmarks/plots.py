"""Pictures of benchmarks, with matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molae.datasets.files import replacing

#: Dots per inch of all pictures.
DPI = 110


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
    """Write a figure as ``.png``, whole or not at all."""
    with replacing(path) as part:
        made.savefig(part, format="png", dpi=DPI, metadata={"Software": None})
