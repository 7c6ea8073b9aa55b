"""The training of densities that are networks: one small loop, and exact draws from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molae.densities.base import Progress

#: ``loss(w (n, D), generator of noise) -> (n,)`` in nats.
Loss = Callable[[Tensor, torch.Generator], Tensor]

#: Rows computed at once where draws must not depend on how many are wanted.
TILE = 256
#: Codes evaluated at once, to bound memory.
BLOCK = 4096
#: With fewer codes none are held out, and the loss of the codes themselves decides.
_HOLDING_OUT = 20
#: Norm that a step's gradient is cut down to.
_CLIPPED = 10.0


@dataclass(frozen=True)
class Pace:
    """How long and how fast a density is trained.

    Attributes:
        epochs: Passes over the codes, at most.
        batch_size: Codes in a step, at most; of few codes a twentieth, but 16 at least.
        learning_rate: Adam's, at the beginning.
        patience: Epochs without progress on held-out codes before the learning rate is halved.
            After the fourth time the training ends.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 1:
            raise ValueError(
                "epochs, batch_size and patience must be 1 or more, got "
                f"{self.epochs}, {self.batch_size} and {self.patience}"
            )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


def silenced(layer: nn.Linear) -> nn.Linear:
    """The layer with weights of nought: what it is the last of says nought before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def train(
    network: nn.Module,
    loss: Loss,
    w: Tensor,
    pace: Pace,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Minimise the mean loss of codes and keep the weights that do best on held-out ones.

    A tenth of the codes is held out, by chance. The weights before training count too, so that
    what is there at first is not made worse. The result follows from the seed on the same
    machine with the same number of threads.

    Args:
        network: Its weights are changed in place; afterwards they take no gradients.
        loss: Of each code.
        w: Codes, (N, D).
        pace: How long and how fast.
        seed: Of the order, of what is held out and of the noise.
        progress: Told after each epoch.

    Raises:
        ValueError: Losses are not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(w), generator=generator).to(w.device)
    count = len(w) // 10 if len(w) >= _HOLDING_OUT else 0
    rest = w[order[count:]]
    held = w[order[:count]] if count else rest
    size = min(pace.batch_size, max(16, len(rest) // 20))
    optimizer = torch.optim.Adam(network.parameters(), lr=pace.learning_rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=pace.patience - 1, threshold=0.0
    )
    best, kept = mean_loss(loss, held, seed), _copy(network)
    for epoch in range(pace.epochs):
        order = torch.randperm(len(rest), generator=generator).to(w.device)
        for rows in torch.split(order, size):
            _step(network, optimizer, loss(rest[rows], generator).mean())
        value = mean_loss(loss, held, seed)
        if not math.isfinite(value):
            raise ValueError(
                "the training of this density diverged: its loss is not finite; give a smaller "
                f"learning_rate than {pace.learning_rate:g}"
            )
        schedule.step(value)
        if value < best:
            best, kept = value, _copy(network)
        if progress is not None:
            progress((epoch + 1) / pace.epochs)
        if optimizer.param_groups[0]["lr"] < pace.learning_rate / 10:
            break
    network.load_state_dict(kept)
    network.requires_grad_(False)


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(network.parameters(), _CLIPPED)
    if bool(norm.isfinite()):  # one bad batch would spoil all weights for good
        optimizer.step()


@torch.no_grad()
def mean_loss(loss: Loss, w: Tensor, seed: int) -> float:
    """The mean loss of codes (N, D), always with the same noise."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(float(loss(part, generator).sum()) for part in torch.split(w, BLOCK))
    return total / len(w)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
