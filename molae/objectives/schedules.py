"""Numbers that change with the optimisation step, written down as the arguments that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from inspect import signature
from typing import Any

from molae.names import pick
from molae.types import Schedule


@dataclass(frozen=True)
class Constant:
    """The same number at every step.

    Args:
        value: That number.
    """

    value: float

    def __call__(self, step: int) -> float:
        """The value at a step."""
        return self.value


@dataclass(frozen=True)
class Linear:
    """A straight line, then flat: the warm-up of Bowman et al. (CoNLL 2016).

    Args:
        start: Value at step 0.
        end: Value from step ``steps`` on.
        steps: Length of the ramp.
    """

    start: float = 0.0
    end: float = 1.0
    steps: int = 10_000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a linear schedule needs steps of 1 or more, got {self.steps}")

    def __call__(self, step: int) -> float:
        """The value at a step."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Cyclical:
    """A ramp followed by a flat part, again and again (Fu et al., NAACL 2019).

    Args:
        low: Value at the start of each period.
        high: Value after the ramp.
        period: Steps from one start to the next.
        ramp: Share of the period that the ramp takes, above 0 and at most 1.
        cycles: How many periods; ``high`` afterwards. Fu et al. use 4.
    """

    low: float = 0.0
    high: float = 1.0
    period: int = 10_000
    ramp: float = 0.5
    cycles: int = 4

    def __post_init__(self) -> None:
        if self.period < 1 or not 0.0 < self.ramp <= 1.0 or self.cycles < 1:
            raise ValueError(
                "a cyclical schedule needs period >= 1, 0 < ramp <= 1 and cycles >= 1, got "
                f"period={self.period}, ramp={self.ramp}, cycles={self.cycles}"
            )

    def __call__(self, step: int) -> float:
        """The value at a step."""
        if step >= self.period * self.cycles:
            return self.high
        done = (step % self.period) / (self.period * self.ramp)
        return self.low + (self.high - self.low) * min(done, 1.0)


#: A step after the last of any training.
_LATE = 1 << 62

_KINDS: dict[str, type[Constant | Linear | Cyclical]] = {
    "constant": Constant,
    "linear": Linear,
    "cyclical": Cyclical,
}


def schedule(value: float | Mapping[str, Any] | Schedule) -> Schedule:
    """A schedule from a number, a table or itself.

    A table names the kind and its arguments: ``{"schedule": "linear", "steps": 5000}``.

    Raises:
        ValueError: Unknown kind or argument, with the closest ones.
        TypeError: None of the three.
    """
    if isinstance(value, (int, float)):
        return Constant(float(value))
    if isinstance(value, Mapping):
        arguments = dict(value)
        made = _KINDS[pick(_KINDS, str(arguments.pop("schedule", None)), "schedule")]
        for name in arguments:
            pick(signature(made).parameters, name, "argument of the schedule")
        return made(**arguments)
    if callable(value):
        return value
    raise TypeError(f"a schedule is a number, a table or a function of the step, got {value!r}")


def settled(value: float | Mapping[str, Any] | Schedule) -> float:
    """The number that a schedule ends at, once all its ramps are over.

    Raises:
        ValueError: Unknown kind or argument, with the closest ones.
    """
    return schedule(value)(_LATE)


def plain(value: Schedule) -> float | dict[str, Any]:
    """What ``schedule`` makes the same schedule from, fit for JSON or TOML.

    Raises:
        ValueError: A function of the user's own, which cannot be written down.
    """
    if isinstance(value, Constant):
        return value.value
    for name, kind in _KINDS.items():
        if isinstance(value, kind):
            return {"schedule": name, **asdict(value)}
    raise ValueError(
        f"{value!r} cannot be saved with a run: use a number, {', '.join(_KINDS)} from "
        "molae.objectives.schedules"
    )
