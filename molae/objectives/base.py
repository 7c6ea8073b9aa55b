"""What every objective is: the terms of a loss, seen from outside the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from inspect import signature
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from molae.names import HEADS, WITHOUT_DENSITY
from molae.types import Batch, Likelihood, Player, Posterior, Terms

#: Heads whose posterior has a density, the usual one first.
WITH_DENSITY = tuple(name for name in HEADS if name not in WITHOUT_DENSITY)


class Model(Protocol):
    """What objectives ask of an autoencoder."""

    @property
    def encoder(self) -> nn.Module:
        """From data to features."""

    @property
    def head(self) -> nn.Module:
        """From features to q(z|x)."""

    @property
    def prior(self) -> Any:
        """p(z), a ``molae.distributions.Prior``; Any, since slots of a module are typed Module."""

    def prior_of(self, context: Tensor | None = None) -> Any:
        """p(z), or p(z|context) where the prior depends on it."""

    @property
    def decoder(self) -> nn.Module:
        """From codes to a likelihood; its weights are what regularisers look at."""

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Posterior:
        """q(z|x) of a batch."""

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Likelihood:
        """p(x|z) for codes (*S, B, D)."""

    def predict(self, z: Tensor) -> Tensor:
        """Standardised properties of codes (*S, B, D), (*S, B, P), where the model has them."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights, the prior's included."""


class Objective(nn.Module, ABC):
    """What is minimised. It may own parameters of its own (critics, multipliers).

    Scale, for every objective: the distortion is -log p(x|z) in nats, **summed** over the
    sequence or the image, and the mean is taken over examples, once, by ``Terms.loss``. So
    weights do not change meaning with batch size, and do not have the meaning they have in code
    that averages over pixels or positions.

    Attributes:
        mixed_batches: Whether each batch must be a fair sample of the data, since the codes of a
            batch are compared with those of the prior. Then sequences of like length are not put
            together, which costs some padding.
        heads: Names of the heads that it goes with, the usual one first.
        media: What data it is for, see ``SequenceCodec``.
        comparable: Whether a lower loss on held-out data means a better model, at any two times
            of a training. It does not where critics or multipliers move what is minimised.
    """

    mixed_batches: bool = False
    heads: ClassVar[tuple[str, ...]] = tuple(HEADS)
    media: ClassVar[tuple[str, ...]] = ("sequences", "images")
    comparable: ClassVar[bool] = True

    @abstractmethod
    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """The parts of the loss, each (B,) or (), in nats.

        Args:
            model: Slots and verbs of the autoencoder.
            batch: B examples.
            step: Number of the optimisation step, for schedules.
        """

    def prepare(self, model: Model) -> None:
        """Change the model before optimisers are made and before weights load. Nothing by default.

        Called again on a model that is prepared, it changes nothing.
        """

    def players(self, model: Model) -> list[Player]:
        """Who moves: by default one player for the weights of the model and of the objective."""
        moved = [p for p in (*model.parameters(), *self.parameters()) if p.requires_grad]
        return [Player("autoencoder", moved, self.terms)]

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}


def distortion(model: Model, batch: Batch, z: Tensor) -> Tensor:
    """-log p(x|z) in nats, summed over the event: z (*S, B, D) -> (*S, B)."""
    return -model.likelihood(z, batch.context).log_prob(batch.x)
