"""Posteriors q(z|x), and the rate: what a code costs under a prior, in nats.

Whatever autocast made of a head's output, posteriors hold float32 (or float64) and answer in it:
log-densities lose too much in sixteen bits.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

_LOG_2PI = math.log(2.0 * math.pi)


class NoDensityError(ValueError):
    """A density was asked of a posterior that is a point."""


class Prior(Protocol):
    """What ``rate`` asks of p(z); every latent density answers it."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor | None:
        """E log p(z) under a diagonal normal, (..., D) -> (...); None without a closed form."""


class DeltaPosterior:
    """All mass on one code: q(z|x) of a deterministic autoencoder.

    Args:
        code: (B, D).
    """

    def __init__(self, code: Tensor) -> None:
        self.center = _precise(code)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """The code, repeated: (*S, B, D)."""
        return self.center.expand(*sample_shape, *self.center.shape)

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """A point has no density.

        Raises:
            NoDensityError: Always.
        """
        raise _no_density()

    def log_prob(self, z: Tensor) -> Tensor:
        """A point has no density.

        Raises:
            NoDensityError: Always.
        """
        raise _no_density()

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return torch.zeros_like(self.center[..., 0])


class NormalPosterior:
    """A normal distribution with independent dimensions.

    Args:
        mean: (B, D).
        scale: Standard deviations, positive, of any shape that broadcasts to (B, D). A number
            makes the constant-variance posterior (CV-VAE: Ghosh et al., *From Variational to
            Deterministic Autoencoders*, ICLR 2020).

    Raises:
        ValueError: ``scale`` is a number and not positive.
    """

    def __init__(self, mean: Tensor, scale: Tensor | float) -> None:
        self.center = _precise(mean)
        if isinstance(scale, Tensor):
            self.scale = _precise(scale).to(self.center.dtype).expand_as(self.center)
        elif scale > 0:
            self.scale = torch.full_like(self.center, scale)
        else:
            raise ValueError(f"the scale of a normal posterior must be above 0, got {scale}")

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """mean + scale * noise, (*S, B, D)."""
        shape = (*sample_shape, *self.center.shape)
        noise = torch.randn(shape, dtype=self.center.dtype, device=self.center.device)
        return self.center + self.scale * noise

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and log q of them, (*S, B)."""
        z = self.rsample(sample_shape)
        return z, self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (*S, B, D) -> (*S, B)."""
        distance = (z - self.center) / self.scale
        return -(0.5 * distance.square() + self.scale.log() + 0.5 * _LOG_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """-E log q, (B,), in nats."""
        return (self.scale.log() + 0.5 * (1.0 + _LOG_2PI)).sum(-1)

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return torch.zeros_like(self.center[..., 0])


class AnyPosterior(Protocol):
    """What ``rate`` asks of q(z|x) where there is no closed form."""

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and their log-density (*S, B)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x), (*S, B, D) -> (*S, B)."""


def rate(posterior: AnyPosterior, prior: Prior, z: Tensor | None = None) -> Tensor:
    """KL(q(z|x) || p(z)) of every example, in nats, summed over the D dimensions.

    In closed form where the posterior is normal and the prior knows E log p under it (standard
    normal, Gaussian). Otherwise the unbiased one-sample estimate log q(z|x) - log p(z), whose
    gradient is that of the KL.

    Args:
        posterior: q(z|x) of a batch.
        prior: p(z).
        z: Draws of the posterior, (*S, B, D), for the estimate; one is drawn if None. Hand over
            those that were decoded, so that both parts of a bound look at the same codes.

    Returns:
        (B,), or (*S, B) where it is estimated from ``z``.

    Raises:
        NoDensityError: The posterior is a point.
    """
    if isinstance(posterior, NormalPosterior):
        expected = prior.expected_log_prob(posterior.center, posterior.scale)
        if expected is not None:
            return -posterior.entropy() - expected
    if z is None:
        z, log_q = posterior.rsample_and_log_prob()
    else:
        log_q = posterior.log_prob(z)
    return log_q - prior.log_prob(z)


def _precise(value: Tensor) -> Tensor:
    """At least float32."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _no_density() -> NoDensityError:
    return NoDensityError(
        "a point has no density and so no rate: with the head 'delta' use the objective 'rae' or "
        "'ae'; the objective 'vae' needs the head 'normal' or 'constant'"
    )
