"""Gaussian processes that learn scores from codes, on BoTorch and GPyTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.exceptions.warnings import OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models.approximate_gp import SingleTaskVariationalGP
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.gpytorch import GPyTorchModel
from gpytorch import settings
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel
from gpytorch.mlls import ExactMarginalLogLikelihood, PredictiveLogLikelihood
from gpytorch.priors import LogNormalPrior
from gpytorch.utils.memoize import clear_cache_hook
from gpytorch.utils.warnings import GPInputWarning, NumericalWarning
from gpytorch.variational import CholeskyVariationalDistribution
from torch import Tensor, nn

from molae.repeatable import seeded

#: Steps of L-BFGS-B on the marginal likelihood of an exact process, at most.
_STEPS = 75
#: A lengthscale is never below this; [0, 1] is eight standard deviations of the codes.
_SHORTEST = 0.025
#: Minibatch steps of a sparse process from the start, and where it goes on from what it learnt.
_FIRST_STEPS, _MORE_STEPS = 60, 20
_BATCH, _RATE = 256, 0.01
#: Points that it is solved for before it climbs, at most, and at a time.
_SOLVED, _BLOCK = 10_000, 4096


#: What is not worth a word: points so close that their covariance needs a little on its diagonal,
#: a fit that begins again elsewhere, points that were learnt from and are looked at again.
_QUIET = (NumericalWarning, OptimizationWarning, GPInputWarning)


@contextmanager
def exactly() -> Iterator[None]:
    """Linear algebra by Cholesky factors, whatever the size.

    Above 800 points GPyTorch turns to conjugate gradients and random probes, which are neither as
    exact nor repeatable.
    """
    with (
        settings.fast_computations(False, False, False),
        settings.max_cholesky_size(1 << 30),
        warnings.catch_warnings(),
    ):
        for category in _QUIET:
            warnings.simplefilter("ignore", category)
        yield


def exact_gp(x: Tensor, y: Tensor, seed: int) -> GPyTorchModel:
    """An exact process, its hyper-parameters at the maximum of the posterior density.

    Matérn 5/2 (see ``_kernel``), a constant mean, and homoscedastic noise: a code stands for a
    molecule with steps in between.

    Args:
        x: (n, D) float64.
        y: Standardised scores (n,).
        seed: Of where a fit begins again that has failed.
    """
    model = _exact(x, y)
    try:
        with exactly(), seeded(seed):
            fit_gpytorch_mll(
                ExactMarginalLogLikelihood(model.likelihood, model),
                optimizer_kwargs={"options": {"maxiter": _STEPS}},
            )
    except ModelFittingError as error:
        warnings.warn(f"the surrogate keeps the modes of its priors: {error}", stacklevel=2)
        model = _exact(x, y)
    return model.eval()


def _exact(x: Tensor, y: Tensor) -> SingleTaskGP:
    """One that was not fitted yet: with the modes of the priors."""
    return SingleTaskGP(x, y[:, None], covar_module=_kernel(x.shape[1]), outcome_transform=None)


def _kernel(size: int) -> MaternKernel:
    """Matérn 5/2 with one lengthscale for all coordinates, which begins at the mode of its prior.

    The prior grows with the dimension (Hvarfner, Hellsten and Nardi, *Vanilla Bayesian
    Optimization Performs Great in High Dimensions*, ICML 2024). They and TuRBO have a lengthscale
    for each coordinate: of whitened codes none is special, and that many cannot be learnt from as
    few scores. On rough functions of 56 coordinates that loses to a local search.
    """
    center, spread = math.sqrt(2.0) + 0.5 * math.log(size), math.sqrt(3.0)
    return MaternKernel(
        nu=2.5,
        lengthscale_prior=LogNormalPrior(center, spread),
        lengthscale_constraint=GreaterThan(
            _SHORTEST, transform=None, initial_value=math.exp(center - spread**2)
        ),
    )


def sparse_gp(
    x: Tensor, y: Tensor, rows: Tensor, learnt: Mapping[str, Tensor], seed: int
) -> GPyTorchModel:
    """A sparse variational process (Titsias, AISTATS 2009; Hensman, Fusi and Lawrence, UAI 2013).

    Kernel, mean and noise are those of ``exact_gp``, and begin as what that learns from the rows
    alone. Given all else, the best distribution of the values at the inducing points has a closed
    form, since noise is normal; all else (hyper-parameters, inducing points) is trained on
    minibatches. The closed form takes time in proportion to the points, a step does not.

    Args:
        x: (n, D) float64.
        y: Standardised scores (n,).
        rows: Points where the inducing points begin, (m,) int64.
        learnt: What ``hyper_parameters`` gave of the one before, to go on from; empty to begin.
        seed: Of the order of the points.
    """
    values = CholeskyVariationalDistribution(len(rows), mean_init_std=0.0).requires_grad_(False)
    model = SingleTaskVariationalGP(
        train_X=x[rows],
        inducing_points=x[rows].clone(),
        variational_distribution=values,
        covar_module=_kernel(x.shape[1]),
    ).to(x)
    steps = _MORE_STEPS if learnt else _FIRST_STEPS
    learnt = learnt or hyper_parameters(exact_gp(x[rows], y[rows], seed))
    _parts(model).load_state_dict({name: value.to(x.device) for name, value in learnt.items()})
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:_SOLVED]
    some = some.to(x.device)
    with exactly(), seeded(seed):
        _solve(model, values, x[some], y[some])
        _climb(model, x, y, steps, seed)
        _solve(model, values, x, y)
    return model.eval()


def hyper_parameters(model: GPyTorchModel) -> dict[str, Tensor]:
    """What a process has learnt of kernel, mean and noise, on the CPU."""
    state = _parts(model).state_dict()
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _parts(model: GPyTorchModel) -> nn.ModuleDict:
    """What an exact and a sparse process have in common."""
    process: Any = model.model if isinstance(model, SingleTaskVariationalGP) else model
    parts = {"kernel": process.covar_module, "mean": process.mean_module}
    return nn.ModuleDict(parts | {"likelihood": model.likelihood})


def _climb(model: SingleTaskVariationalGP, x: Tensor, y: Tensor, steps: int, seed: int) -> None:
    """Steps on minibatches, under one distribution of the inducing values.

    Uphill on the likelihood of single scores under the predicted mean and variance (Jankowiak,
    Pleiss and Gardner, *Parametric Gaussian Process Regressors*, ICML 2020, as in LOL-BO). Under
    the variational bound, what few inducing points do not explain counts as noise a second time:
    from ask to ask the noise would grow and the likelihood of other scores fall.
    """
    worth = PredictiveLogLikelihood(model.likelihood, model.model, num_data=len(x))
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(moving, _RATE)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (_BATCH,), generator=generator).to(x.device)
        model.zero_grad()
        loss = -worth(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        _bound(model)
    model.eval()


@torch.no_grad()
def _bound(model: SingleTaskVariationalGP) -> None:
    """Put noise and lengthscales back into their bounds, which only L-BFGS-B keeps by itself."""
    parts: Any = (model.model.covar_module, model.likelihood)
    for part in parts:
        for _, parameter, constraint in part.named_parameters_and_constraints():
            if constraint is not None:
                parameter.clamp_(constraint.lower_bound, constraint.upper_bound)


@torch.no_grad()
def _solve(
    model: SingleTaskVariationalGP, values: CholeskyVariationalDistribution, x: Tensor, y: Tensor
) -> None:
    """Set the distribution of the inducing values to the best there is for points x (n, D).

    With L L^T the covariance at the inducing points, A = L^-1 times their covariance with the
    points, and s^2 the noise: N(m, S) with S = (I + A A^T / s^2)^-1 and m = S A (y - mean) / s^2
    for L^-1 times the values (Titsias 2009, equation 10, whitened).
    """
    process: Any = model.model
    strategy, kernel = process.variational_strategy, process.covar_module
    inducing = strategy.inducing_points
    eye = torch.eye(len(inducing), dtype=x.dtype, device=x.device)
    root = torch.linalg.cholesky(kernel(inducing).to_dense() + strategy.jitter_val * eye)
    precision, moment = eye.clone(), inducing.new_zeros(len(inducing))
    noise = model.likelihood.noise
    for part, score in zip(torch.split(x, _BLOCK), torch.split(y, _BLOCK), strict=True):
        cross = kernel(inducing, part).to_dense()
        cross = torch.linalg.solve_triangular(root, cross, upper=False)  # (m, n)
        precision += cross @ cross.T / noise
        moment += cross @ (score - process.mean_module(part)) / noise
    factor = torch.linalg.cholesky(precision)
    covariance = torch.cholesky_inverse(factor)
    values.variational_mean.copy_(covariance @ moment)
    values.chol_variational_covar.copy_(torch.linalg.cholesky(covariance))
    strategy.variational_params_initialized.fill_(1)
    clear_cache_hook(strategy)  # or factors of the last step would stand
