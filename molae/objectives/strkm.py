"""The Stiefel-restricted kernel machine: an autoencoder and a PCA of its features at once."""

from __future__ import annotations

import torch

from molae.distributions import logged
from molae.objectives.base import Model, Objective, distortion
from molae.types import Batch, Terms


class StRKM(Objective):
    """distortion + weight * ||phi(x) - U U^T phi(x)||^2, with U^T U = I and the code z = U^T phi.

    Pandey, Fanuel, Schreurs and Suykens, *Disentangled Representation Learning and Generation
    with Manifold Optimization*, arXiv 2006.07046 (Neural Computation 2022). The second term, which
    is the penalty of the head ``stiefel``, is what a PCA of the features phi leaves out; so codes
    keep what there is in the features, in dimensions at right angles to each other, and along
    their principal axes they are uncorrelated. There is no other regulariser. The paper weighs
    the distortion instead, with 1 / ``weight`` up to a constant, and moves U by Cayley steps along
    the manifold; here U is the orthonormal factor of a free matrix.

    Args:
        weight: Of what the projection leaves out.
        noise: Standard deviation of normal noise on the code that the decoder is given in
            training (the paper's sigma), which makes its directions count; 0 for none.

    Parts: ``distortion`` and ``pca``, each (B,). Logged: ``code_norm`` = ||z|| (B,).

    Raises:
        ValueError: A number is below 0.
    """

    heads = ("stiefel",)

    def __init__(self, weight: float = 1.0, noise: float = 0.0) -> None:
        super().__init__()
        if weight < 0 or noise < 0:
            raise ValueError(f"weight and noise must not be below 0, got {weight} and {noise}")
        self.weight, self.noise = weight, noise

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        code = z = posterior.center
        if self.training and self.noise:
            z = code + self.noise * torch.randn_like(code)
        parts = {
            "distortion": distortion(model, batch, z),
            "pca": self.weight * posterior.penalty(),
        }
        return Terms(parts, {"code_norm": code.detach().norm(dim=-1)} | logged(posterior))
