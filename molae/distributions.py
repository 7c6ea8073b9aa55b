"""Posteriors q(z|x), and the rate: what a code costs under a prior, in nats.

Whatever autocast made of a head's output, posteriors hold float32 (or float64) and answer in it:
log-densities lose too much in sixteen bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_LOG_2PI = math.log(2.0 * math.pi)


class NoDensityError(ValueError):
    """A density was asked of a posterior that is a point, or whose density nobody knows."""


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


class QuantisedPosterior(DeltaPosterior):
    """All mass on one point of a grid: the code of a vector quantiser.

    Args:
        code: e, the code before it was rounded, (B, D).
        rounded: q(e), after it, (B, D), without a gradient; ``center`` is it with that of e.
        indices: Entries of the codebook that it was put together from, (B, G) int64.
        commitment: What ||e - q(e)||^2 is multiplied with in ``penalty``.
        entries: K, how many the codebook has.
    """

    def __init__(
        self, code: Tensor, rounded: Tensor, indices: Tensor, commitment: float, entries: int
    ) -> None:
        # Exactly what is in the codebook, since the difference is 0, with the gradient of e.
        super().__init__(rounded + (code - code.detach()))
        self.indices, self.entries = indices, entries
        self._penalty = commitment * (code - rounded).square().sum(-1)

    def penalty(self) -> Tensor:
        """commitment ||e - q(e)||^2, summed over D, (B,)."""
        return self._penalty

    def logged(self) -> dict[str, Tensor]:
        """``perplexity`` (): how many entries the codes of this batch use, as if all equally."""
        indices = self.indices.flatten()
        share = self.center.new_zeros(self.entries)
        share.index_add_(0, indices, torch.full_like(indices, 1 / len(indices), dtype=share.dtype))
        return {"perplexity": torch.exp(-torch.xlogy(share, share).sum())}


def group_size(latent: int, group: int | None) -> int:
    """w, the numbers in a group of a code of D = ``latent``: as asked for, or the usual one.

    Raises:
        ValueError: D is no multiple of it.
    """
    if group is None:
        return math.gcd(latent, 2)
    if group < 1 or latent % group:
        fit = [number for number in range(1, latent + 1) if latent % number == 0]
        raise ValueError(
            f"codes of {latent} numbers are no groups of {group}: group must be one of "
            f"{', '.join(map(str, fit))}"
        )
    return group


def nearest_entry(groups: Tensor, codebook: Tensor) -> Tensor:
    """The entry of a codebook (K, w) nearest to each group (n, w): (n,) int64.

    One number of the groups after the other and no matrix product, so that no row depends on how
    many there are.
    """
    distance = torch.zeros(len(groups), len(codebook), dtype=groups.dtype, device=groups.device)
    for mine, theirs in zip(groups.unbind(1), codebook.unbind(1), strict=True):
        distance += (mine[:, None] - theirs).square()
    return distance.argmin(1)


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

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor:
        """E log q(z|x) for z ~ N(mean, diag(scale^2)), (*S, B, D) -> (*S, B)."""
        return self.log_prob(mean) - 0.5 * (scale / self.scale).square().sum(-1)

    def entropy(self) -> Tensor:
        """-E log q, (B,), in nats."""
        return (self.scale.log() + 0.5 * (1.0 + _LOG_2PI)).sum(-1)

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return torch.zeros_like(self.center[..., 0])

    def detached(self) -> NormalPosterior:
        """The same distribution, without a gradient for its mean and scale."""
        return NormalPosterior(self.center.detach(), self.scale.detach())


class Bijection(Protocol):
    """An invertible function of codes, another one for each of B examples."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Images of z (*S, B, D), and log |det dforward/dz|, (*S, B)."""

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What has the images z, (*S, B, D), and log |det dforward/dz| there, (*S, B)."""


class FlowPosterior:
    """Draws of a normal distribution, sent through an invertible function f of each example.

    log q(f(e)|x) = log N(e; mean, scale^2) - log |det df/de| (Rezende and Mohamed, *Variational
    Inference with Normalizing Flows*, ICML 2015, eq. 5). The log-density of the last draws is
    remembered, so that asking for it costs no inverse.

    Args:
        base: The normal distribution of e.
        flow: f.
    """

    def __init__(self, base: NormalPosterior, flow: Bijection) -> None:
        self.base, self.flow = base, flow
        self._drawn: tuple[Tensor, Tensor] | None = None

    @cached_property
    def center(self) -> Tensor:
        """The image of the mean, f(mean), (B, D): neither the mean of q nor its mode."""
        with _no_autocast(self.base.center):
            return self.flow.forward(self.base.center)[0]

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """f(mean + scale * noise), (*S, B, D)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and log q of them, (*S, B)."""
        with _no_autocast(self.base.center):
            e, log_base = self.base.rsample_and_log_prob(sample_shape)
            z, log_det = self.flow.forward(e)
        self._drawn = z, log_base - log_det
        return self._drawn

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (*S, B, D) -> (*S, B), by the inverse of f for all but draws."""
        if self._drawn is not None and z is self._drawn[0]:
            return self._drawn[1]
        with _no_autocast(self.base.center):
            e, log_det = self.flow.inverse(z.to(self.base.center.dtype))
            return self.base.log_prob(e) - log_det

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return self.base.penalty()


class ImplicitPosterior:
    """Codes that can be drawn, of which nobody knows the density: z = f(x, noise).

    Args:
        center: The code used where one is needed, (B, D).
        draw: ``draw(sample_shape)`` gives reparametrised draws, (*S, B, D).
    """

    def __init__(self, center: Tensor, draw: Callable[[tuple[int, ...]], Tensor]) -> None:
        self.center = _precise(center)
        self._draw = draw

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Draws with fresh noise, (*S, B, D)."""
        return _precise(self._draw(sample_shape))

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """There is a density, and it cannot be computed.

        Raises:
            NoDensityError: Always.
        """
        raise _unknown_density()

    def log_prob(self, z: Tensor) -> Tensor:
        """There is a density, and it cannot be computed.

        Raises:
            NoDensityError: Always.
        """
        raise _unknown_density()

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return torch.zeros_like(self.center[..., 0])


class AnyPosterior(Protocol):
    """What ``rate`` asks of q(z|x) where there is no closed form."""

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and their log-density (*S, B)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x), (*S, B, D) -> (*S, B)."""


@runtime_checkable
class OwnRate(Protocol):
    """A posterior that knows the prior that belongs to it, step by step or given a context."""

    def rate(self, z: Tensor | None = None) -> Tensor:
        """KL(q(z|x) || p(z)) as ``rate`` has it: of draws z (*S, B, D) -> (*S, B)."""


def logged(posterior: object) -> dict[str, Tensor]:
    """What a posterior wants shown beside the loss, each (B,) or (); most have nothing to say."""
    shown: Callable[[], dict[str, Tensor]] = getattr(posterior, "logged", dict)
    return shown()


def rate(posterior: AnyPosterior, prior: Prior, z: Tensor | None = None) -> Tensor:
    """KL(q(z|x) || p(z)) of every example, in nats, summed over the D dimensions.

    In closed form where the posterior is normal and the prior knows E log p under it (standard
    normal, Gaussian, another ``NormalPosterior``). Otherwise the unbiased one-sample estimate
    log q(z|x) - log p(z), whose gradient is that of the KL.

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
    if isinstance(posterior, OwnRate):
        return posterior.rate(z)
    if isinstance(posterior, NormalPosterior):
        expected = prior.expected_log_prob(posterior.center, posterior.scale)
        if expected is not None:
            return -posterior.entropy() - expected
    if z is None:
        z, log_q = posterior.rsample_and_log_prob()
    else:
        log_q = posterior.log_prob(z)
    return log_q - prior.log_prob(z)


def _no_autocast(like: Tensor) -> torch.autocast:
    """Lets networks inside a posterior compute in their own precision."""
    return torch.autocast(like.device.type, enabled=False)


def _precise(value: Tensor) -> Tensor:
    """At least float32."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _no_density() -> NoDensityError:
    return NoDensityError(
        "a point has no density and so no rate: with the head 'delta' use the objective 'rae' or "
        "'ae'; the objective 'vae' needs the head 'normal' or 'constant'"
    )


def _unknown_density() -> NoDensityError:
    return NoDensityError(
        "the head 'implicit' draws codes without knowing their density, so there is no rate: use "
        "the objective 'avb', 'aae' or 'iae', whose critics estimate what they need; the "
        "objective 'vae' needs the head 'normal' or 'constant'"
    )
