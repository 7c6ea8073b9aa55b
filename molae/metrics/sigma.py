"""Negative log-likelihoods of images that do not depend on how a model was trained.

Rezende and Viola, *Taming VAEs*, 2018, appendix D: models that were trained under other
constraints or weights have other standard deviations, or none; so one is found afterwards for
each, on the data that it learnt from, with everything else as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from molae.datasets.arrays import DataSet
from molae.models import Autoencoder
from molae.nn.image_likelihood import PixelLikelihood, PixelModel
from molae.repeatable import measuring
from molae.types import Batch, Likelihood


@torch.no_grad()
def sigma_opt(model: Autoencoder, data: DataSet, seed: int = 0, batch_size: int = 512) -> float:
    """sigma_opt: the root of the mean of (x - g(z))^2 over images, values and draws z ~ q(z|x).

    The standard deviation under which a normal likelihood of the data is largest.

    Args:
        model: Of images.
        data: What it learnt from.
        seed: Of the draws, one for each image.
        batch_size: Images at once.

    Raises:
        ValueError: There are no data, or they are no images.
    """
    total, count = 0.0, 0
    for batch, likelihood in _decoded(model, data, seed, batch_size):
        total += float((batch.x - likelihood.mean).square().double().sum())
        count += batch.x.numel()
    return math.sqrt(total / count)


@torch.no_grad()
def quantised_nats(
    model: Autoencoder, data: DataSet, sigma: float, seed: int = 0, batch_size: int = 512
) -> float:
    """-log p(x|z) per value in nats, z ~ q(z|x), under the quantised normal with one sigma.

    See ``molae.nn.image_likelihood.QuantisedPixels``; divided by log 2 it is bits per dimension.

    Args:
        model: Of images.
        data: Images, held out or not.
        sigma: See ``sigma_opt``.
        seed: Of the draws and of the noise on the values.
        batch_size: Images at once.

    Raises:
        ValueError: There are no data, they are no images, or sigma is not above 0.
    """
    around = PixelModel("quantised", sigma)
    total, count = 0.0, 0
    for batch, likelihood in _decoded(model, data, seed, batch_size):
        total -= float(around(likelihood.logits).log_prob(batch.x).double().sum())
        count += batch.x.numel()
    return total / count


def _decoded(
    model: Autoencoder, data: DataSet, seed: int, batch_size: int
) -> Iterator[tuple[Batch, PixelLikelihood]]:
    """Batches, and p(x|z) of one draw of the code of each example, in evaluation."""
    if not len(data):
        raise ValueError("there are no images; expected at least one")
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        with measuring(seed, device):
            for first in range(0, len(data), batch_size):
                batch = data.batch(range(first, min(first + batch_size, len(data)))).to(device)
                z: Tensor = model.posterior(batch.x, batch.context).rsample()
                yield batch, _pixels(model.likelihood(z, batch.context))
    finally:
        model.train(training)


def _pixels(likelihood: Likelihood) -> PixelLikelihood:
    """The likelihood itself.

    Raises:
        ValueError: It is of no images, or its values depend on each other.
    """
    if not isinstance(likelihood, PixelLikelihood):
        raise ValueError(
            f"a {type(likelihood).__name__} has no means around which values lie: sigma_opt is "
            "for images whose values are independent, given the code"
        )
    return likelihood
