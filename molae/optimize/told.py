"""What an optimiser was told."""

from __future__ import annotations

import torch
from torch import Tensor


class Told:
    """Every code that was told, once, with the score that was told last.

    A code told several times is one point: it weighs no more in a surrogate, and does not take
    the place of another where only some points can be learnt from.

    Args:
        size: D.
    """

    def __init__(self, size: int) -> None:
        self.z = torch.zeros(0, size, dtype=torch.float64)  # (N, D)
        self.y = torch.zeros(0, dtype=torch.float64)  # (N,), NaN for none
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.z)

    @property
    def learnt(self) -> Tensor:
        """Scores to learn from, (N,): a code without one counts as the worst that was seen.

        All 0 where there is no score at all.
        """
        seen = self.y[~self.y.isnan()]
        return self.y.nan_to_num(nan=float(seen.min()) if len(seen) else 0.0)

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
        last = {  # which of z is the last one of each row
            self._rows.setdefault(key, len(self._rows)): at for at, key in enumerate(keys(z))
        }
        rows, at = (torch.tensor(list(each), dtype=torch.int64) for each in (last, last.values()))
        new = len(self._rows) - len(self.z)
        self.z = torch.cat([self.z, self.z.new_zeros(new, size)])
        self.y = torch.cat([self.y, self.y.new_zeros(new)])
        self.z[rows], self.y[rows] = z[at], y[at]

    def knows(self, z: Tensor) -> Tensor:
        """Which of the codes z (n, D) were told, (n,) bool."""
        return torch.tensor([key in self._rows for key in keys(z)], dtype=torch.bool)

    def state(self) -> dict[str, Tensor]:
        """All there is to save."""
        return {"z": self.z, "y": self.y}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        self.z = tensors["z"].clone()
        # Older states have sums of scores and how many there were; 0 / 0 is NaN.
        y = tensors["y"] if "y" in tensors else tensors["total"] / tensors["count"]
        self.y = y.clone()
        self._rows = {key: row for row, key in enumerate(keys(self.z))}


def keys(z: Tensor) -> list[bytes]:
    """What tells codes z (n, D) apart: their numbers in float64, with -0 as 0."""
    return [code.tobytes() for code in (z.double() + 0.0).cpu().numpy()]
