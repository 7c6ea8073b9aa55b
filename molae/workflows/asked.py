"""What was asked for of a model, and what of that makes no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molae.names import (
    CODECS,
    CONDITIONS,
    DECODERS,
    DENSITIES,
    ENCODERS,
    GRADIENTS,
    HEADS,
    LIKELIHOODS,
    OBJECTIVES,
    PROPERTIES,
    REGULARIZERS,
    pick,
)
from molae.types import Schedule
from molae.workflows.usual import USUAL

#: Parts of a model whose settings ``options`` may name, as in ``head.scale``.
_SLOTS = {"encoder": ENCODERS, "head": HEADS, "decoder": DECODERS, "prior": DENSITIES}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Options of a model and its objective, each None where nothing was said; see ``train``."""

    objective: str | None
    regularizer: str | None
    gradient: str | None = None
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
    likelihood: str | None = None
    sigma: float | None = None
    width: float | None = None
    image_size: int | Sequence[int] | None = None
    crop: str | None = None
    components: int | None
    codec: str | None
    grammar: str | Path | None
    max_steps: int | None
    properties: Sequence[str]
    property_weight: float | None
    prior: str | None = None
    condition: str | None = None
    labels: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def check_names(self) -> None:
        """Refuse names that nothing has.

        Raises:
            ValueError: With the closest name.
        """
        tables: dict[str, Mapping[str, object]] = {
            "objective": OBJECTIVES,
            "regularizer": REGULARIZERS,
            "gradient": GRADIENTS,
            "likelihood": LIKELIHOODS,
            "codec": CODECS,
            "encoder": ENCODERS,
            "head": HEADS,
            "decoder": DECODERS,
            "prior": DENSITIES,
            "condition": CONDITIONS,
        }
        for option, table in tables.items():
            name = getattr(self, option)
            if name is not None:
                pick(table, name, option)
        for name in self.properties:
            pick(PROPERTIES, name, "property")
        for name in self.options:
            slot, dot, _ = name.partition(".")
            if dot:
                pick(_SLOTS, slot, "part of a model")

    def own(self, slot: str | None) -> dict[str, Any]:
        """Options of one slot by their name there; with None, those of the objective."""
        parts = {name: name.partition(".") for name in self.options}
        return {
            last if dot else name: self.options[name]
            for name, (first, dot, last) in parts.items()
            if (first == slot if dot else slot is None)
        }

    def check_medium(self, medium: str) -> None:
        """Refuse what does not apply to a kind of data.

        Raises:
            ValueError: With what to use instead.
        """
        usual = USUAL[medium]
        for slot, fit in (("encoder", usual.encoders), ("decoder", usual.decoders)):
            name = getattr(self, slot)
            if name not in (None, *fit):
                raise ValueError(
                    f"the {slot} {name!r} is not for {usual.data}: choose from {', '.join(fit)}"
                )
        for other in USUAL.values():
            odd = [name for name in other.options if getattr(self, name) not in (None, ())]
            if odd and other is not usual:
                listed = " and ".join(name.replace("_", "-") for name in odd)
                raise ValueError(
                    f"{listed}: this is for {other.data}, and the data are {usual.data}; leave it "
                    "out"
                )
