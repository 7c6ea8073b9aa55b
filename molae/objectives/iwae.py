"""The importance-weighted bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from molae.distributions import NormalPosterior
from molae.objectives.base import WITH_DENSITY, Model, Objective
from molae.objectives.schedules import plain, schedule
from molae.types import Batch, Posterior, Schedule, Terms


class IWAE(Objective):
    """-L_K = -log 1/K sum_k w_k with w_k = p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x).

    Burda, Grosse and Salakhutdinov, *Importance Weighted Autoencoders*, ICLR 2016, eq. 8. L_1 is
    the evidence lower bound (of one draw, its rate estimated), L_K <= L_(K+1) <= log p(x), and it
    comes to log p(x) as K grows. K codes of each example are decoded, at K times the price in
    time and memory: take smaller batches.

    The more samples, the fainter the signal for the encoder (Rainforth et al., ICML 2018). With
    ``doubly`` its gradient is the doubly reparametrised one of Tucker, Lawson, Gu and Maddison
    (*Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives*, ICLR 2019, eq. 8):
    the derivative of log q with respect to its own parameters, which is 0 on average and noise
    otherwise, is left out, and the path through z_k weighs v_k^2 in place of v_k, where v_k is
    w_k over the sum of all. The same on average, less noisy; decoder and prior are not concerned.

    With ``beta`` other than 1, w_k = p(x|z_k) (p(z_k) / q(z_k|x))^beta, and it is no bound: for
    warm-ups, and for scales at which ``vae`` is used with such a beta. Then the path weighs
    (1 - beta) v_k + beta v_k^2.

    Args:
        samples: K.
        doubly: Use the doubly reparametrised gradient; for heads whose posterior is normal.
        beta: A number, a schedule or its table, as for ``VAE``.

    Parts: ``minus_bound`` (B,), -L_K, and ``penalty`` (B,), the head's own. Logged: means over
    the samples of ``distortion`` and ``rate``, (B,); ``bound``, L_K (B,); ``effective`` (B,),
    1 / sum v_k^2, how many samples have a say, from 1 to K; and ``beta``.
    """

    heads = WITH_DENSITY

    def __init__(
        self,
        samples: int = 5,
        doubly: bool = False,
        beta: float | Mapping[str, Any] | Schedule = 1.0,
    ) -> None:
        super().__init__()
        if samples < 1:
            raise ValueError(f"samples is {samples}, expected 1 or more")
        self.samples, self.doubly = samples, doubly
        self.beta = schedule(beta)

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Minus the bound.

        Raises:
            NoDensityError: The head is a point.
            ValueError: ``doubly``, and the posterior is not normal.
        """
        posterior = model.posterior(batch.x, batch.context)
        beta = self.beta(step)
        if self.doubly:
            z, log_q = _without_score(posterior, self.samples)
        else:
            z, log_q = posterior.rsample_and_log_prob((self.samples,))  # (K, B, D), (K, B)
        missed = -model.likelihood(z, batch.context).log_prob(batch.x)
        cost = log_q - model.prior_of(batch.context).log_prob(z)
        log_w = -missed - beta * cost
        bound = log_w.logsumexp(0) - math.log(self.samples)
        share = log_w.detach().softmax(0)  # v, (K, B)
        if self.doubly and z.requires_grad:
            path = (1.0 - beta) + beta * share  # the sum's own derivative brings v_k once
            z.register_hook(lambda slope: slope * path.unsqueeze(-1))  # type: ignore[no-untyped-call]
        parts = {"minus_bound": -bound, "penalty": posterior.penalty()}
        logged = {
            "distortion": missed.detach().mean(0),
            "rate": cost.detach().mean(0),
            "bound": bound.detach(),
            "effective": 1.0 / share.square().sum(0),
            "beta": bound.new_tensor(beta),
        }
        return Terms(parts, logged)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {**super().settings(), "beta": plain(self.beta)}


def _without_score(posterior: Posterior, samples: int) -> tuple[Tensor, Tensor]:
    """Draws (K, B, D) and log q of them (K, B), which has a gradient through the draws only.

    Raises:
        ValueError: The posterior is not normal.
    """
    if not isinstance(posterior, NormalPosterior):
        raise ValueError(
            "the doubly reparametrised gradient is there for heads whose posterior is normal: use "
            "the head 'normal' or 'constant', or leave 'doubly' out"
        )
    z = posterior.rsample((samples,))
    return z, posterior.detached().log_prob(z)
