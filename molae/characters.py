"""The constraint of plain characters: anything goes until the end mark."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class CharacterState:
    """n texts in the making: steps taken and whether the end mark was written, (n,) each."""

    steps: Tensor
    ended: Tensor


class CharacterConstraint:
    """All characters are legal; at the last step only the end mark, the last of ``size`` entries.

    Args:
        size: V, characters and end mark. max_steps: T, the longest text with its end mark.
    """

    def __init__(self, size: int, max_steps: int) -> None:
        self.size, self.max_steps = size, max_steps

    def start(self, n: int, device: torch.device | str = "cpu") -> CharacterState:
        """n empty texts."""
        return CharacterState(
            torch.zeros(n, dtype=torch.int64, device=device),
            torch.zeros(n, dtype=torch.bool, device=device),
        )

    def allowed(self, state: CharacterState) -> Tensor:
        """Legal entries, (n, V) bool; none where the text has ended."""
        last = (state.steps >= self.max_steps - 1)[:, None]
        legal = (~last).repeat(1, self.size)
        legal[:, -1] = True
        return legal & ~state.ended[:, None]

    def advance(self, state: CharacterState, rule: Tensor) -> CharacterState:
        """Write one entry (n,) int64 in every row; rows with ``PAD`` stay."""
        state.steps = state.steps + (rule >= 0)
        state.ended = state.ended | (rule == self.size - 1)
        return state

    def finished(self, state: CharacterState) -> Tensor:
        """Rows that have ended, (n,) bool."""
        return state.ended

    def mask(self, x: Tensor) -> Tensor:
        """Legal entries at every position: (B, T) -> (B, T, V) bool."""
        steps = torch.arange(x.shape[1], device=x.device)
        legal = (steps < self.max_steps - 1)[None, :, None].repeat(len(x), 1, self.size)
        legal[..., -1] = True
        return legal & (x >= 0)[..., None]

    def take(self, state: CharacterState, rows: Tensor) -> CharacterState:
        """The states of some rows, as new tensors."""
        return CharacterState(state.steps[rows], state.ended[rows])

    def put(self, state: CharacterState, rows: Tensor, new: CharacterState) -> None:
        """Overwrite rows in place."""
        state.steps[rows] = new.steps
        state.ended[rows] = new.ended
