"""Codes that are corrected until the decoder gives back what was encoded.

An encoder guesses a code in one pass, and for a molecule that it has never seen it may be a
little beside the point. The decoder can say by how much: a few steps down the gradient of
-log p(x|z) with respect to z, with all weights as they are, repair most of these guesses. This
is the inference of semi-amortised autoencoders (Kim, Wiseman, Miller, Sontag and Rush, ICML
2018; Marino, Yue and Mandt, ICML 2018), used after training only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from molae.models import Autoencoder

#: Step of Adam for each number of a code. Codes are about as wide as a standard normal.
RATE = 0.1
#: Means of the gradient and of its square, and what keeps the quotient finite.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def refined(
    model: Autoencoder, x: Tensor, z: Tensor, steps: int, rate: float = RATE
) -> tuple[Tensor, Tensor]:
    """Codes from which the decoder gives x, where that can be reached; the others as they were.

    Every row is by itself: one that the decoder gives back is left alone from then on.

    Args:
        model: Its weights are not changed.
        x: Data, (B, ...).
        z: Codes of x, (B, D).
        steps: Of Adam at most; 0 changes nothing.
        rate: Its step size.

    Returns:
        Codes, (B, D), and after how many steps each gave x back, (B,) int64: 0 where it did as it
        was, ``steps + 1`` where it does not. Fewer steps would have given the same codes to those
        that need no more of them, and left all others as they were.
    """
    best, taken = z.clone(), torch.full((len(z),), steps + 1, device=z.device)
    rows = torch.arange(len(z), device=z.device)
    code, mean, square = z, torch.zeros_like(z), torch.zeros_like(z)
    for step in range(steps + 1):
        if not len(rows):
            break
        with torch.no_grad():
            done = model.likelihood(code).recovers(x[rows])
        best[rows[done]], taken[rows[done]] = code[done], step
        rows, code, mean, square = (part[~done] for part in (rows, code, mean, square))
        if step == steps or not len(rows):
            break
        slope = _slope(model, x[rows], code)
        mean = torch.lerp(slope, mean, _BETA1)
        square = torch.lerp(slope.square(), square, _BETA2)
        spread = (square / (1 - _BETA2 ** (step + 1))).sqrt() + _EPSILON
        code = code - rate * mean / (1 - _BETA1 ** (step + 1)) / spread
    return best, taken


def _slope(model: Autoencoder, x: Tensor, z: Tensor) -> Tensor:
    """The gradient of -log p(x|z) with respect to the codes, (B, D).

    Without cuDNN, whose recurrent layers have no gradients where the model is in evaluation.
    """
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), _held(model):
        z = z.detach().requires_grad_(True)
        loss = -model.likelihood(z).log_prob(x).sum()
        (slope,) = torch.autograd.grad(loss, z)
    return slope.detach()


@contextmanager
def _held(model: Autoencoder) -> Iterator[None]:
    """Weights that want no gradient, so that none of theirs is computed on the way to z's."""
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learnt:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learnt:
            weight.requires_grad_(True)
