"""What codes can be drawn from, and what they are drawn from where nobody names a density."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from molae.densities import CentredGaussian, Gaussian, LatentDensity

#: Densities that codes are drawn from, the best first.
_PREFERRED = ("indices", "gmm", "gaussian", "prior")
#: Objectives that hold the codes that are drawn to the prior. With the head ``implicit``, whose
#: centres lack its noise and are what densities are fitted to, the prior is then the best.
_HELD_TO_PRIOR = ("aae", "ali", "avb", "iae", "wae")


def drawable(densities: Mapping[str, LatentDensity], prior: Any) -> dict[str, LatentDensity]:
    """All densities that codes can be drawn from, by name.

    N(0, Sigma), ``centred``, follows from a fitted Gaussian, and is there wherever that is.

    Args:
        densities: What was fitted to codes.
        prior: The density of the model.
    """
    there: dict[str, LatentDensity] = {**densities, "prior": prior}
    gaussian = there.get("gaussian")
    if isinstance(gaussian, Gaussian) and len(gaussian.mean) and "centred" not in there:
        there["centred"] = CentredGaussian.like(gaussian)
    return there


def preferred(config: dict[str, Any], there: Collection[str]) -> str:
    """The name of the best density: the first of indices, gmm, gaussian, prior that is there.

    It is the prior where those that are fitted to codes cannot know enough: of a condition that
    it depends on, and of the noise of the head ``implicit``.

    Args:
        config: Of a run, see ``build``.
        there: Names of its densities, the prior among them.
    """
    model = config["model"]
    conditional = model.get("prior", {}).get("name") == "conditional"
    implicit = model["head"]["name"] == "implicit"
    if conditional or (implicit and config["objective"]["name"] in _HELD_TO_PRIOR):
        return "prior"
    return next(name for name in _PREFERRED if name in there)
