"""Distributions over codes: priors, and what is fitted to codes after training."""

from __future__ import annotations

from inspect import signature
from typing import Any

from molae.densities.base import LatentDensity, NotFittedError
from molae.densities.flow import NormalizingFlow
from molae.densities.kernel import KernelDensity
from molae.densities.mixture import BayesianMixture, GaussianMixture
from molae.densities.normal import CentredGaussian, Gaussian, StandardNormal
from molae.densities.two_stage import TwoStage
from molae.names import DENSITIES, pick

__all__ = [
    "BayesianMixture",
    "CentredGaussian",
    "Gaussian",
    "GaussianMixture",
    "KernelDensity",
    "LatentDensity",
    "NormalizingFlow",
    "NotFittedError",
    "StandardNormal",
    "TwoStage",
    "density",
]

_CLASSES: dict[str, type[LatentDensity]] = {
    "prior": StandardNormal,
    "centred": CentredGaussian,
    "gaussian": Gaussian,
    "gmm": GaussianMixture,
    "bayesian": BayesianMixture,
    "kde": KernelDensity,
    "flow": NormalizingFlow,
    "two_stage": TwoStage,
}


def density(name: str, **settings: Any) -> LatentDensity:
    """A density by the name that people type.

    Args:
        name: A key of ``molae.names.DENSITIES``.
        settings: Arguments of its constructor, as ``LatentDensity.settings`` returns them.

    Raises:
        ValueError: Unknown name or setting, with the closest ones; or a setting out of range.
    """
    made = _CLASSES[pick(DENSITIES, name, "density")]
    for setting in settings:
        pick(signature(made).parameters, setting, f"setting of density {name!r}")
    return made(**settings)
