"""``fit``: from arguments to a loop under way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from molae.training import checkpoint
from molae.training.devices import Hardware
from molae.training.history import Journal
from molae.training.loop import Loop
from molae.training.memory import keep_memory
from molae.training.pace import check_schedule
from molae.training.progress import Progress
from molae.training.sampler import Buckets, Data
from molae.training.saving import Keeper
from molae.training.state import Options, State, TrainingResult


def fit(
    model: torch.nn.Module,
    objective: Any,
    data: Data,
    *,
    validation: Data | None = None,
    epochs: float | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    schedule: str = "cosine",
    warmup_steps: int = 100,
    clip: float | None = 1.0,
    weight_decay: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    folder: Path | str | None = None,
    checkpoint_every: float = 120.0,
    validate_every: int | None = None,
    log_every: int = 50,
    resume: bool = False,
    patience: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
    unit: str = "examples",
    by_length: bool = True,
) -> TrainingResult:
    """Train ``model`` with ``objective`` on ``data``, in place.

    A run in epochs or steps that is killed at any moment and resumed ends, on a CPU, with the same
    bits as one that was not, given the same precision, processes and threads. Other devices add
    numbers in an order of their own: there it goes on from the same state.

    Args:
        model: Any module that the objective knows how to use. It ends up on the device.
        objective: ``terms``, ``prepare`` and ``players``, and the parameters it owns.
        data: What to train on; see ``Data``.
        validation: Held-out data, or None.
        epochs: Passes over the data. Give one of ``epochs``, ``seconds`` and ``steps``.
        seconds: Time of the whole run; turned into steps after some have been measured.
        steps: Optimisation steps.
        batch_size: Examples in a step, over all processes.
        learning_rate: Of players that do not set their own.
        schedule: ``cosine`` or ``constant``, after the warm-up.
        warmup_steps: Steps in which the rate rises; at most a tenth of the run.
        clip: Largest norm of each player's gradient; None for none.
        weight_decay: Of matrices, for players without an optimiser of their own.
        seed: Of the order of the data and of the random numbers within steps.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 if a trial shows that it is faster by a
            tenth.
        folder: Where ``checkpoint/`` and ``history.jsonl`` go; None writes nothing.
        checkpoint_every: Seconds between two checkpoints.
        validate_every: Steps between two validations; an epoch by default, but at least 50.
        log_every: Steps between two lines of the history.
        resume: Go on from the checkpoint in ``folder``; without one, begin.
        patience: Stop after so many validations without a lower loss, and keep the weights that
            had the lowest. Schedules in the objective are taken at their last step for this, so
            that the losses can be compared.
        tensorboard: Write curves for TensorBoard too.
        progress: Show progress on standard error.
        unit: What to call an example there.
        by_length: Put sequences of like length together, which saves padding. An objective that
            takes a batch for a sample of the data (``Objective.mixed_batches``) must not have it.

    Raises:
        ValueError: An argument makes no sense, the device is not there, or the folder holds a
            checkpoint and ``resume`` is False.
        CheckpointError: The checkpoint is damaged or of another training.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
        TrainingDiverged: Losses or gradients are not finite, again and again.
        OSError: A checkpoint or the history cannot be written.
    """
    folder = None if folder is None else Path(folder)
    check_schedule(schedule)
    _check_length(epochs=epochs, seconds=seconds, steps=steps)
    _check_counts(validate_every=validate_every, log_every=log_every, patience=patience)
    if patience is not None and validation is None:
        raise ValueError(f"patience={patience} needs validation data")
    _check_folder(folder, resume)
    buckets = Buckets(len(data), data.lengths if by_length else None, batch_size, seed)
    if epochs is not None:
        steps = math.ceil(epochs * buckets.steps)
    hardware = Hardware(device, precision)
    if hardware.device.type == "cpu":
        keep_memory()
    journal = Journal(folder if hardware.main else None, tensorboard and hardware.main)
    # Processes draw different noise for their different examples.
    torch.manual_seed(seed + 1_000_003 * hardware.rank)
    objective.prepare(model)
    model.to(hardware.device)
    objective.to(hardware.device)
    hardware.align([model, objective])
    options = Options(
        learning_rate=learning_rate,
        schedule=schedule,
        warmup_steps=warmup_steps,
        clip=clip,
        weight_decay=weight_decay,
        checkpoint_every=checkpoint_every,
        validate_every=validate_every or max(50, buckets.steps),
        log_every=log_every,
        patience=patience,
        choose_precision=precision == "auto",
    )
    state = State(
        total=steps, budget=seconds, seed=seed, batch_size=batch_size, examples=len(data)
    )
    keeper = Keeper(folder, model, objective, hardware, state)
    shown = Progress(progress and hardware.main, unit)
    loop = Loop(
        model, objective, data, validation, buckets, hardware, options, state, keeper, journal,
        shown,
    )  # fmt: skip
    loop.begin(resume)
    return loop.run()


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")


def _check_length(**lengths: float | None) -> None:
    """Exactly one way to say how long, and a positive one."""
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"give one of epochs, seconds and steps; got {given or 'none of them'}")
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"{name} is {value}; it must be more than 0")


def _check_folder(folder: Path | None, resume: bool) -> None:
    if folder is None:
        if resume:
            raise ValueError("resume=True needs the folder that holds the checkpoint")
    elif not resume and checkpoint.exists(folder / "checkpoint"):
        raise ValueError(
            f"{folder} holds the checkpoint of a training already: resume it, or use another "
            "folder"
        )
