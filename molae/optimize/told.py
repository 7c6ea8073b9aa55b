"""What an optimiser was told."""

from __future__ import annotations

import torch
from torch import Tensor


class Told:
    """Every code that was told, once, with the mean of its scores.

    A code told several times is one point: it weighs no more in a surrogate, and does not take
    the place of another where only some points can be learnt from.

    Args:
        size: D.
    """

    def __init__(self, size: int) -> None:
        self.z = torch.zeros(0, size, dtype=torch.float64)  # (N, D)
        self._total = torch.zeros(0, dtype=torch.float64)  # sums of scores
        self._count = torch.zeros(0, dtype=torch.int64)  # how many of them were numbers
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.z)

    @property
    def y(self) -> Tensor:
        """Mean scores (N,) float64; NaN where there never was one."""
        return self._total / self._count  # 0 / 0 where there was none

    @property
    def learnt(self) -> Tensor:
        """Scores to learn from, (N,): a code without one counts as the worst that was seen.

        All 0 where there is no score at all.
        """
        y = self.y
        seen = y[~y.isnan()]
        return y.nan_to_num(nan=float(seen.min()) if len(seen) else 0.0)

    def add(self, z: Tensor, y: Tensor) -> None:
        """Take codes z (n, D) and their scores y (n,), NaN for none.

        Raises:
            ValueError: Other shapes, a code that is not finite, or an infinite score.
        """
        z, y = z.detach().cpu().double(), y.detach().cpu().double()
        size = self.z.shape[1]
        if z.ndim != 2 or z.shape[1] != size or y.shape != z.shape[:1]:
            raise ValueError(
                f"codes (n, {size}) and scores (n,) are expected, got {tuple(z.shape)} and "
                f"{tuple(y.shape)}"
            )
        if not z.isfinite().all():
            raise ValueError("codes that are told must be finite; leave out what has no code")
        if y.isinf().any():
            raise ValueError("a score is a finite number, or nan where there is none; got inf")
        rows = torch.tensor(
            [self._rows.setdefault(key, len(self._rows)) for key in keys(z)], dtype=torch.int64
        )
        new = len(self._rows) - len(self.z)
        self.z = torch.cat([self.z, self.z.new_zeros(new, size)])
        self._total = torch.cat([self._total, self._total.new_zeros(new)])
        self._count = torch.cat([self._count, self._count.new_zeros(new)])
        self.z[rows] = z
        scored = ~y.isnan()
        self._total.index_add_(0, rows[scored], y[scored])
        self._count.index_add_(0, rows[scored], torch.ones_like(rows[scored]))

    def knows(self, z: Tensor) -> Tensor:
        """Which of the codes z (n, D) were told, (n,) bool."""
        return torch.tensor([key in self._rows for key in keys(z)], dtype=torch.bool)

    def state(self) -> dict[str, Tensor]:
        """All there is to save."""
        return {"z": self.z, "total": self._total, "count": self._count}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        self.z = tensors["z"].clone()
        self._total, self._count = tensors["total"].clone(), tensors["count"].clone()
        self._rows = {key: row for row, key in enumerate(keys(self.z))}


def keys(z: Tensor) -> list[bytes]:
    """What tells codes z (n, D) apart: their numbers in float64, with -0 as 0."""
    return [code.tobytes() for code in (z.double() + 0.0).cpu().numpy()]
