"""The adversarial autoencoder (AAE, WAE-GAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molae.nn.critics import Critic
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.games import (
    as_true,
    autoencoder_player,
    check_critics,
    critic_player,
    label_cost,
    numbers,
    there,
    told_apart,
)
from molae.types import Batch, Player, Terms


class AAE(Objective):
    """distortion + weight * (-log c(z)): a critic c holds the codes together to the prior.

    Makhzani, Shlens, Jaitly, Goodfellow and Frey, *Adversarial Autoencoders*, 2015. The critic
    learns to tell draws of p(z) from the codes z of a batch; the encoder learns to pass for the
    prior. At the end KL(q(z) || p(z)) is small, q(z) being the mean of q(z|x) over the data. What
    the codes say of single examples, I(z; x), costs nothing: so this is no bound, and a head
    without a density will do. It is WAE-GAN (Tolstikhin et al., ICLR 2018, Algorithm 1) in other
    units: their weight l of the adversarial term beside 0.05 times the squared error is
    weight = 20 l here, under a normal likelihood of variance 1/2.

    The prior may have any shape: ``mixture``, ``swiss_roll``, or whatever can be drawn from.

    Clusters and labels: with the head ``implicit`` and its ``clusters`` = K, the first K numbers
    of a code are a soft choice; with the prior ``clusters`` the critic asks for one clear choice,
    all equally often, whatever the style beside it (section 5). With ``label_weight`` that choice
    is taught by the labels that are known (section 4): added is -log of the share that the code
    gives to its label. The paper has a critic for the choice and one for the style; one critic of
    both also holds them independent, as the prior has them.

    Args:
        weight: Of the adversarial term.
        hidden: Widths of the critic's hidden layers.
        pace: The critic's learning rate, in units of the model's.
        smoothness: Of the critic at draws of the prior, see ``told_apart``; 0 is the paper.
        label_weight: Of the labels in ``batch.y``, (B,) int64, below 0 where none is known; 0
            does not look at them.

    Parts: ``distortion`` (B,), ``adversarial`` (B,) with its weight, ``penalty`` (B,) of the head,
    and ``label`` (B,) with its weight if that is not 0. Logged: ``code_norm`` = ||z|| (B,). The
    player ``critic`` has its own, see ``told_apart``.
    """

    mixed_batches = True
    comparable = False

    def __init__(
        self,
        weight: float = 10.0,
        hidden: Sequence[int] = (128, 128),
        pace: float = 1.0,
        smoothness: float = 0.1,
        label_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden = check_critics(
            pace, hidden, weight=weight, smoothness=smoothness, label_weight=label_weight
        )
        self.weight, self.pace = weight, pace
        self.smoothness, self.label_weight = smoothness, label_weight
        self.critic: Critic | None = None
        self._global, self._clusters = 0, 0

    def prepare(self, model: Model) -> None:
        """Make the critic.

        Raises:
            ValueError: There are labels to learn and no clusters to learn them with.
        """
        self._global, self._clusters = numbers(model, self.label_weight)
        if self.critic is None:
            self.critic = Critic(self._global, hidden=self.hidden)

    def players(self, model: Model) -> list[Player]:
        """The autoencoder, and the critic of its codes."""
        critic = critic_player("critic", there(self.critic), self._critic_terms, self.pace)
        return [autoencoder_player(model, self.terms), critic]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the autoencoder's loss; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        parts = {
            "distortion": distortion(model, batch, z),
            "adversarial": self.weight * as_true(self._logits(z)),
            "penalty": posterior.penalty(),
        }
        if self.label_weight:
            parts["label"] = self.label_weight * label_cost(z[:, : self._clusters], batch.y)
        return Terms(parts, {"code_norm": z.detach().norm(dim=-1)})

    def _critic_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        with torch.no_grad():
            z = model.posterior(batch.x, batch.context).rsample()
        drawn = model.prior.sample(len(z)).to(z)[:, : self._global].requires_grad_()
        true = self._logits(drawn)
        return told_apart(true, self._logits(z), self.smoothness, drawn)

    def _logits(self, z: Tensor) -> Tensor:
        """The critic's, of the global numbers of codes (B, D), (B,)."""
        logits: Tensor = there(self.critic)(z[:, : self._global])
        return logits
