"""Adversarial variational Bayes: a rate for posteriors of which nobody knows the density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from molae.distributions import NormalPosterior
from molae.nn.critics import Critic
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.games import (
    autoencoder_player,
    check_critics,
    critic_player,
    pair_critic,
    there,
    told_apart,
)
from molae.objectives.schedules import plain, schedule
from molae.types import Batch, Player, Posterior, Schedule, Terms

#: Least standard deviation of what a posterior is compared with.
_LEAST = 1e-3


class AVB(Objective):
    """distortion + beta * R, with R a critic's estimate of the rate KL(q(z|x) || p(z)).

    Mescheder, Nowozin and Geiger, *Adversarial Variational Bayes*, ICML 2017. A critic T learns
    to tell pairs (x, z), z ~ q(z|x), from pairs with z ~ p(z); at its best T = log q(z|x) -
    log p(z), whose mean is the rate, and whose slope, the critic held, is that of the rate
    (Proposition 2). With adaptive contrast (section 3.3) it compares the posterior with a normal
    r(z|x) of its own mean and variances instead, which is much nearer:

        R = T(x, z') + log r(z|x) - log p(z),  z' = (z - mean) / scale,

    where T tells z' from N(0, I). A normal posterior then leaves nothing to T, and its mean and
    scale are known; those of an implicit one are estimated from draws.

    R is as good as the critic: too low while that is behind. It may be **less** than the rate, so
    minus the sum of both parts is no bound, and is not called one. Mean and scale out of n draws
    make it lower by up to about 1 / n nats for each number of a code, which is 0.008 with 128.

    Args:
        beta: As for ``VAE``.
        contrast: Draws of each posterior that its mean and scale are estimated from, where they
            are not known; 0 compares with the prior.
        hidden: Widths of the critic's hidden layers.
        pace: The critic's learning rate, in units of the model's; it should be ahead.

    Parts: ``distortion`` (B,), ``beta_estimate`` (B,), beta times R; ``penalty`` (B,) of the head.
    Logged: ``rate_estimate`` (B,), R; ``beta``. The player ``critic`` has its own, see
    ``told_apart``.
    """

    heads = ("implicit", "normal", "constant")
    comparable = False

    def __init__(
        self,
        beta: float | Mapping[str, Any] | Schedule = 1.0,
        contrast: int = 128,
        hidden: Sequence[int] = (256, 256),
        pace: float = 2.0,
    ) -> None:
        super().__init__()
        if contrast < 0 or contrast == 1:
            raise ValueError(
                "contrast is a number of draws that have a variance, 2 or more, or 0 for the "
                f"prior; got {contrast}"
            )
        self.hidden = check_critics(pace, hidden)
        self.beta, self.contrast, self.pace = schedule(beta), contrast, pace
        self.critic: Critic | None = None

    def prepare(self, model: Model) -> None:
        """Make the critic."""
        if self.critic is None:
            self.critic = pair_critic(model, int(model.prior.size), self.hidden)

    def players(self, model: Model) -> list[Player]:
        """The autoencoder, and the critic of pairs."""
        critic = critic_player("critic", there(self.critic), self._critic_terms, self.pace)
        return [autoencoder_player(model, self.terms), critic]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the autoencoder's loss."""
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        told, known = self._compared(posterior, z)
        critic = there(self.critic)
        cost = critic(told, critic.read(batch.x), batch.context)
        if known is not None:
            cost = cost + known - model.prior.log_prob(z)
        beta = self.beta(step)
        parts = {
            "distortion": distortion(model, batch, z),
            "beta_estimate": beta * cost,
            "penalty": posterior.penalty(),
        }
        return Terms(parts, {"rate_estimate": cost.detach(), "beta": cost.new_tensor(beta)})

    def _critic_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        with torch.no_grad():
            posterior = model.posterior(batch.x, batch.context)
            z = posterior.rsample()
            told, known = self._compared(posterior, z)
            prior = model.prior.sample(len(z)).to(z) if known is None else torch.randn_like(z)
        critic = there(self.critic)
        features = critic.read(batch.x)
        return told_apart(
            critic(told, features, batch.context), critic(prior, features, batch.context)
        )

    def _compared(self, posterior: Posterior, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the critic sees of codes (B, D), and log r(z|x), (B,), if that is not p(z)."""
        if not self.contrast:
            return z, None
        with torch.no_grad():
            if isinstance(posterior, NormalPosterior):
                r = posterior.detached()
            else:
                draws = posterior.rsample((self.contrast,))
                r = NormalPosterior(draws.mean(0), draws.std(0).clamp(min=_LEAST))
        return (z - r.center) / r.scale, r.log_prob(z)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {**super().settings(), "beta": plain(self.beta)}
