"""The model: four slots, four verbs, no loss; and a slot and a verb for properties of codes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from molae.densities import LatentDensity
from molae.types import Likelihood, Posterior


class Autoencoder(nn.Module):
    """Encoder, head, decoder and prior, used by objectives and by everyone who has codes or data.

    Args:
        encoder: ``encoder(x, context) -> h``, (B, ...) to (B, H).
        head: ``head(h, context) -> Posterior`` over codes of width D.
        decoder: ``decoder(z, context) -> Likelihood`` of data, z (*S, B, D).
        prior: A latent density p(z), with ``log_prob`` and ``sample``.
        predictor: ``predictor(z) -> y``, (*S, B, D) to standardised properties (*S, B, P), or
            None where none are learnt.
        reader: ``reader(context)`` makes what the slots are told, (B, C), of contexts that are
            images; None where they are told the context as it is.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        predictor: nn.Module | None = None,
        reader: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.decoder, self.prior = encoder, head, decoder, prior
        self.predictor, self.reader = predictor, reader

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Posterior:
        """q(z|x) of a batch."""
        told = self.told(context)
        return cast(Posterior, self.head(self.encoder(x, told), told))

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Likelihood:
        """p(x|z) of codes z (*S, B, D)."""
        return cast(Likelihood, self.decoder(z, self.told(context)))

    def prior_of(self, context: Tensor | None = None) -> LatentDensity:
        """p(z), or p(z|c) of contexts c (B, ...) where the prior depends on them."""
        return cast(LatentDensity, self.prior.given(self.told(context)))  # type: ignore[operator]

    def told(self, context: Tensor | None) -> Tensor | None:
        """What the slots are told of a context, (B, ...) -> (B, C)."""
        if context is None or self.reader is None:
            return context
        return cast(Tensor, self.reader(context))

    def encode(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The code of each example: x (B, ...) -> (B, D)."""
        return self.posterior(x, context).center

    def predict(self, z: Tensor) -> Tensor:
        """Standardised properties of codes, (*S, B, D) -> (*S, B, P).

        Raises:
            ValueError: The model was built without a head for them.
        """
        if self.predictor is None:
            raise ValueError("this model predicts no properties: it was built without any")
        return cast(Tensor, self.predictor(z))

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        context: Tensor | None = None,
        *,
        seed: int | None = None,
        index: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Data of each code: z (*S, B, D) -> x (*S, B, ...).

        Args:
            z: Codes.
            context: What the decoder is conditioned on, (B, ...).
            seed: Of the draws; None gives the mode, greedily for sequences.
            index: Number of each example, (*S, B) int64, that keys its draws.
            temperature: Of the draws; not used for the mode.
        """
        likelihood = self.likelihood(z, context)
        if seed is None:
            return likelihood.mode()
        return likelihood.sample(seed, index, temperature)
