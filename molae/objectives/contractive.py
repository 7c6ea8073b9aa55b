"""The contractive autoencoder: codes, or reconstructions, that hardly move with the data."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.distributions import logged
from molae.names import CONTRACTIONS, pick
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.regularizers import twice_differentiable
from molae.types import Batch, Terms


class CAE(Objective):
    """distortion + weight * ||df/dx||_F^2, f the encoder (Rifai et al., ICML 2011).

    The squared Frobenius norm is summed over D and all values of x. It is estimated without bias
    by ||J^T v||^2 with v of random signs (Hutchinson 1990), ``probes`` times; with ``probes`` = 0
    it is exact, at the cost of D backward passes. For images only: a sequence has no slope.

    The paper ties the decoder's weights to the encoder's. Where they are free, as here, the
    encoder may make codes small and the decoder large again, at no cost but time. What has no
    such way out is the Jacobian of the reconstruction r(x) = g(f(x)), ``of`` =
    ``reconstruction`` (Alain and Bengio, *What Regularized Auto-Encoders Learn from the
    Data-Generating Distribution*, JMLR 2014): for a small weight that is a denoising autoencoder
    with little normal noise, of variance ``weight`` where -log p(x|z) is the squared error.

    Where examples look at each other in the encoder (batch normalisation in training), the slope
    of one is that of the whole batch's codes.

    Args:
        weight: Of the squared norm.
        of: ``encoder`` or ``reconstruction``.
        probes: Vectors v for an estimate; 0 for the exact norm.

    Parts: ``distortion``, ``contraction`` = weight times the squared norm, and ``penalty``, the
    head's own, each (B,). Logged: ``code_norm`` = ||z|| (B,).

    Raises:
        ValueError: A number is below 0, or there is no such map.
    """

    heads = ("delta",)
    media = ("images",)

    def __init__(self, weight: float = 0.1, of: str = "encoder", probes: int = 1) -> None:
        super().__init__()
        if weight < 0 or probes < 0:
            raise ValueError(f"weight and probes must not be below 0, got {weight} and {probes}")
        self.weight, self.probes = weight, probes
        self.of = pick(CONTRACTIONS, of, "map to be contracted")

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad(), twice_differentiable(batch.x.device.type):
            x = batch.x.detach().requires_grad_()
            posterior = model.posterior(x, batch.context)
            code = posterior.center
            y = code
            if self.of == "reconstruction":
                y = model.likelihood(code, batch.context).outputs(batch.x).flatten(1)
            slope = squared_jacobian(y, x, self.probes, keep)
        parts = {
            "distortion": distortion(model, batch, code),
            "contraction": self.weight * slope,
            "penalty": posterior.penalty(),
        }
        return Terms(parts, {"code_norm": code.detach().norm(dim=-1)} | logged(posterior))


def squared_jacobian(y: Tensor, x: Tensor, probes: int, keep: bool) -> Tensor:
    """||dy_n/dx_n||_F^2 of each example, (B,): y (B, M), which was computed from x (B, ...).

    Args:
        y: Each row depends on the same row of x only.
        x: Takes gradients.
        probes: Vectors of random signs for an unbiased estimate; 0 for M unit vectors, exactly.
        keep: Whether the answer is to be differentiated itself.
    """
    if probes:
        shape = (probes, *y.shape)
        vectors = torch.randint(0, 2, shape, device=y.device).to(y.dtype) * 2 - 1
    else:
        unit = torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
        vectors = unit.unsqueeze(1).expand(-1, *y.shape)
    total = y.new_zeros(len(y))
    for v in vectors:
        (slope,) = torch.autograd.grad(y, x, v, create_graph=keep, retain_graph=True)
        total = total + slope.flatten(1).square().sum(1)
    return total / max(probes, 1)
