"""Images that are known beside the one that is learnt, as features for every slot of a model."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from molae.nn.image import Shape, in_tiles, plan, scaled


class ImageContext(nn.Module):
    """Convolutions that halve context images until their sides are 7 or less, and a dense layer.

    Encoder, decoder and prior are told what comes out, as they are told a class: it is learnt
    with them. Several images are the channels of one, which is how Rezende and Viola (*Taming
    VAEs*, 2018) may or may not have done it: what we have of the paper does not say.

    Args:
        shape: (K, H, W): the channels of all context images, and their sides.
        features: F, the width of what comes out.
        multiplier: Of the channels.
        tile: Contexts that are looked at together when nothing is learnt, see ``in_tiles``.
    """

    def __init__(
        self, shape: Shape, *, features: int = 64, multiplier: float = 1.0, tile: int = 64
    ) -> None:
        super().__init__()
        self.shape, self.width, self.tile = tuple(shape), scaled(features, 1.0), tile
        sides, channels = plan(self.shape, multiplier)
        parts: list[nn.Module] = []
        for before, after in pairwise(channels):
            parts += [nn.Conv2d(before, after, 4, stride=2, padding=1)]
            parts += [nn.BatchNorm2d(after), nn.ReLU()]
        flat = channels[-1] * sides[-1][0] * sides[-1][1]
        self.layers = nn.Sequential(*parts, nn.Flatten(), nn.Linear(flat, self.width), nn.ReLU())

    def forward(self, context: Tensor) -> Tensor:
        """Features of context images: (B, K, H, W) -> (B, F).

        Raises:
            ValueError: They have another shape.
        """
        if context.shape[1:] != torch.Size(self.shape):
            raise ValueError(
                f"context images (K, H, W) = {tuple(context.shape[1:])}, but this model was built "
                f"for {self.shape}"
            )
        return in_tiles(self.layers, context, self.tile, self.training)
