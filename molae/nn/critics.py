"""Critics: nets that tell two kinds of samples apart, one logit each.

At its best, where both kinds are shown equally often, the logit of a critic that minimises the
binary cross-entropy is log p(sample | true) - log p(sample | false): a ratio of densities, learnt
from samples only (Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014).

A critic has no batch normalisation: it would see which batch, the true or the false, it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot

from molae.nn.context import join
from molae.nn.image import plan

#: Slope of the rectifiers below 0: a critic that is sure must still pass a gradient on.
SLOPE = 0.2
#: Channels of the first convolution of an image, doubled with each halving, up to the most.
_FIRST, _MOST = 32, 128


class Critic(nn.Module):
    """One logit for a code, or for a code and the data beside it.

    Args:
        latent: D, the width of the codes; 0 for a critic of data only.
        reader: Turns data into features, see ``reader``; None for a critic of codes only.
        hidden: Widths of the hidden layers.
        context: Width of the context that is put beside the code, 0 for none.
    """

    def __init__(
        self,
        latent: int,
        reader: ImageReader | SequenceReader | VectorReader | None = None,
        *,
        hidden: Sequence[int] = (128, 128),
        context: int = 0,
    ) -> None:
        super().__init__()
        self.latent, self.context = latent, context
        self.reader = reader
        widths = [latent + context + (0 if reader is None else reader.width), *hidden]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*parts, nn.Linear(widths[-1], 1))

    def read(self, x: Tensor) -> Tensor:
        """Features of data (B, ...), (B, F), to be used beside several codes.

        Raises:
            ValueError: This critic was built for codes only.
        """
        if self.reader is None:
            raise ValueError("this critic looks at codes only: build it with a reader of data")
        features: Tensor = self.reader(x)
        return features

    def forward(
        self, z: Tensor, features: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """Logits: codes (B, D), features of data (B, F) and a context (B, C) -> (B,).

        In float32 even under autocast: the logits are learnt to be small in the end.
        """
        with torch.autocast(z.device.type, enabled=False):
            seen = join(z.float(), context, self.context) if self.context else z.float()
            if features is not None:
                seen = torch.cat([seen, features.float()], -1)
            logits: Tensor = self.layers(seen.to(next(self.layers.parameters()).dtype))
        return logits.squeeze(-1)


class VectorReader(nn.Module):
    """Data that are vectors (B, X), as they are.

    Args:
        size: X.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.width = size
        """F, the width of the features."""

    def forward(self, x: Tensor) -> Tensor:
        """x (B, X) -> (B, X)."""
        return x


class ImageReader(nn.Module):
    """Convolutions that halve an image until its sides are 7 or less, then a dense layer.

    Args:
        shape: (C, H, W).
        width: F, the width of the features.
    """

    def __init__(self, shape: Sequence[int], width: int = 128) -> None:
        super().__init__()
        self.width = width
        sides, _ = plan(shape, 1.0)
        channels = [shape[0], *(min(_FIRST << stage, _MOST) for stage in range(len(sides) - 1))]
        parts: list[nn.Module] = []
        for before, after in pairwise(channels):
            parts += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        dense = nn.Linear(channels[-1] * sides[-1][0] * sides[-1][1], width)
        self.layers = nn.Sequential(*parts, nn.Flatten(), dense, nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> (B, F)."""
        features: Tensor = self.layers(x)
        return features


class SequenceReader(nn.Module):
    """Two convolutions over a sequence, then the mean and the maximum over its positions.

    Sequences are what they are, (B, T) int64 padded with ``PAD``, or relaxed: probabilities of
    all entries at each position, (B, T, V), zero after the end.

    Args:
        size: V, the number of rules or characters.
        width: F, the width of the features.
        kernel: Positions that a convolution sees, an odd number.
    """

    def __init__(self, size: int, width: int = 128, kernel: int = 5) -> None:
        super().__init__()
        self.size, self.width = size, width
        self.entries = nn.Linear(size, width, bias=False)
        self.fine = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.coarse = nn.Conv1d(width, width, kernel, stride=2, padding=kernel // 2)
        self.out = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences (B, T) or relaxed ones (B, T, V) -> (B, F)."""
        if x.ndim == 2:
            x = one_hot(x + 1, self.size + 1)[..., 1:]  # PAD, which is -1, is zero in all entries
        x = x.to(self.entries.weight.dtype)
        seen = x.sum(-1).clamp(max=1.0).unsqueeze(1)  # (B, 1, T): 1 up to the end
        h = self.entries(x).transpose(1, 2)  # (B, F, T)
        h = leaky_relu(self.fine(h), SLOPE) * seen
        seen = seen[..., ::2]
        h = leaky_relu(self.coarse(h), SLOPE) * seen
        mean = h.sum(-1) / seen.sum(-1).clamp(min=1.0)
        return leaky_relu(self.out(torch.cat([mean, h.amax(-1)], -1)), SLOPE)


def reader(encoder: nn.Module) -> ImageReader | SequenceReader | VectorReader:
    """A net of its own that reads the data which an encoder is for.

    Args:
        encoder: Has a ``shape``, (C, H, W) of images or (X,) of vectors, or a ``size``, V, of
            sequences, as the encoders of ``molae.nn`` do.

    Raises:
        ValueError: It has neither.
    """
    shape = getattr(encoder, "shape", None)
    if shape is not None and len(shape) in (1, 3):
        return ImageReader(shape) if len(shape) == 3 else VectorReader(shape[0])
    size = getattr(encoder, "size", None)
    if size is None:
        raise ValueError(
            f"nothing says what data a critic beside {type(encoder).__name__} is to read: give "
            "the encoder a shape, (C, H, W) or (X,), or a size V if it reads sequences"
        )
    return SequenceReader(size)
