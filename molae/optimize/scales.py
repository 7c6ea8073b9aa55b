"""The scales that surrogates work in: whitened codes, and scores by rank."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.densities.base import codes

#: Standard deviations of the codes in a coordinate of length one: [0, 1] is four to either side of
#: the mean. Trust regions are measured in it, as in the released code of LOL-BO (Maus et al.,
#: *Local Latent Space Bayesian Optimization over Structured Inputs*, NeurIPS 2022).
SIDE = 8.0
#: No direction counts as narrower than this share of the mean variance: codes may lie in a plane.
_FLOOR = 1e-6


class Whitening:
    """Coordinates x = 1/2 + W (z - mean) / 8, in which codes are uncorrelated and of one width.

    W = P^(-1/2) V^(-1/2), where V holds the variances and P the correlations of the codes:
    ZCA-cor, which of all whitenings leaves every coordinate most like the dimension of the code
    that it stands for (Kessy, Lewin and Strimmer, *Optimal whitening and decorrelation*, The
    American Statistician 72, 2018). So points that differ in some coordinates stand for codes
    that differ most in as many dimensions.

    Args:
        mean: (D,) float64.
        scales: W^-1 (D, D) float64, symmetric but for its rows' lengths.
    """

    def __init__(self, mean: Tensor, scales: Tensor) -> None:
        self.mean, self.scales = mean, scales
        self._white = torch.linalg.inv(scales)

    @classmethod
    def of(cls, z: Tensor) -> Whitening:
        """That of codes z (N, D).

        Raises:
            ValueError: Fewer than two different codes, or not finite.
        """
        z = codes(z, "whitening").cpu()
        mean, variance = z.mean(0), z.var(0, correction=0)
        width = variance.clamp(min=_FLOOR * float(variance.mean())).sqrt()
        unit = (z - mean) / width
        values, axes = torch.linalg.eigh(unit.T @ unit / len(unit))
        root = (axes * values.clamp(min=_FLOOR).sqrt()) @ axes.T
        return cls(mean, width[:, None] * root)

    def coordinates(self, z: Tensor) -> Tensor:
        """Codes z (n, D) of any type -> x (n, D) float64."""
        x: Tensor = 0.5 + (z.to(self.mean) - self.mean) @ self._white.T / SIDE
        return x

    def codes(self, x: Tensor) -> Tensor:
        """x (n, D) -> codes (n, D) float64."""
        z: Tensor = self.mean + SIDE * (x.to(self.mean) - 0.5) @ self.scales.T
        return z


def normal_scores(y: Tensor) -> Tensor:
    """Scores by rank: the normal quantile of each rank, with mean 0 and variance 1.

    Scores of molecules have long tails (penalised logP goes down to -62 in ZINC), which no
    Gaussian process is made for. Ranks know none, and their normal quantiles keep the best ones
    apart: the Gaussian copula of Eriksson and Poloczek, *Scalable Constrained Bayesian
    Optimization*, AISTATS 2021. What is asked then does not change if scores go through
    any increasing function.

    Args:
        y: (n,), no NaN.

    Returns:
        (n,) float64; the same for the same score, the mean rank of all that have it. All 0 where
        all scores are the same.
    """
    _, which, counts = torch.unique(y.double(), return_inverse=True, return_counts=True)
    rank = counts.cumsum(0) - 0.5 * counts.double()  # the middle of those with the same score
    quantile: Tensor = torch.special.ndtri(rank / len(y))[which]
    quantile = quantile - quantile.mean()
    spread = float(quantile.square().mean().sqrt())
    return quantile / spread if spread > 0 else torch.zeros_like(quantile)
