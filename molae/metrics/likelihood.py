"""How likely a model finds data: -log p(x) by importance sampling.

Letters: B examples, M samples of each, m of them at a time, D the width of a code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from molae.distributions import ImplicitPosterior, NoDensityError
from molae.repeatable import seeded
from molae.types import Likelihood, Posterior


class Model(Protocol):
    """What is asked of an autoencoder."""

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Posterior:
        """q(z|x) of a batch."""

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Likelihood:
        """p(x|z) for codes (*S, B, D)."""


class Density(Protocol):
    """What is asked of p(z)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""


@dataclass(frozen=True)
class Estimate:
    """What importance sampling says of B examples, float64 on the CPU.

    Attributes:
        nll: -log of the mean weight, (B,): at least -log p(x) on average, and nearer to it the
            more samples there are.
        minus_elbo: -mean of the logarithms of the weights, (B,): minus the evidence lower bound.
        effective: 1 / sum of the squared shares of the weights, (B,), from 1 to M. Where it is
            near 1, one sample decides, and the estimate is too high.
    """

    nll: Tensor
    minus_elbo: Tensor
    effective: Tensor


class Around:
    """Codes drawn around the code of each example: a proposal for heads that are points.

    q(z|x) = 1/S sum_s N(z; code(x), width_s^2 I). No posterior of the model, which has none; the
    estimate holds for any proposal, and more or less tightly.

    Args:
        center: Codes, (B, D).
        widths: Standard deviations, S positive numbers.
    """

    def __init__(self, center: Tensor, widths: Sequence[float]) -> None:
        if not widths or not min(widths) > 0:
            raise ValueError(f"widths must be above 0, and there must be one; got {list(widths)}")
        self.center = center
        self.widths = torch.tensor(widths, dtype=center.dtype, device=center.device)

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and log q of them, (*S, B)."""
        shape = (*sample_shape, len(self.center))
        which = torch.randint(len(self.widths), shape, device=self.center.device)
        noise = torch.randn(*shape, self.center.shape[1]).to(self.center)
        z = self.center + self.widths[which].unsqueeze(-1) * noise
        square = (z - self.center).square().sum(-1, keepdim=True)
        volume = self.center.shape[1] * (self.widths.log() + 0.5 * math.log(2.0 * math.pi))
        each = -0.5 * square / self.widths.square() - volume
        return z, each.logsumexp(-1) - math.log(len(self.widths))


@torch.no_grad()
def importance_nll(
    model: Model,
    prior: Density,
    x: Tensor,
    samples: int = 5000,
    *,
    context: Tensor | None = None,
    at_once: int = 64,
    widths: Sequence[float] | None = None,
    show: Callable[[float], None] | None = None,
) -> Estimate:
    """-log p(x) = -log E_q w, w = p(x|z) p(z) / q(z|x), with the mean of M draws for E.

    Burda, Grosse and Salakhutdinov (ICLR 2016) report it with M = 5,000. By Jensen's inequality
    it is an upper bound of -log p(x) on average, which never rises with M. Sums are streamed: all
    that grows with M is time. Random numbers are torch's own. A likelihood that puts noise on the
    data (``quantised``) puts the same on an example with every sample, so that the mean over
    samples is one over codes only, however many are decoded together.

    Args:
        model: Put into evaluation by the caller.
        prior: p(z): the model's, or any density that codes are drawn from.
        x: Examples, (B, ...).
        samples: M.
        context: What the model is conditioned on, (B, ...).
        at_once: m, samples that are decoded together.
        widths: Draw from ``Around`` these instead of the posterior; what a model needs whose
            posterior is a point.
        show: Told how far it is, from 0 to 1.

    Raises:
        NoDensityError: The posterior is a point, or has no density, and there are no ``widths``.
        ValueError: There is no sample.
    """
    if samples < 1 or at_once < 1:
        raise ValueError(f"samples and at_once must be 1 or more, got {samples} and {at_once}")
    posterior = model.posterior(x, context)
    proposal = posterior if widths is None else Around(posterior.center, widths)
    with seeded(None, x.device):
        noise = int(torch.randint(1 << 62, ()))
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    squares, logs = total.clone(), torch.zeros_like(total)
    for first in range(0, samples, at_once):
        count = min(at_once, samples - first)
        try:
            z, log_q = proposal.rsample_and_log_prob((count,))  # (m, B, D), (m, B)
        except NoDensityError as error:
            unknown = isinstance(posterior, ImplicitPosterior)
            raise NoDensityError(REFUSAL_UNKNOWN if unknown else REFUSAL) from error
        with seeded(noise, x.device):
            log_p = model.likelihood(z, context).log_prob(x)
        log_w = log_p + prior.log_prob(z) - log_q
        log_w = log_w.cpu().double()
        total = torch.logaddexp(total, log_w.logsumexp(0))
        squares = torch.logaddexp(squares, (2.0 * log_w).logsumexp(0))
        logs += log_w.sum(0)
        if show is not None:
            show((first + count) / samples)
    nll, minus_elbo = math.log(samples) - total, -logs / samples
    return Estimate(nll, minus_elbo, torch.exp(2.0 * total - squares))


#: Why a deterministic model has no likelihood of its own.
REFUSAL = (
    "this model's encoder gives points, so that no q(z|x) leads to log p(x): for the likelihood "
    "of a density fitted to its codes together with its decoder, name that density; or train "
    "with a head that has a density (vae, iwae)"
)
#: Why a model whose posterior can only be drawn from has none.
REFUSAL_UNKNOWN = (
    "the posterior of this head has no density that is known, so that it leads to no log p(x): "
    "for the likelihood of a density of codes together with the decoder, name that density, such "
    "as 'prior'; or train with a head that has a density (vae, iwae)"
)
