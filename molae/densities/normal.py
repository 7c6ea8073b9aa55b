"""One normal distribution: the standard one, and Gaussians with full covariance."""

from __future__ import annotations

import math
import warnings
from typing import ClassVar, Self

import torch
from torch import Tensor

from molae.densities.base import LatentDensity, Progress, codes, not_fitted

_LOG_2PI = math.log(2.0 * math.pi)


class StandardNormal(LatentDensity):
    """N(0, I): the prior of a plain VAE.

    Args:
        dim: D, or None to learn it from ``fit`` or from what is loaded.
    """

    origin: Tensor  # zeros (D,): remembers D in the state

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.register_buffer("origin", torch.zeros(dim or 0))

    @property
    def dim(self) -> int | None:
        """D, or None if it is not known yet."""
        return len(self.origin) or None

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.origin):
            raise not_fitted("prior")
        return len(self.origin)

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Learn D from z (N, D), nothing else."""
        if z.ndim != 2 or z.shape[1] == 0:
            raise ValueError(f"prior is fitted to codes of shape (N, D), got {tuple(z.shape)}")
        self.origin = self.origin.new_zeros(z.shape[1])
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; 0, I), (..., D) -> (...)."""
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        return -0.5 * (z.square() + _LOG_2PI).sum(-1)

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor:
        """E log p(z) for z ~ N(mean, diag(scale^2)), (..., D) -> (...)."""
        return -0.5 * (mean.square() + scale.square() + _LOG_2PI).sum(-1)

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> draws (n, D); the first column is not used."""
        z: Tensor = torch.special.ndtri(u[:, 1:])
        return z


class Gaussian(LatentDensity):
    """N(mu, Sigma) with full covariance, by maximum likelihood, in float64.

    Args:
        jitter: Added to the diagonal of Sigma, as a share of the mean variance of a dimension, so
            that codes which do not fill the space still have a density.
    """

    _name: ClassVar[str] = "gaussian"

    mean: Tensor  # (D,)
    scale_tril: Tensor  # lower triangular L (D, D) with L L^T = Sigma

    def __init__(self, jitter: float = 1e-6) -> None:
        super().__init__()
        if not jitter > 0:
            raise ValueError(f"jitter must be above 0, got {jitter}")
        self.jitter = jitter
        self.register_buffer("mean", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("scale_tril", torch.zeros(0, 0, dtype=torch.float64))

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.mean):
            raise not_fitted(self._name)
        return len(self.mean)

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Mean and covariance (divided by N) of codes z (N, D).

        Raises:
            ValueError: Fewer than 2 codes, all the same, or not finite.
        """
        device = self.mean.device
        mean, scale_tril = moments(codes(z, self._name), self.jitter)
        self.mean, self.scale_tril = self._middle(mean).to(device), scale_tril.to(device)
        return self

    def _middle(self, mean: Tensor) -> Tensor:
        """Where the distribution lies, given the mean of the codes, (D,)."""
        return mean

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; mu, Sigma), (..., D) -> (...)."""
        if not len(self.mean):
            raise not_fitted(self._name)
        value = normal_log_prob(z, self.mean, self.scale_tril)
        return value.to(z.device, torch.promote_types(z.dtype, torch.float32))

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor:
        """E log p(z) for z ~ N(mean, diag(scale^2)), (..., D) -> (...)."""
        eye = torch.eye(self.size, dtype=self.mean.dtype, device=self.mean.device)
        inverse: Tensor = torch.linalg.solve_triangular(self.scale_tril, eye, upper=False)
        precision = inverse.square().sum(0).to(scale)  # the diagonal of Sigma^-1, (D,)
        return self.log_prob(mean) - 0.5 * (scale.square() * precision).sum(-1)

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> draws (n, D); the first column is not used."""
        which = torch.zeros(len(u), dtype=torch.int64, device=u.device)
        return affine(u, which, self.mean.unsqueeze(0), self.scale_tril.unsqueeze(0))


class CentredGaussian(Gaussian):
    """N(0, Sigma): the covariance of the codes around the origin, wherever their mean is.

    What the authors of RAE drew from while they trained (Sigma is taken around the mean, as they
    do). Of codes that a prior holds around the origin it is the Gaussian; of others it says what
    leaving out the mean costs.

    Args:
        jitter: As for ``Gaussian``.
    """

    _name = "centred"

    @classmethod
    def like(cls, gaussian: Gaussian) -> Self:
        """The one with the covariance of a Gaussian that was fitted.

        Raises:
            NotFittedError: It was not.
        """
        made = cls(gaussian.jitter)
        made.mean = torch.zeros_like(gaussian.mean[: gaussian.size])
        made.scale_tril = gaussian.scale_tril.clone()
        return made

    def _middle(self, mean: Tensor) -> Tensor:
        """The origin, (D,)."""
        return torch.zeros_like(mean)


def moments(z: Tensor, jitter: float) -> tuple[Tensor, Tensor]:
    """Mean (D,) of codes z (N, D), and lower triangular L (D, D) with L L^T their covariance.

    The covariance is divided by N, and has ``jitter`` times the mean variance of a dimension added
    to its diagonal. Warns, as of the caller's caller, where there are too few codes.
    """
    rows, size = z.shape
    if rows <= size:
        warnings.warn(
            f"{rows} codes do not determine a covariance in {size} dimensions (at least "
            f"{size + 1} are needed): others get {jitter} times the mean variance",
            stacklevel=3,
        )
    mean = z.mean(0)
    covariance = (z - mean).T @ (z - mean) / rows
    covariance.diagonal().add_(jitter * covariance.diagonal().mean())
    return mean, torch.linalg.cholesky(covariance).contiguous()


def normal_log_prob(z: Tensor, mean: Tensor, scale_tril: Tensor) -> Tensor:
    """log N(z; mean, L L^T) in nats and in the type of ``mean``: z (..., D) -> (...)."""
    difference = (z.to(mean) - mean).reshape(-1, len(mean))
    white: Tensor = torch.linalg.solve_triangular(scale_tril, difference.T, upper=False)  # (D, n)
    volume = scale_tril.diagonal().log().sum() + 0.5 * len(mean) * _LOG_2PI
    return (-0.5 * white.square().sum(0) - volume).reshape(z.shape[:-1])


def affine(u: Tensor, which: Tensor, means: Tensor, scale_trils: Tensor) -> Tensor:
    """Draws mean + L noise from one of K normals, by elementwise operations only.

    Args:
        u: Uniforms, (n, D + 1); the columns from the second on become the noise.
        which: Number of the normal for each row, (n,).
        means: (K, D).
        scale_trils: Lower triangular, (K, D, D).

    Returns:
        (n, D); a row depends on the same row of ``u`` and ``which`` only.
    """
    noise: Tensor = torch.special.ndtri(u[:, 1:])  # (n, D)
    z = means[which]
    for j in range(z.shape[1]):
        z[:, j:] += scale_trils[:, j:, j][which] * noise[:, j : j + 1]
    return z
