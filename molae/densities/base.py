"""What every latent density is: something to fit to codes, to evaluate and to draw from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from molae.draws import uniforms

#: Steps from here on key draws of codes. Steps below key the choices of rules, so that a code and
#: the sequence decoded from it, which share seed and index, never share a random number.
_FIRST_STEP = 1 << 20

#: ``progress(share of a fit that is done, from 0 to 1)``
Progress = Callable[[float], None]


class NotFittedError(ValueError):
    """A density was used before it was fitted or loaded."""


class LatentDensity(nn.Module, ABC):
    """A distribution over codes z (D,).

    Everything that was fitted lives in buffers, or in the weights of a network that take no
    gradients any more: ``state_dict()`` is all there is to save, and a new object made from
    ``settings()`` takes it back with ``load_state_dict``, whatever its shapes. What was fitted is
    float64 (in float32 the log-densities of a mixture are off by up to 0.04); answers come in
    the type and on the device of z, so a density may stay on the CPU.

    Attributes:
        media: What data a model is of that it goes with, see ``SequenceCodec``.
    """

    media: ClassVar[tuple[str, ...]] = ("sequences", "images")

    @abstractmethod
    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Fit to codes z (N, D), forgetting any fit before; returns itself.

        Args:
            z: The codes.
            progress: Told now and then how far a fit is that takes long.
        """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (..., D) -> (...)."""

    @abstractmethod
    def from_uniforms(self, u: Tensor) -> Tensor:
        """Turn independent uniforms u (n, width), float64 in (0, 1), into draws (n, D) float64.

        Row i of the answer depends on row i of ``u`` only, to the last bit, whatever n is: only
        elementwise operations, or products of one fixed shape, since a matrix product may round
        differently for another n.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """D, the number of dimensions of a code.

        Raises:
            NotFittedError: It is not known yet.
        """

    @property
    def width(self) -> int:
        """Uniforms that a draw takes."""
        return self.size + 1

    def attach(self, encoder: nn.Module, head: nn.Module) -> None:
        """Be told of the model that it is the prior of; most need not know."""

    def given(self, context: Tensor | None) -> LatentDensity:
        """p(z|c) for contexts c (B, ...): of codes (*S, B, D) and of B draws; most are p(z)."""
        return self

    def described(self) -> str:
        """What was fitted, in a few words; "" where there is nothing to say."""
        return ""

    def expected_log_prob(self, mean: Tensor, scale: Tensor) -> Tensor | None:
        """E log p(z) for z ~ N(mean, diag(scale^2)), (..., D) -> (...); None: no closed form."""
        return None

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, (n, D) float32.

        Args:
            n: How many.
            generator: Source of randomness; torch's global one if None.
        """
        device = "cpu" if generator is None else generator.device
        u = torch.rand(n, self.width, generator=generator, dtype=torch.float64, device=device)
        return self.from_uniforms(_inside(u, 54).to(self._device())).float()

    @torch.no_grad()
    def sample_rows(self, seed: int, index: Tensor) -> Tensor:
        """Draws that depend on (seed, number of the row) only, not on how many are drawn at once.

        Args:
            seed: Of the whole stream.
            index: Numbers of the rows, (n,) int64.

        Returns:
            (n, D) float32.
        """
        index = index.to(self._device())
        width = self.width
        steps = torch.arange(_FIRST_STEP, _FIRST_STEP + width, device=index.device)
        u = uniforms(seed, index.repeat_interleave(width), steps.repeat(len(index)))
        return self.from_uniforms(_inside(u.double().view(len(index), width), 25)).float()

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def _device(self) -> torch.device:
        return next(self.buffers()).device

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take on the shapes of what is loaded: D and K are learnt by ``fit``, not configured."""
        for name, mine in list(self.named_buffers(recurse=False)):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.ndim == mine.ndim:
                setattr(self, name, mine.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def codes(z: Tensor, name: str) -> Tensor:
    """z as float64, checked to be something that a density can be fitted to.

    Args:
        z: (N, D).
        name: Of the density, for messages.

    Raises:
        ValueError: z is not (N, D) with N of at least 2, not finite, or the same code N times.
    """
    z = torch.as_tensor(z).detach().double()
    if z.ndim != 2 or z.shape[1] == 0:
        raise ValueError(f"{name} is fitted to codes of shape (N, D), got {tuple(z.shape)}")
    if len(z) < 2:
        raise ValueError(f"{name} needs at least 2 codes to be fitted, got {len(z)}")
    broken = int((~z.isfinite().all(1)).sum())
    if broken:
        raise ValueError(
            f"{name} cannot be fitted: {broken} of {len(z)} codes hold nan or infinity; "
            "the training has probably diverged"
        )
    if not bool((z != z[0]).any()):
        raise ValueError(
            f"{name} cannot be fitted: all {len(z)} codes are the same point; "
            "give different examples, or look whether the encoder has collapsed"
        )
    return z


def not_fitted(name: str) -> NotFittedError:
    """The error of a density that knows nothing yet."""
    return NotFittedError(f"this {name} density is not fitted: call fit(z) or load it first")


def _inside(u: Tensor, bits: int) -> Tensor:
    """Half a grid step away from 0 and 1, where the inverse normal distribution is infinite.

    Closer to 1 than the grid of the uniforms (2**(1 - bits)) there would be outliers: a float32
    that is rounded to 1 stands for 1 - 2**-25, 5.4 standard deviations, not for 8.
    """
    margin = 2.0**-bits
    return u.clamp(margin, 1.0 - max(margin, 2.0**-53))
