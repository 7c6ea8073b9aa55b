"""The decoder of the Grammar VAE as published: all positions in one pass, without a teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from molae.nn.autoregressive import check
from molae.nn.context import join
from molae.nn.generation import Memory, block_of
from molae.nn.likelihood import SequenceLikelihood
from molae.nn.recurrence import make_gru, run
from molae.types import Constraint


class FeedForwardDecoder(nn.Module):
    """A dense layer, its output repeated at every step, a stack of GRUs, logits.

    Kusner, Paige, Hernandez-Lobato, *Grammar Variational Autoencoder*, ICML 2017, with the sizes
    of their molecule model. The choice at a position does not see what was chosen before; only the
    constraint does.

    Args:
        size: V, the number of rules or characters.
        latent: D, the width of the code.
        constraint: Says what may come next; it is no part of the weights.
        hidden: Width of the GRUs.
        layers: How many of them.
        context: C, the width of the context, 0 for none; it is put beside the code.
        tile: Rows that generation computes at once.

    Raises:
        ValueError: The constraint has another size.
    """

    def __init__(
        self,
        size: int,
        latent: int,
        constraint: Constraint[Any],
        *,
        hidden: int = 501,
        layers: int = 3,
        context: int = 0,
        tile: int = 512,
    ) -> None:
        super().__init__()
        check(size, constraint, "fp32")
        self.size, self.latent, self.constraint, self.context = size, latent, constraint, context
        self.tile = tile
        self.dense = nn.Linear(latent + context, latent + context)
        self.gru = make_gru(latent + context, hidden, layers)
        self.to_logits = nn.Linear(hidden, size)

    def forward(self, z: Tensor, context: Tensor | None = None) -> SequenceLikelihood:
        """p(x|z) for codes z (*S, B, D) and contexts (B, C)."""
        return SequenceLikelihood(self, join(z, context, self.context))

    def logits(self, z: Tensor, x: Tensor) -> Tensor:
        """Unmasked logits from z (N, D + C) alone, as many as x (N, T) is long: (N, T, V)."""
        return self.logits_of(z, x.shape[1])

    def logits_of(self, z: Tensor, steps: int) -> Tensor:
        """Unmasked logits of the first positions: z (N, D + C) -> (N, steps, V)."""
        inputs = torch.relu(self.dense(z)).expand(steps, -1, -1).contiguous()  # (T, N, D + C)
        start = inputs.new_zeros(self.gru.num_layers, len(z), self.gru.hidden_size)
        out: Tensor = self.to_logits(run(self.gru, inputs, start))  # (T, N, V)
        return out.transpose(0, 1)

    def stepper(self) -> FeedForwardStepper:
        """The decoder in single steps, with its weights as they are now."""
        return FeedForwardStepper(self)


class FeedForwardStepper:
    """A `FeedForwardDecoder` in single steps; the memory is the logits of all positions (n, T, V).

    Args:
        decoder: Called once for each block of codes.
    """

    def __init__(self, decoder: FeedForwardDecoder) -> None:
        self.decoder = decoder
        self.block = block_of(decoder.tile, decoder.dense.weight.device)
        self.limit = decoder.constraint.max_steps

    def begin(self, z: Tensor) -> Memory:
        """Logits of all positions: z (n, D + C) -> [(n, T, V)]."""
        return [self.decoder.logits_of(z, self.limit).contiguous()]

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """Logits (n, V) of position ``step`` (n,); ``previous`` is not needed."""
        (logits,) = memory
        rows = torch.arange(len(step), device=step.device)
        return logits[rows, step.clamp(max=self.limit - 1)], memory
