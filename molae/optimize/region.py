"""The trust region of TuRBO."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molae.optimize.scales import SIDE

#: Lengths at the start, at most and at least; improvements in a row that double it.
FIRST, LONGEST, SHORTEST = 0.8, 1.6, 0.5**7
_SUCCESSES = 3


class TrustRegion:
    """A box around the best point, whose length follows from how well it goes.

    Eriksson, Pearce, Gardner, Turner and Poloczek, *Scalable Global Optimization via Local
    Bayesian Optimization*, NeurIPS 2019, with the published lengths: after three rounds in a row
    that improve on the best the length doubles; after as many points in a row that do not as there
    are dimensions (four at least) it halves. Where it has become too short, the
    region is given up and another is opened elsewhere, as long as the first one was: points
    nearer to a centre that was given up than half the distance of two typical codes,
    sqrt(2 D) standard deviations, do not count any more.

    Args:
        size: D.
    """

    def __init__(self, size: int) -> None:
        self.length = FIRST
        self._successes = 0
        self._failures = 0
        self._patience = max(4, size)
        self._apart = (size / 2) ** 0.5 / SIDE
        self.left = torch.zeros(0, size, dtype=torch.float64)  # centres given up, (k, D)

    @property
    def restarts(self) -> int:
        """Regions that were given up."""
        return len(self.left)

    def judge(self, improved: bool, points: int, center: Tensor) -> None:
        """Learn how a round went.

        Args:
            improved: Whether it found something better than the best before.
            points: How many were told.
            center: x (D,), where the region was.
        """
        self._successes = self._successes + 1 if improved else 0
        self._failures = 0 if improved else self._failures + points
        if self._successes == _SUCCESSES:
            self.length, self._successes = min(2.0 * self.length, LONGEST), 0
        elif self._failures >= self._patience:
            self.length, self._failures = 0.5 * self.length, 0
        if self.length < SHORTEST:
            self.left = torch.cat([self.left, center[None]])
            self.length, self._successes = FIRST, 0

    def counts(self, x: Tensor) -> Tensor:
        """Which of the points x (n, D) are not near to a centre that was given up, (n,) bool."""
        far = torch.cdist(x, self.left, compute_mode="donot_use_mm_for_euclid_dist")
        outside: Tensor = (far >= self._apart).all(1)
        return outside

    def box(self, center: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest corner, (D,) each, of the cube around a centre x (D,).

        It is cut off where [0, 1] ends, unless the centre is out there itself. (TuRBO's sides are
        proportional to lengthscales; here the kernel has one for all coordinates.)
        """
        half = 0.5 * self.length
        low, high = center.clamp(max=0.0), center.clamp(min=1.0)
        return torch.maximum(center - half, low), torch.minimum(center + half, high)

    def state(self) -> dict[str, Any]:
        """What is to be saved besides ``left``."""
        return {"length": self.length, "successes": self._successes, "failures": self._failures}

    def load_state(self, left: Tensor, scalars: dict[str, Any]) -> None:
        """Take back ``left`` and what ``state`` gave."""
        self.left, self.length = left.clone(), float(scalars["length"])
        self._successes, self._failures = int(scalars["successes"]), int(scalars["failures"])
