"""What to ask next: acquisition functions, over points and between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.logei import TAU_RELU, qLogExpectedImprovement
from botorch.acquisition.monte_carlo import qUpperConfidenceBound
from botorch.generation.gen import gen_candidates_scipy
from botorch.models.gpytorch import GPyTorchModel
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.safe_math import log_fatplus, logmeanexp
from torch import Tensor

from molae.optimize.surrogates import exactly

#: Draws of the surrogate that expectations are means over.
_DRAWS = 128
#: Steps of L-BFGS-B that move a chosen batch.
_STEPS = 20


@dataclass(frozen=True)
class Acquisition:
    """An acquisition function of a batch, by the name that people type.

    Attributes:
        name: A key of ``molae.names.ACQUISITIONS``.
        beta: Of ``ucb``.
        best: What is to be improved on, on the surrogate's scale.
        seed: Of the draws of the surrogate.
    """

    name: str
    beta: float
    best: float
    seed: int

    @torch.no_grad()
    def choose(self, model: GPyTorchModel, x: Tensor, q: int) -> list[int]:
        """Rows of the q points x (n, D) to ask for, the best first; all, where n is less.

        Points are chosen one after the other, each where it adds most to the batch so far
        (Wilson, Hutter and Deisenroth, *Maximizing acquisition functions for Bayesian
        optimization*, NeurIPS 2018), under the same draws of the surrogate at all points together:

        * ``logei``: the logarithm of the expected improvement of the best of the batch on
          ``best``, smoothed as in BoTorch's ``qLogExpectedImprovement`` (Ament et al., NeurIPS
          2023);
        * ``ucb``: the expected upper confidence bound of the best of the batch (Wilson et al.);
        * ``thompson``: point k is the best in draw k (TuRBO), of those that are left.

        Args:
            model: The surrogate.
            x: Points, no two the same.
            q: How many are wanted.
        """
        q = min(q, len(x))
        draws = q if self.name == "thompson" else _DRAWS
        values = self._values(*_draws(model, x, draws, self.seed))
        so_far = values.new_full((draws,), self.best if self.name == "logei" else -math.inf)
        free = torch.ones(len(x), dtype=torch.bool, device=x.device)
        chosen: list[int] = []
        for k in range(q):
            if self.name == "logei":
                gain = logmeanexp(log_fatplus(values - so_far[:, None], tau=TAU_RELU), dim=0)
            elif self.name == "ucb":
                gain = torch.maximum(values, so_far[:, None]).mean(0)
            else:
                gain = values[k]
            chosen.append(int(gain.masked_fill(~free, -math.inf).argmax()))
            free[chosen[-1]] = False
            so_far = torch.maximum(so_far, values[:, chosen[-1]])
        return chosen

    def _values(self, mean: Tensor, draws: Tensor) -> Tensor:
        """What a draw is worth: mean (n,), draws (S, n) -> (S, n)."""
        if self.name != "ucb":
            return draws
        return mean + math.sqrt(self.beta * math.pi / 2.0) * (draws - mean).abs()

    def moved(self, model: GPyTorchModel, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """A batch x (q, D) moved uphill together, each point within its own box.

        By BoTorch's acquisition functions of a whole batch and L-BFGS-B. ``thompson`` leaves a
        batch as it is: its draws are known at the points only.

        Args:
            model: The surrogate.
            x: Points.
            low: Lowest corners of their boxes, (q, D).
            high: Highest corners.
        """
        if self.name == "thompson":
            return x
        with exactly():
            found, _ = gen_candidates_scipy(
                torch.clamp(x, low, high).view(1, 1, -1),
                _Flat(self._function(model), x.shape[1]),
                lower_bounds=low.reshape(-1),
                upper_bounds=high.reshape(-1),
                options={"maxiter": _STEPS},
            )
        return found.detach().view_as(x)

    @torch.no_grad()
    def worth(self, model: GPyTorchModel, x: Tensor) -> float:
        """Of a batch x (q, D): what ``moved`` goes up on; 0 for ``thompson``."""
        if self.name == "thompson":
            return 0.0
        with exactly():
            return float(self._function(model)(x))

    def _function(self, model: GPyTorchModel) -> AcquisitionFunction:
        sampler = SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=self.seed)
        if self.name == "ucb":
            return qUpperConfidenceBound(model, self.beta, sampler=sampler)
        return qLogExpectedImprovement(model, self.best, sampler=sampler)


class _Flat(AcquisitionFunction):
    """An acquisition function of batches (q, D), of one point with q D coordinates.

    BoTorch has one pair of bounds for each coordinate, the same for all points of a batch.
    """

    def __init__(self, batch: AcquisitionFunction, size: int) -> None:
        super().__init__(batch.model)
        self.batch, self.size = batch, size

    def forward(self, X: Tensor) -> Tensor:
        """(b, 1, q D) -> (b,)."""
        value: Tensor = self.batch(X.view(len(X), -1, self.size))
        return value


@torch.no_grad()
def highest_mean(model: GPyTorchModel, x: Tensor) -> float:
    """The highest mean of the surrogate at points x (n, D).

    At the best points told it is what is to be improved on. Their scores themselves would be too
    high a bar where the surrogate finds them noisy (the plug-in of Picheny, Wagner and
    Ginsbourger, *A benchmark of kriging-based infill criteria for noisy optimization*, Structural
    and Multidisciplinary Optimization 48, 2013).
    """
    with exactly():
        return float(model.posterior(x).mean.max())


def _draws(model: GPyTorchModel, x: Tensor, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """Mean (n,) of the surrogate at points x (n, D), and draws of all of them together (S, n)."""
    # On the CPU, so that every device is given the same numbers.
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(draws, len(x), generator=generator, dtype=torch.float64).to(x)
    with exactly():
        found = model.posterior(x)
        shape = torch.Size([draws])
        values = found.rsample_from_base_samples(
            shape, noise.view(draws, *found.base_sample_shape)
        )
        return found.mean.squeeze(-1), values.squeeze(-1)
