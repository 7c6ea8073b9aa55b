"""The variance-constrained autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.distributions import logged
from molae.objectives.base import Model, Objective, distortion
from molae.repeatable import rows_of_all
from molae.types import Batch, Terms


class VCAE(Objective):
    """distortion + weight * |total variance of all codes - D * variance|.

    Braithwaite, O'Connor and Kleijn, *Variance Constrained Autoencoding*, arXiv 2005.03807, 2020:
    codes carry normal noise of a fixed size (head ``constant``), and of their distribution over
    all data nothing is asked but how much it spreads, E||z - E z||^2, over all dimensions
    together. Without that limit codes would move apart until the noise meant nothing; with it
    they have a capacity, and shape and dimensions are free. So what codes are drawn from must be
    fitted to them (``gmm``, ``flow``), not the prior.

    The absolute value makes the penalty exact: the limit is met, not only approached, where the
    weight is above what a unit of variance is worth in nats, and that is about 1 / (2 variance)
    for each dimension in use (the form of the penalty is chosen here). Variances are those of a
    batch (of all processes), without bias, codes with their noise.

    Args:
        variance: Of a dimension, on average over dimensions.
        weight: Of the difference.

    Parts: ``distortion`` and ``penalty`` (the head's own), each (B,), and ``excess`` (), weight
    times the difference. Logged: ``variance`` (), the mean over dimensions.

    Raises:
        ValueError: A number is out of range.
    """

    heads = ("constant", "delta")
    mixed_batches = True

    def __init__(self, variance: float = 1.0, weight: float = 10.0) -> None:
        super().__init__()
        if not variance > 0 or weight < 0:
            raise ValueError(
                f"variance is {variance} and weight {weight}; expected above 0, and 0 or more"
            )
        self.variance, self.weight = variance, weight

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        weight = None if batch.weight is None else rows_of_all(batch.weight)
        total = total_variance(rows_of_all(z), weight)
        parts = {
            "distortion": distortion(model, batch, z),
            "excess": self.weight * (total - z.shape[-1] * self.variance).abs(),
            "penalty": posterior.penalty(),
        }
        return Terms(parts, {"variance": total.detach() / z.shape[-1]} | logged(posterior))


def total_variance(z: Tensor, weight: Tensor | None = None) -> Tensor:
    """The trace of the covariance of codes (B, D), estimated without bias, (); 0 of one code.

    Args:
        z: Codes.
        weight: Of each, (B,); None for equal weights.
    """
    share = z.new_ones(len(z)) if weight is None else weight.to(z)
    share = share / share.sum()
    mean = (share.unsqueeze(1) * z).sum(0)  # no matrix product: autocast would take its digits
    squares = (share * (z - mean).square().sum(-1)).sum()
    return squares / (1.0 - share.square().sum()).clamp(min=torch.finfo(z.dtype).eps)
