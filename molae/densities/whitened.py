"""What densities have in common that are fitted to whitened codes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from molae.densities.base import LatentDensity, Progress, codes, not_fitted
from molae.densities.normal import moments


class Whitened(LatentDensity):
    """A density of w = L^-1 (z - mean), where L L^T is the covariance of the codes z.

    The density of z itself is log p(z) = log p(w) - log det L. So one width or one step size suits
    every direction, whatever the scale of the codes.

    Codes that lie in a plane have no density. As in ``Gaussian``, ``jitter`` is added to the
    diagonal of the covariance, and here noise of that variance is added to the codes, once, before
    anything is fitted to them: in directions that they do not fill it is all there is.

    A subclass may also be learnt with a model, as its prior: then D is said at once, codes stay as
    they are (w = z), and the weights are float32 and take gradients.

    Args:
        jitter: As a share of the mean variance of a dimension of the codes.
        rows: Fit to this many codes at most, drawn at random from those given.
        seed: Of that draw and of the noise, and of what else a subclass leaves to chance.
        dim: D of a prior that is learnt with a model, see ``_stand``; None for what is fitted.
    """

    #: What people type.
    name: ClassVar[str]

    mean: Tensor  # (D,)
    scale_tril: Tensor  # L, lower triangular, (D, D)

    def __init__(self, jitter: float, rows: int, seed: int, dim: int | None = None) -> None:
        super().__init__()
        if not jitter > 0 or rows < 2:
            raise ValueError(f"jitter must be above 0 and rows 2 or more, got {jitter} and {rows}")
        self.jitter, self.rows, self.seed, self.dim = jitter, rows, seed, dim
        kind = torch.float64 if dim is None else torch.float32
        self.register_buffer("mean", torch.zeros(dim or 0, dtype=kind))
        self.register_buffer("scale_tril", torch.eye(dim or 0, dtype=kind))

    def _stand(self) -> None:
        """With D known, begin as a prior to be learnt; the last that a constructor does."""
        if self.dim is not None:
            self._begin(self.dim)
            self.requires_grad_(True)

    @abstractmethod
    def _begin(self, size: int) -> None:
        """Make what has shapes that follow from D = ``size``, before it is fitted or loaded."""

    @abstractmethod
    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        """Fit to whitened codes w (N, D) float64."""

    @abstractmethod
    def _white_log_prob(self, w: Tensor) -> Tensor:
        """log p(w) in nats, (n, D) -> (n,), float64."""

    @abstractmethod
    def _white_draws(self, u: Tensor) -> Tensor:
        """Uniforms (n, width) to draws of w (n, D), as ``from_uniforms`` says."""

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.mean):
            raise not_fitted(self.name)
        return len(self.mean)

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Whiten codes z (N, D), then fit to what comes out.

        Raises:
            ValueError: Fewer than 2 codes, all the same, or not finite.
        """
        device = self.mean.device
        z = codes(z, self.name).to(device)
        chooser = torch.Generator().manual_seed(self.seed)
        if len(z) > self.rows:
            z = z[torch.randperm(len(z), generator=chooser)[: self.rows].to(device)]
        self.mean, self.scale_tril = moments(z, self.jitter)
        noise = torch.randn(z.shape, generator=chooser, dtype=torch.float64).to(device)
        spread = (self.jitter * z.var(0, correction=0).mean()).sqrt()
        self._begin(z.shape[1])
        self._learn(self._whiten(z + spread * noise), progress)
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""
        with torch.autocast(self.mean.device.type, enabled=False):
            w = self._whiten(z.to(self.mean).reshape(-1, self.size))
            value = self._white_log_prob(w) - self.scale_tril.diagonal().log().sum()
        return value.reshape(z.shape[:-1]).to(
            z.device, torch.promote_types(z.dtype, torch.float32)
        )

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, width) -> draws (n, D)."""
        w = self._white_draws(u)
        z = self.mean.repeat(len(u), 1)
        for j in range(self.size):
            z[:, j:] += self.scale_tril[j:, j] * w[:, j : j + 1]
        return z

    def _whiten(self, z: Tensor) -> Tensor:
        """L^-1 (z - mean), (n, D) -> (n, D)."""
        w: Tensor = torch.linalg.solve_triangular(self.scale_tril, (z - self.mean).T, upper=False)
        return w.T

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make what D decides the shape of, then take it back."""
        saved = state_dict.get(prefix + "mean")
        # What has the right shape stays, since an optimiser may know it.
        if saved is not None and len(saved) not in (0, len(self.mean)):
            self._begin(len(saved))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
