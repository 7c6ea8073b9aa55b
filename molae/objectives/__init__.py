"""What is minimised, and who moves."""

from __future__ import annotations

from inspect import signature
from typing import Any

from molae.names import OBJECTIVES, pick
from molae.objectives.adversarial import AAE
from molae.objectives.ali import ALI
from molae.objectives.avb import AVB
from molae.objectives.base import Model, Objective, distortion
from molae.objectives.contractive import CAE
from molae.objectives.denoising import DAE
from molae.objectives.elbo import VAE, ConstantVarianceVAE
from molae.objectives.geco import GECO
from molae.objectives.iae import IAE
from molae.objectives.iwae import IWAE
from molae.objectives.mmd import WAE
from molae.objectives.properties import WithProperties
from molae.objectives.rae import AE, RAE
from molae.objectives.schedules import Constant, Cyclical, Linear, schedule
from molae.objectives.strkm import StRKM
from molae.objectives.variance import VCAE
from molae.objectives.vqvae import VQVAE

__all__ = [
    "AAE",
    "AE",
    "ALI",
    "AVB",
    "CAE",
    "DAE",
    "GECO",
    "IAE",
    "IWAE",
    "RAE",
    "VAE",
    "VCAE",
    "VQVAE",
    "WAE",
    "Constant",
    "Cyclical",
    "Linear",
    "Model",
    "Objective",
    "StRKM",
    "WithProperties",
    "distortion",
    "objective",
    "objective_class",
    "schedule",
]

_CLASSES: dict[str, type[Objective]] = {
    "vae": VAE,
    "cvvae": ConstantVarianceVAE,
    "iwae": IWAE,
    "wae": WAE,
    "rae": RAE,
    "vqvae": VQVAE,
    "dae": DAE,
    "cae": CAE,
    "vcae": VCAE,
    "strkm": StRKM,
    "ae": AE,
    "aae": AAE,
    "avb": AVB,
    "ali": ALI,
    "iae": IAE,
    "geco": GECO,
}


def objective_class(name: str) -> type[Objective]:
    """What an objective's name is bound to.

    Raises:
        ValueError: Unknown name, with the closest ones.
    """
    return _CLASSES[pick(OBJECTIVES, name, "objective")]


def objective(name: str, **settings: Any) -> Objective:
    """An objective by the name that people type.

    Args:
        name: A key of ``molae.names.OBJECTIVES``.
        settings: Arguments of its constructor, as ``Objective.settings`` returns them.

    Raises:
        ValueError: Unknown name or setting, with the closest ones; or a setting out of range.
    """
    made = objective_class(name)
    for setting in settings:
        pick(signature(made).parameters, setting, f"setting of objective {name!r}")
    return made(**settings)
