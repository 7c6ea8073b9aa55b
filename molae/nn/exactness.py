"""What a decoder is told of how exact a code is: the standard deviation of the noise on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Bumps along the logarithm of the noise, and their width as a share of the range: neighbours
#: overlap, so that what is learnt of one noise level is known of those beside it.
_BUMPS, _WIDTH = 8, 0.14


class NoiseReader(nn.Module):
    """Reads a code together with the noise that it carries, sigma.

    One decoder for all noise levels, which knows which it is at, is a family of constant-variance
    VAEs with shared weights: exact where sigma is next to nothing, a model of what is usual where
    sigma is as large as the codes. The same is done to diffusion models for images, where the low
    resolution is noisy and its noise is told (*conditioning augmentation*, Ho et al., *Cascaded
    Diffusion Models*, JMLR 23, 2022).

    A code is first shrunk to the mean of what it may have been without the noise, which is
    z / (1 + sigma^2) for codes of unit variance; a network with one hidden layer sees that and
    sigma, and adds to what the decoder makes of the code by itself. It starts by adding next to
    nothing.

    Args:
        latent: D, the width of the code.
        context: C, the width of the context beside it.
        width: Numbers to be added.
        noise: Lowest and highest sigma of training. Below the lowest, the code counts as exact.
        hidden: Width of the hidden layer.

    Raises:
        ValueError: ``noise`` is not two numbers, ascending, above 0.
    """

    def __init__(
        self, latent: int, context: int, width: int, noise: Sequence[float], *, hidden: int = 512
    ) -> None:
        super().__init__()
        self.low, self.high = noise_range(noise)
        self.latent = latent
        self.inner = nn.Linear(latent + context + _BUMPS, hidden)
        self.outer = nn.Linear(hidden, width)
        nn.init.normal_(self.outer.weight, std=1e-3)  # not 0: it has a spectral norm to divide by
        nn.init.zeros_(self.outer.bias)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes, contexts and sigma side by side, (N, D + C + 1).

        Returns:
            Shrunk codes and contexts, (N, D + C), and what is to be added, (N, width).
        """
        sigma = z[:, -1:].float()
        code, context = z[:, : self.latent], z[:, self.latent : -1]
        shrunk = torch.cat([code / (1 + sigma.square()), context], -1)
        hidden = self.inner(torch.cat([shrunk, self.bumps(sigma)], -1))
        return shrunk, self.outer(nn.functional.silu(hidden))

    def bumps(self, sigma: Tensor) -> Tensor:
        """Smooth indicators of the noise level: (N, 1) -> (N, 8)."""
        span = math.log(self.high / self.low)
        place = (sigma.clamp(min=self.low, max=self.high) / self.low).log() / span  # 0 to 1
        centers = torch.linspace(0, 1, _BUMPS, device=sigma.device, dtype=sigma.dtype)
        return torch.exp(-0.5 * ((place - centers) / _WIDTH).square())


def noise_draw(noise: Sequence[float]) -> tuple[float, float, float]:
    """Lowest and highest standard deviation, and the power that draws lean to the lowest with.

    Draws are low * (high / low) ** (u ** power) for uniform u: uniform on a logarithmic scale at
    power 1, which is what two numbers mean.

    Raises:
        ValueError: Not two or three finite numbers above 0, of which the first two ascend.
    """
    try:
        low, high, power = (float(value) for value in (*noise, *([1.0] * (3 - len(noise)))))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"noise is {noise!r}; expected its lowest and highest standard deviation"
        ) from error
    if not 0 < low < high < math.inf:
        raise ValueError(
            f"noise is from {low:g} to {high:g}; expected two numbers above 0, the lower one first"
        )
    if not 0 < power < math.inf:
        raise ValueError(f"noise is drawn with the power {power:g}; expected a number above 0")
    return low, high, power


def noise_range(noise: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest standard deviation, without the power.

    Raises:
        ValueError: As ``noise_draw``.
    """
    return noise_draw(noise)[:2]
