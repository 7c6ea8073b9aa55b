"""From settings to modules: where the names that people type are bound to classes."""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch import nn

from molae.codecs import AnyCodec
from molae.densities import LatentDensity, density
from molae.models import Autoencoder
from molae.names import pick
from molae.nn.heads import ConstantNormalHead, DeltaHead, NormalHead, PropertyHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.image_published import CelebaDecoder, CelebaEncoder, MnistDecoder, MnistEncoder
from molae.nn.sequence import (
    AutoregressiveDecoder,
    ConvolutionalEncoder,
    FeedForwardDecoder,
    RecurrentEncoder,
)
from molae.objectives import Objective, WithProperties, objective
from molae.runs.run import Run

#: Encoders by name.
ENCODERS: dict[str, type[nn.Module]] = {
    "recurrent": RecurrentEncoder,
    "convolutional": ConvolutionalEncoder,
    "image": ImageEncoder,
    "image_mnist": MnistEncoder,
    "image_celeba": CelebaEncoder,
}
#: Heads by name.
HEADS: dict[str, type[nn.Module]] = {
    "delta": DeltaHead,
    "normal": NormalHead,
    "constant": ConstantNormalHead,
}
#: Decoders by name.
DECODERS: dict[str, type[nn.Module]] = {
    "autoregressive": AutoregressiveDecoder,
    "feedforward": FeedForwardDecoder,
    "image": ImageDecoder,
    "image_mnist": MnistDecoder,
    "image_celeba": CelebaDecoder,
}
#: The head that an objective is used with unless another is named.
USUAL_HEAD = {
    "vae": "normal",
    "cvvae": "constant",
    "wae": "delta",
    "rae": "delta",
    "ae": "delta",
}


def build(config: dict[str, Any], codec: AnyCodec) -> Run:
    """A run with fresh weights, on the CPU.

    Args:
        config: ``model`` holds ``latent_dim`` and, for ``encoder``, ``head`` and ``decoder``, a
            table with ``name`` and the settings of that class; ``objective`` is such a table too,
            and ``densities`` maps names to settings. ``properties``, where it is there, holds the
            ``names`` of properties that are learnt too, their ``weight`` and the width of the
            head's ``hidden`` layer. Everything else is kept as it is.
        codec: What the model reads and writes.

    Raises:
        ValueError: A name or a setting is unknown, or objective and head do not go together.
    """
    settings, wanted = config["model"], config["objective"]
    _check_pair(wanted["name"], settings["head"]["name"])
    _check_noise(wanted, settings["decoder"])
    properties = config.get("properties")
    goal: Objective = objective(**wanted)
    if properties is not None:
        goal = WithProperties(goal, float(properties["weight"]))
    model = _model(settings, codec, properties)
    goal.prepare(model)
    densities: dict[str, LatentDensity] = {
        name: density(name, **options) for name, options in config.get("densities", {}).items()
    }
    return Run(codec, model.eval(), goal, config, densities=densities)


def _model(
    settings: dict[str, Any], codec: AnyCodec, properties: dict[str, Any] | None
) -> Autoencoder:
    latent = int(settings["latent_dim"])
    given = codec.slots | {"latent": latent}
    encoder = _make(ENCODERS, "encoder", settings["encoder"], given)
    # The decoder before the head, as a reader of the seed would expect of neither: any order will
    # do, but it must stay, or the same seed gives other weights. Properties come last, so that
    # the rest begins the same with them and without.
    decoder = _make(DECODERS, "decoder", settings["decoder"], given)
    head = _make(HEADS, "head", settings["head"], given | {"hidden": encoder.width})
    predictor = None
    if properties is not None:
        count, hidden = len(properties["names"]), int(properties["hidden"])
        predictor = PropertyHead(latent, count, hidden=hidden)
    return Autoencoder(encoder, head, decoder, density("prior", dim=latent), predictor)


def _make(
    table: dict[str, type[nn.Module]], kind: str, wanted: dict[str, Any], given: dict[str, Any]
) -> nn.Module:
    """One slot: what the codec decides, and what the settings say.

    Raises:
        ValueError: A name or a setting is unknown, or the slot is for another kind of data.
    """
    made = table[pick(table, wanted["name"], kind)]
    takes = signature(made).parameters
    lacking = [name for name, one in takes.items() if one.default is one.empty]
    if lacking := [name for name in lacking if name not in {**given, **wanted}]:
        raise ValueError(
            f"the {kind} {wanted['name']!r} is not for this kind of data: nothing says its "
            f"{' and '.join(lacking)}"
        )
    settings = {name: value for name, value in wanted.items() if name != "name"}
    for name in settings:
        pick(takes, name, f"setting of {kind} {wanted['name']!r}")
    return made(**{name: given[name] for name in given if name in takes} | settings)


def _check_pair(goal: str, head: str) -> None:
    """Refuse at once what would fail in the first step.

    Raises:
        ValueError: With what to use instead.
    """
    if goal == "cvvae" and head != "constant":
        raise ValueError(
            f"the objective 'cvvae' is 'vae' with the head 'constant', and got {head!r}: "
            "leave the head out, or use the objective 'vae'"
        )
    if goal == "vae" and head == "delta":
        raise ValueError(
            "the objective 'vae' needs a head with a density, and 'delta' is a point: use the "
            "head 'normal' or 'constant', or the objective 'rae'"
        )


def _check_noise(goal: dict[str, Any], decoder: dict[str, Any]) -> None:
    """Refuse a range of noise that the decoder cannot be told of.

    Raises:
        ValueError: With what to use instead.
    """
    noise = goal.get("noise")
    if isinstance(noise, list | tuple) and not decoder.get("noise"):
        raise ValueError(
            f"noise from {noise[0]:g} to {noise[1]:g} needs a decoder that is told how much "
            f"there is, and {decoder['name']!r} is not: use the decoder 'autoregressive' with a "
            "range of noise, or one level of noise"
        )
