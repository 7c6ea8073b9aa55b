"""Players with their optimisers: one move lowers one loss in one player's parameters only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from molae.training.devices import Hardware
from molae.training.history import part_mean
from molae.types import Batch, Player, Terms


class Objective(Protocol):
    """What ``fit`` needs of an objective, which is also an ``nn.Module``."""

    def terms(self, model: Any, batch: Batch, step: int) -> Terms:
        """The parts of the loss that validation looks at."""

    def prepare(self, model: Any) -> None:
        """Change the model before optimisers are made and weights load (spectral norm)."""

    def players(self, model: Any) -> list[Player]:
        """Who moves, in order."""


@dataclass
class Move:
    """What one move gave.

    Attributes:
        loss: The player's loss over the global batch.
        finite: Whether loss and gradients were finite; the weights stay as they are if not.
        values: The parts of the loss over this process's slice, by name, each ().
    """

    loss: float
    finite: bool
    values: dict[str, Tensor]


def make_optimizer(
    parameters: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW; weight decay acts on matrices, not on biases and scales."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    # The fused kernel is some twenty times faster on a CPU than the default, a loop over tensors.
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, fused=fused or None
    )


class Mover:
    """A player and its optimiser."""

    def __init__(
        self, player: Player, learning_rate: float, weight_decay: float, clip: float | None
    ) -> None:
        self.player = player
        self.name = player.name
        self.clip = math.inf if clip is None else clip
        self.parameters = [p for p in player.parameters if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"player {player.name!r} has no parameters that can change")
        if player.every < 1:
            raise ValueError(
                f"player {player.name!r} moves every {player.every} steps; expected 1 or more"
            )
        if player.optimizer is None:
            self.optimizer = make_optimizer(self.parameters, learning_rate, weight_decay)
        else:
            self.optimizer = player.optimizer(self.parameters, learning_rate)
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]

    def describe(self) -> str:
        """Kind of optimiser and number of parameters, such as ``AdamW of 12 (3,456)``."""
        kind = type(self.optimizer).__name__
        size = sum(parameter.numel() for parameter in self.parameters)
        return f"{kind} of {len(self.parameters)} ({size:,})"

    def moves(self, step: int) -> bool:
        """Whether it is this player's turn."""
        return step % self.player.every == 0

    def move(
        self,
        model: Any,
        batch: Batch,
        step: int,
        factor: float,
        share: Tensor,
        hardware: Hardware,
    ) -> Move:
        """Terms, backward into this player's parameters, clip, step.

        Args:
            model: Handed to the player's terms.
            batch: This process's slice of the global batch.
            step: Number of the step, from 0.
            factor: What the learning rate is multiplied with.
            share: Of this slice in the weights of all processes, (). The loss has it before it is
                differentiated, so that all processes together differentiate that of the whole
                batch, also where one has a say in another's (``repeatable.over_processes``).
            hardware: Device and precision.
        """
        for parameter in self.parameters:
            parameter.grad = None
        with hardware.autocast():
            terms = self.player.terms(model, batch, step)
        parts = {name: part.float() for name, part in terms.parts.items()}
        loss = Terms(parts).loss(batch.weight)
        part = share * loss
        part.backward(inputs=self.parameters)  # type: ignore[no-untyped-call]
        shown = part.detach().clone()
        hardware.add([*(p.grad for p in self.parameters if p.grad is not None), shown])
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        # The one time that the step waits for the device.
        value, size = torch.stack([shown, norm.to(shown)]).tolist()
        finite = math.isfinite(value) and math.isfinite(size)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            self.optimizer.step()
        values = {name: part_mean(part, batch.weight) for name, part in parts.items()}
        for name, part in (terms.logged or {}).items():
            values[name] = part_mean(part, batch.weight)
        values["loss"] = loss.detach()
        return Move(value, finite, values)

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's state by ``parameter/key``, for a checkpoint."""
        found: dict[str, Tensor] = {}
        for number, entries in self.optimizer.state_dict()["state"].items():
            for key, value in entries.items():
                if isinstance(value, (bool, int, float)):
                    value = torch.tensor(value, dtype=torch.float64)
                if isinstance(value, Tensor):
                    found[f"{number}/{key}"] = value
                elif value is not None:
                    raise ValueError(
                        f"the optimiser of player {self.name!r} keeps a {type(value).__name__} "
                        f"under {key!r}; checkpoints hold tensors and numbers only"
                    )
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on with this state; learning rates and the like are those of now."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, key = name.split("/", 1)
            state.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def make_movers(
    objective: Objective,
    model: Any,
    learning_rate: float,
    weight_decay: float,
    clip: float | None,
) -> list[Mover]:
    """A mover for each player.

    Raises:
        ValueError: There is none, one has nothing to change, or two have the same name.
    """
    players = objective.players(model)
    names = [player.name for player in players]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"players need different names, and there must be one; got {names}")
    return [Mover(player, learning_rate, weight_decay, clip) for player in players]
