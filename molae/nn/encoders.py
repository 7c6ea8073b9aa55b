"""Encoders of rule or character sequences: x (B, T) int64, padded with PAD -> h (B, H)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from molae.nn.context import join
from molae.nn.recurrence import make_gru, run
from molae.types import PAD


class RecurrentEncoder(nn.Module):
    """A GRU; h is its state at the last entry beside mean and maximum over all entries.

    The two pools let gradients reach the beginning of a sequence without passing through every
    step. What lies behind the end of a sequence never enters h.

    Args:
        size: V, the number of rules or characters.
        embedding: Width of the embedding.
        hidden: Width of the GRU.
        layers: Layers of the GRU.
        pooling: False leaves the last state only.
        context: C, the width of the context, 0 for none; it is put beside h.
    """

    def __init__(
        self,
        size: int,
        embedding: int = 128,
        hidden: int = 384,
        *,
        layers: int = 1,
        pooling: bool = True,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.pooling, self.context = size, pooling, context
        self.width = hidden * (3 if pooling else 1) + context
        """H, the width of h, which the head needs to know."""
        self.embedding = nn.Embedding(size + 1, embedding)
        self.gru = make_gru(embedding, hidden, layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features: x (B, T), context (B, C) -> h (B, H)."""
        inputs = self.embedding(x.t() + 1)  # (T, B, E)
        start = inputs.new_zeros(self.gru.num_layers, len(x), self.gru.hidden_size)
        states = run(self.gru, inputs, start)  # (T, B, H)
        valid = x != PAD
        length = valid.sum(1).clamp(min=1)  # (B,)
        h = states[length - 1, torch.arange(len(x), device=x.device)].float()
        if self.pooling:
            h = torch.cat([h, *_pools(states, valid, length)], -1)
        return join(h, context, self.context)


def _pools(states: Tensor, valid: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum of states (T, B, H) over the entries that are valid (B, T): (B, H) each."""
    seen = valid.t().unsqueeze(-1)  # (T, B, 1)
    mean = (states * seen).sum(0, dtype=torch.float32) / length.unsqueeze(-1)
    # Every state of a GRU lies in (-1, 1), so -1 never wins over an entry that is there.
    peak = states.masked_fill(~seen, -1.0).amax(0).float()
    return mean, peak


class ConvolutionalEncoder(nn.Module):
    """The encoder of the Grammar VAE: three convolutions over one-hot rules, then a dense layer.

    Kusner, Paige, Hernandez-Lobato, *Grammar Variational Autoencoder*, ICML 2017, with the sizes
    of their molecule model. Positions after the end are zero in all channels, where the paper
    spends a rule of its own ("nothing") on them.

    Args:
        size: V, the number of rules or characters.
        max_steps: Longest sequence; shorter batches are padded to it.
        filters: Channels and kernel size of each convolution.
        hidden: Width of the dense layer.
        context: C, the width of the context, 0 for none; it is put beside h.

    Raises:
        ValueError: The kernels together are longer than ``max_steps``.
    """

    def __init__(
        self,
        size: int,
        max_steps: int,
        *,
        filters: Sequence[tuple[int, int]] = ((9, 9), (9, 9), (10, 11)),
        hidden: int = 435,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.max_steps, self.context = size, max_steps, context
        left = max_steps - sum(kernel - 1 for _, kernel in filters)
        if left < 1:
            raise ValueError(
                f"max_steps is {max_steps}, but convolutions with kernels "
                f"{[kernel for _, kernel in filters]} need at least {max_steps - left + 1} steps; "
                "pass smaller filters"
            )
        self.width = hidden + context
        """H, the width of h, which the head needs to know."""
        channels = [size, *(count for count, _ in filters)]
        parts: list[nn.Module] = []
        for (before, after), (_, kernel) in zip(pairwise(channels), filters, strict=True):
            parts += [nn.Conv1d(before, after, kernel), nn.ReLU()]
        self.convolutions = nn.Sequential(*parts)
        self.dense = nn.Linear(channels[-1] * left, hidden)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features: x (B, T), context (B, C) -> h (B, H).

        Raises:
            ValueError: x is longer than ``max_steps``.
        """
        if x.shape[1] > self.max_steps:
            raise ValueError(
                f"sequences of {x.shape[1]} steps, but this encoder was built for at most "
                f"max_steps={self.max_steps}"
            )
        full = pad(x, (0, self.max_steps - x.shape[1]), value=PAD)
        channels = one_hot(full + 1, self.size + 1)[..., 1:].transpose(1, 2)  # (B, V, T)
        h = self.convolutions(channels.to(self.dense.weight.dtype))
        h = torch.relu(self.dense(h.flatten(1))).float()
        return join(h, context, self.context)
