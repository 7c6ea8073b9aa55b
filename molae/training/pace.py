"""How long and how fast: the learning-rate schedule, and seconds turned into steps."""

from __future__ import annotations

import math

import numpy as np

#: A cosine schedule ends at this fraction of the learning rate, not at nothing.
FLOOR = 0.01

#: Steps that do not count, if there are others: the first ones allocate memory and choose kernels.
UNMEASURED = 3


def rate_factor(step: int, total: int | None, warmup: int, schedule: str) -> float:
    """What the learning rate of a step (from 0) is multiplied with.

    A linear warm-up, then a half cosine down to ``FLOOR`` at ``total``, or constant. The warm-up
    takes at most a tenth of the run. While ``total`` is not known yet, there is only the warm-up.
    """
    if total is not None:
        warmup = min(warmup, total // 10)
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant" or total is None or total <= warmup:
        return 1.0
    progress = min(1.0, (step - warmup) / (total - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def check_schedule(schedule: str) -> str:
    """The name of a schedule, or a ValueError that says which there are."""
    if schedule not in ("cosine", "constant"):
        raise ValueError(f"unknown schedule {schedule!r}; there are 'cosine' and 'constant'")
    return schedule


class Stopwatch:
    """Measures steps until the number of them that fit in a time can be told.

    Args:
        budget: Seconds of the whole run.
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._cells: list[float] = []
        self._times: list[float] = []

    def add(self, cells: float, seconds: float) -> None:
        """One step on a padded batch of this size took this long."""
        self._cells.append(cells)
        self._times.append(seconds)

    def ready(self, elapsed: float) -> bool:
        """Whether enough was measured; after a tenth of the budget little is enough."""
        times = self._times[UNMEASURED:]
        if len(times) >= 20 and sum(times) > min(3.0, 0.02 * self.budget):
            return True
        late = elapsed > self.budget / (10 if times else 4)
        return late and bool(self._times)

    def seconds_per_step(self, mean_cells: float) -> float:
        """Expected time of a step, by a line through (size of the batch, time)."""
        first = UNMEASURED if len(self._times) > UNMEASURED else 0
        times, cells = np.array(self._times[first:]), np.array(self._cells[first:])
        # One slow step (another program woke up) must not bend the line.
        times = np.minimum(times, 3 * np.median(times))
        mean = float(times.mean())
        if len(times) < 5 or np.ptp(cells) == 0:
            return mean
        slope = float(np.polyfit(cells, times, 1)[0])
        return mean + max(0.0, slope) * (mean_cells - float(cells.mean()))

    def steps_left(self, mean_cells: float, elapsed: float, extra: float) -> int:
        """Steps that fit in what is left, each with so many seconds more (for validation)."""
        step = self.seconds_per_step(mean_cells) + extra
        return max(0, int((self.budget - elapsed) / max(step, 1e-9)))
