"""The implicit autoencoder: its reconstructions are judged by a critic, not by a distance."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from molae.nn.critics import Critic
from molae.objectives.base import Model, Objective
from molae.objectives.games import (
    as_false,
    as_true,
    autoencoder_player,
    check_critics,
    critic_player,
    label_cost,
    numbers,
    pair_critic,
    there,
    told_apart,
)
from molae.types import Batch, Player, Terms


class IAE(Objective):
    """A critic of reconstructions, (x, z) against (x', z), and one of codes, p(z) against q(z).

    Makhzani, *Implicit Autoencoders*, 2018. With z = f(x, e), x' = g(z, n) and local noise n,
    minus the bound is

        KL(q(x, z) || r(x, z)) + KL(q(z) || p(z)) + H(x),  r(x, z) = q(z) p(x|z),

    where the entropy of the data H(x) does not depend on the model. Each divergence is left to
    one critic. Nothing holds x' to x but what z says of it: where z is small, all that it does
    not say is drawn anew from n, and reconstructions are stochastic, each as likely as the data
    given z; without n they are deterministic.

    n is part of the code, its last numbers (``ImplicitHead``, ``local``), so that the prior draws
    it and every command works. Neither critic looks at it. Clusters and labels as for ``AAE``: a
    choice of a cluster is all that z says (``--latent-dim`` K + L, ``head.clusters`` = K,
    ``head.local`` = L), and n becomes the style.

    For images: what a decoder of sequences puts out is a choice, through which no gradient of a
    critic reaches it.

    Args:
        weight: Of the codes' term beside that of the reconstructions.
        hidden: Widths of the hidden layers of both critics.
        pace: The critics' learning rate, in units of the model's.
        smoothness: Of the critics, at the data and at draws of the prior, see ``told_apart``.
        both: Whether the encoder is moved by the true pair (x, z) too, as the gradient of the
            divergence asks; otherwise by (x', z) alone.
        label_weight: As for ``AAE``.

    Parts: ``reconstruction`` (B,), what (x', z) lacks in being taken for true; ``data`` (B,), the
    same of (x, z) in being taken for false, where ``both``; ``adversarial`` (B,), of the codes,
    with its weight; ``penalty`` (B,) of the head; ``label`` (B,) with its weight if that is not 0.
    Logged: ``distortion`` (B,), which is not minimised. The players ``critic`` and
    ``code_critic`` have their own, see ``told_apart``.
    """

    mixed_batches = True
    heads = ("implicit", "delta", "normal", "constant")
    media = ("images",)
    comparable = False

    def __init__(
        self,
        weight: float = 1.0,
        hidden: Sequence[int] = (256, 256),
        pace: float = 1.0,
        smoothness: float = 0.1,
        both: bool = True,
        label_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden = check_critics(
            pace, hidden, weight=weight, smoothness=smoothness, label_weight=label_weight
        )
        self.weight, self.pace, self.smoothness = weight, pace, smoothness
        self.both, self.label_weight = both, label_weight
        self.critic: Critic | None = None
        self.code_critic: Critic | None = None
        self._global, self._clusters = 0, 0

    def prepare(self, model: Model) -> None:
        """Make the critics.

        Raises:
            ValueError: There are labels to learn and no clusters to learn them with.
        """
        self._global, self._clusters = numbers(model, self.label_weight)
        if self.critic is None:
            self.critic = pair_critic(model, self._global, self.hidden)
            self.code_critic = Critic(self._global, hidden=self.hidden)

    def players(self, model: Model) -> list[Player]:
        """The autoencoder, the critic of reconstructions, and the critic of codes."""
        pairs, codes = there(self.critic), there(self.code_critic)
        return [
            autoencoder_player(model, self.terms, 1.0),
            critic_player("critic", pairs, self._pair_terms, self.pace),
            critic_player("code_critic", codes, self._code_terms, self.pace),
        ]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the autoencoder's loss; ``step`` is not used."""
        pairs, codes = there(self.critic), there(self.code_critic)
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        known = z[:, : self._global]
        likelihood = model.likelihood(z, batch.context)
        made = likelihood.outputs(batch.x)
        parts = {
            "reconstruction": as_true(pairs(known, pairs.read(made), batch.context)),
            "adversarial": self.weight * as_true(codes(known)),
            "penalty": posterior.penalty(),
        }
        if self.both:
            parts["data"] = as_false(pairs(known, pairs.read(batch.x), batch.context))
        if self.label_weight:
            parts["label"] = self.label_weight * label_cost(z[:, : self._clusters], batch.y)
        with torch.no_grad():
            missed = -likelihood.log_prob(batch.x)
        return Terms(parts, {"distortion": missed})

    def _pair_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        pairs = there(self.critic)
        with torch.no_grad():
            z = model.posterior(batch.x, batch.context).rsample()
            made = model.likelihood(z, batch.context).outputs(batch.x)
        known = z[:, : self._global]
        x = batch.x.detach().clone().requires_grad_()
        true = pairs(known, pairs.read(x), batch.context)
        false = pairs(known, pairs.read(made), batch.context)
        return told_apart(true, false, self.smoothness, x)

    def _code_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        codes = there(self.code_critic)
        with torch.no_grad():
            z = model.posterior(batch.x, batch.context).rsample()
        drawn = model.prior.sample(len(z)).to(z)[:, : self._global].requires_grad_()
        true = codes(drawn)
        return told_apart(true, codes(z[:, : self._global]), self.smoothness, drawn)
