"""What goes with what: objectives, heads and priors, and a sentence where they do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

from molae.densities import density_class
from molae.names import DENSITIES, FIXED_DENSITIES, HEADS, OBJECTIVES, WITHOUT_DENSITY
from molae.objectives import GECO, Objective, objective_class
from molae.objectives.constraints import constraints_of
from molae.runs.condition import Condition

#: Objectives whose rate is that of the prior, given a context where there is one.
RATED = ("vae", "cvvae", "iwae", "geco")
#: Objectives whose loss asks the prior for its density, and so can learn it.
LEARNS_PRIOR = (*RATED, "avb")
#: Objectives of a rate that leave the head its variances.
STEPWISE = ("vae", "iwae", "geco")
#: Objectives whose critics see the context too.
OF_PAIRS = ("avb", "ali", "iae")
#: Decoders that are shown what they should write, and objectives that compare it with the data.
SHOWN, COMPARING = ("pixelcnn",), ("geco", "ali", "iae", "cae")


def usual_head(goal: str) -> str:
    """The head that an objective is used with unless another is named."""
    return objective_class(goal).heads[0]


def refusal(
    goal: str,
    *,
    head: str | None = None,
    decoder: str | None = None,
    prior: str | None = None,
    medium: str | None = None,
) -> str | None:
    """Why an objective does not go with what is given, and what to use instead; None if it does.

    Args:
        goal: A key of ``molae.names.OBJECTIVES``.
        head: A key of ``molae.names.HEADS``, and so are the others of theirs.
        decoder: What writes the data.
        prior: What is learnt with the model.
        medium: What the data is, ``sequences`` or ``images``.
    """
    made = objective_class(goal)
    if medium is not None and medium not in made.media:
        return _misplaced(f"the objective {goal!r}", made.media, medium)
    return (
        (None if head is None else _no_head(goal, head))
        or (None if decoder is None else _no_decoder(goal, decoder))
        or (None if prior is None else _no_prior(goal, prior, medium))
    )


def _no_head(goal: str, head: str) -> str | None:
    heads = objective_class(goal).heads
    if head in heads:
        return None
    instead = f"use the head {_either(heads)}, or another objective: molae objectives"
    if head in WITHOUT_DENSITY and not set(heads) & set(WITHOUT_DENSITY):
        return (
            f"the objective {goal!r} needs a head with a density, and {head!r} has none "
            f"({HEADS[head]}): {instead}"
        )
    return f"the objective {goal!r} does not go with the head {head!r}: {instead}"


def _no_decoder(goal: str, decoder: str) -> str | None:
    if decoder in SHOWN and goal in COMPARING:
        return (
            f"the decoder {decoder!r} is shown the pixels that it should write, and the objective "
            f"{goal!r} compares what it writes with them: use the decoder 'image'"
        )
    if decoder == "convdraw" and goal not in STEPWISE:
        return (
            f"'convdraw' has a normal distribution for each step, and a prior that is learnt by "
            f"its rate, so it does not go with the objective {goal!r}: use {_either(STEPWISE)}, "
            "or another decoder"
        )
    return None


def _no_prior(goal: str, prior: str, medium: str | None) -> str | None:
    made = density_class(prior)
    if "dim" not in signature(made).parameters:
        return (
            f"the density {prior!r} is fitted to codes after training (--density, molae density "
            "fit), and cannot be learnt with the model: leave --prior out"
        )
    if medium is not None and medium not in made.media:
        why = _misplaced(f"the prior {prior!r}", made.media, medium)
        return f"{why}: use the prior 'learned_mixture', or leave --prior out"
    learns = RATED if prior == "conditional" else LEARNS_PRIOR
    if prior in FIXED_DENSITIES or goal in learns:
        return None
    return (
        f"the objective {goal!r} never asks how likely the prior finds a code, and so does not "
        f"learn {prior!r}: use {_either(learns)}, or leave --prior out"
    )


def check_constraint(goal: Objective, medium: str) -> None:
    """Refuse a constraint on other data.

    Args:
        goal: The objective.
        medium: What the data is, ``sequences`` or ``images``.

    Raises:
        ValueError: With what to use instead.
    """
    if isinstance(goal, GECO) and goal.wanted.medium != medium:
        why = _misplaced(f"the constraint {goal.constraint!r}", (goal.wanted.medium,), medium)
        raise ValueError(f"{why}: use {_either(constraints_of(medium))}")


def check_condition(model: dict[str, Any], goal: str, condition: Condition | None) -> None:
    """Refuse what does not go with what a model is told, or is not told.

    Args:
        model: The table of the model.
        goal: A key of ``molae.names.OBJECTIVES``.
        condition: What it is told.

    Raises:
        ValueError: With what to use instead.
    """
    if model.get("prior", {}).get("name") == "conditional" and condition is None:
        raise ValueError(
            "the prior 'conditional' depends on a condition, and there is none: give one "
            "(--condition label), or leave --prior out"
        )
    if model.get("prior", {}).get("name") == "vamp" and condition is not None:
        raise ValueError(
            "the prior 'vamp' is made of pseudo-images, for an encoder that is told nothing "
            "beside an image: use the prior 'learned_mixture', or leave --condition out"
        )
    if condition is not None and len(condition.shape) > 1 and goal in OF_PAIRS:
        raise ValueError(
            f"the critics of {goal!r} look at labels or numbers beside an image, not at context "
            "images: use the objective 'vae', or --condition label"
        )


@dataclass(frozen=True)
class Combination:
    """An objective and what it goes with, by name.

    Attributes:
        objective: Its name.
        heads: The usual one first.
        priors: That can be its prior.
        media: What data it is for.
        settings: Arguments of its class.
    """

    objective: str
    heads: tuple[str, ...]
    priors: tuple[str, ...]
    media: tuple[str, ...]
    settings: tuple[str, ...]

    def decoders(self, names: Iterable[str]) -> list[str]:
        """Those that it goes with."""
        return [name for name in names if refusal(self.objective, decoder=name) is None]


def combinations() -> Iterator[Combination]:
    """All objectives with what they go with."""
    for name in OBJECTIVES:
        made = objective_class(name)
        heads = tuple(head for head in made.heads if refusal(name, head=head) is None)
        priors = tuple(one for one in DENSITIES if refusal(name, prior=one) is None)
        yield Combination(name, heads, priors, made.media, tuple(signature(made).parameters))


def _misplaced(what: str, media: tuple[str, ...], medium: str) -> str:
    return f"{what} is for {' and '.join(media)}, and the data are {medium}"


def _either(names: tuple[str, ...]) -> str:
    *first, last = (repr(name) for name in names)
    return f"{', '.join(first)} or {last}" if first else last
