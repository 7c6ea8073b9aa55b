"""The autoregressive decoder: each step sees the code and everything that was chosen before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from molae.nn.context import join
from molae.nn.exactness import NoiseReader
from molae.nn.generation import Memory, block_of
from molae.nn.likelihood import SequenceLikelihood
from molae.nn.recurrence import GRUSteps, double_backward, make_gru, run
from molae.repeatable import in_tiles
from molae.types import PAD, Constraint

__all__ = ["AutoregressiveDecoder", "double_backward"]


class AutoregressiveDecoder(nn.Module):
    """A GRU over the sequence so far; the code makes its first state and is added to every input.

    Called with codes it returns a `SequenceLikelihood`, whose ``log_prob`` teaches (the true
    sequence is fed, shifted by one) and whose ``mode`` and ``sample`` roll.

    Args:
        size: V, the number of rules or characters.
        latent: D, the width of the code.
        constraint: Says what may come next; it is no part of the weights.
        embedding: Width of the embedding.
        hidden: Width of the GRU.
        layers: Layers of the GRU.
        context: C, the width of the context, 0 for none; it is put beside the code.
        noise: Lowest and highest standard deviation of the noise that codes may carry, see
            ``NoiseReader``. The decoder is then told of it, as one number more in the context, the
            last; where there is none, codes are exact.
        word_dropout: In training, the share of fed entries that are blanked, so that the code is
            needed (Bowman et al., *Generating Sentences from a Continuous Space*, 2016).
        tile: Rows that generation computes at once.
        precision: ``fp32`` or ``bf16``, of the matrix products of generation.

    Raises:
        ValueError: The constraint has another size, or the precision is not known.
    """

    def __init__(
        self,
        size: int,
        latent: int,
        constraint: Constraint[Any],
        *,
        embedding: int = 128,
        hidden: int = 512,
        layers: int = 1,
        context: int = 0,
        noise: Sequence[float] | None = None,
        word_dropout: float = 0.0,
        tile: int = 512,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        check(size, constraint, precision)
        self.size, self.latent, self.constraint, self.context = size, latent, constraint, context
        self.word_dropout, self.tile, self.precision = word_dropout, tile, precision
        self.embedding = nn.Embedding(size + 1, embedding)
        self.to_input = nn.Linear(latent + context, embedding)
        self.to_state = nn.Linear(latent + context, layers * hidden)
        self.gru = make_gru(embedding, hidden, layers)
        self.to_logits = nn.Linear(hidden, size)
        self.noise = None  # made last: the rest starts with the same weights with it and without
        if noise is not None:
            self.noise = NoiseReader(latent, context, embedding + layers * hidden, noise)

    def forward(self, z: Tensor, context: Tensor | None = None) -> SequenceLikelihood:
        """p(x|z) for codes z (*S, B, D) and contexts (B, C), or (B, C + 1) with the noise."""
        if self.noise is None:
            return SequenceLikelihood(self, join(z, context, self.context))
        if context is None or context.shape[-1] == self.context:
            z = join(z, context, self.context)
            return SequenceLikelihood(self, torch.cat([z, torch.zeros_like(z[..., :1])], -1))
        return SequenceLikelihood(self, join(z, context, self.context + 1))

    def logits(self, z: Tensor, x: Tensor) -> Tensor:
        """Unmasked logits from z (N, D + C [+ 1]) and what is before in x (N, T): (N, T, V)."""
        fed = torch.cat([x.new_full((len(x), 1), PAD), x[:, :-1]], 1).t() + 1  # (T, N)
        if self.training and self.word_dropout > 0:
            fed = fed * (torch.rand(fed.shape, device=fed.device) >= self.word_dropout)
        constant, first = self.read(z)
        states = run(self.gru, self.embedding(fed) + constant, first)  # (T, N, H)
        out: Tensor = self.to_logits(states)
        return out.transpose(0, 1)

    def read(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What the steps need of codes z (N, D + C [+ 1]).

        Returns:
            What is added to every input, (N, E), and the states before the first step, (L, N, H).
        """
        if self.noise is None:
            constant, wide = self.to_input(z), self.to_state(z)
        else:
            code, more = self.noise(z)
            split = self.embedding.embedding_dim
            constant = self.to_input(code) + more[:, :split]
            wide = self.to_state(code) + more[:, split:]
        wide = torch.tanh(wide).view(len(z), self.gru.num_layers, -1)
        return constant, wide.transpose(0, 1).contiguous()

    def stepper(self) -> AutoregressiveStepper:
        """The decoder in single steps, with its weights as they are now."""
        return AutoregressiveStepper(self)


class AutoregressiveStepper:
    """An `AutoregressiveDecoder` in single steps; its memory is [constant input, states...].

    Args:
        decoder: Its weights are read now.
    """

    def __init__(self, decoder: AutoregressiveDecoder) -> None:
        self.decoder = decoder
        low = decoder.precision == "bf16"
        table = decoder.embedding.weight
        self.block = block_of(decoder.tile, table.device, low)
        self.gru = GRUSteps(decoder.gru, table, block=self.block, low=low)
        self.dtype = torch.bfloat16 if low else torch.float32
        self.matrix = decoder.to_logits.weight.detach().to(self.dtype)
        self.bias = decoder.to_logits.bias.detach().to(self.dtype)

    def begin(self, z: Tensor) -> Memory:
        """The memory of fresh sequences: z (n, D + C [+ 1]) -> (n, 3H) and L times (n, H)."""
        constant, first = self.decoder.read(z)
        return [self.gru.project(constant), *first.unbind(0)]

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """Logits (n, V) after ``previous`` (n,), and the new memory; ``step`` is not needed."""
        constant, *states = memory
        after = self.gru.step(previous + 1, constant, states)
        return in_tiles(self._logits, after[-1].to(self.dtype), self.block), [constant, *after]

    def _logits(self, states: Tensor) -> Tensor:
        return linear(states, self.matrix, self.bias).float()


def check(size: int, constraint: Constraint[Any], precision: str) -> None:
    """Refuse what no decoder can be built from.

    Raises:
        ValueError: The constraint has another size, or the precision is not known.
    """
    if constraint.size != size:
        raise ValueError(
            f"the decoder is built for {size} rules or characters, but its constraint has "
            f"{constraint.size}; take both from one codec"
        )
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")
