"""Points among which an acquisition function chooses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molae.optimize.region import FIRST, SHORTEST
from molae.optimize.scales import SIDE

#: Coordinates that differ from the centre, on average: TuRBO and LOL-BO perturb
#: min(1, 20 / D) of them.
_CHANGED = 20


def redrawn(center: Tensor, low: Tensor, high: Tensor, seed: int) -> Tensor:
    """Each point with some coordinates drawn anew, as codes are spread within a box.

    TuRBO draws them uniformly. In many dimensions nearly all of a wide box lies where there are no
    codes, so here they are normal with the mean and the width of the codes, restricted to the box:
    in a narrow box that is uniform, too. Scrambled Sobol points, as in TuRBO.

    Args:
        center: x (n, D); row i is what point i has in common with.
        low: Corners of the boxes, (n, D).
        high: The others.
        seed: Of the points and of the choice of coordinates, at least one a point.

    Returns:
        (n, D) float64.
    """
    n, size = center.shape
    generator = torch.Generator().manual_seed(seed)
    sobol: Any = torch.quasirandom.SobolEngine  # has no types
    u = sobol(size, scramble=True, seed=seed).draw(n, dtype=torch.float64)
    first, last = (torch.special.ndtr(SIDE * (edge - 0.5)) for edge in (low, high))
    drawn = 0.5 + torch.special.ndtri(first + u * (last - first)) / SIDE
    chances = torch.rand(n, size, generator=generator, dtype=torch.float64)
    changed = chances < _CHANGED / size
    changed |= chances == chances.min(1, keepdim=True).values
    # Far outside of what is normal the quantiles are infinite, or one number for a whole box.
    return torch.where(changed, torch.clamp(drawn, low, high), center)


def around(best: Tensor, n: int, seed: int) -> Tensor:
    """Points around some good ones, near and far, for surrogates without a trust region.

    Args:
        best: x (k, D).
        n: How many.
        seed: Of everything.

    Returns:
        (n, D) float64: each ``redrawn`` from one of the ``best`` in a cube whose side is anything
        between the shortest and the first of a trust region, evenly in the logarithm.
    """
    generator = torch.Generator().manual_seed(seed)
    center = best[torch.randint(len(best), (n,), generator=generator)]
    u = torch.rand(n, 1, generator=generator, dtype=torch.float64)
    half = 0.5 * SHORTEST * (FIRST / SHORTEST) ** u
    return redrawn(center, center - half, center + half, seed)
