"""What is minimised, and who moves."""

from __future__ import annotations

from inspect import signature
from typing import Any

from molae.names import OBJECTIVES, pick
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.elbo import VAE
from molae.objectives.mmd import WAE
from molae.objectives.properties import WithProperties
from molae.objectives.rae import AE, RAE
from molae.objectives.schedules import Constant, Cyclical, Linear, schedule

__all__ = [
    "AE",
    "RAE",
    "VAE",
    "WAE",
    "Constant",
    "Cyclical",
    "Linear",
    "Model",
    "Objective",
    "WithProperties",
    "distortion",
    "objective",
    "schedule",
]

_CLASSES: dict[str, type[Objective]] = {
    "vae": VAE,
    "cvvae": VAE,  # with a head of its own, see molae.runs.build
    "wae": WAE,
    "rae": RAE,
    "ae": AE,
}


def objective(name: str, **settings: Any) -> Objective:
    """An objective by the name that people type.

    Args:
        name: A key of ``molae.names.OBJECTIVES``.
        settings: Arguments of its constructor, as ``Objective.settings`` returns them.

    Raises:
        ValueError: Unknown name or setting, with the closest ones; or a setting out of range.
    """
    made = _CLASSES[pick(OBJECTIVES, name, "objective")]
    for setting in settings:
        pick(signature(made).parameters, setting, f"setting of objective {name!r}")
    return made(**settings)
