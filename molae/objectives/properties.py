"""Properties learnt beside any objective, so that the space of codes is ordered by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from molae.objectives.base import Model, Objective
from molae.types import Batch, Likelihood, Player, Posterior, Terms


class WithProperties(Objective):
    """An objective, and properties predicted from the code, trained jointly.

    Gomez-Bombarelli et al. (ACS Central Science 2018), *Automatic chemical design using a
    data-driven continuous representation of molecules*: a small network predicts properties from
    the code, and its error reaches the encoder. Here it is ``model.predict`` of
    ``posterior.center``, so that what is predicted later, from the code of a molecule or of a
    candidate, is what was learnt.

    Added is weight * 0.5 * (f(z) - y)^2, summed over the P properties: in nats, minus the
    log-likelihood of standardised properties y under a normal of variance 1, up to a constant. A
    property that is not known (NaN) costs nothing.

    Args:
        objective: What is minimised otherwise.
        weight: Of the properties.

    Parts: those of the objective, and ``property`` (B,).
    """

    def __init__(self, objective: Objective, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"the weight of properties must not be below 0, got {weight}")
        self.objective = objective
        self.weight = weight
        self.mixed_batches = objective.mixed_batches

    def prepare(self, model: Model) -> None:
        """As the objective does."""
        self.objective.prepare(model)

    def players(self, model: Model) -> list[Player]:
        """Those of the objective; the first, who moves the model, looks at properties too."""
        first, *others = self.objective.players(model)
        return [replace(first, terms=partial(self._terms, first.terms)), *others]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss.

        Raises:
            ValueError: The batch has no properties, or the model predicts others.
        """
        return self._terms(self.objective.terms, model, batch, step)

    def settings(self) -> dict[str, Any]:
        """The weight, fit for JSON; the objective has settings of its own."""
        return {"weight": self.weight}

    def _terms(
        self,
        terms: Callable[[Any, Batch, int], Terms],
        model: Model,
        batch: Batch,
        step: int,
    ) -> Terms:
        seen = _Remembering(model)
        found = terms(seen, batch, step)
        posterior = seen.last or model.posterior(batch.x, batch.context)
        part = self.weight * half_squares(model.predict(posterior.center), batch.y)
        return Terms({**found.parts, "property": part}, found.logged)


def half_squares(predicted: Tensor, y: Tensor | None) -> Tensor:
    """Half of the squared errors of known properties, summed: (B, P) and y (B, P) -> (B,).

    Raises:
        ValueError: There is no y, or it has another shape.
    """
    if y is None or y.shape != predicted.shape:
        got = None if y is None else tuple(y.shape)
        raise ValueError(
            f"properties to learn have shape {got}, and {tuple(predicted.shape)} are predicted: "
            "give data whose y has a column for each property, NaN where it is not known"
        )
    y = y.to(predicted)
    known = ~y.isnan()
    error = torch.where(known, predicted - torch.where(known, y, 0.0), 0.0)
    return 0.5 * error.square().sum(-1)


class _Remembering:
    """A model that keeps the posterior it was asked for last, so that nothing is encoded twice."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.last: Posterior | None = None

    @property
    def encoder(self) -> nn.Module:
        return self._model.encoder

    @property
    def head(self) -> nn.Module:
        return self._model.head

    @property
    def prior(self) -> Any:
        return self._model.prior

    @property
    def decoder(self) -> nn.Module:
        return self._model.decoder

    def prior_of(self, context: Tensor | None = None) -> Any:
        return self._model.prior_of(context)

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Posterior:
        self.last = self._model.posterior(x, context)
        return self.last

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Likelihood:
        return self._model.likelihood(z, context)

    def predict(self, z: Tensor) -> Tensor:
        return self._model.predict(z)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._model.parameters()
