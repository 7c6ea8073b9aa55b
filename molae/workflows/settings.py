"""What a training builds: from what was asked for, and from the run that it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from molae.codecs import GrammarCodec
from molae.densities import density_class
from molae.grammar.restrict import restricted, tokens_in
from molae.names import CODECS, pick
from molae.nn.exactness import noise_draw, noise_range
from molae.nn.image_likelihood import error_weight, is_fixed
from molae.objectives import objective_class
from molae.objectives.schedules import plain, schedule, settled
from molae.runs.build import DECODERS, ENCODERS, HEADS
from molae.runs.compose import refusal, usual_head
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.types import Schedule
from molae.workflows.asked import Asked
from molae.workflows.conditions import check_taught
from molae.workflows.data import named_grammar
from molae.workflows.usual import USUAL, Usual

#: Gaussians in the mixture that is fitted to codes.
COMPONENTS = 10
#: The head for properties: its width, and what its part of the loss is multiplied with.
PROPERTY_HIDDEN, PROPERTY_WEIGHT = 128, 1.0

#: Options of objectives that a run may be trained on with.
_TUNED = ("beta", "weight", "noise", "noise_scale")
#: Noise on drawn codes, for a decoder that is told: as large as the codes' own spread.
_GENERATED = 1.0

#: Options that are settings of slots, under the names that these have there.
_SETTINGS = {
    "encoder_hidden": (("encoder", "hidden"),),
    "decoder_hidden": (("decoder", "hidden"),),
    "embedding": (("encoder", "embedding"), ("decoder", "embedding")),
    "width": (("encoder", "multiplier"), ("decoder", "multiplier")),
    "likelihood": (("decoder", "likelihood"),),
    "sigma": (("decoder", "sigma"),),
}
#: Classes of each slot by name.
_MADE: dict[str, Mapping[str, type]] = {"encoder": ENCODERS, "decoder": DECODERS}


def settings(asked: Asked, old: Run | None = None, medium: str = "sequences") -> dict[str, Any]:
    """The tables ``model``, ``objective`` and ``densities`` of a run, and its ``grammar``.

    ``grammar`` is None where the codec is one of characters, and there is a table ``properties``
    where any are learnt.

    A training that starts from a run has its architecture, its objective, its codec and its
    properties; only the strengths of the objective (beta, weight, noise) and the components of the
    density may be others, and properties may come to a run that has none.

    Args:
        asked: The options.
        old: The run to start from.
        medium: What the data is, see ``SequenceCodec``.

    Raises:
        ValueError: A name is unknown, or an option does not apply to what is built.
        RunError: An option contradicts the run that is started from; both values are named.
    """
    asked.check_names()
    asked.check_medium(medium)
    if old is not None:
        return _carried(asked, old, medium)
    usual, name = USUAL[medium], asked.objective or "rae"
    latent_dim = usual.latent_dim if asked.latent_dim is None else asked.latent_dim
    slots = _slots(asked, usual)
    goal: dict[str, Any] = {
        option: 1.0 / latent_dim if value is None else value
        for option, value in usual.objectives.get(name, {}).items()
    }
    if name == "rae":
        goal |= usual.regularized.get(asked.regularizer or goal["regularizer"], {})
        if not _tellable(slots["decoder"]) or _one_level(asked.noise):
            goal |= usual.untold
    goal |= _weighed(name, goal, slots["decoder"])
    head = {"name": asked.head or usual_head(name)}
    if reason := refusal(
        name, head=head["name"], decoder=slots["decoder"]["name"], prior=asked.prior, medium=medium
    ):
        raise ValueError(reason)
    head |= usual.slots.get("head", {}).get(head["name"], {})
    head, asked = _noisy(head, goal, asked)
    head |= _own(asked, "head", HEADS[head["name"]])
    objective = _objective({"name": name} | goal, asked, (*_TUNED, "regularizer", "gradient"))
    told = _told(objective, slots["decoder"])
    return {
        "model": {
            "latent_dim": latent_dim,
            "encoder": slots["encoder"],
            "head": head,
            "decoder": slots["decoder"] | told,
        }
        | _prior(asked),
        "objective": objective,
        "densities": _densities(asked.components or COMPONENTS, head, slots["decoder"]),
        **_generation(told),
        "grammar": _grammar(asked, usual),
        **({} if asked.condition is None else {"condition": {"name": asked.condition}}),
    } | _properties(asked, None)


def _slots(asked: Asked, usual: Usual) -> dict[str, dict[str, Any]]:
    """Encoder and decoder, by slot.

    Raises:
        ValueError: An option is a setting of neither.
    """
    # A net for images has both halves: one that is named brings the other.
    mirror = {name: name for name in usual.encoders if name in usual.decoders}
    names = {
        "encoder": asked.encoder or mirror.get(asked.decoder or "", usual.encoders[0]),
        "decoder": asked.decoder or mirror.get(asked.encoder or "", usual.decoders[0]),
    }
    tables = {
        slot: {"name": name} | usual.slots.get(slot, {}).get(name, {})
        for slot, name in names.items()
    }
    for option, places in _SETTINGS.items():
        value = getattr(asked, option)
        taken = [(slot, own) for slot, own in places if own in _arguments(slot, names[slot])]
        if value is not None and not taken:
            named = " and the ".join(f"{slot} {names[slot]!r}" for slot, _ in places)
            have = "has" if len(places) == 1 else "have"
            raise ValueError(f"the {named} {have} no {option}; leave it out")
        for slot, own in taken:
            if value is not None:
                tables[slot][own] = value
    return {
        slot: table | _own(asked, slot, _MADE[slot][names[slot]]) for slot, table in tables.items()
    }


def _own(asked: Asked, slot: str | None, made: type) -> dict[str, Any]:
    """Options that are settings of one class.

    Raises:
        ValueError: It has no such setting; the closest is named.
    """
    own = asked.own(slot)
    for name in own:
        pick(signature(made).parameters, name, f"setting of {made.__name__}")
    return own


def _prior(asked: Asked) -> dict[str, Any]:
    """The table of a prior that is learnt with the model; empty for N(0, I).

    Raises:
        ValueError: It has settings and no name.
    """
    if asked.prior is None:
        if own := asked.own("prior"):
            raise ValueError(f"N(0, I) has no {' and no '.join(own)}; name another prior")
        return {}
    return {"prior": {"name": asked.prior} | _own(asked, "prior", density_class(asked.prior))}


def _weighed(name: str, goal: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, float]:
    """The usual weights of an objective on images, for the likelihood of its decoder.

    They are for the squared error as it is, which a likelihood multiplies; multiplied like it,
    they weigh against it as before, and what is learnt does not change with sigma. Where sigma
    follows from the data the rate of ``vae`` and ``cvvae`` needs no weight: with beta = 1 the
    objective is the bound.
    """
    if "likelihood" not in _arguments("decoder", decoder["name"]):
        return {}
    kind = _setting(_MADE["decoder"][decoder["name"]], dict(decoder), "likelihood")
    sigma = decoder.get("sigma")
    if name in ("vae", "cvvae") and not is_fixed(kind, sigma):
        return {"beta": 1.0}
    factor = error_weight(kind, sigma)
    return {option: factor * goal[option] for option in ("beta", "weight") if option in goal}


def _arguments(slot: str, name: str) -> Mapping[str, Parameter]:
    return signature(_MADE[slot][name]).parameters


def _tellable(decoder: Mapping[str, Any]) -> bool:
    """Whether a decoder can be told how much noise codes carry."""
    return "noise" in _arguments("decoder", decoder["name"])


def _one_level(noise: float | Sequence[float] | None) -> bool:
    """Whether one level of noise was asked for, and not a range."""
    return isinstance(noise, int | float)


def _told(objective: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    """What the decoder needs to be told of noise; nothing where it cannot, or has one level."""
    noise = objective.get("noise")
    if noise is None or _one_level(noise) or not _tellable(decoder):
        return {}
    return {"noise": list(noise_range(noise))}


def _generation(told: Mapping[str, Any]) -> dict[str, Any]:
    """How codes are drawn unless something else is asked for; nothing for most objectives."""
    return {"generation": {"noise": min(_GENERATED, told["noise"][1])}} if told else {}


def _noisy(
    head: dict[str, Any], usual: Mapping[str, Any], asked: Asked
) -> tuple[dict[str, Any], Asked]:
    """The head, and what is left to ask: noise is the scale of a constant head.

    That is so where the objective draws codes and has no noise of its own.
    """
    if asked.noise is None or "noise" in usual or head["name"] != "constant":
        return head, asked
    if not _one_level(asked.noise):
        raise ValueError(f"the head 'constant' has one level of noise, and got {asked.noise}")
    return head | {"scale": asked.noise}, replace(asked, noise=None)


def _objective(usual: dict[str, Any], asked: Asked, options: tuple[str, ...]) -> dict[str, Any]:
    given = {option: getattr(asked, option) for option in options}
    given = {option: value for option, value in given.items() if value is not None}
    if given.get("regularizer", usual.get("regularizer")) == "gp":
        usual = usual | {"gradient": usual.get("gradient", "squared")}
    elif "gradient" in given:
        raise ValueError("gradient is the form of the regularizer 'gp'; leave it out")
    known = usual if len(usual) > 1 else signature(objective_class(usual["name"])).parameters
    odd = [option for option in given if option not in known]
    if asked.beta_warmup is not None and "beta" not in known:
        odd.append("beta_warmup")
    if odd:
        raise ValueError(
            f"the objective {usual['name']!r} has no {' and no '.join(odd)}; leave it out"
        )
    table = usual | given | _own(asked, None, objective_class(usual["name"]))
    if "noise" in table and not _one_level(table["noise"]):
        low, high, power = noise_draw(table["noise"])
        table["noise"] = [low, high] if power == 1 else [low, high, power]
    if "beta" in table:
        table["beta"] = _beta(table["beta"], asked.beta_warmup)
    check_taught(table, asked.labels)
    return table


def _beta(beta: float | Mapping[str, Any] | Schedule, warmup: int | None) -> Any:
    """beta as it is saved: a number or the table of a schedule."""
    if warmup is None:
        return plain(schedule(beta))
    if not isinstance(beta, int | float):
        raise ValueError("beta is a schedule already; give no beta_warmup with it")
    return {"schedule": "linear", "start": 0.0, "end": float(beta), "steps": warmup}


def _grammar(asked: Asked, usual: Usual) -> str | None:
    if asked.codec != "characters":
        return str(asked.grammar) if asked.grammar is not None else usual.grammar
    if asked.grammar is not None:
        raise ValueError("the codec 'characters' has no grammar; leave one of the two out")
    return None


def _properties(asked: Asked, old: dict[str, Any] | None) -> dict[str, Any]:
    """The table of properties under its name, empty where none are learnt.

    Args:
        asked: The options.
        old: The table of the run that is started from, or None.
    """
    if old is None and not asked.properties:
        if asked.property_weight is not None:
            raise ValueError(
                "there are no properties to weigh; name some, or leave the weight out"
            )
        return {}
    new = {
        "names": list(asked.properties),
        "weight": PROPERTY_WEIGHT,
        "hidden": PROPERTY_HIDDEN,
    }
    table = new if old is None else dict(old)
    if asked.property_weight is not None:
        table["weight"] = asked.property_weight
    return {"properties": table}


def _densities(
    components: int, head: Mapping[str, Any], decoder: Mapping[str, Any]
) -> dict[str, Any]:
    """What is fitted to codes after training."""
    if decoder["name"] == "convdraw":
        return {}  # its prior is learnt, and codes are too wide for a full covariance
    found: dict[str, Any] = {"gaussian": {}, "gmm": {"components": components}}
    if head["name"] == "vq":
        found["indices"] = {"group": head["group"]} if "group" in head else {}
    return found


# Starting from a run -----------------------------------------------------------------------------


def _carried(asked: Asked, old: Run, medium: str) -> dict[str, Any]:
    _check_agreement(asked, old, medium)
    components = old.config.get("densities", {}).get("gmm", {}).get("components", COMPONENTS)
    model, objective = deepcopy(old.config["model"]), dict(old.config["objective"])
    if "beta" in objective:
        # A schedule has run its course; its ramp is not climbed again unless that is asked for.
        objective["beta"] = settled(objective["beta"])
    usual = USUAL[medium].objectives.get(objective["name"], {}) | objective
    model["head"], asked = _noisy(model["head"], usual, asked)
    goal = _objective(usual, asked, _TUNED)
    told = _told(goal, model["decoder"])
    model["decoder"] |= told
    generation = old.config.get("generation")
    if foreign := [name for name in asked.options if "." in name]:
        raise ValueError(f"the layers are those of the run: leave {' and '.join(foreign)} out")
    return {
        "model": model,
        "objective": goal,
        "densities": _densities(asked.components or components, model["head"], model["decoder"]),
        **(_generation(told) if generation is None else {"generation": generation}),
        "grammar": _grammar_name(old),
        **{k: deepcopy(v) for k, v in old.config.items() if k == "condition"},
    } | _properties(asked, old.config.get("properties"))


def _check_agreement(asked: Asked, old: Run, medium: str) -> None:
    """Refuse options that contradict the run that is started from.

    Raises:
        RunError: With both values.
    """
    if old.codec.medium != medium:
        has, wanted = USUAL[old.codec.medium].data, USUAL[medium].data
        raise RunError(
            f"the run that training starts from, {old.folder}, is of {has}, and the data are "
            f"{wanted}: train without --from"
        )
    if asked.image_size is not None:
        asked = replace(asked, image_size=_sides(asked.image_size))
    for option, value in _facts(old).items():
        if getattr(asked, option) not in (None, value):
            _contradict(old, option, value, getattr(asked, option))
    longest = old.codec.counts.get("max_steps", 0)
    if asked.max_steps is not None and asked.max_steps < longest:
        _contradict(old, "max_steps", longest, asked.max_steps)
    if asked.grammar is not None and not _same_grammar(asked.grammar, old):
        _contradict(old, "grammar", _grammar_name(old), str(asked.grammar))
    if asked.properties and old.properties and list(asked.properties) != old.properties:
        _contradict(old, "properties", old.properties, list(asked.properties))


def _facts(old: Run) -> dict[str, Any]:
    """What a run has for each option that it decides; None where it has no such thing."""
    model, objective = old.config["model"], old.config["objective"]
    codec = old.codec.to_dict()
    facts = {
        "objective": objective["name"],
        "codec": codec["kind"] if codec["kind"] in CODECS else None,
        "image_size": (codec["height"], codec["width"]) if "height" in codec else None,
        "crop": codec.get("crop"),
        "regularizer": objective.get("regularizer"),
        "gradient": objective.get("gradient"),
        "encoder": model["encoder"]["name"],
        "head": model["head"]["name"],
        "decoder": model["decoder"]["name"],
        "latent_dim": model["latent_dim"],
        "prior": model.get("prior", {"name": "prior"})["name"],
        "condition": None if old.condition is None else old.condition.name,
    }
    for option, places in _SETTINGS.items():
        found = [
            _setting(_MADE[slot][model[slot]["name"]], model[slot], own) for slot, own in places
        ]
        facts[option] = next((value for value in found if value is not None), None)
    return facts


def _sides(size: int | Sequence[int]) -> tuple[int, ...]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else tuple(size)


def _setting(made: type, table: dict[str, Any], name: str) -> Any:
    """A setting as it was given, or the class's own where it was not; None if it has none."""
    parameter = signature(made).parameters.get(name)
    return None if parameter is None else table.get(name, parameter.default)


def _same_grammar(wanted: str | Path, old: Run) -> bool:
    """Whether a grammar is the run's, or the general one that the run's was cut out of."""
    codec = old.codec
    if not isinstance(codec, GrammarCodec):
        return False
    if named_grammar(wanted).digest == codec.grammar.digest:
        return True
    cut = codec.grammar.text == restricted(tokens_in(codec.grammar)).text
    return str(wanted) == "smiles" and cut


def _grammar_name(old: Run) -> str | None:
    """What the run's grammar is called; None where it has none."""
    if not isinstance(old.codec, GrammarCodec):
        return None
    named = old.config.get("training", {}).get("grammar")
    return old.codec.grammar.name if named is None else str(named)


def _contradict(old: Run, option: str, has: object, wanted: object) -> None:
    holds = f"has no {option}" if has is None else f"has {option} {has!r}"
    raise RunError(
        f"the run that training starts from, {old.folder}, {holds}, and {wanted!r} was asked for: "
        "leave that option out, or train without --from"
    )
