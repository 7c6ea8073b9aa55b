"""Remembers the masks of derivations: training runs the machine once for each, not once an epoch.

The masks of a data set are few and come again and again (ZINC has some hundreds), so they are kept
once, in a table, and a derivation is remembered as one row number for each of its steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Derivations that are remembered, about 500 bytes each; what comes later is computed every time.
CAPACITY = 1_000_000
#: Different masks that are remembered, V bytes each.
MASKS = 100_000

Compute = Callable[[Tensor], Tensor]


class MaskMemory:
    """Masks by derivation.

    Args:
        size: V.
        capacity: How many derivations are remembered.
    """

    def __init__(self, size: int, capacity: int = CAPACITY) -> None:
        self.size, self.capacity = size, capacity
        self._rows: dict[bytes, int] = {}
        self._masks: list[NDArray[np.bool_]] = []
        self._known: dict[bytes, NDArray[np.int32]] = {}
        self._table: Tensor | None = None

    def recall(self, x: Tensor, compute: Compute) -> Tensor:
        """Masks of derivations, (B, T) -> (B, T, V) bool; ``compute`` finds those of new ones."""
        if not x.numel():
            return torch.zeros(*x.shape, self.size, dtype=torch.bool, device=x.device)
        keys = self.learn(x, compute)
        if keys is None:
            return compute(x)
        steps = np.empty(x.shape, dtype=np.int64)
        for i, key in enumerate(keys):
            known = self._known[key][: x.shape[1]]
            steps[i, : len(known)] = known
            # Behind the last rule the state does not change any more.
            steps[i, len(known) :] = known[-1]
        picked = self._on(x.device).index_select(0, torch.from_numpy(steps.ravel()).to(x.device))
        return picked.view(*x.shape, self.size)

    def learn(self, x: Tensor, compute: Compute) -> list[bytes] | None:
        """Remember the masks of derivations (B, T); their keys, or None where memory is full."""
        rules = x.detach().cpu().numpy().astype(np.int16)
        lengths = (rules >= 0).sum(1)
        keys = [row[:n].tobytes() for row, n in zip(rules, lengths, strict=True)]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            if len(self._known) + len(new) > self.capacity or len(self._masks) >= MASKS:
                return None
            # One position more: what may follow the last rule.
            longer = torch.nn.functional.pad(x[new], (0, 1), value=-1)
            self._store(compute(longer).cpu().numpy(), [keys[i] for i in new])
        return keys

    def _store(self, masks: NDArray[np.bool_], keys: list[bytes]) -> None:
        """Note the masks (n, T + 1, V) of new derivations."""
        packed = np.packbits(masks, axis=2)  # (n, T + 1, V / 8)
        flat = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[2])))[..., 0]
        for i, key in enumerate(keys):
            length = len(key) // 2 + 1
            rows = np.empty(length, dtype=np.int32)
            for step, word in enumerate(flat[i, :length].tolist()):
                row = self._rows.get(word)
                if row is None:
                    row = self._rows[word] = len(self._masks)
                    self._masks.append(masks[i, step].copy())
                    self._table = None
                rows[step] = row
            self._known[key] = rows

    def _on(self, device: torch.device) -> Tensor:
        """The table on a device, (masks, V) bool."""
        if self._table is None or self._table.device != device:
            self._table = torch.from_numpy(np.array(self._masks)).to(device)
        return self._table
