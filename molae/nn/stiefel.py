"""Codes as coordinates of features in a subspace, on orthonormal axes that are learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molae.distributions import DeltaPosterior
from molae.nn.heads import DeltaHead
from molae.repeatable import mean_of_all

#: Share of a new batch in the running mean of features.
_MOMENTUM = 0.1


class ProjectedPosterior(DeltaPosterior):
    """All mass on z = U^T phi.

    Args:
        features: phi, (B, F).
        axes: U, (F, D), with orthonormal columns.
    """

    def __init__(self, features: Tensor, axes: Tensor) -> None:
        super().__init__(features @ axes)
        self._left = (features - self.center @ axes.T).square().sum(-1)

    def penalty(self) -> Tensor:
        """||phi - U U^T phi||^2, what the projection leaves out, (B,)."""
        return self._left


class StiefelHead(DeltaHead):
    """A code z = U^T phi without noise: a projection of centred features, U^T U = I.

    U is a point of the Stiefel manifold St(D, F): the orthonormal factor of a free matrix (QR,
    signs such that the diagonal of R is positive, so that it is smooth). Features are centred by
    the mean of the batch (of all processes) in training, by the running mean of those in
    evaluation.

    Args:
        hidden: H, the width of what the encoder puts out.
        latent: D, the width of the code.
        features: F, not below D; None for 2 D.

    Raises:
        ValueError: There are fewer features than dimensions of the code.
    """

    mean: Tensor  # (F,)

    def __init__(self, hidden: int, latent: int, *, features: int | None = None) -> None:
        features = 2 * latent if features is None else features
        if features < latent:
            raise ValueError(f"features is {features}; expected {latent} or more, as codes have")
        super().__init__(hidden, features)
        self.latent, self.features = latent, features
        self.free = nn.Parameter(torch.randn(features, latent))
        self.register_buffer("mean", torch.zeros(features))

    @property
    def axes(self) -> Tensor:
        """U, (F, D)."""
        q, r = torch.linalg.qr(self.free)
        axes: Tensor = q * torch.where(r.diagonal() < 0, -1.0, 1.0).to(q)
        return axes

    def forward(self, h: Tensor, context: Tensor | None = None) -> ProjectedPosterior:
        """q(z|x) of what the encoder puts out, h (B, H)."""
        with torch.autocast(h.device.type, enabled=False):
            features = super().forward(h, context).center
            if self.training:
                mean = mean_of_all(features)
                self._follow(mean)
            else:
                mean = self.mean
            return ProjectedPosterior(features - mean.to(features), self.axes)

    @torch.no_grad()
    def _follow(self, mean: Tensor) -> None:
        """Move the running mean after a batch whose mean is ``mean``, (F,)."""
        moved = self.mean.lerp(mean.to(self.mean), _MOMENTUM)
        # A batch that gave no number is not remembered; the loop does not learn from it either.
        self.mean.copy_(torch.where(mean.isfinite().all(), moved, self.mean))
