"""Deterministic autoencoders, regularised and plain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from molae.distributions import logged
from molae.names import GRADIENTS, REGULARIZERS, pick
from molae.nn.exactness import noise_draw
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.regularizers import (
    SPECTRA,
    gradient_penalty,
    normalize_spectra,
    squared_weights,
)
from molae.objectives.schedules import plain, schedule
from molae.types import Batch, Schedule, Terms


class RAE(Objective):
    """distortion + beta * code + weight * regulariser (Ghosh et al., ICLR 2020; GRAE on grammars).

    Minimised is the mean over examples of -log p(x|z), summed over the event, plus beta times
    0.5 ||z||^2, summed over D, plus the regulariser R of the decoder:

    - ``none``: R = 0.
    - ``l2``: weight times the **sum** of squared weights: of kernels of transposed convolutions,
      or, where a decoder has none, of all matrices; see ``squared_weights``.
    - ``gp``: weight times ``gradient_penalty``, in one of its two forms.
    - ``sn``: R = 0, but ``prepare`` holds spectral norms at one, see ``normalize_spectra``;
      ``weight`` is not used.

    The code z is ``posterior.center``, so a head with a variance trains its mean only.

    Published weights belong to another scale. The authors' code (commit 9478b8f) minimises, for
    images of N = C H W values, mean_N (x - y)^2 + b mean_D z^2 + a R, with R as here but for
    ``jacobian``, which it does not have. Times N, that is this objective with beta = 2 b N / D
    and weight = a N, under a normal likelihood of variance 1/2 (whose distortion is the summed
    squared error, up to a constant); under one of variance 1, take half of both. On MNIST
    (N = 1024, D = 16) their b = 5e-4 is beta = 0.064, their a = 1e-7 is weight = 1e-4.

    A decoder whose spectra are held is as steep as its batch normalisations make it. One with a
    slope a at most shows no more of what differs from the mean image than a share
    a^2 / (a^2 + beta / 2), since there the code costs as much as it gains. At the beta that is
    published for ``sn`` (b = 9e-3 on MNIST, which is 1.15 here) a decoder without batch
    normalisation, whose a is far below one, learns little but the mean image.

    Args:
        beta: Weight of the code term; a number, a schedule or its table, as for ``VAE``.
        regularizer: ``none``, ``l2``, ``gp`` or ``sn``.
        weight: Of ``l2`` or ``gp``.
        gradient: Form of ``gp``: ``squared`` (authors' code) or ``jacobian`` (paper).
        spectra: What ``sn`` holds: the ``decoder``, which is what has to be smooth, or ``both``
            encoder and decoder and the head between them, as the authors' code does.
        noise: Standard deviation sigma of normal noise on the code that the decoder is given in
            training; the code term sees the code without it. Two numbers are the lowest and the
            highest: each example has its own sigma, uniform on a logarithmic scale, and the
            decoder is told it (see ``NoiseReader``, which the decoder must have). Codes then lie
            so that what matters most survives the most noise, and one model can both write down
            exactly what it was given and draw what is usual. A third number above 1 draws low
            levels more often, see ``noise_draw``. Held-out losses are without noise.

    Parts: ``distortion``, ``code`` = beta 0.5 ||z||^2 and ``penalty`` (the head's own), each
    (B,), and ``regularizer``, () for ``l2``, (B,) for ``gp``. Logged: ``code_norm`` = ||z|| (B,)
    and ``beta``.
    """

    def __init__(
        self,
        beta: float | Mapping[str, Any] | Schedule = 0.05,
        regularizer: str = "none",
        weight: float = 1e-4,
        gradient: str = "squared",
        noise: float | Sequence[float] = 0.0,
        spectra: str = "decoder",
    ) -> None:
        super().__init__()
        if isinstance(noise, int | float):
            if noise < 0:
                raise ValueError(f"noise must not be below 0, got {noise}")
            self.noise: float | list[float] = noise
        else:
            low, high, power = noise_draw(noise)
            self.noise = [low, high] if power == 1 else [low, high, power]
        if weight < 0:
            raise ValueError(f"weight must not be below 0, got {weight}")
        self.beta = schedule(beta)
        self.regularizer = pick(REGULARIZERS, regularizer, "regularizer")
        self.weight = weight
        self.gradient = pick(GRADIENTS, gradient, "form of the gradient penalty")
        self.spectra = pick(SPECTRA, spectra, "choice of spectra")

    def prepare(self, model: Model) -> None:
        """For ``sn``: normalise layers. Changes the names of their weights."""
        if self.regularizer == "sn":
            for part in SPECTRA[self.spectra]:
                normalize_spectra(getattr(model, part))

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss."""
        posterior = model.posterior(batch.x, batch.context)
        code = posterior.center
        z, batch = self._disturbed(code, batch) if self.training else (code, batch)
        beta = self.beta(step)
        half_norm = 0.5 * code.square().sum(-1)
        parts = {
            "distortion": distortion(model, batch, z),
            "code": beta * half_norm,
            "penalty": posterior.penalty(),
        }
        if self.regularizer == "l2":
            parts["regularizer"] = self.weight * squared_weights(model.decoder)
        elif self.regularizer == "gp":
            parts["regularizer"] = self.weight * gradient_penalty(model, batch, z, self.gradient)
        norm = (2.0 * half_norm.detach()).sqrt()
        shown = {"code_norm": norm, "beta": norm.new_tensor(beta)}
        return Terms(parts, shown | logged(posterior))

    def _disturbed(self, code: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        """Codes (B, D) with noise, and what the decoder is conditioned on, with its level."""
        if not isinstance(self.noise, list):
            return (code + self.noise * torch.randn_like(code) if self.noise else code), batch
        low, high, power = noise_draw(self.noise)
        place = torch.rand(len(code), 1, device=code.device) ** power  # 0 to 1, logarithmic
        sigma = low * torch.exp(math.log(high / low) * place)  # (B, 1)
        told = sigma if batch.context is None else torch.cat([batch.context.float(), sigma], -1)
        return code + sigma * torch.randn_like(code), replace(batch, context=told)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {**super().settings(), "beta": plain(self.beta)}


class AE(Objective):
    """The distortion only, or with squared decoder weights (AE-L2 of Ghosh et al., ICLR 2020).

    Minimised is the mean over examples of -log p(x|z), summed over the event, plus ``weight``
    times the sum of the decoder's squared weights, see ``squared_weights``. Published weights of
    code that averages over N values are N times smaller, see ``RAE``.

    Args:
        weight: Of the squared decoder weights; 0 leaves them alone.

    Parts: ``distortion`` (B,), ``penalty`` (B,) of the head, and ``regularizer`` () if ``weight``
    is not 0. Logged: ``code_norm`` = ||z|| (B,).
    """

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be below 0, got {weight}")
        self.weight = weight

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        posterior = model.posterior(batch.x, batch.context)
        code = posterior.center
        parts = {"distortion": distortion(model, batch, code), "penalty": posterior.penalty()}
        if self.weight:
            parts["regularizer"] = self.weight * squared_weights(model.decoder)
        return Terms(parts, {"code_norm": code.detach().norm(dim=-1)} | logged(posterior))
