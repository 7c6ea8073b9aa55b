"""What keeps numbers the same: torch's generator from a seed, rows in tiles, and joint sums.

Joint sums are over all processes that train together, each with its slice of every batch. The
training loop differentiates the mean of their losses, and averages buffers after each step, which
is all that a mean over examples needs. What is cut, compared or drawn on the way there is not
linear: it has to be made from the sums of the whole batch, by every process alike. Then a step is
the same whatever the number of processes, up to rounding and to random numbers, which each process
draws for itself.

Not so batch normalisation: its means and variances are those of a slice, as is usual where data
are shared out, and only its running averages are joint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
    return done[0] if len(done) == 1 else torch.cat(done)


def over_processes(tensor: Tensor) -> Tensor:
    """The sum over all processes, with its gradient; every process must ask for it."""
    if not _several():
        return tensor
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total


def mean_of_all(rows: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of the rows of all processes, with its gradient; every process must ask for it.

    Args:
        rows: (n, ...); each process may have another n.
        weight: Of each, (n,); None for equal weights.

    Returns:
        (...), the same for all.
    """
    if weight is None:
        total, count = rows.sum(0), rows.new_full((), len(rows))
    else:
        share = weight.to(rows)
        total, count = (share.view(-1, *(1,) * (rows.ndim - 1)) * rows).sum(0), share.sum()
    sums = over_processes(torch.cat([total.flatten(), count[None]]))  # asked for once, not twice
    return sums[:-1].view(total.shape) / sums[-1]


def rows_of_all(rows: Tensor) -> Tensor:
    """The rows of all processes together, with their gradient; every process must ask for them.

    Args:
        rows: (n, ...); each process may have another n.

    Returns:
        (N, ...), the same for all.
    """
    if not _several():
        return rows
    count = torch.zeros(distributed.get_world_size(), dtype=torch.int64, device=rows.device)
    count[distributed.get_rank()] = len(rows)
    parts = [rows.new_zeros(n, *rows.shape[1:]) for n in over_processes(count).tolist()]
    parts[distributed.get_rank()] = rows
    return over_processes(torch.cat(parts))


def of_the_first(tensor: Tensor) -> Tensor:
    """What the first process has, without a gradient; every process must ask for it."""
    value = tensor.detach().clone()
    if _several():
        distributed.broadcast(value, 0)
    return value


class _Sum(torch.autograd.Function):
    """What every process gets depends on what each has given: slopes are added up as well."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, slope: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(slope)  # type: ignore[no-untyped-call]
        return total


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
