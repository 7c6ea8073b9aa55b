"""What goes into a checkpoint and how a training is put back from it."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from molae.training import checkpoint
from molae.training.checkpoint import CheckpointError, branch, grow
from molae.training.devices import Hardware
from molae.training.history import Meter
from molae.training.movers import Mover
from molae.training.state import State

#: What must be as it was: the order of the data, and whose state is restored.
SAME = ("seed", "batch_size", "examples", "players")


class Keeper:
    """Everything of a training that changes from step to step, and its checkpoint.

    Args:
        folder: The run's folder, or None to write nothing.
        model: The model.
        objective: The objective.
        hardware: Device and processes.
        state: Scalars; changed in place by ``restore``.

    Attributes:
        movers: Players with their optimisers.
        meter: Running means since the last line of the history.
        best: The weights with the lowest validation loss, or nothing.
    """

    def __init__(
        self,
        folder: Path | None,
        model: nn.Module,
        objective: nn.Module,
        hardware: Hardware,
        state: State,
    ) -> None:
        self.folder = None if folder is None else folder / "checkpoint"
        self.model = model
        self.objective = objective
        self.hardware = hardware
        self.state = state
        self.movers: list[Mover] = []
        self.meter = Meter()
        self.best: dict[str, Tensor] = {}

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of model and objective, not copied."""
        model, objective = self.model.state_dict(), self.objective.state_dict()
        return grow("model", model) | grow("objective", objective)

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Put parameters and buffers in place."""
        for prefix, module in (("model", self.model), ("objective", self.objective)):
            try:
                module.load_state_dict(branch(tensors, prefix))
            except RuntimeError as error:
                raise CheckpointError(f"the checkpoint is of another {prefix}: {error}") from error

    def remember(self) -> None:
        """Take the weights of now for the best ones."""
        weights = self.model.state_dict()
        self.best = {name: value.detach().clone() for name, value in weights.items()}

    def there(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self.folder is not None and checkpoint.exists(self.folder)

    def save(self, seconds: float) -> None:
        """Write a checkpoint of the state between two steps; all processes take part."""
        if self.folder is None:
            return
        hardware = self.hardware
        tensors = self.weights() | grow("best", self.best)
        tensors |= grow("random", hardware.random_state())
        tensors |= grow("meter", self.meter.tensors(hardware.sum))
        for mover in self.movers:
            tensors |= grow(f"optimizer/{mover.name}", mover.tensors())
        if hardware.main:
            checkpoint.save(self.folder, tensors, asdict(self.state) | {"seconds": seconds})

    def restore(self) -> None:
        """Go on from the checkpoint in the folder.

        The number of steps is the one of now where it is known; a time that is asked for again
        keeps the number of steps that it was turned into.

        Raises:
            CheckpointError: It is damaged, or of another training.
        """
        if self.folder is None:
            raise CheckpointError("there is no folder to go on from")
        tensors, scalars = checkpoint.load(self.folder)
        stored = self._stored(scalars)
        now = self.state
        total = now.total
        if total is None and stored.budget == now.budget:
            total = stored.total
        fixed = {"total": total, "budget": now.budget, "precision": now.precision}
        for name, value in (asdict(stored) | fixed).items():
            setattr(now, name, value)
        self.load_weights(tensors)
        for mover in self.movers:
            mover.restore(branch(tensors, f"optimizer/{mover.name}"))
        device = self.hardware.device
        self.best = {name: value.to(device) for name, value in branch(tensors, "best").items()}
        # The sums of all processes were saved as one.
        sums = branch(tensors, "meter") if self.hardware.main else {}
        self.meter.restore(sums, device)
        self.hardware.restore_random_state(branch(tensors, "random"))

    def precision(self) -> str:
        """The precision that the checkpoint was made with."""
        assert self.folder is not None
        return self._stored(checkpoint.load(self.folder)[1]).precision

    def _stored(self, scalars: dict[str, Any]) -> State:
        names = [field.name for field in fields(State)]
        try:
            stored = State(**{name: scalars[name] for name in names})
        except KeyError as error:
            raise CheckpointError(f"the checkpoint in {self.folder} lacks {error}") from error
        for name in SAME:
            was, now = getattr(stored, name), getattr(self.state, name)
            if was != now:
                raise CheckpointError(
                    f"the checkpoint was made with {name} = {was}, this run has {now}; "
                    "resume with what it was begun with, or train into another folder"
                )
        return stored
