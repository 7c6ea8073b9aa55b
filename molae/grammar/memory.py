"""Remembers the masks of derivations, so that training runs the machine once, not every epoch.

The masks of a data set are few and come again and again, so they are kept once, in a table, and a
derivation is remembered as one row number for each of its steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Derivations that are remembered, about 300 bytes each; what comes later is computed every time.
CAPACITY = 1_000_000
#: Different masks that are remembered, V bytes each.
MASKS = 100_000


class MaskMemory:
    """Masks by derivation.

    Args:
        size: V, the number of rules.
        capacity: How many derivations are remembered.
    """

    def __init__(self, size: int, capacity: int = CAPACITY) -> None:
        self.size, self.capacity = size, capacity
        self._rows: dict[bytes, int] = {}
        self._masks: list[NDArray[np.bool_]] = []
        self._known: dict[bytes, NDArray[np.int32]] = {}
        self._table: Tensor | None = None

    def recall(self, x: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """The masks of derivations, (B, T) -> (B, T, V) bool; ``compute`` gives the new ones."""
        if not x.numel():
            return torch.zeros(*x.shape, self.size, dtype=torch.bool, device=x.device)
        rules = x.detach().cpu().numpy().astype(np.int16)
        lengths = (rules >= 0).sum(1)
        keys = [row[:n].tobytes() for row, n in zip(rules, lengths, strict=True)]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        room = len(self._known) + len(new) <= self.capacity and len(self._masks) < MASKS
        if new and not room:
            return compute(x)
        if new:
            self._learn(x[new], [keys[i] for i in new], compute)
        # What follows the end of a derivation is the last row of the table: nothing is legal.
        steps = np.full(x.shape, len(self._masks), dtype=np.int64)
        for i, key in enumerate(keys):
            known = self._known[key]
            steps[i, : len(known)] = known
        table = self._on(x.device)
        picked = table.index_select(0, torch.from_numpy(steps.ravel()).to(x.device))
        return picked.view(*x.shape, self.size)

    def _learn(self, x: Tensor, keys: list[bytes], compute: Callable[[Tensor], Tensor]) -> None:
        """Compute and remember the masks of new derivations."""
        masks = compute(x).cpu().numpy()
        packed = np.packbits(masks, axis=2)  # (n, T, V / 8)
        flat = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[2])))[..., 0]
        for i, key in enumerate(keys):
            length = len(key) // 2
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
        """The table on a device, (masks + 1, V) bool."""
        if self._table is None or self._table.device != device:
            nothing = np.zeros((1, self.size), dtype=np.bool_)
            stacked = np.concatenate([np.array(self._masks).reshape(-1, self.size), nothing])
            self._table = torch.from_numpy(stacked).to(device)
        return self._table
