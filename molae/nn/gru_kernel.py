"""The gates of a GRU and their derivatives for a processor, compiled by Numba.

A library spells a GRU's step out as a dozen operations over (B, 3H) numbers; on a processor these,
and not the matrix products, are what training waits for. Here all gates of a step are one pass
over memory. Numbers are float32, or bfloat16 as the bits of a uint16: Numba knows no bfloat16, but
its numbers are the upper halves of float32 ones.

Letters: B rows, H the width of the state. Gates lie in torch's order: reset, update, new.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
_LOG2E = 1.4426950408889634
# 2^f for f in [-1/2, 1/2]: the Taylor series, whose next term is below 2e-8.
_POWERS = tuple(float(value) for value in np.log(2) ** np.arange(7) / [1, 1, 2, 6, 24, 120, 720])
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = (np.float32(value) for value in _POWERS)


@njit(inline="always", **_OPTIONS)
def _raised(bits):
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@njit(inline="always", **_OPTIONS)
def _rounded(value):
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(np.uint32(0x7FFF) + odd)) >> np.uint32(16))


def _load(number):
    """A stored number as float32."""
    return _raised(number) if isinstance(number, np.uint16) else number


@overload(_load, inline="always")
def _load_compiled(number):
    if number == types.uint16:
        return lambda number: _raised(number)
    return lambda number: number


def _stored(value, like):
    """A float32 as it is stored in an array; bfloat16 is rounded to the nearest."""
    return _rounded(value) if like.dtype == np.uint16 else value


@overload(_stored, inline="always")
def _stored_compiled(value, like):
    if like.dtype == types.uint16:
        return lambda value, like: _rounded(value)
    return lambda value, like: value


@njit(inline="always", **_OPTIONS)
def _exp2(x):
    """2^x in float32, to 2e-7 of itself, in operations that the compiler does many of at once."""
    x = min(max(x, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(x + np.float32(0.5))
    f = x - whole
    power = _P0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6)))))
    return power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(inline="always", **_OPTIONS)
def _sigmoid(x):
    return np.float32(1.0) / (np.float32(1.0) + _exp2(np.float32(-_LOG2E) * x))


@njit(inline="always", **_OPTIONS)
def _tanh(x):
    return np.float32(2.0) * _sigmoid(np.float32(2.0) * x) - np.float32(1.0)


@njit(inline="always", **_OPTIONS)
def _write(into, values):
    for j in range(len(values)):
        into[j] = _stored(values[j], into)


@njit(inline="always", **_OPTIONS)
def _read(into, values):
    for j in range(len(into)):
        into[j] = _load(values[j])


@njit(inline="always", **_OPTIONS)
def _add(into, values):
    for j in range(len(into)):
        into[j] += values[j]


def _compiled(function):
    """Compile when first called, and keep that on disc where there is a place for it."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)


# Each loop writes one array and reads few: the compiler must make sure that they do not overlap
# before it does many numbers at once, and gives up beyond a handful of pairs.


@_compiled
def forward(given, across, bias_into, bias_across, state, gates, out):
    """One step: h' = (1 - u) n + u h with n = tanh(x_n + r (W_n h + b_n)).

    Args:
        given: The input's product with its matrix, without bias, (B, 3H).
        across: The state's product with the recurrent matrix, without bias, (B, 3H).
        bias_into: Of the first product, (3H,) float32.
        bias_across: Of the second, (3H,) float32.
        state: h, (B, H) float32; becomes h'.
        gates: Becomes r, u, n and W_n h + b_n, (B, 4H), for ``backward``.
        out: Becomes h', (B, H).
    """
    rows, width = state.shape
    both = 2 * width
    bias_gates = bias_into[:both] + bias_across[:both]
    bias_x, bias_h = bias_into[both:], bias_across[both:]
    gate = np.empty(both, np.float32)  # r, u
    recurrent, new = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(rows):
        x, a, h = given[row, :both], across[row, :both], state[row]
        for j in range(both):
            gate[j] = _load(x[j]) + _load(a[j]) + bias_gates[j]
        for j in range(both):
            gate[j] = _sigmoid(gate[j])
        x, a, update = given[row, both:], across[row, both:], gate[width:]
        for j in range(width):
            recurrent[j] = _load(a[j]) + bias_h[j]
        for j in range(width):
            new[j] = _load(x[j]) + bias_x[j] + gate[j] * recurrent[j]
        for j in range(width):
            new[j] = _tanh(new[j])
        for j in range(width):
            h[j] = new[j] + update[j] * (h[j] - new[j])
        _write(gates[row, :both], gate)
        _write(gates[row, both : both + width], new)
        _write(gates[row, both + width :], recurrent)
        _write(out[row], h)


@_compiled
def backward(grad, later, carried, gates, before, d_given, d_across, d_bias):
    """Derivatives through one step.

    Args:
        grad: Of h', as far as the output of this step is used, (B, H).
        later: What came back through the recurrent matrix from the step after, (B, H).
        carried: What came back from it directly, (B, H) float32; becomes that of this step.
        gates: From ``forward``, (B, 4H).
        before: h, (B, H).
        d_given: Becomes the derivative by ``given``, (B, 3H).
        d_across: Becomes the derivative by ``across``, (B, 3H).
        d_bias: Those by r, u, x_n and W_n h + b_n, summed over the rows, are added, (4H,) float32.
    """
    rows, width = carried.shape
    both, one = 2 * width, np.float32(1.0)
    d_state, d_new = np.empty(width, np.float32), np.empty(width, np.float32)
    d_gate = np.empty(both, np.float32)  # r, u
    d_reset, d_update = d_gate[:width], d_gate[width:]
    reset, update = np.empty(width, np.float32), np.empty(width, np.float32)
    new, recurrent = np.empty(width, np.float32), np.empty(width, np.float32)
    h = np.empty(width, np.float32)
    sum_gate, sum_x, sum_h = d_bias[:both], d_bias[both : both + width], d_bias[both + width :]
    for row in range(rows):
        use, back, direct = grad[row], later[row], carried[row]
        _read(reset, gates[row, :width])
        _read(update, gates[row, width:both])
        _read(new, gates[row, both : both + width])
        _read(recurrent, gates[row, both + width :])
        _read(h, before[row])
        for j in range(width):
            d_state[j] = direct[j] + _load(use[j]) + _load(back[j])
        for j in range(width):
            direct[j] = d_state[j] * update[j]
        for j in range(width):
            d_new[j] = d_state[j] * (one - update[j]) * (one - new[j] * new[j])
        for j in range(width):
            d_update[j] = d_state[j] * (h[j] - new[j]) * update[j]
        for j in range(width):
            d_update[j] *= one - update[j]
        for j in range(width):
            d_reset[j] = d_new[j] * recurrent[j] * reset[j] * (one - reset[j])
        _write(d_given[row, :both], d_gate)
        _write(d_given[row, both:], d_new)
        _add(sum_gate, d_gate)
        _add(sum_x, d_new)
        for j in range(width):
            d_new[j] *= reset[j]
        _write(d_across[row, :both], d_gate)
        _write(d_across[row, both:], d_new)
        _add(sum_h, d_new)
