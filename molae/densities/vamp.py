"""The VampPrior: the posteriors of learnt pseudo-images."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from molae.densities.base import LatentDensity, Progress, not_fitted
from molae.distributions import NormalPosterior
from molae.repeatable import seeded

#: Numbers (codes times components times dimensions) that are looked at together.
_TOGETHER = 1 << 24


class VampPrior(LatentDensity):
    """p(z) = 1/K sum_k q(z|u_k), with K pseudo-images u_k that are learnt with the model.

    Tomczak and Welling, *VAE with a VampPrior*, AISTATS 2018, eq. 9: the best prior for the bound
    is the aggregate posterior, the mean of q(z|x) over the data, and this is that mean over a few
    inputs that stand for the data. Encoder and head are those of the model, so that their weights
    are learnt through the prior too, and it can be used with the model only (``attach``): the
    values of a pseudo-image are a sigmoid of weights, between 0 and 1. Batch normalisation, if
    there is any, takes pseudo-images as it takes images in evaluation: they shall not be counted
    among the data.

    It is for images and for heads whose posterior is normal. Pseudo-inputs of sequences would have
    no gradient: there ``LearnedMixture`` learns the pseudo-posteriors themselves.

    Args:
        components: K; theirs has 500.
        seed: Of the first pseudo-images, noise.
        dim: D.
    """

    name = "vamp"
    media = ("images",)

    origin: Tensor  # zeros (D,): remembers D and where it is
    raw: nn.Parameter | None

    def __init__(self, components: int = 100, seed: int = 0, dim: int | None = None) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be 1 or more, got {components}")
        self.components, self.seed, self.dim = components, seed, dim
        self.register_buffer("origin", torch.zeros(dim or 0))
        self.register_parameter("raw", None)
        # In a tuple, where torch does not see them: their weights belong to the model.
        self._model: tuple[nn.Module, nn.Module] | None = None

    def attach(self, encoder: nn.Module, head: nn.Module) -> None:
        """Use these for posteriors, and make pseudo-images of the size that they take.

        Args:
            encoder: Sees an image of its ``shape`` (C, H, W), and no context.
            head: Of its features.

        Raises:
            ValueError: The head's posterior is not normal.
        """
        shape: Any = encoder.shape
        with seeded(self.seed):
            raw = torch.randn(self.components, *shape)
        self._model = encoder, head
        self.raw = nn.Parameter(raw.to(self.origin))
        with torch.no_grad():
            self.posteriors()

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if self._model is None or not len(self.origin):
            raise not_fitted(self.name)
        return len(self.origin)

    def described(self) -> str:
        """How many pseudo-images there are."""
        return "" if self.raw is None else f"{self.components} pseudo-images"

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """It is not fitted to codes.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "the density 'vamp' is learnt with a model (--prior vamp), and cannot be fitted to "
            "codes; fit 'learned_mixture' or 'gmm'"
        )

    def posteriors(self) -> NormalPosterior:
        """q(z|u_k) of the pseudo-images.

        Raises:
            NotFittedError: There is no model.
            ValueError: They are not normal.
        """
        if self._model is None or self.raw is None:
            raise not_fitted(self.name)
        encoder, head = self._model
        learning = encoder.training
        encoder.eval()
        try:
            found = head(encoder(torch.sigmoid(self.raw), None), None)
        finally:
            encoder.train(learning)
        if not isinstance(found, NormalPosterior):
            raise ValueError(
                "the prior 'vamp' mixes normal posteriors: use the head 'normal', or the prior "
                "'learned_mixture'"
            )
        return found

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""
        each = self.posteriors()
        flat = z.to(self.origin.device, torch.promote_types(z.dtype, torch.float32))
        flat = flat.reshape(-1, self.size)
        most = max(1, _TOGETHER // (self.components * self.size))
        parts = [
            each.log_prob(part.unsqueeze(1)).logsumexp(1)  # (n, 1, D) -> (n, K) -> (n,)
            for part in torch.split(flat, most)
        ]
        value = torch.cat(parts) - math.log(self.components)
        return value.reshape(z.shape[:-1]).to(z.device, flat.dtype)

    @torch.no_grad()
    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> draws (n, D); the first column chooses the pseudo-image."""
        each = self.posteriors()
        which = (u[:, 0] * self.components).long().clamp(max=self.components - 1)
        noise = torch.special.ndtri(u[:, 1:])
        z: Tensor = each.center.to(u)[which] + each.scale.to(u)[which] * noise
        return z
