"""Continuous decoding: many derivations at once, a finished one makes room for the next code.

Decoding works on one tile of rows, which is made of blocks. Every product is of one block, so of
the same shape whatever was asked for, and random numbers are keyed by (seed, index of the
sequence, its own step): what comes out for a code does not depend on how many others are decoded
with it, and a few codes cost a block and not a tile.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from molae.types import PAD, Constraint

#: What a stepper remembers of each row between steps; every tensor has a row for each slot.
Memory = list[Tensor]

#: Steps between two looks for free slots. Each look costs a host synchronisation and some
#: indexing, a slot that waits costs an idle row; results are the same for any number.
_REFILL = 4
#: Rows of a product in float32 on a processor: more of them make it no faster for a row.
_BLOCK = 64


def block_of(tile: int, device: torch.device, low: bool = False) -> int:
    """Rows that a stepper multiplies at once: the whole tile on a GPU, and in bfloat16."""
    return tile if low or device.type != "cpu" else min(_BLOCK, tile)


class Stepper(Protocol):
    """A decoder in single steps.

    Attributes:
        block: Rows of every product, see ``block_of``; fewer are filled up.
    """

    block: int

    def begin(self, z: Tensor) -> Memory:
        """The memory of fresh sequences: codes (n, D) -> tensors of n rows."""

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """One step.

        Args:
            memory: As it was left by ``begin`` or by the step before.
            previous: What was chosen last, (n,) int64, PAD at the beginning.
            step: How many entries each row has, (n,) int64.

        Returns:
            Unmasked logits (n, V) float32 and the new memory.
        """


@torch.no_grad()
def generate(
    stepper: Stepper,
    z: Tensor,
    constraint: Constraint[Any],
    *,
    tile: int = 512,
    seed: int | None = None,
    index: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Decode codes into sequences. Autocast should be off: a roll of many steps needs the digits.

    Args:
        stepper: Makes logits from codes and what was chosen so far.
        z: Codes, (N, D).
        constraint: Says what may come next and when a sequence has ended; sequences that reach its
            ``max_steps`` without an end are cut off there.
        tile: Rows at once, as far as there are so many. Results are the same for any N, any order
            and any tile.
        seed: Of the draws; None takes the most likely entry at every step.
        index: Number of each sequence, (N,) int64, that keys its draws; 0 .. N-1 by default.
        temperature: Divides the logits.

    Returns:
        x, (N, T) int64 with T = ``constraint.max_steps``, padded with PAD.

    Raises:
        ValueError: ``index`` and ``z`` disagree, or tile or temperature is not positive.
    """
    index = _checked_index(z, index, tile, temperature)
    tile = min(tile, max(1, -(-len(z) // stepper.block)) * stepper.block)
    slots = _Slots(stepper, z.float(), constraint, tile, index)
    while slots.refill():
        for _ in range(_REFILL):
            logits, slots.memory = stepper.step(slots.memory, slots.previous, slots.step)
            rule = constraint.choose(
                slots.state,
                logits,
                seed=seed,
                index=slots.index,
                step=slots.step,
                temperature=temperature,
            )
            slots.write(rule)
    return slots.x[:-1, :-1].contiguous()


def _checked_index(z: Tensor, index: Tensor | None, tile: int, temperature: float) -> Tensor:
    if tile < 1 or not temperature > 0:
        raise ValueError(
            f"tile and temperature must be positive, got tile={tile}, temperature={temperature}; "
            "seed=None is the limit of low temperature"
        )
    if index is None:
        return torch.arange(len(z), device=z.device)
    if index.shape != z.shape[:1]:
        raise ValueError(
            f"{len(z)} codes need an index of shape ({len(z)},), got {tuple(index.shape)}"
        )
    return index.to(z.device)


class _Slots:
    """The tile: which sequence each slot works on, and how far it is, in tensors of ``tile`` rows.

    ``x`` has a row and a column more than asked for. Slots without a sequence write into the row,
    steps past the end into the column, so that no step has to ask what is still alive.
    """

    def __init__(
        self, stepper: Stepper, z: Tensor, constraint: Constraint[Any], tile: int, index: Tensor
    ) -> None:
        self.constraint, self.feed = constraint, _Feed(stepper, z, tile)
        self.count, self.next, self.limit = len(z), 0, constraint.max_steps
        device = z.device
        self.order = index
        self.x = torch.full((len(z) + 1, self.limit + 1), PAD, device=device)
        self.row = torch.full((tile,), len(z), device=device)
        self.step = torch.full((tile,), self.limit, device=device)
        self.index = torch.zeros(tile, dtype=torch.int64, device=device)
        self.previous = torch.full((tile,), PAD, device=device)
        self.state = constraint.start(tile, device)
        self.memory: Memory = []

    def refill(self) -> bool:
        """Give free slots the next codes; False when all sequences have ended."""
        done = (self.step >= self.limit) | (self.row == self.count)
        done |= self.constraint.finished(self.state)
        free = done.nonzero().squeeze(1)
        taken = min(len(free), self.count - self.next)
        if taken:
            self._start(free[:taken], self.next, self.next + taken)
            self.next += taken
        return taken > 0 or len(free) < len(done)

    def _start(self, slots: Tensor, first: int, stop: int) -> None:
        fresh = self.feed.take(first, stop)
        if not self.memory:
            self.memory = self.feed.blank()
        for mine, new in zip(self.memory, fresh, strict=True):
            mine[slots] = new
        self.constraint.put(self.state, slots, self.constraint.start(len(slots), slots.device))
        self.row[slots] = torch.arange(first, stop, device=slots.device)
        self.index[slots] = self.order[first:stop]
        self.step[slots] = 0
        self.previous[slots] = PAD

    def write(self, rule: Tensor) -> None:
        """Note what each slot chose, (tile,), and move on; cut off what did not end in time."""
        rule = torch.where(self.step < self.limit, rule, PAD)
        self.x[self.row, self.step.clamp(max=self.limit)] = rule
        self.state = self.constraint.advance(self.state, rule)
        self.previous = rule
        self.step += 1


class _Feed:
    """Fresh memories in the order of the codes, made a whole block at a time when needed."""

    def __init__(self, stepper: Stepper, z: Tensor, tile: int) -> None:
        self.stepper, self.z, self.tile, self.size = stepper, z, tile, stepper.block
        self.blocks: dict[int, Memory] = {}

    def blank(self) -> Memory:
        """A memory to be filled in, of ``tile`` rows."""
        block = next(iter(self.blocks.values()))
        return [part.new_zeros(self.tile, *part.shape[1:]) for part in block]

    def take(self, first: int, stop: int) -> Memory:
        """The memories of codes ``first`` to ``stop``, at most a tile, later than before."""
        wanted = range(first // self.size, (stop - 1) // self.size + 1)
        self.blocks = {number: self.blocks.get(number) or self._block(number) for number in wanted}
        pieces = []
        for number, block in self.blocks.items():
            low = max(first - number * self.size, 0)
            high = min(stop - number * self.size, self.size)
            pieces.append([part[low:high] for part in block])
        return [torch.cat(parts) for parts in zip(*pieces, strict=True)]

    def _block(self, number: int) -> Memory:
        codes = self.z[number * self.size : (number + 1) * self.size]
        padded = codes.new_zeros(self.size, codes.shape[1])
        padded[: len(codes)] = codes
        return self.stepper.begin(padded)
