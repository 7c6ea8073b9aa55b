"""A prior that depends on what is known beside the data."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from molae.densities.base import LatentDensity, Progress
from molae.densities.trained import TILE
from molae.distributions import NormalPosterior
from molae.repeatable import in_tiles

#: Log-variances lie within it, by a tanh.
_BOUND = 12.0


class ConditionalNormal(LatentDensity):
    """p(z|c) = N(z; m(c), s(c)^2), a small net of the context c, learnt with the model.

    The prior of a conditional variational autoencoder (Sohn, Lee and Yan, *Learning Structured
    Output Representation using Deep Conditional Generative Models*, NeurIPS 2015, eq. 4). The
    rate is KL(q(z|x, c) || p(z|c)), in closed form under a normal posterior. At first it is
    N(0, I). ``given`` is what is asked for densities and draws.

    Args:
        hidden: Width of the hidden layer.
        dim: D.
    """

    name = "conditional"

    origin: Tensor  # zeros (D,): remembers D and where it is
    net: nn.Sequential | None

    def __init__(self, hidden: int = 128, dim: int | None = None) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden must be 1 or more, got {hidden}")
        self.hidden, self.dim = hidden, dim
        self.register_buffer("origin", torch.zeros(dim or 0))
        self.register_module("net", None)

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        return len(self.origin)

    def attach(self, encoder: nn.Module, head: nn.Module) -> None:
        """Make the net, for contexts as wide as those that the encoder is told.

        Raises:
            ValueError: It is told none.
        """
        width = int(getattr(encoder, "context", 0))
        if not width:
            raise ValueError(
                "the prior 'conditional' depends on a context, and this model is told none: "
                "train with a condition (--condition label), or take another prior"
            )
        last = nn.Linear(self.hidden, 2 * self.size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(width, self.hidden), nn.SiLU(), last).to(self.origin)

    def given(self, context: Tensor | None) -> GivenNormal:
        """p(z|c) for contexts (B, C): of codes (*S, B, D), and of B draws.

        Where no gradient is wanted each context has the same answer, to the last bit, whatever
        others are beside it.

        Raises:
            ValueError: There is no context.
        """
        if context is None or self.net is None:
            raise _told_nothing()
        with torch.autocast(context.device.type, enabled=False):
            told = context.to(self.origin)
            found = self.net(told) if torch.is_grad_enabled() else in_tiles(self.net, told, TILE)
            mean, raw = found.chunk(2, -1)
        scale = torch.exp(0.5 * _BOUND * torch.tanh(raw / _BOUND))
        return GivenNormal(NormalPosterior(mean, scale))

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """It is not fitted to codes.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "the density 'conditional' is learnt with a model (--prior conditional), and cannot "
            "be fitted to codes; fit 'gmm'"
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """It needs a context, see ``given``.

        Raises:
            ValueError: Always.
        """
        raise _told_nothing()

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor | None:
        """It needs a context, see ``given``.

        Raises:
            ValueError: Always.
        """
        raise _told_nothing()

    def from_uniforms(self, u: Tensor) -> Tensor:
        """It needs a context, see ``given``.

        Raises:
            ValueError: Always.
        """
        raise _told_nothing()


class GivenNormal(LatentDensity):
    """A normal distribution for each of B contexts.

    Args:
        each: They, (B, D).
    """

    name = "conditional"

    def __init__(self, each: NormalPosterior) -> None:
        super().__init__()
        self.each = each

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        return self.each.center.shape[-1]

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """See ``ConditionalNormal``: it is learnt with a model.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a prior given a context is learnt with its model; fit 'gmm'")

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z|c) in nats, (*S, B, D) -> (*S, B)."""
        return self.each.log_prob(z.to(self.each.center)).to(z.device)

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor:
        """E log p(z|c) for z ~ N(mean, diag(scale^2)), (B, D) -> (B,)."""
        return self.each.expected_log_prob(mean, scale)

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (B, D + 1) -> a draw for each context, (B, D); the first column is not used."""
        noise = torch.special.ndtri(u[:, 1:])
        z: Tensor = self.each.center.to(u) + self.each.scale.to(u) * noise
        return z

    def _device(self) -> torch.device:
        return self.each.center.device


def _told_nothing() -> ValueError:
    return ValueError(
        "the prior 'conditional' is another one for each context, and no context is given: ask "
        "the model for prior_of(context)"
    )
