"""The one loop. For each batch, for each player: terms, backward, clip, step."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from molae.training.devices import Hardware
from molae.training.history import Journal, Meter, Record, part_mean
from molae.training.interrupts import Interrupts
from molae.training.movers import make_movers
from molae.training.pace import Stopwatch, rate_factor
from molae.training.progress import Progress
from molae.training.sampler import Buckets, Data, Index, ahead, in_order, share
from molae.training.saving import Keeper
from molae.training.state import (
    Options,
    State,
    TrainingDiverged,
    TrainingInterrupted,
    TrainingResult,
)
from molae.types import Batch

#: A step without a finite gradient is a strike, each good step takes a hundredth of one away.
STRIKES = 5
FORGIVEN = 0.01

#: Batches on which precisions are compared, the time for it, and the shortest run worth it.
PROBE_BATCHES = 3
PROBE_SECONDS = 20.0
PROBE_STEPS = 200


class Loop:
    """A training under way: the state between two steps, and what is done there.

    Args:
        model: The model, on its device.
        objective: The objective, on its device.
        data: What to train on.
        validation: Held-out data, or None.
        buckets: The order of the data.
        hardware: Device, precision, processes.
        options: See ``fit``.
        state: Scalars; changed in place.
        keeper: Writes and reads checkpoints of all this.
        journal: The history.
        progress: What is shown.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Any,
        data: Data,
        validation: Data | None,
        buckets: Buckets,
        hardware: Hardware,
        options: Options,
        state: State,
        keeper: Keeper,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self.model = model
        self.objective = objective
        self.data = data
        self.validation = validation
        self.buckets = buckets
        self.hardware = hardware
        self.options = options
        self.state = state
        self.keeper = keeper
        self.journal = journal
        self.progress = progress
        self._counted = 0
        self._started = time.perf_counter()
        self._logged = self._saved = self._started
        self._interrupts = Interrupts()
        self._stopwatch = None if state.budget is None else Stopwatch(state.budget)

    # Beginning ---------------------------------------------------------------------------------

    def begin(self, resume: bool) -> None:
        """Put the checkpoint in place, or choose a precision and write the first one."""
        self._hire()
        if resume and self.keeper.there():
            if self.options.choose_precision and self.hardware.has_bf16:
                self.hardware.precision = self.keeper.precision()
            self.state.precision = self.hardware.precision
            self.keeper.restore()
            self.journal.open(self.state.step)
            return
        long = self.state.total is None or self.state.total >= PROBE_STEPS
        if self.options.choose_precision and self.hardware.has_bf16 and long:
            self._choose_precision()
        self.state.precision = self.hardware.precision
        self.journal.open(None)
        self._save()

    def _hire(self) -> None:
        options = self.options
        self.keeper.movers = make_movers(
            self.objective, self.model, options.learning_rate, options.weight_decay, options.clip
        )
        self.state.players = {mover.name: mover.describe() for mover in self.keeper.movers}

    def _choose_precision(self) -> None:
        """Time real steps in both precisions, then put everything back as it was."""
        weights = {name: value.clone() for name, value in self.keeper.weights().items()}
        states = self.hardware.random_state()
        self._train(True)
        batches = [self._batch(step) for step in range(min(PROBE_BATCHES, self.buckets.steps))]
        trial = [partial(self._move, 0, batch, weight) for _, batch, weight in batches]
        budget = self.state.budget
        patience = PROBE_SECONDS if budget is None else min(PROBE_SECONDS, 0.03 * budget)
        self.hardware.precision = self.hardware.probe(trial, patience)
        self.keeper.load_weights(weights)
        self.keeper.meter = Meter()
        self.hardware.restore_random_state(states)
        self._hire()

    # Running -----------------------------------------------------------------------------------

    def run(self) -> TrainingResult:
        """Step until the end."""
        depth = 0 if self.hardware.device.type == "cpu" else 2
        with ExitStack() as stack:
            stack.enter_context(closing(self.journal))
            stack.enter_context(self._interrupts)
            stack.enter_context(self.progress)
            batches = stack.enter_context(closing(ahead(self._batch, self.state.step, depth)))
            self._train(True)
            while not self._finished():
                start = time.perf_counter()
                index, batch, weight = next(batches)
                loss = self._step(batch, weight)
                seconds = time.perf_counter() - start
                self._counted += len(index)
                self.progress.measure(len(index), seconds)
                self._count_steps(index, seconds)
                self._between_steps()
                self.progress.show(self.state.step, self.state.total, loss)
            self._end()
        return self._result()

    def _finished(self) -> bool:
        total, patience = self.state.total, self.options.patience
        tired = patience is not None and self.state.stale >= patience
        return tired or (total is not None and self.state.step >= total)

    def _batch(self, step: int) -> tuple[Index, Batch, Tensor]:
        """Global rows, this process's slice on its device, and the weight of that, ()."""
        index = self.buckets.batch(step)
        return (index, *self._slice(self.data, index))

    def _slice(self, data: Data, index: Index) -> tuple[Batch, Tensor]:
        part, real = share(index, self.hardware.rank, self.hardware.world)
        batch = data.batch(part).to(self.hardware.device)
        if batch.weight is None:
            return batch, torch.tensor(real * len(part), device=self.hardware.device)
        return batch, real * batch.weight.sum().float()

    def _step(self, batch: Batch, weight: Tensor) -> float:
        """One step of all players whose turn it is; the first one's loss."""
        state = self.state
        loss, finite = self._move(state.step, batch, weight)
        if finite:
            state.strikes = max(0.0, state.strikes - FORGIVEN)
        else:
            state.strikes += 1
            state.skipped += 1
            if state.strikes > STRIKES:
                raise TrainingDiverged(self._divergence())
        state.step += 1
        return loss

    def _move(self, step: int, batch: Batch, weight: Tensor) -> tuple[float, bool]:
        hardware, movers = self.hardware, self.keeper.movers
        losses, finite, share = [], True, hardware.share(weight)
        for mover in movers:
            if mover.moves(step):
                move = mover.move(self.model, batch, step, self._factor(step), share, hardware)
                losses.append(move.loss)
                finite = finite and move.finite
                if move.finite:
                    prefix = "" if len(movers) == 1 else mover.name + "/"
                    self.keeper.meter.add(
                        {prefix + name: value for name, value in move.values.items()}, weight
                    )
        if hardware.world > 1:
            hardware.add([buffer.mul_(share) for buffer in self._buffers()])
        return (losses[0] if losses else math.nan), finite

    def _factor(self, step: int) -> float:
        options = self.options
        return rate_factor(step, self.state.total, options.warmup_steps, options.schedule)

    def _buffers(self) -> list[Tensor]:
        """What changes in a step without a gradient: moving averages, batch statistics."""
        modules = (self.model, self.objective)
        return [b for module in modules for b in module.buffers() if b.is_floating_point()]

    def _train(self, training: bool) -> None:
        self.model.train(training)
        self.objective.train(training)

    def _elapsed(self) -> float:
        return self.state.seconds + time.perf_counter() - self._started

    # Between two steps -------------------------------------------------------------------------

    def _count_steps(self, index: Index, seconds: float) -> None:
        """Turn the time that was asked for into a number of steps, once enough is measured."""
        watch = self._stopwatch
        if watch is None or self.state.total is not None:
            return
        watch.add(self.buckets.cells(index), seconds)
        if not self.hardware.any(watch.ready(self._elapsed())):
            return
        validation = 0.0
        if self.validation is not None:
            start = time.perf_counter()
            self._evaluate(self.validation)
            validation = time.perf_counter() - start
        left = watch.steps_left(
            self.buckets.mean_cells(),
            self._elapsed() + validation,
            validation / self.options.validate_every,
        )
        self.state.total = self.state.step + int(self.hardware.from_main(left))

    def _between_steps(self) -> None:
        """Log, validate, save, stop: in this order, so that a checkpoint holds all of its step."""
        step, options = self.state.step, self.options
        last = step == self.state.total
        if step % options.log_every == 0 or last:
            self._log()
        if self.validation is not None and (step % options.validate_every == 0 or last):
            self._validate(self.validation)
        # Processes talk about clocks and signals only now and then: it costs a round trip.
        if self.hardware.world > 1 and step % options.log_every:
            return
        interrupted = self.hardware.any(self._interrupts.wanted)
        waited = time.perf_counter() - self._saved >= options.checkpoint_every
        if interrupted or self.hardware.any(waited):
            self._save()
        if interrupted:
            raise TrainingInterrupted(self._how_to_resume())

    def _log(self) -> None:
        now = time.perf_counter()
        means = self.keeper.meter.means(self.hardware.sum)
        first = "loss" if "loss" in means else self.keeper.movers[0].name + "/loss"
        record = self._record("train") | {
            "examples_per_second": self._counted / max(now - self._logged, 1e-9),
            "learning_rate": self.options.learning_rate * self._factor(self.state.step - 1),
            "skipped": self.state.skipped,
            "loss": means.pop(first, math.nan),
            "parts": means,
        }
        self.journal.write(record)
        self._counted, self._logged = 0, now

    def _record(self, kind: str) -> Record:
        return {
            "kind": kind,
            "step": self.state.step,
            "epoch": self.state.step / self.buckets.steps,
            "seconds": round(self._elapsed(), 3),
        }

    def _validate(self, data: Data) -> None:
        """Parts of the loss on held-out data; remembers the best weights if there is patience."""
        start = time.perf_counter()
        means = self._evaluate(data)
        loss = means.pop("loss")
        self.journal.write(self._record("validation") | {"loss": loss, "parts": means})
        # Time of validation is not time of training.
        self._logged += time.perf_counter() - start
        state = self.state
        if state.total is None:
            return  # A schedule without an end: not to be compared with what follows.
        if math.isfinite(loss) and (state.best_loss is None or loss < state.best_loss):
            state.best_loss, state.best_step, state.stale = loss, state.step, 0
            if self.options.patience is not None:
                self.keeper.remember()
        else:
            state.stale += 1

    def _evaluate(self, data: Data) -> dict[str, float]:
        """Means of the parts, and their ``loss``, over a data set."""
        meter, hardware = Meter(), self.hardware
        self._train(False)
        # The same draws each time.
        with hardware.own_random_numbers(self.state.seed + 1_000_003 * hardware.rank):
            for index in in_order(len(data), self._order(data), self.state.batch_size):
                batch, weight = self._slice(data, index)
                meter.add(self._values(batch), weight)
        self._train(True)
        return meter.means(hardware.sum)

    def _order(self, data: Data) -> NDArray[np.integer] | None:
        """What validation goes by: lengths, or chance where batches are to be fair samples."""
        if self.buckets.lengths is not None or data.lengths is None:
            return data.lengths
        return np.random.default_rng(self.state.seed).permutation(len(data))

    def _values(self, batch: Batch) -> dict[str, Tensor]:
        """Means of the parts over a batch, each (); RAE-GP asks for its gradient by itself."""
        # The last step of schedules (an annealed rate), so that losses of a run can be compared.
        step = self.state.step if self.state.total is None else self.state.total
        with torch.no_grad(), self.hardware.autocast():
            terms = self.objective.terms(self.model, batch, step)
        parts = terms.parts | (terms.logged or {})
        values = {name: part_mean(part, batch.weight) for name, part in parts.items()}
        values["loss"] = torch.stack([values[name] for name in terms.parts]).sum()
        return values

    def _save(self) -> None:
        self.journal.flush()
        self.keeper.save(self._elapsed())
        self._saved = time.perf_counter()

    # Ending ------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._save()
        if self.keeper.best and self.options.patience is not None:
            self.model.load_state_dict(self.keeper.best)
        self._train(False)
        self.hardware.wait()

    def _divergence(self) -> str:
        state, folder = self.state, self.keeper.folder
        kept = "" if folder is None else f"; the last good checkpoint is kept in {folder}"
        return (
            f"at step {state.step + 1} the loss or its gradient was not finite, and so it was in "
            f"{state.skipped} steps in all: lower the learning rate (now "
            f"{self.options.learning_rate:g}), or look for bad values in the data{kept}"
        )

    def _how_to_resume(self) -> str:
        state, folder = self.state, self.keeper.folder
        done = f"interrupted after step {state.step} of {state.total or 'a number not yet known'}"
        if folder is None:
            return f"{done}; nothing was saved, since no folder was given"
        return (
            f"{done}; everything is in {folder}: give the same command with --resume, or call "
            "fit with resume=True, to go on"
        )

    def _result(self) -> TrainingResult:
        state = self.state
        reached = state.total is not None and state.step >= state.total
        return TrainingResult(
            steps=state.step,
            epochs=state.step / self.buckets.steps,
            seconds=self._elapsed(),
            precision=state.precision,
            device=str(self.hardware.device),
            reason="finished" if reached else "patience",
            best_step=state.best_step,
            best_loss=state.best_loss,
            history=self.journal.records,
        )
