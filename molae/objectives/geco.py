"""GECO: the lowest rate that keeps a constraint, found with a multiplier that is learnt."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from molae.distributions import logged, rate
from molae.objectives.base import WITH_DENSITY, Model, Objective
from molae.objectives.constraints import reconstruction_constraint
from molae.repeatable import mean_of_all
from molae.types import Batch, Terms

#: Below this the multiplier does not fall.
LOWEST = 1e-6


class GECO(Objective):
    """rate + lambda * C, the rate as low as a constraint C <= 0 lets it be.

    Generalised ELBO with constrained optimisation, Algorithm 1 of Rezende and Viola, *Taming
    VAEs*, 2018: min over the model and max over lambda >= 0 of

        E KL(q(z|x) || p(z)) + lambda N E C(x, g(z)),

    with C the mean over N values of an example (pixels, rules), see
    ``molae.objectives.constraints``, and N there so that lambda keeps one meaning: under ``re``
    lambda N C is lambda times the summed squared error, up to a constant, and 1 / lambda is the
    beta of a VAE with the usual normal likelihood; under ``nats`` it is -log p(x|z) itself. In
    each step

    1. c is the mean of C over the batch (of all processes), and a <- decay a + (1 - decay) c its
       moving average (at first a = c);
    2. C is given the value a and the gradient of c: c + stop_gradient(a - c);
    3. the model moves with the lambda of before;
    4. log lambda <- log lambda + step_size * a / s, where a / s is cut to [-1, 1], and lambda is
       kept within [1e-6, highest].

    s is what the constraint allows (kappa^2 of an error, 1 - kappa of a share). Step, cut and
    bounds are what the paper leaves open: without them lambda explodes while the model has not
    learnt anything yet, and does not come back. In evaluation nothing moves, C has its own value,
    and lambda is that of now: losses of a run at different times cannot be compared.

    Args:
        constraint: A key of ``molae.names.CONSTRAINTS``.
        tolerance: kappa, in the data's own units; None for what is usual of the constraint.
        features: Of ``fre`` (``local`` by default) and ``cla`` (``mnist``): the name or the
            folder of a classifier.
        window: Side of windows in pixels, of ``fre`` (4) and ``pncc`` (8).
        step_size: Largest change of log lambda in a step.
        decay: Of the moving average, at least 0 and below 1; 0.99 in the paper.
        initial: lambda at first.
        highest: Most that lambda may be. Under ``re`` at 1 / (2 kappa^2) the loss is the bound of
            a VAE whose sigma is kappa, and no more is needed for a kappa above the sigma that
            the bound itself would end at; it keeps the rate within reason until the error is
            low enough.
        warmup: Steps at the beginning in which lambda stays as it is.

    Attributes:
        average: The moving average a, (); nan before the first step.
        log_multiplier: log lambda, ().

    Parts: ``rate`` (B,), ``constraint`` (B,) = lambda N C, ``penalty`` (B,), the head's own.
    Logged: ``violation`` (), C of the batch: at most 0 where the constraint is met; and
    ``multiplier`` ().
    """

    heads = WITH_DENSITY
    comparable = False

    average: Tensor
    log_multiplier: Tensor

    def __init__(
        self,
        constraint: str = "re",
        tolerance: float | None = None,
        features: str | None = None,
        window: int | None = None,
        step_size: float = 0.005,
        decay: float = 0.99,
        initial: float = 1.0,
        highest: float = 1e6,
        warmup: int = 0,
    ) -> None:
        super().__init__()
        self.wanted = reconstruction_constraint(constraint, tolerance, features, window)
        if not step_size > 0 or not 0 <= decay < 1:
            raise ValueError(
                f"step_size is {step_size} and decay {decay}; expected above 0, and from 0 to "
                "below 1"
            )
        if not LOWEST <= initial <= highest < math.inf or warmup < 0:
            raise ValueError(
                f"initial is {initial}, highest {highest} and warmup {warmup}; expected at least "
                f"{LOWEST:g}, at least as much and finite, and at least 0"
            )
        self.constraint, self.tolerance = constraint, tolerance
        self.features, self.window = features, window
        self.step_size, self.decay = step_size, decay
        self.initial, self.highest, self.warmup = initial, highest, warmup
        self.register_buffer("average", torch.tensor(math.nan))
        self.register_buffer("log_multiplier", torch.tensor(math.log(initial)))

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the Lagrangian; in training the moving average and the multiplier move.

        Raises:
            NoDensityError: The head is ``delta``, which has no rate.
        """
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        cost = rate(posterior, model.prior_of(batch.context), z)
        likelihood = model.likelihood(z, batch.context)
        each, count = self.wanted.violation(likelihood, batch)
        share = count if batch.weight is None else count * batch.weight
        now = mean_of_all(each.detach(), share)
        multiplier = self.log_multiplier.exp()
        if self.training:
            self._move(now, step)
            each = each + (self.average.to(now) - now)
        weight = multiplier.to(each) * count
        parts = {"rate": cost, "constraint": weight * each, "penalty": posterior.penalty()}
        shown = {"violation": now, "multiplier": multiplier}
        return Terms(parts, shown | logged(posterior))

    @torch.no_grad()
    def _move(self, now: Tensor, step: int) -> None:
        """Moving average and multiplier after a batch whose mean is ``now``, ()."""
        now = now.float()
        mean = torch.where(self.average.isnan(), now, self.average.lerp(now, 1.0 - self.decay))
        # A batch that gave no number is not remembered; the loop does not learn from it either.
        self.average = torch.where(now.isfinite(), mean, self.average)
        if step < self.warmup:
            return
        drift = self.step_size * (self.average / self.wanted.unit).clamp(-1.0, 1.0).nan_to_num()
        moved = self.log_multiplier + drift
        self.log_multiplier = moved.clamp(math.log(LOWEST), math.log(self.highest))
