"""Distributions over codes: priors, and what is fitted to codes after training."""

from __future__ import annotations

from inspect import signature
from typing import Any

from molae.densities.base import LatentDensity, NotFittedError
from molae.densities.conditional import ConditionalNormal
from molae.densities.fixed import Clusters, RingMixture, SwissRoll
from molae.densities.flow import NormalizingFlow
from molae.densities.indices import IndexDensity
from molae.densities.kernel import KernelDensity
from molae.densities.learned import AutoregressiveDensity, LearnedMixture
from molae.densities.mixture import BayesianMixture, GaussianMixture
from molae.densities.normal import CentredGaussian, Gaussian, StandardNormal
from molae.densities.two_stage import TwoStage
from molae.densities.vamp import VampPrior
from molae.names import DENSITIES, pick

__all__ = [
    "AutoregressiveDensity",
    "BayesianMixture",
    "CentredGaussian",
    "Clusters",
    "ConditionalNormal",
    "Gaussian",
    "GaussianMixture",
    "IndexDensity",
    "KernelDensity",
    "LatentDensity",
    "LearnedMixture",
    "NormalizingFlow",
    "NotFittedError",
    "RingMixture",
    "StandardNormal",
    "SwissRoll",
    "TwoStage",
    "VampPrior",
    "density",
    "density_class",
]

_CLASSES: dict[str, type[LatentDensity]] = {
    "prior": StandardNormal,
    "centred": CentredGaussian,
    "gaussian": Gaussian,
    "gmm": GaussianMixture,
    "bayesian": BayesianMixture,
    "kde": KernelDensity,
    "flow": NormalizingFlow,
    "learned_mixture": LearnedMixture,
    "autoregressive": AutoregressiveDensity,
    "vamp": VampPrior,
    "two_stage": TwoStage,
    "indices": IndexDensity,
    "mixture": RingMixture,
    "swiss_roll": SwissRoll,
    "clusters": Clusters,
    "conditional": ConditionalNormal,
}


def density_class(name: str) -> type[LatentDensity]:
    """What a density's name is bound to.

    Raises:
        ValueError: Unknown name, with the closest ones.
    """
    return _CLASSES[pick(DENSITIES, name, "density")]


def density(name: str, **settings: Any) -> LatentDensity:
    """A density by the name that people type.

    Args:
        name: A key of ``molae.names.DENSITIES``.
        settings: Arguments of its constructor, as ``LatentDensity.settings`` returns them.

    Raises:
        ValueError: Unknown name or setting, with the closest ones; or a setting out of range.
    """
    made = density_class(name)
    for setting in settings:
        pick(signature(made).parameters, setting, f"setting of density {name!r}")
    return made(**settings)
