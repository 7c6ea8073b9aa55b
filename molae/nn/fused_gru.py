"""A GRU for training on a processor: one pass over memory for the gates of a step.

The rows of a batch do not need each other until the gradients of the weights are summed up. So
each thread takes a share of them through all steps, without waiting for the others at every one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Fewest rows that a thread is worth.
_SHARE = 32


class FusedGRU(torch.autograd.Function):
    """States of one layer from its inputs' products with their matrix.

    ``apply(given (T, B, 3H), start (B, H), across (3H, H), bias_into (3H,), bias_across (3H,))``
    gives (T, B, H); gates in torch's order (reset, update, new). Products are computed in the type
    of ``given``, float32 or bfloat16; gates, states and biases are float32 in between. It can be
    differentiated once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        given: Tensor,
        start: Tensor,
        across: Tensor,
        bias_into: Tensor,
        bias_across: Tensor,
    ) -> Tensor:
        """See the class."""
        from molae.nn.gru_kernel import forward

        steps, rows, _ = given.shape
        given = given.contiguous()
        matrix = across.to(given.dtype).t()  # (H, 3H)
        biases = _numbers(bias_into.float()), _numbers(bias_across.float())
        gates = given.new_empty(steps, rows, 4 * start.shape[-1])
        states = given.new_empty(steps + 1, *start.shape)
        states[0] = start
        now = _numbers(start.float()).copy()
        x, kept, out = map(_numbers, (given, gates, states))

        def work(first: int, stop: int) -> None:
            part = slice(first, stop)
            for t, state in enumerate(states[:-1, part].unbind(0)):
                product = _numbers(state @ matrix)  # (b, 3H)
                forward(x[t, part], product, *biases, now[part], kept[t, part], out[t + 1, part])

        _share(work, rows)
        ctx.save_for_backward(across, gates, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives by all that ``apply`` was given; by the matrix only where it wants one."""
        from molae.nn.gru_kernel import backward

        across, gates, states = ctx.saved_tensors
        steps, rows, width = grad.shape
        matrix = across.to(gates.dtype)  # (3H, H)
        grad = grad.to(gates.dtype).contiguous()
        d_given = gates.new_empty(steps, rows, 3 * width)
        d_across = gates.new_empty(steps, rows, 3 * width)
        d_start = torch.zeros(rows, width)
        reads = [_numbers(tensor) for tensor in (gates, states)]
        writes = [_numbers(tensor) for tensor in (d_given, d_across)]
        use, direct = _numbers(grad), _numbers(d_start)
        sums = []  # of each share

        def work(first: int, stop: int) -> None:
            part = slice(first, stop)
            later = gates.new_zeros(stop - first, width)
            d_bias = np.zeros(4 * width, np.float32)
            products = d_across[:, part].unbind(0)
            for t in range(steps - 1, -1, -1):
                known = (array[t, part] for array in reads)
                made = (array[t, part] for array in writes)
                backward(use[t, part], _numbers(later), direct[part], *known, *made, d_bias)
                later = products[t] @ matrix  # (b, H)
            d_start[part] += later
            sums.append((first, d_bias))

        _share(work, rows)
        d_matrix = _outer(d_across, states[:-1], across.dtype) if ctx.needs_input_grad[2] else None
        total = torch.from_numpy(sum(part for _, part in sorted(sums, key=lambda part: part[0])))
        both, x, h = torch.split(total, [2 * width, width, width])
        d_biases = torch.cat([both, x]), torch.cat([both, h])
        return d_given, d_start, d_matrix, *d_biases


def _outer(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Products of a (T, B, M) and b (T, B, N), summed over steps and rows, (M, N)."""
    return (a.flatten(0, 1).t() @ b.flatten(0, 1)).to(dtype)


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The tensor's own memory for the compiled code; bfloat16 as the bits of a uint16."""
    if tensor.dtype == torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy().view(np.uint16)
    return tensor.detach().numpy()


def _share(work: Callable[[int, int], None], rows: int) -> None:
    """Do work on all rows, in as many threads as torch uses, each of which computes alone.

    Without gradients of what is computed: whether there are any is a thread's own affair, and the
    threads of a pool know nothing of ``once_differentiable`` and ``no_grad`` around them.
    """
    count = torch.get_num_threads()
    work = torch.no_grad()(work)
    parts = min(count, rows // _SHARE)
    if parts < 2:
        work(0, rows)
        return
    ends = [rows * part // parts for part in range(parts + 1)]
    list(_threads(parts, count, os.getpid()).map(work, ends[:-1], ends[1:]))


@lru_cache(maxsize=4)
def _threads(parts: int, count: int, _process: int) -> ThreadPoolExecutor:
    """Threads of this process: one that was forked has none of its parent's."""
    pool = ThreadPoolExecutor(parts, "recurrence")
    every = Barrier(parts, timeout=60)  # else a quick one does it all, and others come later
    list(pool.map(_alone, [every] * parts))
    torch.set_num_threads(count)  # what a thread says of itself, new ones would take for all
    return pool


def _alone(every: Barrier) -> None:
    torch.get_num_threads()  # or the first operation here would take the number that all have
    torch.set_num_threads(1)
    every.wait()
