"""The evidence lower bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from molae.distributions import logged, rate
from molae.objectives.base import WITH_DENSITY, Model, Objective, distortion
from molae.objectives.schedules import plain, schedule
from molae.repeatable import mean_of_all
from molae.types import Batch, Schedule, Terms


class VAE(Objective):
    """distortion + beta * rate, with one draw of the code for each example.

    The distortion is -log p(x|z) summed over the event, the rate KL(q(z|x) || p(z)) summed over
    D. With beta = 1 it is minus the bound of Kingma and Welling (2014); other values as Higgins
    et al. (2017).

    The Grammar VAE's code (Kusner et al., ICML 2017) minimises, for T positions and V rules,
    T mean_TV(BCE) + mean_D(KL), and decodes mean + 0.01 scale e with e ~ N(0, I): the draw is
    multiplied by ``epsilon_std`` = 0.01, while the KL is that of the whole scale. Here that is
    ``noise_scale`` = 0.01. As for weights: T mean_TV(BCE) is a binary cross-entropy summed over
    T and averaged over V, so V times their loss is a sum of nats with beta = V / D on our summed
    rate (76 / 56 = 1.36 on ZINC). Their cross-entropy is binary: besides -log p of the rule it
    counts -log(1 - p) of all others, which is little at first and as much again once the model
    is nearly right; from there beta = V / (2 D) weighs the same. And they count the padding up
    to T = 277 as a rule to be predicted, which here has no cost.

    The RAE authors' weight w on images, where squared errors are summed over pixels and averaged
    over C channels, is beta = w under a normal likelihood of variance C / 2, up to a constant.

    A decoder that can do without the code soon does, and the rate falls to 0 (posterior collapse:
    Bowman et al., CoNLL 2016). ``free_bits`` = f gives it f nats for nothing: the rate part is
    beta max(f, mean rate of the batch, of all processes), equation 15 of Kingma et al.,
    *Improving Variational Inference with Inverse Autoregressive Flow*, NeurIPS 2016 (``kl_min`` of
    its code), with all D dimensions as one group, so that it is a total and needs no rate for each
    dimension.

    Args:
        beta: A number, a schedule (``molae.objectives.schedules``), or a schedule as a table,
            such as ``{"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 5000}``.
        noise_scale: What the noise of the draw is multiplied with before it is decoded; the rate
            does not know of it. Other than 1, the loss is no bound.
        free_bits: f, in nats for an example, all dimensions together; not below 0.

    Parts: ``distortion`` (B,) and ``beta_rate`` (B,), beta times the rate; ``penalty`` (B,),
    what the head wants lowered itself. Logged: ``rate`` and ``bound`` = -(distortion + rate),
    each (B,), ``beta``, and what the posterior shows (the rate of each step of a ConvDRAW).
    """

    heads = WITH_DENSITY

    def __init__(
        self,
        beta: float | Mapping[str, Any] | Schedule = 1.0,
        noise_scale: float = 1.0,
        free_bits: float = 0.0,
    ) -> None:
        super().__init__()
        if noise_scale < 0:
            raise ValueError(f"noise_scale must not be below 0, got {noise_scale}")
        if free_bits < 0:
            raise ValueError(f"free_bits must not be below 0, got {free_bits}")
        self.beta = schedule(beta)
        self.noise_scale, self.free_bits = noise_scale, free_bits

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the negative bound.

        Raises:
            NoDensityError: The head is ``delta``, which has no rate.
        """
        posterior = model.posterior(batch.x, batch.context)
        z = posterior.rsample()
        cost = rate(posterior, model.prior_of(batch.context), z)
        decoded = z
        if self.noise_scale != 1.0:  # as it was drawn where nothing is scaled: sums are rounded
            decoded = posterior.center + self.noise_scale * (z - posterior.center)
        missed = distortion(model, batch, decoded)
        beta = self.beta(step)
        paid = self._paid(cost, batch.weight)
        parts = {"distortion": missed, "beta_rate": beta * paid, "penalty": posterior.penalty()}
        shown = {
            "rate": cost.detach(),
            "bound": -(missed + cost).detach(),
            "beta": missed.new_tensor(beta),
        }
        return Terms(parts, shown | logged(posterior))

    def _paid(self, cost: Tensor, weight: Tensor | None) -> Tensor:
        """Rates (B,) with a mean of ``free_bits`` at least; below that, without a gradient."""
        if not self.free_bits:
            return cost
        mean = mean_of_all(cost.detach(), weight)
        return torch.where(mean > self.free_bits, cost, self.free_bits)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name, fit for JSON."""
        return {**super().settings(), "beta": plain(self.beta)}


class ConstantVarianceVAE(VAE):
    """The VAE with the head ``constant`` (CV-VAE; GCVVAE on a grammar: Ghosh et al., ICLR 2020).

    Its rate is 0.5 ||mean||^2 and a constant.
    """

    heads = ("constant",)
