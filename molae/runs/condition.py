"""What a run is told beside codes: the class of an image, or a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from molae.draws import inverted, uniforms

#: The step that keys draws of classes; no other draw has it.
_STEP = 1 << 22


@dataclass(frozen=True)
class Condition:
    """The table ``condition`` of a run's settings.

    Attributes:
        name: ``label`` or ``context``, see ``molae.names.CONDITIONS``.
        shape: Of one context as a model is given it: (C,), or (K, H, W) of images.
        classes: Of ``label``: what each is called, C of them.
        shares: Of ``label``: how frequent each is in the data that was learnt from.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self | None:
        """That of a run's settings, or None where it is told nothing."""
        table = config.get("condition")
        return None if table is None else cls(**{k: _tuple(v) for k, v in table.items()})

    def table(self) -> dict[str, Any]:
        """What ``of`` reads, fit for JSON."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "shares": list(self.shares),
        }

    def described(self) -> str:
        """What is told, in a few words."""
        if self.classes:
            return f"the label: {', '.join(self.classes)}"
        what = "images" if len(self.shape) > 1 else "numbers"
        return f"context {what}, {' x '.join(map(str, self.shape))}"

    def label(self, text: str) -> int:
        """The number of a class, by its name.

        Raises:
            ValueError: There is none of that name.
        """
        if text in self.classes:
            return self.classes.index(text)
        raise ValueError(
            f"there is no condition {text!r}: this run knows the labels {', '.join(self.classes)}"
        )

    def one_hot(self, labels: Tensor) -> Tensor:
        """Contexts of classes, (n,) int64 -> (n, C)."""
        return torch.nn.functional.one_hot(labels, len(self.classes)).float()

    def drawn(self, seed: int, index: Tensor) -> Tensor:
        """Contexts of classes drawn as often as they are in the data, by seed and index: (n, C).

        Raises:
            ValueError: These are no classes.
        """
        if not self.classes:
            raise self.missing()
        u = uniforms(seed, index.cpu(), torch.tensor(_STEP)).double()
        return self.one_hot(inverted(torch.tensor(self.shares, dtype=torch.float64), u))

    def missing(self) -> ValueError:
        """The error where nothing is said."""
        if self.classes:
            listed = ", ".join(self.classes)
            return ValueError(
                f"this run is conditioned on a label ({listed}), which has to be given for each "
                "image: molae generate and evaluate do so (--condition), and Run's methods take "
                "context="
            )
        return ValueError(
            f"this run is conditioned on contexts of shape {self.shape}, which have to be given: "
            "name a file that holds some (molae generate or evaluate --condition FILE.npz), or "
            "pass context="
        )


def checked(condition: Condition | None, context: Tensor | None, n: int) -> Tensor | None:
    """Contexts of n examples, as they were given; None where a run is told none.

    Raises:
        ValueError: They are missing, not expected, or of another number or shape.
    """
    if condition is None:
        if context is not None:
            raise ValueError(
                "this run was trained without a condition and can be told none: leave it out, or "
                "train with one (molae train --condition label)"
            )
        return None
    if context is None:
        raise condition.missing()
    if context.shape != (n, *condition.shape):
        raise ValueError(
            f"contexts have shape {tuple(context.shape)}; expected {(n, *condition.shape)}"
        )
    return context


def contexts(
    condition: Condition | None, context: Tensor | None, seed: int, index: Tensor
) -> Tensor | None:
    """The context of each draw of those numbers (n,): given ones (m, ...) in turn, or drawn.

    Raises:
        ValueError: There are contexts and none are expected, or there are none to be had.
    """
    if context is None:
        return None if condition is None else condition.drawn(seed, index)
    found = checked(condition, context, len(context))
    return None if found is None else found[index.cpu() % len(found)]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
