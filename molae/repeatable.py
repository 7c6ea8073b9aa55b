"""What keeps numbers the same: torch's generator from a seed, and rows in tiles of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import pad


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
