"""The words that every room shares: batches, loss terms, players, schedules, and three protocols.

Letters everywhere: B batch, T positions, V vocabulary (rules or characters), C x H x W image,
D code size, K samples or components, S any leading sample shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: What stands in ``x`` after the end of a sequence. Codes of rules and characters start at 0.
PAD = -1

#: A number that may change with the optimisation step.
Schedule = Callable[[int], float]

State = TypeVar("State")


@dataclass
class Batch:
    """One mini-batch.

    Attributes:
        x: Data, (B, T) int64 padded with ``PAD`` for sequences, (B, C, H, W) float for images.
        y: Targets of supervised heads, (B, ...), or None.
        context: What encoder and decoder are conditioned on, (B, ...), or None.
        weight: Weight of each example, (B,), or None for equal weights.
        index: Row of each example in its data set, (B,) int64, or None.
    """

    x: Tensor
    y: Tensor | None = None
    context: Tensor | None = None
    weight: Tensor | None = None
    index: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if value is not None
        }
        return replace(self, **moved)


@dataclass
class Terms:
    """The parts of a loss, by name, in nats.

    A part is per example, (B,), or of the whole batch, (). The loss is the weighted mean of the
    sum of the first plus the sum of the second. ``logged`` holds numbers that are shown, not
    minimised.
    """

    parts: dict[str, Tensor]
    logged: dict[str, Tensor] | None = None

    def loss(self, weight: Tensor | None = None) -> Tensor:
        """The scalar that is minimised, shape (); ``weight`` is (B,)."""
        total: Any = 0.0
        for part in self.parts.values():
            if part.ndim == 0:
                total = total + part
            elif weight is None:
                total = total + part.mean()
            else:
                total = total + (weight * part).sum() / weight.sum()
        return total  # type: ignore[no-any-return]


@dataclass
class Player:
    """Who moves: parameters that one optimiser lowers one loss with.

    Attributes:
        name: Shown in logs and used as a key in checkpoints.
        parameters: What this player, and nobody else, changes.
        terms: ``terms(model, batch, step) -> Terms`` to be lowered by this player.
        optimizer: ``optimizer(parameters, learning_rate) -> torch.optim.Optimizer``; None for
            Adam.
        every: Moves at steps that are multiples of this number.
    """

    name: str
    parameters: list[torch.nn.Parameter]
    terms: Callable[[Any, Batch, int], Terms]
    optimizer: Callable[[Iterable[torch.nn.Parameter], float], torch.optim.Optimizer] | None = None
    every: int = 1


class Constraint(Protocol[State]):
    """Which entries of the vocabulary may come next. All answers are batched tensors."""

    size: int
    """V, the number of rules or characters."""
    max_steps: int
    """The longest sequence, T; a derivation always ends within it."""

    def mask(self, x: Tensor) -> Tensor:
        """Legal entries at every position of given sequences: (B, T) -> (B, T, V) bool."""

    def start(self, n: int, device: torch.device | str = "cpu") -> State:
        """n fresh states. Every tensor in a state has n rows; see ``take`` and ``put``."""

    def allowed(self, state: State) -> Tensor:
        """Legal entries now: (n, V) bool. A finished row has none."""

    def choose(
        self,
        state: State,
        logits: Tensor,
        *,
        seed: int | None,
        index: Tensor,
        step: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """One legal entry a row, as ``draws.choose`` draws among ``allowed``: (n, V) -> (n,)."""

    def advance(self, state: State, rule: Tensor) -> State:
        """The states after taking ``rule`` (n,) int64; rows with ``PAD`` stay.

        May work in place: the state given must not be used again.
        """

    def finished(self, state: State) -> Tensor:
        """Which rows have ended, (n,) bool."""

    def take(self, state: State, rows: Tensor) -> State:
        """The states of some rows, as new tensors."""

    def put(self, state: State, rows: Tensor, new: State) -> None:
        """Overwrite some rows in place, to start new sequences where old ones ended."""


class Posterior(Protocol):
    """q(z|x) for a batch."""

    center: Tensor
    """The code used where one is needed, (B, D): the mean, or the code itself."""

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Reparametrised draws, (*S, B, D)."""

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and their log-density (*S, B); an error where there is no density."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x), (*S, B, D) -> (*S, B), in nats."""

    def penalty(self) -> Tensor:
        """What the head itself wants lowered (VQ commitment), (B,); zeros by default."""


class Likelihood(Protocol):
    """p(x|z) for a batch of codes z (*S, B, D)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z), (*S, B), in nats, summed over the event."""

    def outputs(self, x: Tensor) -> Tensor:
        """What the decoder puts out where it is fed ``x``: masked probabilities or pixels."""

    def recovers(self, x: Tensor) -> Tensor:
        """Whether ``mode`` gives x back, (*S, B) bool; true where it can be near only (pixels)."""

    def mode(self) -> Tensor:
        """The most likely x, greedily for sequences; shape of x."""

    def sample(
        self, seed: int = 0, index: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw x. Draws depend on (seed, index of the row, step) only, never on the batch size."""
