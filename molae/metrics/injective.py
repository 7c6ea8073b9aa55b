"""What a deterministic autoencoder has for a likelihood: densities pushed through its decoder.

A decoder g that gives different images to different codes turns a density of codes into one on a
surface of D dimensions among the N values of an image. Letters: B examples, D the size of a code,
N the number of values of an image, J the Jacobian dg/dz (N, D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.autograd.functional import jvp

from molae.types import Likelihood


class Model(Protocol):
    """What is asked of an autoencoder."""

    def encode(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The code of each example, (B, D)."""

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Likelihood:
        """p(x|z) for codes (*S, B, D), with a ``mean`` that depends on the code alone."""


class Density(Protocol):
    """What is asked of p(z)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""


@dataclass(frozen=True)
class PushedForward:
    """The density of codes, at the codes of B examples, as one of images; float64 on the CPU.

    Attributes:
        log_prior: log p(z) at z = encode(x), (B,).
        log_volume: 1/2 log det J^T J: what g stretches volumes by there, (B,). -inf where it is
            not injective, because some direction of z moves nothing.
        log_volume_bound: D/2 log(||J||_F^2 / D), (B,), at least ``log_volume``.
        residual: ||x - g(z)||^2, (B,): how far off the surface x lies.
        values: N.
        dimensions: D.
    """

    log_prior: Tensor
    log_volume: Tensor
    log_volume_bound: Tensor
    residual: Tensor
    values: int
    dimensions: int

    @property
    def on_surface(self) -> Tensor:
        """log p(z) - 1/2 log det J^T J, (B,): the density of g(z), per volume of the surface.

        Not comparable between models of different D, or with densities of images.
        """
        return self.log_prior - self.log_volume

    @property
    def bound(self) -> Tensor:
        """log p(z) - D/2 log(||J||_F^2 / D), (B,), never above ``on_surface``."""
        return self.log_prior - self.log_volume_bound

    def in_space(self, sigma: float) -> Tensor:
        """log p(x) where normal noise of a small sigma surrounds the surface, (B,).

        ``on_surface`` + log N(x - g(z); 0, sigma^2) of the N - D directions that leave it. That is
        the integral of N(x; g(z), sigma^2 I) p(z) by Laplace's method as sigma goes to 0, when z
        is the code of the point of the surface nearest to x.

        Raises:
            ValueError: sigma is not above 0.
        """
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma}; expected a number above 0")
        away = (self.values - self.dimensions) * math.log(2 * math.pi * sigma**2)
        return self.on_surface - 0.5 * (self.residual / sigma**2 + away)


@torch.no_grad()
def pushed_forward(
    model: Model, prior: Density, x: Tensor, context: Tensor | None = None
) -> PushedForward:
    """An approximate log-likelihood of a deterministic autoencoder with a density of its codes.

    Kumar, Poole and Murphy, *Regularized Autoencoders via Relaxed Injective Probability Flow*,
    AISTATS 2020: where g is injective and x on its surface, change of variables gives log p(x) =
    log p(z) - 1/2 log det J^T J, of which the arithmetic mean of the eigenvalues of J^T J in place
    of the geometric one makes a lower bound. x off the surface is what is relaxed: it is taken for
    g(encode(x)), and ``residual`` says at what price. So this is an approximation, exact for a
    linear decoder and data on its surface, and never a bound on log p(x) of anything but that.

    Args:
        model: Put into evaluation by the caller.
        prior: p(z), fitted to codes after training, as a rule.
        x: Images, (B, ...).
        context: What the model is conditioned on, (B, ...).

    Raises:
        ValueError: The decoder has no mean that depends on the code alone (sequences, PixelCNN).
    """
    z = model.encode(x, context)

    def decoded(code: Tensor) -> Tensor:
        mean = getattr(model.likelihood(code, context), "mean", None)
        if mean is None:
            raise ValueError(
                "this decoder's output depends on more than the code, so that codes span no "
                "surface: use an image decoder with independent pixels"
            )
        return cast(Tensor, mean).flatten(1)

    y = decoded(z)
    slopes = [  # of all examples at once, one dimension after the other
        jvp(decoded, z, direction.expand_as(z))[1]  # type: ignore[no-untyped-call]
        for direction in torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    ]
    jacobian = torch.stack(slopes, -1).double().cpu()  # (B, N, D)
    residual = (x.flatten(1).to(y) - y).double().square().sum(1)
    size = z.shape[1]
    return PushedForward(
        log_prior=prior.log_prob(z).double().cpu(),
        log_volume=torch.linalg.svdvals(jacobian).log().sum(-1),
        log_volume_bound=0.5 * size * (jacobian.square().sum((1, 2)) / size).log(),
        residual=residual.cpu(),
        values=y.shape[1],
        dimensions=size,
    )
