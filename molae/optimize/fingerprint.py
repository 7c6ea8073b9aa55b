"""An exact Gaussian process on fingerprints, the strong baseline of molecular optimisation.

Letters: N points learnt from, M candidates, S entries of a fingerprint, U columns of its unary
form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

#: Fingerprints that are brought into unary form at a time.
_BLOCK = 1024
#: Noise variance over signal variance: what the likelihood is searched over.
_RATIOS = (1e-4, 10.0)
#: Points of the search on a grid, and steps of its refinement.
_GRID, _STEPS = 8, 8
#: Variances are never below this share of the squared scores: all scores may be the same.
_LEAST = 1e-12

#: ``acquisition(mean (M,), variance (M,)) -> (M,)``, the larger the better.
Acquire = Callable[[Tensor, Tensor], Tensor]


class Tanimoto:
    """Tanimoto similarity of fingerprints to some that are given: the min-max kernel.

    k(a, b) = sum_s min(a_s, b_s) / sum_s max(a_s, b_s), which is positive definite (Ralaivola et
    al., *Graph kernels for chemical informatics*, Neural Networks 18, 2005, definition 4.3 for
    counts); 1 between two empty fingerprints. With counts in unary form, a 3 as three ones, the
    sum of the smaller counts is a product of matrices of zeros and ones, exact in float32.

    Args:
        counts: What to compare with, (N, S), whole numbers from 0 up to 2^24 in sum; of any type.

    Raises:
        ValueError: Another shape, or a negative entry.
    """

    def __init__(self, counts: Tensor) -> None:
        counts = _checked(counts)
        self.size = counts.shape[1]
        highest = counts.amax(0) if len(counts) else counts.new_zeros(self.size)
        levels = highest.long()
        every = torch.arange(self.size, device=levels.device)
        self._column = torch.repeat_interleave(every, levels)  # (U,)
        first = levels.cumsum(0) - levels
        place = torch.arange(len(self._column), device=levels.device)
        self._level = (place - first[self._column] + 1).float()  # (U,)
        self._unary, self._sum = self._spelt(counts), counts.double().sum(1)

    def _spelt(self, counts: Tensor) -> Tensor:
        """(n, S) -> (n, U) zeros and ones; what is above all of the given is left out."""
        parts = [
            (part.index_select(1, self._column) >= self._level).float()
            for part in torch.split(counts, _BLOCK)
        ]
        return torch.cat(parts) if parts else counts.new_zeros(0, len(self._column))

    def __call__(self, counts: Tensor) -> Tensor:
        """Similarities (M, N) float64 of fingerprints (M, S) to the given ones.

        Raises:
            ValueError: Another S, or a negative entry.
        """
        counts = _checked(counts).to(self._level.device)
        if counts.shape[1] != self.size:
            raise ValueError(
                f"fingerprints of {counts.shape[1]} entries; expected {self.size}, as learnt from"
            )
        parts = [self._similar(part) for part in torch.split(counts, _BLOCK)]
        return torch.cat(parts) if parts else self._sum.new_zeros(0, len(self._sum))

    def _similar(self, counts: Tensor) -> Tensor:
        shared = (self._spelt(counts) @ self._unary.T).double()
        union = counts.double().sum(1)[:, None] + self._sum - shared
        return torch.where(union > 0, shared / union.clamp(min=1.0), 1.0)


def _checked(counts: Tensor) -> Tensor:
    """Fingerprints as float32, (n, S)."""
    if counts.ndim != 2:
        raise ValueError(f"fingerprints have shape {tuple(counts.shape)}; expected (n, S)")
    counts = counts.float()
    if len(counts) and not bool((counts >= 0).all()):
        raise ValueError("a fingerprint holds counts, from 0 up; got a negative one, or nan")
    return counts


class TanimotoGP:
    """Exact Gaussian process with constant mean, noise, and the Tanimoto kernel on counts.

    The kernel has no lengthscale, so its matrix K is computed once. Of the three hyper-parameters,
    mean and amplitude are those of the highest marginal likelihood in closed form, given the ratio
    of noise to amplitude (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006,
    eq. 2.30, 2.43); that ratio is searched for on a line, one Cholesky factor of K + ratio I for
    each try. Everything but the kernel's product of matrices is float64.

    Args:
        noise: Lowest and highest ratio of noise variance to signal variance. Scores that are
            computed have none, but neighbours with the same fingerprint may differ.

    Attributes:
        mean: The constant mean.
        amplitude: Prior variance.
        noise: Variance of the noise.
        log_likelihood: Of the scores, in nats.
    """

    def __init__(self, noise: tuple[float, float] = _RATIOS) -> None:
        low, high = noise
        if not 0 < low <= high < math.inf:
            raise ValueError(f"noise is {noise}; expected two ratios above 0, the smaller first")
        self._ratios = low, high
        self.mean = self.amplitude = self.noise = self.log_likelihood = math.nan
        self._kernel: Tanimoto | None = None

    def fit(self, counts: Tensor, y: Tensor) -> Self:
        """Learn from fingerprints (N, S) and their scores (N,), forgetting any before.

        Time grows as N^3: a few seconds for 2,000 on one core.

        Raises:
            ValueError: There is no point, or not one finite score for each.
        """
        y = y.double()
        if not len(y) or y.shape != counts.shape[:1] or not bool(y.isfinite().all()):
            raise ValueError(
                f"scores have shape {tuple(y.shape)} for fingerprints {tuple(counts.shape)}; "
                "expected a finite score for each of one or more"
            )
        kernel = Tanimoto(counts)
        matrix = kernel(counts)
        y = y.to(matrix.device)
        ratio = _highest(lambda r: _Profile(matrix, y, r).log_likelihood, *self._ratios)
        best = _Profile(matrix, y, ratio)
        self._kernel, self._factor, self._weights = kernel, best.factor, best.weights
        self.mean, self.amplitude = best.mean, best.amplitude
        self.noise, self.log_likelihood = ratio * best.amplitude, best.log_likelihood
        return self

    def posterior(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the score without noise at fingerprints (M, S): (M,), (M,) float64.

        Raises:
            ValueError: Nothing was learnt yet, or S is another.
        """
        found = [self._at(part)[:2] for part in torch.split(counts, _BLOCK)]
        means, variances = zip(*found, strict=True)
        return torch.cat(means), torch.cat(variances)

    def choose(self, counts: Tensor, q: int, acquisition: Acquire) -> Tensor:
        """A batch: rows of the fingerprints (M, S), each the best after those before it.

        After each choice the variance is what it would be if the score there were known, and the
        mean stays: GP-BUCB (Desautels, Krause and Burdick, JMLR 15, 2014). So the second choice is
        not a near copy of the first.

        Args:
            counts: Candidates.
            q: How many are wanted.
            acquisition: Of mean and variance.

        Returns:
            (q,) int64 different rows, the best first; all where M is less.

        Raises:
            ValueError: As ``posterior``.
        """
        mean, variance, white = self._at(counts)
        here = Tanimoto(counts)
        free = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
        known: list[Tensor] = []  # a row of the growing Cholesky factor for each choice
        chosen: list[int] = []
        for _ in range(min(q, len(mean))):
            values = acquisition(mean, variance).masked_fill(~free, -math.inf)
            row = int(values.argmax())
            free[row] = False
            chosen.append(row)
            # Posterior covariance of the choice with every candidate, given the choices before.
            prior = here(counts[row : row + 1])[0]
            cover = self.amplitude * (prior - white.T @ white[:, row])
            for each in known:
                cover = cover - each * each[row]
            known.append(cover / (variance[row] + self.noise).sqrt())
            variance = (variance - known[-1].square()).clamp(min=_LEAST * self.amplitude)
        return torch.tensor(chosen, dtype=torch.int64)

    def _at(self, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (M,), variance (M,), and L^-1 k of each candidate (N, M)."""
        if self._kernel is None:
            raise ValueError("this process has learnt nothing yet: fit it to some scores first")
        similar = self._kernel(counts)  # (M, N)
        mean = self.mean + similar @ self._weights
        white = torch.linalg.solve_triangular(self._factor, similar.T, upper=False)
        share = (1.0 - white.square().sum(0)).clamp(min=_LEAST)
        return mean, self.amplitude * share, white


class _Profile:
    """Marginal likelihood at a ratio of noise to amplitude, highest over mean and amplitude."""

    def __init__(self, matrix: Tensor, y: Tensor, ratio: float) -> None:
        count = len(y)
        self.factor = torch.linalg.cholesky(
            matrix + ratio * torch.eye(count, dtype=matrix.dtype, device=matrix.device)
        )
        both = torch.stack([torch.ones_like(y), y], 1)
        ones, values = torch.linalg.solve_triangular(self.factor, both, upper=False).unbind(1)
        self.mean = float(ones @ values / (ones @ ones))
        rest = values - self.mean * ones
        least = _LEAST * max(float(y.square().mean()), _LEAST)
        self.amplitude = max(float(rest @ rest) / count, least)
        solved = torch.linalg.solve_triangular(self.factor.T, rest[:, None], upper=True)
        self.weights = solved[:, 0]
        self.log_likelihood = -(
            0.5 * float(rest @ rest) / self.amplitude
            + 0.5 * count * math.log(2.0 * math.pi * self.amplitude)
            + float(self.factor.diagonal().log().sum())
        )


def _highest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one positive number is highest: a grid of logarithms, then a section.

    Golden-section search (Kiefer 1953) between the neighbours of the best point of the grid.
    """
    a, b = math.log(low), math.log(high)
    if b - a < 1e-9:
        return low
    step = (b - a) / (_GRID - 1)
    values = [function(math.exp(a + k * step)) for k in range(_GRID)]
    top = max(range(_GRID), key=values.__getitem__)
    left, right = a + max(0, top - 1) * step, a + min(_GRID - 1, top + 1) * step
    best, at = values[top], a + top * step
    share = (math.sqrt(5.0) - 1.0) / 2.0
    inner = [right - share * (right - left), left + share * (right - left)]
    found = [function(math.exp(x)) for x in inner]
    for _ in range(_STEPS):
        for value, x in zip(found, inner, strict=True):
            if value > best:
                best, at = value, x
        if found[0] >= found[1]:
            right, inner[1], found[1] = inner[1], inner[0], found[0]
            inner[0] = right - share * (right - left)
            found[0] = function(math.exp(inner[0]))
        else:
            left, inner[0], found[0] = inner[0], inner[1], found[1]
            inner[1] = left + share * (right - left)
            found[1] = function(math.exp(inner[1]))
    return math.exp(at)


def confidence_bound(mean: Tensor, variance: Tensor, kappa: float) -> Tensor:
    """Upper confidence bound, mean + kappa standard deviations; all (M,)."""
    return mean + kappa * variance.sqrt()


def log_expected_improvement(mean: Tensor, variance: Tensor, best: float) -> Tensor:
    """log E max(0, f - best) for f ~ N(mean, variance); all (M,).

    Ament et al., *Unexpected improvements to expected improvement for Bayesian optimization*,
    NeurIPS 2023, eq. 9: finite also where the expected improvement is no float any more.
    """
    deviation = variance.sqrt()
    u = (mean - best) / deviation
    near = u.clamp(min=-1.0)
    density = torch.exp(-0.5 * near.square()) / math.sqrt(2.0 * math.pi)
    plain = (density + near * torch.special.ndtr(near)).log()
    far = u.clamp(max=-1.0)
    # log h(u) = log phi(u) + log(1 - |u| sqrt(pi/2) erfcx(|u|/sqrt 2)), which tends to
    # log phi(u) - 2 log |u|; from -1e4 on, the difference is lost to rounding.
    mills = 1.0 + far * math.sqrt(0.5 * math.pi) * torch.special.erfcx(-far / math.sqrt(2.0))
    mills = torch.where(far > -1e4, mills.clamp(min=1e-300).log(), -2.0 * (-far).log())
    tail = -0.5 * far.square() - 0.5 * math.log(2.0 * math.pi) + mills
    return torch.where(u > -1.0, plain, tail) + deviation.log()
