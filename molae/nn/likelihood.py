"""p(x|z) of sequences: a masked softmax at every position, whichever decoder makes the logits."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from molae.nn.generation import Stepper, generate
from molae.types import PAD, Constraint

#: Logit of what the constraint forbids: its exp() is 0, and it is finite, so no gradient is NaN.
FORBIDDEN = -1e4


class SequenceDecoder(Protocol):
    """What a likelihood asks of the decoder that made it."""

    constraint: Constraint[Any]
    tile: int

    def logits(self, z: Tensor, x: Tensor) -> Tensor:
        """Unmasked logits where ``x`` is fed: z (N, D), x (N, T) -> (N, T, V)."""

    def stepper(self) -> Stepper:
        """The decoder in single steps, with its weights as they are now."""


class SequenceLikelihood:
    """p(x|z) for codes z (*S, B, D): at each step a softmax over what the constraint allows.

    Args:
        decoder: Makes the logits.
        z: Codes, (*S, B, D), with the context at their side.
    """

    def __init__(self, decoder: SequenceDecoder, z: Tensor) -> None:
        self.decoder, self.z = decoder, z
        self._seen: tuple[Tensor, Tensor] | None = None

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z) in nats, summed over positions: x (B, T) -> (*S, B); 0 for each PAD."""
        logits = self._logits(x)  # (*S, B, T, V)
        target = x.expand(logits.shape[:-1])
        flat = cross_entropy(
            logits.flatten(0, -2), target.flatten(), ignore_index=PAD, reduction="none"
        )
        return -flat.view(target.shape).sum(-1)

    def outputs(self, x: Tensor) -> Tensor:
        """Masked probabilities where ``x`` is fed: x (B, T) -> (*S, B, T, V).

        They sum to 1 where something is allowed and to 0 after the end.
        """
        legal = self._mask(x) & (x != PAD).unsqueeze(-1)
        return torch.softmax(self._logits(x), -1) * legal

    @torch.no_grad()
    def recovers(self, x: Tensor) -> Tensor:
        """Whether the greedy sequence is x itself, (*S, B) bool.

        It is where, with x fed, the largest logit is that of x at every position.
        """
        return ((self._logits(x).argmax(-1) == x) | (x == PAD)).all(-1)

    def mode(self) -> Tensor:
        """The greedy sequence of each code, (*S, B, T) with T the constraint's ``max_steps``."""
        return self._generate(None, None, 1.0)

    def sample(
        self, seed: int = 0, index: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw a sequence from each code, (*S, B, T) with T the constraint's ``max_steps``.

        Args:
            seed: With ``index`` and the step, all that a draw depends on.
            index: Number of each sequence, (*S, B) int64; 0, 1, 2, ... by default.
            temperature: Divides the logits.
        """
        return self._generate(seed, index, temperature)

    def _generate(self, seed: int | None, index: Tensor | None, temperature: float) -> Tensor:
        # Rounding is chosen by the decoder here, not by whoever has autocast on around us.
        with torch.autocast(self.z.device.type, enabled=False):
            x = generate(
                self.decoder.stepper(),
                self.z.flatten(0, -2),
                self.decoder.constraint,
                tile=self.decoder.tile,
                seed=seed,
                index=None if index is None else index.flatten(),
                temperature=temperature,
            )
        return x.view(*self.z.shape[:-1], x.shape[-1])

    def _logits(self, x: Tensor) -> Tensor:
        """Masked logits in float32 even under autocast, (*S, B, T, V)."""
        lead = self.z.shape[:-1]
        every = x.expand(*lead, x.shape[-1])
        raw = self.decoder.logits(self.z.flatten(0, -2), every.flatten(0, -2))
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()
        return raw.view(*every.shape, -1).masked_fill(~self._mask(x), FORBIDDEN)

    def _mask(self, x: Tensor) -> Tensor:
        """The constraint's answer, (B, T, V), asked once where the same x comes again."""
        if self._seen is None or self._seen[0] is not x:
            self._seen = (x, self.decoder.constraint.mask(x))
        return self._seen[1]
