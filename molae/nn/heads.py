"""Heads: features h (B, H) -> a posterior over codes, q(z|x); and codes z -> properties.

A head is small and decides how exact codes are, so it computes in float32 even under autocast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molae.distributions import DeltaPosterior, NormalPosterior


class DeltaHead(nn.Module):
    """A code without noise: q(z|x) is a point.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
    """

    def __init__(self, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden, self.latent = hidden, latent
        self.center = nn.Linear(hidden, latent)

    def forward(self, h: Tensor, context: Tensor | None = None) -> DeltaPosterior:
        """q(z|x) of features h (B, H); the context is known to the encoder already."""
        return DeltaPosterior(_exact(self.center, h))


class NormalHead(nn.Module):
    """A diagonal normal distribution with learnt means and variances.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        bound: Log-variances are kept within (-bound, bound) by a scaled tanh, smoothly, so that
            a gradient is left everywhere and neither scale nor rate can overflow. Every variance
            in between can be had, so that the best one is where it was; near 0 the tanh is the
            identity, and at the log-variance -9, a scale of 0.01, its slope is 0.44 still.
    """

    def __init__(self, hidden: int, latent: int, *, bound: float = 12.0) -> None:
        super().__init__()
        self.hidden, self.latent, self.bound = hidden, latent, bound
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)

    def forward(self, h: Tensor, context: Tensor | None = None) -> NormalPosterior:
        """q(z|x) of features h (B, H); the context is known to the encoder already."""
        raw = _exact(self.log_variance, h)
        log_variance = self.bound * torch.tanh(raw / self.bound)
        return NormalPosterior(_exact(self.mean, h), torch.exp(0.5 * log_variance))


class ConstantNormalHead(nn.Module):
    """A normal distribution with learnt means and one fixed scale (constant-variance VAE).

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        scale: Standard deviation in every dimension, positive.

    Raises:
        ValueError: The scale is not positive.
    """

    def __init__(self, hidden: int, latent: int, *, scale: float = 0.1) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}; without noise use DeltaHead")
        self.hidden, self.latent, self.scale = hidden, latent, scale
        self.mean = nn.Linear(hidden, latent)

    def forward(self, h: Tensor, context: Tensor | None = None) -> NormalPosterior:
        """q(z|x) of features h (B, H); the context is known to the encoder already."""
        return NormalPosterior(_exact(self.mean, h), self.scale)


class PropertyHead(nn.Module):
    """Properties of what a code stands for, standardised: a network with one hidden layer.

    Args:
        latent: D, the width of the code.
        count: P, the number of properties.
        hidden: Width of the hidden layer. It is smooth, for those who go up its gradient.
    """

    def __init__(self, latent: int, count: int, *, hidden: int = 128) -> None:
        super().__init__()
        self.latent, self.count = latent, count
        self.hidden = nn.Linear(latent, hidden)
        self.out = nn.Linear(hidden, count)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (..., D) -> properties (..., P), each in its own standard deviations."""
        return _exact(self.out, torch.nn.functional.silu(_exact(self.hidden, z)))


def _exact(layer: nn.Linear, h: Tensor) -> Tensor:
    """The layer in its own precision, whatever autocast says: (..., H) -> (..., D)."""
    with torch.autocast(h.device.type, enabled=False):
        out: Tensor = layer(h.to(layer.weight.dtype))
    return out
