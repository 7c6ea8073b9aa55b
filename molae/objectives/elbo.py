"""The evidence lower bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molae.distributions import rate
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.schedules import plain, schedule
from molae.types import Batch, Schedule, Terms


class VAE(Objective):
    """distortion + beta * rate, with one draw of the code for each example.

    The distortion is -log p(x|z) summed over the event, the rate KL(q(z|x) || p(z)) summed over
    D. With beta = 1 it is minus the bound of Kingma and Welling (2014); other values as Higgins
    et al. (2017). With the head ``constant`` it is the constant-variance VAE.

    The Grammar VAE's code minimises ``max_length`` times a binary cross-entropy that Keras
    averages over all T x V entries (so: summed over T, averaged over V, and binary, not
    categorical), plus the KL **averaged** over D, and draws codes with noise of standard
    deviation 0.01. No beta is the same; beta = V / D comes nearest (76 / 56 there).

    The RAE authors' weight w on images, where squared errors are summed over pixels and averaged
    over C channels, is beta = w under a normal likelihood of variance C / 2, up to a constant.

    Args:
        beta: A number, a schedule (``molae.objectives.schedules``), or a schedule as a table,
            such as ``{"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 5000}``.

    Parts: ``distortion`` (B,) and ``beta_rate`` (B,), beta times the rate; ``penalty`` (B,),
    what the head wants lowered itself. Logged: ``rate`` and ``bound`` = -(distortion + rate),
    each (B,), and ``beta``.
    """

    def __init__(self, beta: float | Mapping[str, Any] | Schedule = 1.0) -> None:
        super().__init__()
        self.beta = schedule(beta)

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the negative bound.

        Raises:
            NoDensityError: The head is ``delta``, which has no rate.
        """
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        cost = rate(posterior, model.prior, z)
        missed = distortion(model, batch, z)
        beta = self.beta(step)
        parts = {"distortion": missed, "beta_rate": beta * cost, "penalty": posterior.penalty()}
        logged = {
            "rate": cost.detach(),
            "bound": -(missed + cost).detach(),
            "beta": missed.new_tensor(beta),
        }
        return Terms(parts, logged)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {"beta": plain(self.beta)}
