"""What a training is: its options, its scalars, its result and its two ways to stop short."""

from __future__ import annotations

from dataclasses import dataclass, field

from molae.training.history import Record


class TrainingInterrupted(RuntimeError):
    """Training was stopped by Ctrl-C or SIGTERM; the message says how to go on."""


class TrainingDiverged(RuntimeError):
    """The loss or its gradients stopped being numbers; the message names the step."""


@dataclass
class TrainingResult:
    """What a training came to.

    Attributes:
        steps: Optimisation steps made, those before a resume included.
        epochs: The same in passes over the data.
        seconds: Time spent, in all sittings.
        precision: ``fp32`` or ``bf16``.
        device: Name of the device.
        reason: ``finished``, or ``patience`` where validation got no better.
        best_step: Step of the lowest validation loss, or None.
        best_loss: That loss, or None.
        history: The records of ``history.jsonl``.
    """

    steps: int
    epochs: float
    seconds: float
    precision: str
    device: str
    reason: str
    best_step: int | None
    best_loss: float | None
    history: list[Record]


@dataclass
class State:
    """The scalars of a checkpoint.

    Attributes:
        step: Steps made.
        total: Steps to make; None until a time is turned into steps.
        budget: The time that was asked for, in seconds, or None.
        seconds: Time spent before this sitting.
        best_loss: Lowest validation loss, or None.
        best_step: Its step.
        stale: Validations since then.
        strikes: Steps without a finite gradient, forgiven little by little.
        skipped: The same, never forgiven.
        precision: ``fp32`` or ``bf16``.
        seed: Of order and noise.
        batch_size: Examples in a step, over all processes.
        examples: Examples in the data set.
        players: Optimiser and size of each player, in words.
    """

    step: int = 0
    total: int | None = None
    budget: float | None = None
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    strikes: float = 0.0
    skipped: int = 0
    precision: str = "fp32"
    seed: int = 0
    batch_size: int = 256
    examples: int = 0
    players: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """The arguments of ``fit`` that are looked at during the loop; documented there."""

    learning_rate: float
    schedule: str
    warmup_steps: int
    clip: float | None
    weight_decay: float
    checkpoint_every: float
    validate_every: int
    log_every: int
    patience: int | None
    choose_precision: bool
