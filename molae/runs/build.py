"""From settings to modules: where the names that people type are bound to classes."""

from __future__ import annotations

from inspect import signature
from typing import Any, cast

from torch import nn

from molae.codecs import AnyCodec
from molae.convdraw import ConvDRAW
from molae.densities import LatentDensity, density
from molae.models import Autoencoder
from molae.names import pick
from molae.nn.flow_heads import IafHead, MafHead, NvpHead, PlanarHead
from molae.nn.heads import ConstantNormalHead, DeltaHead, NormalHead, PropertyHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.image_published import CelebaDecoder, CelebaEncoder, MnistDecoder, MnistEncoder
from molae.nn.implicit_heads import ImplicitHead
from molae.nn.pixelcnn import PixelCNNDecoder
from molae.nn.quantiser import VectorQuantiser
from molae.nn.sequence import (
    AutoregressiveDecoder,
    ConvolutionalEncoder,
    FeedForwardDecoder,
    RecurrentEncoder,
)
from molae.nn.stiefel import StiefelHead
from molae.objectives import Objective, WithProperties, objective
from molae.runs.compose import check_condition, check_constraint, refusal
from molae.runs.condition import Condition
from molae.runs.run import Run

#: Numbers that context images become, which every slot of a model is told.
_TOLD = 64
#: Encoders by name.
ENCODERS: dict[str, type[nn.Module]] = {
    "recurrent": RecurrentEncoder,
    "convolutional": ConvolutionalEncoder,
    "image": ImageEncoder,
    "image_mnist": MnistEncoder,
    "image_celeba": CelebaEncoder,
    "convdraw": ConvDRAW,  # both halves
}
#: Heads by name.
HEADS: dict[str, type[nn.Module]] = {
    "delta": DeltaHead,
    "stiefel": StiefelHead,
    "vq": VectorQuantiser,
    "normal": NormalHead,
    "constant": ConstantNormalHead,
    "implicit": ImplicitHead,
    "nvp": NvpHead,
    "iaf": IafHead,
    "maf": MafHead,
    "planar": PlanarHead,
}
#: Decoders by name.
DECODERS: dict[str, type[nn.Module]] = {
    "autoregressive": AutoregressiveDecoder,
    "feedforward": FeedForwardDecoder,
    "image": ImageDecoder,
    "image_mnist": MnistDecoder,
    "image_celeba": CelebaDecoder,
    "pixelcnn": PixelCNNDecoder,
    "convdraw": ConvDRAW,
}


def build(config: dict[str, Any], codec: AnyCodec) -> Run:
    """A run with fresh weights, on the CPU.

    Args:
        config: ``model`` holds ``latent_dim`` and, for ``encoder``, ``head``, ``decoder`` and, if
            it is not N(0, I), ``prior``, a table with ``name`` and the settings of that class;
            ``objective`` is such a table too,
            and ``densities`` maps names to settings. ``properties``, where it is there, holds the
            ``names`` of properties that are learnt too, their ``weight`` and the width of the
            head's ``hidden`` layer. ``condition``, where it is there, says what the model is told
            beside x, see ``molae.runs.condition``. Everything else is kept as it is.
        codec: What the model reads and writes.

    Raises:
        ValueError: A name or a setting is unknown, or objective and head do not go together.
    """
    settings, wanted = config["model"], config["objective"]
    if reason := refusal(
        wanted["name"],
        head=settings["head"]["name"],
        decoder=settings["decoder"]["name"],
        prior=settings.get("prior", {}).get("name"),
        medium=codec.medium,
    ):
        raise ValueError(reason)
    _check_noise(wanted, settings["decoder"])
    properties = config.get("properties")
    goal: Objective = objective(**wanted)
    check_constraint(goal, codec.medium)
    if properties is not None:
        goal = WithProperties(goal, float(properties["weight"]))
    condition = Condition.of(config)
    check_condition(settings, wanted["name"], condition)
    model = _model(settings, codec, properties, condition)
    goal.prepare(model)
    densities: dict[str, LatentDensity] = {
        name: density(name, **options) for name, options in config.get("densities", {}).items()
    }
    return Run(codec, model.eval(), goal, config, densities=densities)


def _model(
    settings: dict[str, Any],
    codec: AnyCodec,
    properties: dict[str, Any] | None,
    condition: Condition | None,
) -> Autoencoder:
    latent = int(settings["latent_dim"])
    given = codec.slots | {"latent": latent}
    if "convdraw" in (settings["encoder"]["name"], settings["decoder"]["name"]):
        if condition is not None:  # it looks at context images itself
            shape = condition.shape
            given["context"] = shape[0] if len(shape) == 1 else shape
        return _in_one_piece(settings, given, properties)
    reader = None
    if condition is not None:
        if len(condition.shape) > 1:
            # Several images are the channels of one, which is how Rezende and Viola (*Taming
            # VAEs*, 2018) may or may not have done it: what we have of the paper does not say.
            reader = ImageEncoder(condition.shape, hidden=_TOLD)
        given["context"] = condition.shape[0] if reader is None else reader.width
    encoder = _make(ENCODERS, "encoder", settings["encoder"], given)
    # The decoder before the head, as a reader of the seed would expect of neither: any order will
    # do, but it must stay, or the same seed gives other weights. Properties come last, so that
    # the rest begins the same with them and without.
    decoder = _make(DECODERS, "decoder", settings["decoder"], given)
    head = _make(HEADS, "head", settings["head"], given | {"hidden": encoder.width})
    predictor = _predictor(latent, properties)
    prior = settings.get("prior", {"name": "prior"})
    believed = density(**prior, dim=latent)
    believed.attach(encoder, head)
    return Autoencoder(encoder, head, decoder, believed, predictor, reader)


def _in_one_piece(
    settings: dict[str, Any], given: dict[str, Any], properties: dict[str, Any] | None
) -> Autoencoder:
    """A model whose encoder and decoder see each other in every step.

    Raises:
        ValueError: Half of it was named, or a head or a prior that it does not have.
    """
    encoder, decoder = settings["encoder"], settings["decoder"]
    if not encoder.items() <= decoder.items():
        raise ValueError(
            "'convdraw' is an encoder and a decoder in one piece: name no other beside it, and "
            "give its settings to the decoder (decoder.steps=8)"
        )
    if settings["head"] != {"name": "normal"} or "prior" in settings:
        raise ValueError(
            "'convdraw' has a normal distribution for each step as its head, and a prior of its "
            "own: use the head 'normal' and no prior, with the objective 'vae', 'geco' or 'iwae'"
        )
    made = cast(Autoencoder, _make(DECODERS, "decoder", decoder, given))
    made.predictor = _predictor(given["latent"], properties)
    return made


def _predictor(latent: int, properties: dict[str, Any] | None) -> PropertyHead | None:
    """The head for properties, where any are learnt."""
    if properties is None:
        return None
    return PropertyHead(latent, len(properties["names"]), hidden=int(properties["hidden"]))


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
