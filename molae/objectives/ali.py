"""Adversarially learned inference (ALI), also known as the bidirectional GAN (BiGAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molae.nn.critics import Critic
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.games import (
    as_false,
    as_true,
    autoencoder_player,
    check_critics,
    critic_player,
    numbers,
    pair_critic,
    there,
    told_apart,
)
from molae.types import Batch, Player, Terms


class ALI(Objective):
    """One critic of pairs: (x, z ~ q(z|x)) against (x ~ p(x|z), z ~ p(z)). No distortion.

    Dumoulin et al., *Adversarially Learned Inference*, and Donahue, Kraehenbuehl and Darrell,
    *Adversarial Feature Learning* (BiGAN), both ICLR 2017. The critic minimises
    softplus(-d(x, z_q)) + softplus(d(x_p, z)), encoder and decoder together its mirror image
    softplus(d(x, z_q)) + softplus(-d(x_p, z)). Where the critic is at its best they lower the
    divergence of q(x, z) = q(z|x) p_data(x) from p(x, z) = p(x|z) p(z); where these are equal,
    encoder and decoder are each other's inverse, though nothing asks for a reconstruction.

    x_p is what the decoder puts out, its mean. Local noise of the head ``implicit`` is part of the
    code that is decoded, and the critic does not see it: so p(x|z) may be of any shape.

    For images: what a decoder of sequences puts out is a choice, through which no gradient of a
    critic reaches it.

    Args:
        hidden: Widths of the critic's hidden layers.
        pace: The critic's learning rate, in units of the model's.
        smoothness: Of the critic at the data, see ``told_apart``.

    Parts: ``data`` (B,), softplus(d(x, z_q)); ``model`` (B,), softplus(-d(x_p, z)); ``penalty``
    (B,) of the head. Logged in evaluation only: ``distortion`` (B,), which is not minimised. The
    player ``critic`` has its own, see ``told_apart``.
    """

    mixed_batches = True
    media = ("images",)
    comparable = False

    def __init__(
        self,
        hidden: Sequence[int] = (256, 256),
        pace: float = 1.0,
        smoothness: float = 0.1,
    ) -> None:
        super().__init__()
        self.hidden = check_critics(pace, hidden, smoothness=smoothness)
        self.pace, self.smoothness = pace, smoothness
        self.critic: Critic | None = None
        self._global = 0

    def prepare(self, model: Model) -> None:
        """Make the critic."""
        self._global, _ = numbers(model)
        if self.critic is None:
            self.critic = pair_critic(model, self._global, self.hidden)

    def players(self, model: Model) -> list[Player]:
        """Encoder and decoder together, and the critic of pairs."""
        critic = critic_player("critic", there(self.critic), self._critic_terms, self.pace)
        return [autoencoder_player(model, self.terms, 1.0), critic]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss of encoder and decoder; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        drawn = model.prior.sample(len(z)).to(z)
        made = model.likelihood(drawn, batch.context).outputs(batch.x)
        parts = {
            "data": as_false(self._logits(batch.x, z, batch)),
            "model": as_true(self._logits(made, drawn, batch)),
            "penalty": posterior.penalty(),
        }
        if self.training:  # nothing but the log needs z to be decoded
            return Terms(parts)
        with torch.no_grad():
            return Terms(parts, {"distortion": distortion(model, batch, z)})

    def _critic_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        with torch.no_grad():
            z = model.posterior(batch.x, batch.context).rsample()
            drawn = model.prior.sample(len(z)).to(z)
            made = model.likelihood(drawn, batch.context).outputs(batch.x)
        x = batch.x.detach().clone().requires_grad_()
        true = self._logits(x, z, batch)
        return told_apart(true, self._logits(made, drawn, batch), self.smoothness, x)

    def _logits(self, x: Tensor, z: Tensor, batch: Batch) -> Tensor:
        """The critic's, of data (B, ...) beside the global numbers of codes (B, D), (B,)."""
        critic = there(self.critic)
        logits: Tensor = critic(z[:, : self._global], critic.read(x), batch.context)
        return logits
