"""What a training builds: from what was asked for, and from the run that it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

from molae.codecs import GrammarCodec
from molae.grammar.restrict import restricted, tokens_in
from molae.names import CODECS, DECODERS, HEADS, OBJECTIVES, PROPERTIES, REGULARIZERS, pick
from molae.nn.exactness import noise_draw, noise_range
from molae.objectives.schedules import plain, schedule, settled
from molae.runs.build import DECODERS as MADE_DECODERS
from molae.runs.build import ENCODERS, USUAL_HEAD
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.types import Schedule
from molae.workflows.data import named_grammar

#: What is built where nothing is said.
LATENT_DIM, EMBEDDING, ENCODER_HIDDEN, COMPONENTS, GRAMMAR = 56, 128, 384, 10, "smiles"
#: The head for properties: its width, and what its part of the loss is multiplied with.
PROPERTY_HIDDEN, PROPERTY_WEIGHT = 128, 1.0

#: The settings of each objective, with what they are where nothing is said; None is 1 / D.
_USUAL: dict[str, dict[str, Any]] = {
    "rae": {"beta": 0.05, "regularizer": "l2", "weight": 1e-5, "noise": [0.1, 2.0]},
    "vae": {"beta": None, "noise_scale": 1.0},
    "cvvae": {"beta": None},
    "wae": {"weight": 10.0},
    "ae": {"weight": 0.0},
}
_TUNED = ("beta", "weight", "noise", "noise_scale")
#: What it is for a decoder that cannot be told of noise: one level, and a weaker hold on codes,
#: which have less reason to spread.
_UNTOLD = {"beta": 1e-3, "noise": 0.05}
#: Noise on drawn codes, for a decoder that is told: as large as the codes' own spread.
_GENERATED = 1.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Options of a model and its objective, each None where nothing was said; see ``train``."""

    objective: str | None
    regularizer: str | None
    beta: float | Mapping[str, Any] | Schedule | None
    beta_warmup: int | None
    weight: float | None
    noise: float | Sequence[float] | None
    noise_scale: float | None
    encoder: str | None
    head: str | None
    decoder: str | None
    latent_dim: int | None
    encoder_hidden: int | None
    decoder_hidden: int | None
    embedding: int | None
    components: int | None
    codec: str | None
    grammar: str | Path | None
    max_steps: int | None
    properties: Sequence[str]
    property_weight: float | None

    def check_names(self) -> None:
        """Refuse names that nothing has.

        Raises:
            ValueError: With the closest name.
        """
        tables: dict[str, Mapping[str, object]] = {
            "objective": OBJECTIVES,
            "regularizer": REGULARIZERS,
            "codec": CODECS,
            "encoder": ENCODERS,
            "head": HEADS,
            "decoder": DECODERS,
        }
        for option, table in tables.items():
            name = getattr(self, option)
            if name is not None:
                pick(table, name, option)
        for name in self.properties:
            pick(PROPERTIES, name, "property")


def settings(asked: Asked, old: Run | None = None) -> dict[str, Any]:
    """The tables ``model``, ``objective`` and ``densities`` of a run, and its ``grammar``.

    ``grammar`` is None where the codec is one of characters, and there is a table ``properties``
    where any are learnt.

    A training that starts from a run has its architecture, its objective, its codec and its
    properties; only the strengths of the objective (beta, weight, noise) and the components of the
    density may be others, and properties may come to a run that has none.

    Args:
        asked: The options.
        old: The run to start from.

    Raises:
        ValueError: A name is unknown, or an option does not apply to what is built.
        RunError: An option contradicts the run that is started from; both values are named.
    """
    asked.check_names()
    if old is not None:
        return _carried(asked, old)
    name = asked.objective or "rae"
    latent_dim = LATENT_DIM if asked.latent_dim is None else asked.latent_dim
    usual = {
        option: 1.0 / latent_dim if value is None else value
        for option, value in _USUAL[name].items()
    }
    decoder = _decoder(asked)
    if name == "rae" and (decoder["name"] != "autoregressive" or _one_level(asked.noise)):
        usual |= _UNTOLD
    head, asked = _noisy({"name": asked.head or USUAL_HEAD[name]}, usual, asked)
    objective = _objective({"name": name} | usual, asked, (*_TUNED, "regularizer"))
    return {
        "model": {
            "latent_dim": latent_dim,
            "encoder": _encoder(asked),
            "head": head,
            "decoder": decoder | _told(objective),
        },
        "objective": objective,
        "densities": _densities(asked.components or COMPONENTS),
        **_generation(objective),
        "grammar": _grammar(asked),
    } | _properties(asked, None)


def _one_level(noise: float | Sequence[float] | None) -> bool:
    """Whether one level of noise was asked for, and not a range."""
    return isinstance(noise, int | float)


def _told(objective: Mapping[str, Any]) -> dict[str, Any]:
    """What the decoder needs to be told of noise; nothing where it has one level."""
    noise = objective.get("noise")
    return {} if noise is None or _one_level(noise) else {"noise": list(noise_range(noise))}


def _generation(objective: Mapping[str, Any]) -> dict[str, Any]:
    """How codes are drawn unless something else is asked for; nothing for most objectives."""
    told = _told(objective)
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
    odd = [option for option in given if option not in usual]
    if asked.beta_warmup is not None and "beta" not in usual:
        odd.append("beta_warmup")
    if odd:
        raise ValueError(
            f"the objective {usual['name']!r} has no {' and no '.join(odd)}; leave it out"
        )
    table = usual | given
    if "noise" in table and not _one_level(table["noise"]):
        low, high, power = noise_draw(table["noise"])
        table["noise"] = [low, high] if power == 1 else [low, high, power]
    if "beta" in table:
        table["beta"] = _beta(table["beta"], asked.beta_warmup)
    return table


def _beta(beta: float | Mapping[str, Any] | Schedule, warmup: int | None) -> Any:
    """beta as it is saved: a number or the table of a schedule."""
    if warmup is None:
        return plain(schedule(beta))
    if not isinstance(beta, int | float):
        raise ValueError("beta is a schedule already; give no beta_warmup with it")
    return {"schedule": "linear", "start": 0.0, "end": float(beta), "steps": warmup}


def _grammar(asked: Asked) -> str | None:
    if asked.codec != "characters":
        return str(asked.grammar or GRAMMAR)
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


def _encoder(asked: Asked) -> dict[str, Any]:
    name = asked.encoder or "recurrent"
    if name == "convolutional":
        if asked.encoder_hidden is not None:
            raise ValueError("the encoder 'convolutional' has no encoder_hidden; leave it out")
        return {"name": name}
    return {
        "name": name,
        "embedding": asked.embedding or EMBEDDING,
        "hidden": asked.encoder_hidden or ENCODER_HIDDEN,
    }


def _decoder(asked: Asked) -> dict[str, Any]:
    wanted: dict[str, Any] = {"name": asked.decoder or "autoregressive"}
    if wanted["name"] == "autoregressive":
        wanted["embedding"] = asked.embedding or EMBEDDING
    if asked.decoder_hidden is not None:
        wanted["hidden"] = asked.decoder_hidden
    return wanted


def _densities(components: int) -> dict[str, Any]:
    return {"gaussian": {}, "gmm": {"components": components}}


# Starting from a run -----------------------------------------------------------------------------


def _carried(asked: Asked, old: Run) -> dict[str, Any]:
    for option, value in _facts(old).items():
        if getattr(asked, option) not in (None, value):
            _contradict(old, option, value, getattr(asked, option))
    if asked.max_steps is not None and asked.max_steps < old.codec.max_steps:
        _contradict(old, "max_steps", old.codec.max_steps, asked.max_steps)
    if asked.grammar is not None and not _same_grammar(asked.grammar, old):
        _contradict(old, "grammar", _grammar_name(old), str(asked.grammar))
    if asked.properties and old.properties and list(asked.properties) != old.properties:
        _contradict(old, "properties", old.properties, list(asked.properties))
    components = old.config.get("densities", {}).get("gmm", {}).get("components", COMPONENTS)
    model, objective = deepcopy(old.config["model"]), dict(old.config["objective"])
    if "beta" in objective:
        # A schedule has run its course; its ramp is not climbed again unless that is asked for.
        objective["beta"] = settled(objective["beta"])
    usual = _USUAL[objective["name"]] | objective
    model["head"], asked = _noisy(model["head"], usual, asked)
    goal = _objective(usual, asked, _TUNED)
    model["decoder"] |= _told(goal)
    generation = old.config.get("generation")
    return {
        "model": model,
        "objective": goal,
        "densities": _densities(asked.components or components),
        **(_generation(goal) if generation is None else {"generation": generation}),
        "grammar": _grammar_name(old),
    } | _properties(asked, old.config.get("properties"))


def _facts(old: Run) -> dict[str, Any]:
    """What a run has for each option that it decides; None where it has no such thing."""
    model, objective = old.config["model"], old.config["objective"]
    encoder, decoder = model["encoder"], model["decoder"]
    embeddings = (
        _setting(ENCODERS[encoder["name"]], encoder, "embedding"),
        _setting(MADE_DECODERS[decoder["name"]], decoder, "embedding"),
    )
    return {
        "objective": objective["name"],
        "codec": "grammar" if isinstance(old.codec, GrammarCodec) else "characters",
        "regularizer": objective.get("regularizer"),
        "encoder": encoder["name"],
        "head": model["head"]["name"],
        "decoder": decoder["name"],
        "latent_dim": model["latent_dim"],
        "encoder_hidden": _setting(ENCODERS[encoder["name"]], encoder, "hidden"),
        "decoder_hidden": _setting(MADE_DECODERS[decoder["name"]], decoder, "hidden"),
        "embedding": next((size for size in embeddings if size is not None), None),
    }


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
