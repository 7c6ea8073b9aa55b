"""The Wasserstein autoencoder with a maximum mean discrepancy (WAE-MMD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molae.distributions import logged
from molae.objectives.base import Model, Objective, distortion
from molae.repeatable import rows_of_all
from molae.types import Batch, Terms

#: Kernel scales s of the authors' code; the kernels of all are added up.
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class WAE(Objective):
    """distortion + weight * MMD^2 between codes and prior (Tolstikhin et al., ICLR 2018).

    Minimised is the mean over examples of -log p(x|z), summed over the event, plus ``weight``
    times ``squared_mmd`` of the B codes of the batch (of all processes) and as many draws of the
    prior. So the codes of all examples together are to look like the prior; what a single one
    looks like is left open, and a head without a density will do (``delta``, as in the paper;
    codes of a head with one are drawn).

    That is Algorithm 2 of the paper, with its kernel and estimator, in other units. The authors'
    code for CelebA (repository wae, commit 6351565) minimises 0.05 times the summed squared error
    plus a MMD^2 with a = 100; the code of the RAE authors, on images of N values, mean_N (x - y)^2
    + w MMD^2. Under a normal likelihood of variance 1/2, whose distortion is the summed squared
    error up to a constant, these are weight = 20 a and weight = w N (their w = 0.03 on MNIST of
    32 x 32 is 31).

    Args:
        weight: Of the squared discrepancy.
        scales: s of the kernels, positive; see ``kernel``.

    Parts: ``distortion`` (B,), ``weighted_mmd`` () and ``penalty`` (B,), the head's own. Logged:
    ``mmd`` (), the estimate of the squared discrepancy, which may fall below 0, and ``code_norm``
    = ||z|| (B,).
    """

    mixed_batches = True

    def __init__(self, weight: float = 10.0, scales: Sequence[float] = SCALES) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be below 0, got {weight}")
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales must be above 0, and there must be one; got {list(scales)}")
        self.weight = weight
        self.scales = tuple(scales)

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        drawn = model.prior.sample(len(z)).to(z)
        weight = None if batch.weight is None else rows_of_all(batch.weight)
        apart = squared_mmd(rows_of_all(z), rows_of_all(drawn), self.scales, weight)
        parts = {
            "distortion": distortion(model, batch, z),
            "weighted_mmd": self.weight * apart,
            "penalty": posterior.penalty(),
        }
        shown = {"mmd": apart.detach(), "code_norm": z.detach().norm(dim=-1)}
        return Terms(parts, shown | logged(posterior))


def kernel(a: Tensor, b: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """The inverse multiquadratic kernel, summed over scales: a (A, D), b (B, D) -> (A, B).

    sum over s of C / (C + ||a - b||^2) with C = 2 D sigma^2 s. sigma is 1, the standard deviation
    of a standard normal prior in each dimension: there C / s is the mean of ||a - b||^2.
    """
    # Distances are differences of large numbers here: autocast would leave no digit of them.
    with torch.autocast(a.device.type, enabled=False):
        squares = a.square().sum(-1).unsqueeze(1) + b.square().sum(-1)
        squares = (squares - 2.0 * a @ b.T).clamp(min=0.0)
    total = torch.zeros_like(squares)
    for scale in scales:
        spread = 2.0 * a.shape[-1] * scale
        total = total + spread / (spread + squares)
    return total


def squared_mmd(
    z: Tensor, drawn: Tensor, scales: Sequence[float] = SCALES, weight: Tensor | None = None
) -> Tensor:
    """The squared maximum mean discrepancy of two samples, estimated without bias, ().

    The U-statistic of Gretton et al. (JMLR 2012, eq. 3): the mean of the kernel over pairs i != j
    of codes, plus that over pairs i != j of draws, minus twice the mean over all pairs of a code
    and a draw. Without bias it is 0 on average where the two distributions are one, whatever the
    size of the batch, and so it is below 0 about half of the time there.

    Args:
        z: Codes, (B, D); they must be a fair sample, not a batch of sequences of like length.
        drawn: Draws of the prior, (K, D).
        scales: See ``kernel``.
        weight: Of the codes, (B,); None for equal weights.

    Returns:
        The estimate; 0 where there is only one code or one draw, and so no pair.
    """
    if len(z) < 2 or len(drawn) < 2:
        return z.new_zeros(())
    mine = _shares(z.new_ones(len(z)) if weight is None else weight.to(z))
    theirs = _shares(drawn.new_ones(len(drawn)))
    across = mine @ kernel(z, drawn, scales) @ theirs
    within = _mean_of_pairs(kernel(z, z, scales), mine)
    return within + _mean_of_pairs(kernel(drawn, drawn, scales), theirs) - 2.0 * across


def _shares(weight: Tensor) -> Tensor:
    return weight / weight.sum()


def _mean_of_pairs(values: Tensor, share: Tensor) -> Tensor:
    """The weighted mean over pairs i != j: values (n, n), share (n,) that add up to 1 -> ()."""
    diagonal = (share.square() * values.diagonal()).sum()
    pairs = (1.0 - share.square().sum()).clamp(min=torch.finfo(share.dtype).eps)
    return (share @ values @ share - diagonal) / pairs
