"""Fixed points of beta-VAEs without limits: figures 2 and 7 of *Taming VAEs*, drawn again.

    python -m benchmarks.fixed_points
    python -m benchmarks.fixed_points --quick          # under a minute, coarse

Rezende and Viola, *Taming VAEs*, 2018, section 3.2 and appendices A and B; the iteration is
``molae.metrics.fixed_points``. As in the paper there are 32 x 32 tiles of a uniform prior, steps
are smoothed, and end after 400 or where the distance of two is below 1e-3. The paper's data are
not known to the point: here they are nine clusters in three groups (figure 2), three lines and
three circles (figure 7).

``fixed_points_2.png``: paths of reconstructions (grey) to fixed points (red) among data (blue) at
several beta; the expected squared error over beta with the three sharpest bends (grey lines) and
the largest eigenvalue of the covariance (dashed), from which on the mean is stable (three groups
outlast it a little); and beta times its second derivative, which counts kinks at all scales alike.
``fixed_points_7.png``: without, with local, and with global Lipschitz constraints. Numbers go into
``fixed_points.json``, beside the pictures after ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.command_line import guarded
from benchmarks.plots import figure, save
from benchmarks.record import record
from molae.datasets.files import cache_folder
from molae.metrics.fixed_points import (
    FixedPoints,
    critical_temperatures,
    fixed_points,
    last_temperature,
    lipschitz,
    tiles,
)

NAME = "fixed_points"
#: Where pictures go that are to be kept.
DOCS = Path(__file__).parents[1] / "docs"
#: Tiles on a side, data, and betas on the curve: as usual, and with --quick.
SIZES = {False: (32, 360, 60), True: (16, 120, 24)}
#: Betas of figure 2 whose paths are drawn.
SHOWN = (0.002, 0.015, 0.06, 0.3)
#: Figure 7: betas of the first row; and of the others one beta, with radius and strengths.
WARMER = (0.002, 0.02, 0.1)
HELD, RADIUS = 0.002, 0.25
STRENGTHS = {"local": (RADIUS, (0.3, 2.0, 10.0)), "global": (None, (0.1, 0.3, 1.0))}
#: Uniform noise on the centres of tiles at the beginning, as a share of a tile.
NOISE = 0.1


def clusters(n: int, seed: int = 0) -> Tensor:
    """Nine clusters in three groups, (n, 2)."""
    coarse = _ring(3, 0.55, 0.4)[:, None] + _ring(3, 0.16, 1.0)[None]
    return _around(coarse.flatten(0, 1), n, 0.02, seed)


def lines(n: int, seed: int = 0) -> Tensor:
    """Three lines, (n, 2)."""
    along = torch.linspace(-0.7, 0.7, n // 3, dtype=torch.float64)
    parts = [torch.stack([along, slope * along + level], 1) for slope, level in
             ((0.3, 0.55), (-0.25, 0.0), (0.15, -0.6))]  # fmt: skip
    return _around(torch.cat(parts), n, 0.02, seed)


def circles(n: int, seed: int = 0) -> Tensor:
    """Three circles, (n, 2)."""
    ring = _ring(n // 3, 0.25, 0.0)
    centres = torch.tensor([[-0.5, -0.45], [0.5, -0.35], [0.0, 0.5]], dtype=torch.float64)
    return _around(torch.cat([ring + centre for centre in centres]), n, 0.02, seed)


def _ring(count: int, radius: float, turn: float) -> Tensor:
    """Points on a circle, (count, 2)."""
    angle = turn + 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def _around(points: Tensor, n: int, spread: float, seed: int) -> Tensor:
    """n points, each near one of these in turn, (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return points[torch.arange(n) % len(points)] + spread * noise


def begin(side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Centres of tiles, and reconstructions to begin with: the centres and a little noise."""
    centres = tiles(side)
    generator = torch.Generator().manual_seed(seed)
    noise = 2 * torch.rand(centres.shape, generator=generator, dtype=torch.float64) - 1
    return centres, centres + NOISE / side * noise


def temperatures(data: Tensor, start: Tensor, count: int) -> dict[str, Any]:
    """Errors and surviving components over beta, and where the error bends."""
    last = last_temperature(data)
    betas = torch.logspace(math.log10(5e-4), math.log10(3 * last), count).tolist()
    found = [fixed_points(data, start, beta) for beta in betas]
    errors = [each.error for each in found]
    critical, bends = critical_temperatures(betas, errors)
    return {
        "betas": betas,
        "errors": errors,
        "components": [len(each.distinct()) for each in found],
        "second_derivative": bends,
        "critical": critical,
        "last": last,
    }


def figure_2(data: Tensor, start: Tensor, curve: dict[str, Any], path: Path) -> None:
    """Draw paths, the error over beta, and its second derivative."""
    made, axes = figure(2, len(SHOWN), (3.0, 3.0))
    for axis, beta in zip(axes[0], SHOWN, strict=True):
        _paths(axis, data, fixed_points(data, start, beta), f"beta = {beta:g}")
    error, bend = _merged(made, axes[1])
    error.plot(curve["betas"], curve["errors"], color="black")
    error.set_ylabel("expected squared error")
    change = [beta * abs(value) for beta, value in
              zip(curve["betas"], curve["second_derivative"], strict=True)]  # fmt: skip
    bend.plot(curve["betas"], change, color="black")
    bend.set_ylabel("beta |second derivative|")
    for axis in (error, bend):
        axis.set_xscale("log")
        axis.set_xlabel("beta")
        for beta in curve["critical"]:
            axis.axvline(beta, color="grey", linewidth=1)
        axis.axvline(curve["last"], color="grey", linewidth=1, linestyle="--")
    save(made, path)


def _merged(made: Any, row: Sequence[Any]) -> tuple[Any, Any]:
    """The axes of a row as two wide ones."""
    grid, half = row[0].get_gridspec(), len(row) // 2
    for axis in row:
        axis.remove()
    return made.add_subplot(grid[1, :half]), made.add_subplot(grid[1, half:])


def figure_7(sets: dict[str, Tensor], side: int, path: Path) -> dict[str, Any]:
    """Draw paths without, with local and with global Lipschitz constraints; errors and counts."""
    centres, start = begin(side)
    rows: list[tuple[str, list[tuple[str, float, Tensor | None]]]] = [
        ("none", [(f"beta = {beta:g}", beta, None) for beta in WARMER])
    ]
    for name, (radius, strengths) in STRENGTHS.items():
        held = [(f"{name}, strength {s:g}", HELD, lipschitz(centres, s, radius))
                for s in strengths]  # fmt: skip
        rows.append((name, held))
    made, axes = figure(len(rows), len(sets) * len(WARMER), (2.4, 2.4))
    told: dict[str, Any] = {}
    for place, (kind, data) in enumerate(sets.items()):
        for line, (name, cells) in enumerate(rows):
            for column, (title, beta, projection) in enumerate(cells):
                found = fixed_points(data, start, beta, projection=projection)
                _paths(axes[line][place * len(WARMER) + column], data, found, title)
                told.setdefault(kind, {}).setdefault(name, []).append(
                    {"what": title, "error": found.error, "components": len(found.distinct())}
                )
    save(made, path)
    return told


def _paths(axis: Any, data: Tensor, found: FixedPoints, title: str) -> None:
    """Data, paths and fixed points."""
    axis.plot(*found.path.unbind(-1), color="grey", linewidth=0.3, alpha=0.35)
    axis.plot(*data.T, ".", color="tab:blue", markersize=2)
    axis.plot(*found.points.T, ".", color="tab:red", markersize=3)
    axis.set_title(title, fontsize=9)
    axis.set_xlim(-1, 1)
    axis.set_ylim(-1, 1)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal")


def draw(quick: bool, folder: Path) -> dict[str, Any]:
    """Both figures into a folder; the numbers behind them."""
    side, n, count = SIZES[quick]
    folder.mkdir(parents=True, exist_ok=True)
    data, start = clusters(n), begin(side)[1]
    curve = temperatures(data, start, count)
    figure_2(data, start, curve, folder / f"{NAME}_2.png")
    held = figure_7({"lines": lines(n), "circles": circles(n)}, side, folder / f"{NAME}_7.png")
    settings = {"tiles": side**2, "data": n, "noise": NOISE, "radius": RADIUS, "held": HELD}
    return {"settings": settings, "temperatures": curve, "lipschitz": held}


def main(words: Sequence[str] | None = None) -> int:
    """Draw the figures; 1 where matplotlib is missing or the folder cannot be used."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="under a minute, coarse")
    made.add_argument("--pictures", type=Path, help="folder of the pictures (docs)")
    options = made.parse_args(words)
    folder = options.pictures or (cache_folder(f"{NAME}_quick") if options.quick else DOCS)

    def work() -> None:
        found = draw(options.quick, folder)
        if options.quick:  # numbers that mean nothing are no results
            text = json.dumps(found, indent=1)
            (folder / f"{NAME}.json").write_text(text + "\n", "utf-8")
        else:
            record(NAME, found)
        print("critical:", ", ".join(f"{beta:.4f}" for beta in found["temperatures"]["critical"]))
        print(f"last: {found['temperatures']['last']:.4f}; pictures in {folder}")

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
