"""Weights of a run on images as the authors of the RAE would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from molae.objectives.schedules import settled

#: The conversion in words, for those who compare; N = C H W values, D numbers in a code.
CONVERSION = (
    "Distortions are sums of nats. Under the likelihood 'gaussian', and but for rounding under "
    "'quantised' and 'discretised' with a given sigma, they are squared errors summed over the N "
    "values of an image, where the code of the RAE paper has means: its weight of the "
    "code is beta D / 2 N, of the regulariser (rae, ae) and of the MMD (wae) weight / N, of the "
    "KL (vae, cvvae) beta / channels. That is at the usual sigma^2 = 1/2; at another one our "
    "weights times 2 sigma^2 are meant. Its code has no penalty like 'jacobian'."
)

#: Objectives that their code has.
_THEIRS = ("vae", "cvvae", "wae", "rae", "ae")


def published_weights(
    objective: Mapping[str, Any], latent_dim: int, shape: Sequence[int], sigma: float
) -> dict[str, float]:
    """What the authors' code (commit 9478b8f) would call the weights of an objective.

    It minimises, for images of N = C H W values, mean_N (x - y)^2 + b mean_D z^2 + a R (RAE, AE),
    mean_N (x - y)^2 + w MMD^2 (WAE), or the squared error summed over pixels and averaged over
    channels + w KL (VAE). Ours, times 2 sigma^2, is the summed squared error and the rest.

    The penalty ``jacobian`` of the RAE has no ``a``: their code has no such term, and between the
    squares of two different gradients there is no factor.

    Args:
        objective: Its table in a run's settings.
        latent_dim: D.
        shape: (C, H, W).
        sigma: Of a normal likelihood, the same for all values and fixed.

    Returns:
        ``b``, ``a`` or ``w``, as far as they apply; none of an objective that they do not have.
    """
    name = objective["name"]
    if name not in _THEIRS:
        return {}
    values, scale = prod(shape), 2.0 * sigma**2
    weight = scale * objective.get("weight", 0.0)
    beta = scale * float(settled(objective.get("beta", 0.0)))
    if name in ("vae", "cvvae"):
        return {"w": beta / shape[0]}
    if name == "wae":
        return {"w": weight / values}
    found = {} if name == "ae" else {"b": beta * latent_dim / (2.0 * values)}
    theirs = objective.get("regularizer") in ("l2", "gp")
    if name == "ae" or (theirs and objective.get("gradient") != "jacobian"):
        found["a"] = weight / values
    return found
