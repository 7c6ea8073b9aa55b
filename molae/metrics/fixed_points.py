"""What a beta-VAE without limits converges to: fixed points of its reconstructions.

Rezende and Viola, *Taming VAEs*, 2018, section 3.2 and appendices A to C. The space of codes is
cut into K tiles with probabilities pi_a under the prior; on each the decoder has one value g_a,
and an example x_n has one density m_na pi(z). The best encoder for given g, and the best decoder
for given m, are

    m_na = exp(-|x_n - g_a|^2 / (2 beta)) / sum_b pi_b exp(-|x_n - g_b|^2 / (2 beta))
    g_a = sum_n m_na x_n / sum_n m_na

(with a likelihood of standard deviation sigma, beta stands for beta sigma^2). Their iteration is
that for pre-images under kernel PCA with a normalised Gaussian kernel. As beta grows, fixed points
merge, until only the mean of the data is left; from the largest eigenvalue of their covariance on
it is stable (Rose, Gurewitz and Fox, *Statistical mechanics and phase transitions in clustering*,
1990).

Letters: n data, K tiles, d the dimension of the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class FixedPoints:
    """Where an iteration has come to.

    Attributes:
        path: Reconstructions of all tiles from the first to the last step, (steps + 1, K, d).
        error: Expected squared error of reconstructions, E |x - g(z)|^2.
        converged: Whether the last step was shorter than the tolerance.
    """

    path: Tensor
    error: float
    converged: bool

    @property
    def points(self) -> Tensor:
        """The reconstructions at the end, (K, d)."""
        return self.path[-1]

    def distinct(self, tolerance: float = 0.02) -> Tensor:
        """Fixed points that are not nearer to each other than this, (k, d)."""
        left, found = self.points, []
        while len(left):
            found.append(left[0])
            left = left[(left - left[0]).norm(dim=1) > tolerance]
        return torch.stack(found)


def tiles(side: int = 32) -> Tensor:
    """Centres of side x side equal tiles of [-1, 1]^2, (side^2, 2)."""
    line = (torch.arange(side, dtype=torch.float64) + 0.5) * 2 / side - 1
    return torch.cartesian_prod(line, line)


def reconstructions(data: Tensor, g: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """One step: the best decoder for the best encoder, tiles being equally probable.

    Args:
        data: (n, d).
        g: Reconstructions of the tiles, (K, d).
        beta: The temperature, above 0.

    Returns:
        The reconstructions after it, (K, d), in the convex hull of the data; and the expected
        squared error of those before it, ().
    """
    square = _distances(data, g).square()  # (n, K)
    logits = -square / (2.0 * beta)
    log_pi = -math.log(len(g))
    log_m = logits - torch.logsumexp(logits + log_pi, 1, keepdim=True)
    error = ((log_m + log_pi).exp() * square).sum(1).mean()
    return torch.softmax(log_m, 0).T @ data, error


def lipschitz(centres: Tensor, strength: float, radius: float | None = None) -> Tensor:
    """The projection that holds reconstructions of tiles near each other together, (K, K).

    To the free energy is added strength / 2 times the mean over pairs of tiles of the squared
    slope |g_a - g_b|^2 / |z_a - z_b|^2, the Lagrangian of a Lipschitz constraint whose multiplier
    is the same for all pairs that it acts on. Minimised by g it turns the step into g <- P psi(g)
    with P = (I + strength L)^-1 (appendix B), where L is the Laplacian of the graph of tiles with
    weights 1 / |z_a - z_b|^2, divided by its mean degree. Rows of P add up to 1.

    Args:
        centres: Of the tiles, (K, d).
        strength: At least 0; 0 changes nothing.
        radius: Pairs farther from each other are free (local); None holds all pairs (global).

    Raises:
        ValueError: The strength is below 0, or no two tiles are so near.
    """
    if strength < 0:
        raise ValueError(f"strength is {strength}; expected 0 or more")
    square = _distances(centres, centres).square()
    near = square > 0
    if radius is not None:
        near &= square <= radius**2
    if not bool(near.any()):
        raise ValueError(f"no two tiles are within {radius} of each other; give a larger radius")
    weight = torch.where(near, 1.0 / square, 0.0)
    degree = weight.sum(1)
    laplacian = (torch.diag(degree) - weight) / degree.mean()
    inverse: Tensor = torch.linalg.inv(torch.eye(len(centres)).to(centres) + strength * laplacian)
    return inverse


def fixed_points(
    data: Tensor,
    start: Tensor,
    beta: float,
    *,
    projection: Tensor | None = None,
    smoothing: float = 0.9,
    steps: int = 400,
    tolerance: float = 1e-3,
) -> FixedPoints:
    """Iterate g <- smoothing g + (1 - smoothing) P psi(g) until nothing moves (appendix A).

    Args:
        data: (n, d).
        start: Reconstructions at first, (K, d); of the same type as the data.
        beta: The temperature, above 0.
        projection: See ``lipschitz``; None for none.
        smoothing: Share of the old that is kept, at least 0 and below 1.
        steps: At most.
        tolerance: Euclidean distance of two successive g at which it ends.

    Raises:
        ValueError: Beta or smoothing are out of range, or the shapes do not fit.
    """
    if not beta > 0 or not 0 <= smoothing < 1:
        raise ValueError(
            f"beta is {beta} and smoothing {smoothing}; expected above 0, and from 0 to below 1"
        )
    if data.ndim != 2 or start.ndim != 2 or data.shape[1] != start.shape[1]:
        raise ValueError(
            f"data {tuple(data.shape)} and start {tuple(start.shape)}; expected (n, d) and (K, d)"
        )
    path, converged = [start], False
    while len(path) <= steps and not converged:
        new = reconstructions(data, path[-1], beta)[0]
        new = new if projection is None else projection @ new
        path.append(smoothing * path[-1] + (1 - smoothing) * new)
        converged = float((path[-1] - path[-2]).norm()) < tolerance
    error = float(reconstructions(data, path[-1], beta)[1])
    return FixedPoints(torch.stack(path), error, converged)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances, (A, d) and (B, d) -> (A, B); exactly 0 between equal points."""
    apart: Tensor = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return apart


def last_temperature(data: Tensor) -> float:
    """The beta from which on the mean is a stable fixed point: data (n, d), n at least 2.

    The largest eigenvalue of their covariance (divided by n). Below it the mean gives way to
    others; these may outlast it a little above, where data lie in three groups for instance.
    """
    centred = (data - data.mean(0)).double()
    return float(torch.linalg.eigvalsh(centred.T @ centred / len(data))[-1])


def critical_temperatures(
    betas: Sequence[float], errors: Sequence[float], count: int = 3
) -> tuple[list[float], list[float]]:
    """Where the slope of the error changes most: temperatures at which fixed points merge.

    The change is that in a step of log beta, beta |d2 error / d beta2|, by differences: a kink of
    one size counts alike at all scales of beta.

    Args:
        betas: Above 0, ascending, at least 5, (n,).
        errors: Expected squared errors there, (n,).
        count: Peaks, at most.

    Returns:
        The betas of the highest local maxima of that change, ascending; and d2 error / d beta2 at
        all betas.

    Raises:
        ValueError: There are too few betas, or not as many errors.
    """
    if len(betas) < 5 or len(betas) != len(errors):
        told = f"{len(betas)} betas and {len(errors)} errors"
        raise ValueError(f"{told}; expected 5 or more of each")
    warm = np.asarray(betas, np.float64)
    slope = np.gradient(np.asarray(errors, np.float64), warm)
    bend = np.gradient(slope, np.log(warm))
    height = np.abs(bend)
    inside = range(1, len(warm) - 1)
    peaks = [i for i in inside if height[i] > height[i - 1] and height[i] >= height[i + 1]]
    best = sorted(peaks, key=lambda i: height[i], reverse=True)[:count]
    return sorted(float(warm[i]) for i in best), (bend / warm).tolist()
