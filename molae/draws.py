"""Random choices that depend on (seed, item, step) and on nothing else.

A counter-based generator (SplitMix64's mixing function, Steele, Lea and Flood 2014,
doi:10.1145/2660193.2660195) turns the three numbers into a uniform one, so a molecule comes out
the same whatever the batch size, the order and the number of workers. A rule is then picked by
inverting the cumulative distribution, with one uniform number a row instead of one Gumbel number
an entry.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molae.types import PAD

# The constants of SplitMix64 as signed 64-bit numbers; torch wraps on overflow as C does.
_GOLDEN = -7046029254386353131
_MIX1 = -4658895280553007687
_MIX2 = -7723592293110705685


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of signed 64-bit numbers."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def mixed_seed(seed: int) -> int:
    """SplitMix64's mixing of a seed, in Python's integers: no tensor to send to a device."""
    x = (seed * _GOLDEN + 1) % 2**64
    for shift, factor in ((30, _MIX1), (27, _MIX2), (31, 1)):
        x = ((x ^ (x >> shift)) * factor) % 2**64
    return x - 2**64 if x >= 2**63 else x


def uniforms(seed: int, index: Tensor, step: Tensor) -> Tensor:
    """Uniform numbers in the open interval (0, 1).

    Args:
        seed: Any integer.
        index: Number of the item, int64, any shape.
        step: Number of the draw within the item, int64, broadcast against ``index``.

    Returns:
        float32, the broadcast shape: multiples of 2**-23, shifted by half of that. With one bit
        more, the largest would round up to 1.
    """
    # The seed is mixed on its own first, or seed 1 would repeat seed 0, shifted by one item.
    key = mixed_seed(seed)
    x = _mix(_mix(index * _GOLDEN + key) + step * _GOLDEN)
    return (_shift(x, 41).to(torch.float32) + 0.5) * 2.0**-23


def normals(seed: int, index: Tensor, width: int, first: int) -> Tensor:
    """Standard normal numbers, by inverting the normal distribution: index (n,) -> (n, width).

    Args:
        seed: Any integer.
        index: Number of each item, (n,) int64.
        width: Numbers for each item.
        first: Step of the first number; it and the following key the draws, see ``uniforms``.

    Returns:
        float64, none further from 0 than 5.3.
    """
    steps = torch.arange(first, first + width, device=index.device)
    found: Tensor = torch.special.ndtri(uniforms(seed, index[:, None], steps).double())
    return found


def inverted(weights: Tensor, u: Tensor) -> Tensor:
    """The entry that a uniform number chooses, by inverting the cumulative distribution.

    Args:
        weights: Not below 0, of any sum, (n, K); or (K,), the same for all.
        u: Uniform numbers, (n,).

    Returns:
        (n,) int64, the first entry whose cumulative weight exceeds u times the sum; the last one
        where rounding lets none do so.
    """
    edges = weights.cumsum(-1)
    aim = u * edges[..., -1]
    if weights.ndim > 1:
        aim = aim.unsqueeze(-1)
    which = torch.searchsorted(edges, aim.contiguous(), right=True)
    return which.view(u.shape).clamp(max=weights.shape[-1] - 1)


def _legal_scores(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logits with -inf where they are not allowed, and finite where they are."""
    scores = torch.nan_to_num(logits.float(), nan=-3.0e38, posinf=3.0e38, neginf=-3.0e38)
    return scores.masked_fill_(~allowed, float("-inf"))


def draw(logits: Tensor, allowed: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
    """One legal entry a row, with probability proportional to exp(logits / temperature).

    Args:
        logits: (n, V) float.
        allowed: (n, V) bool.
        u: (n,) uniform numbers in (0, 1).
        temperature: Above 0; 1 leaves the distribution as it is.

    Returns:
        (n,) int64; ``PAD`` where nothing is allowed.

    Raises:
        ValueError: If the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    scores = _legal_scores(logits, allowed)
    top, best = scores.max(1, keepdim=True)
    # A row with nothing legal: exp(-inf - finite) is 0, not nan.
    scores.sub_(top.clamp(min=-3.0e38))
    if temperature != 1.0:
        scores.div_(max(temperature, 1e-30))  # below that, 0 / temperature would be no number
    # What is chosen has a weight above 0, so it is legal, unless rounding pushed the aim up to
    # the sum: then the likeliest entry is taken.
    choice = inverted(scores.exp_(), u)[:, None]
    choice = torch.where(allowed.gather(1, choice), choice, best)
    return torch.where(top[:, 0] > float("-inf"), choice[:, 0], PAD)


def greedy(logits: Tensor, allowed: Tensor) -> Tensor:
    """The legal entry with the largest logit, (n, V) -> (n,); ``PAD`` where nothing is allowed."""
    best = _legal_scores(logits, allowed).argmax(1)
    return torch.where(allowed.any(1), best, PAD)


def choose(
    logits: Tensor,
    allowed: Tensor,
    *,
    seed: int | None,
    index: Tensor,
    step: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """``draw`` keyed by (seed, index, step), or ``greedy`` where ``seed`` is None; (n,) int64."""
    if seed is None:
        return greedy(logits, allowed)
    return draw(logits, allowed, uniforms(seed, index, step), temperature)
