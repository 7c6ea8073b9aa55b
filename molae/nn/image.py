"""Encoder and decoder of images (B, C, H, W), values from 0 to 1; any size and any channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from molae import repeatable
from molae.nn.context import join
from molae.nn.image_likelihood import PixelLikelihood, PixelModel

#: Channels of the first convolution; each one after it has twice as many, up to the most.
FIRST, MOST = 16, 256
#: Images whose longer side is not above this are not halved any more.
_SMALL = 7

Shape = Sequence[int]


class ImageEncoder(nn.Module):
    """Convolutions that halve the image until its sides are 7 or less, then a dense layer.

    It also reads images that are known beside the one that is learnt (``Autoencoder.reader``).
    Each convolution is followed by batch normalisation and ReLU, as in the published nets: within
    the same time that is worth more than the channels it costs, and it leaves a decoder under a
    spectral norm something to say.

    Args:
        shape: (C, H, W).
        hidden: Width of the dense layer.
        multiplier: Of all channels and of ``hidden``.
        context: Width of the context, 0 for none; it is put beside h.
        tile: Images that are looked at together when nothing is learnt, see ``in_tiles``.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        hidden: int = 512,
        multiplier: float = 1.0,
        context: int = 0,
        tile: int = 64,
    ) -> None:
        super().__init__()
        self.shape, self.context, self.tile = tuple(shape), context, tile
        sides, channels = plan(self.shape, multiplier)
        parts: list[nn.Module] = []
        for before, after in pairwise(channels):
            parts += [nn.Conv2d(before, after, 4, stride=2, padding=1)]
            parts += [nn.BatchNorm2d(after), nn.ReLU()]
        flat = channels[-1] * sides[-1][0] * sides[-1][1]
        hidden = scaled(hidden, multiplier)
        self.layers = nn.Sequential(*parts, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU())
        self.width = hidden + context
        """H, the width of h, which the head needs to know."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features: x (B, C, H, W), context (B, ...) -> h (B, H)."""
        check_images(x, self.shape)
        return join(in_tiles(self.layers, x, self.tile, self.training), context, self.context)


class ImageDecoder(nn.Module):
    """The encoder's mirror: dense layers, then transposed convolutions that double the image.

    Args:
        shape: (C, H, W).
        latent: D, the width of the code.
        hidden: Width of the dense layer.
        multiplier: Of all channels and of ``hidden``.
        context: Width of the context, 0 for none; it is put beside the code.
        likelihood, sigma: See ``PixelModel``.
        tile: Codes that are decoded together when nothing is learnt, see ``in_tiles``.
    """

    def __init__(
        self,
        shape: Shape,
        latent: int,
        *,
        hidden: int = 512,
        multiplier: float = 1.0,
        context: int = 0,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        tile: int = 64,
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.context = tuple(shape), latent, context
        self.tile = tile
        sides, channels = plan(self.shape, multiplier)
        hidden = scaled(hidden, multiplier)
        first = (channels[-1], *sides[-1])
        parts: list[nn.Module] = [nn.Linear(latent + context, hidden), nn.ReLU()]
        parts += [nn.Linear(hidden, first[0] * first[1] * first[2]), nn.Unflatten(1, first)]
        # Small images have no other; without any, a spectral norm leaves only the mean image.
        parts += [nn.BatchNorm2d(first[0])] if len(sides) == 2 else []
        for stage in reversed(range(len(sides) - 1)):
            before, after = channels[stage + 1], channels[stage]
            # A side that was halved and rounded gets its pixel back.
            odd = (sides[stage][0] % 2, sides[stage][1] % 2)
            up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd)
            parts += [nn.ReLU(), up] + ([nn.BatchNorm2d(after)] if stage else [])
        self.layers = nn.Sequential(*parts)
        self.pixels = PixelModel(likelihood, sigma)

    def forward(self, z: Tensor, context: Tensor | None = None) -> PixelLikelihood:
        """p(x|z) for codes z (*S, B, D) and contexts (B, ...)."""
        z = join(z, context, self.context)
        logits = in_tiles(self.layers, z.flatten(0, -2), self.tile, self.training)
        likelihood: PixelLikelihood = self.pixels(logits.view(*z.shape[:-1], *self.shape))
        return likelihood


def plan(shape: Shape, multiplier: float) -> tuple[list[tuple[int, int]], list[int]]:
    """Sides (H, W) of the image and its channels, at first and after each halving."""
    channels, height, width = shape
    sides, counts = [(height, width)], [channels]
    count = FIRST
    while max(height, width) > _SMALL and min(height, width) > 1:
        height, width = height // 2, width // 2
        sides.append((height, width))
        counts.append(scaled(count, multiplier))
        count = min(2 * count, MOST)
    return sides, counts


def scaled(count: int, multiplier: float) -> int:
    """A number of channels times a multiplier, at least 1.

    Raises:
        ValueError: The multiplier is not above 0.
    """
    if not multiplier > 0:
        raise ValueError(f"the width of an image net is multiplied by {multiplier}; expected > 0")
    return max(1, round(count * multiplier))


def check_images(x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse images of another size.

    Raises:
        ValueError: x is not (B, C, H, W) with the C, H, W that the net was built for.
    """
    if x.shape[1:] != shape:
        raise ValueError(
            f"images (C, H, W) = {tuple(x.shape[1:])}, but this encoder was built for {shape}"
        )


def in_tiles(net: Callable[[Tensor], Tensor], x: Tensor, tile: int, training: bool) -> Tensor:
    """A net over many rows, so many at a time, see ``repeatable.in_tiles``: x (N, ...).

    In training, where batch normalisation looks at all rows, and where a gradient is wanted, all
    are computed at once.

    Args:
        net: Computes each row by itself, unless it is in training.
        x: (N, ...).
        tile: Rows at a time.
        training: Whether the net is.
    """
    if training or torch.is_grad_enabled() or not len(x):
        return net(x)
    return repeatable.in_tiles(net, x, tile)
