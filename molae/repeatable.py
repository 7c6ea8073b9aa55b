"""What keeps numbers the same: torch's generator from a seed, rows in tiles, and joint sums.

Joint sums are over all processes that train together, each with its slice of every batch. The
training loop averages gradients and buffers over processes after each step, which is all that a
mean over examples needs. What is cut, compared or drawn on the way there is not linear: it has to
be made from the sums of the whole batch, by every process alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed
from torch.nn.functional import pad

#: Added to the seed of what is measured.
_APART = 1 << 20


@contextmanager
def seeded(seed: int | None, device: torch.device | None = None) -> Iterator[None]:
    """torch's random numbers from a seed, and afterwards as they were.

    Args:
        seed: None lets them go on as they do.
        device: Where they are drawn; its own generator is put back too.
    """
    own = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=own):
        if seed is not None:
            torch.manual_seed(seed)
        yield


@contextmanager
def measuring(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """``seeded`` for draws that a model is measured with, never those that it has learnt from.

    A training with the same seed begins with other numbers; with the same ones a flow that was
    trained for a few steps only would seem better than it is.
    """
    with seeded(seed + _APART, device):
        yield


def in_tiles(function: Callable[[Tensor], Tensor], x: Tensor, tile: int) -> Tensor:
    """A function of rows x (n, ...), applied to tiles of so many rows, the last one filled up.

    Every product then has the same shape, so that a row comes out the same to the last bit
    whatever n is and wherever it stands, and memory is bounded.
    """
    done = []
    for part in torch.split(x, tile) if len(x) else [x]:
        missing = tile - len(part)
        full = pad(part, (0, 0) * (x.ndim - 1) + (0, missing)) if missing else part
        done.append(function(full)[: len(part)])
    return torch.cat(done)


def over_processes(tensor: Tensor) -> Tensor:
    """The sum over all processes, without a gradient; every process must ask for it."""
    total = tensor.detach().clone()
    if _several():
        distributed.all_reduce(total)
    return total


def of_the_first(tensor: Tensor) -> Tensor:
    """What the first process has, without a gradient; every process must ask for it."""
    value = tensor.detach().clone()
    if _several():
        distributed.broadcast(value, 0)
    return value


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
