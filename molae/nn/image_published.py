"""The convolutional nets of the RAE paper, layer by layer, for comparison with its table.

Ghosh, Sajjadi, Vergari, Black and Schoelkopf, *From Variational to Deterministic Autoencoders*,
ICLR 2020; sizes as in the authors' code (repository Regularized_autoencoders-RAE-), which pads as
TensorFlow does. Weights start as they do there: uniform by Glorot and Bengio, biases at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import pad

from molae.nn.context import join
from molae.nn.image import Shape, check_images, in_tiles, scaled
from molae.nn.image_likelihood import PixelLikelihood, PixelModel


@dataclass(frozen=True)
class Plan:
    """What differs between the published nets.

    Attributes:
        name: As people type it.
        side: H and W.
        kernel: Side of all kernels.
        down: Channels of the encoder's convolutions, of stride 2.
        up: Channels of the decoder's transposed convolutions, of stride 2, from 8 x 8 pixels on.
        centered: The encoder sees 2 x - 1.
    """

    name: str
    side: int
    kernel: int
    down: tuple[int, ...]
    up: tuple[int, ...]
    centered: bool


MNIST = Plan("image_mnist", 32, 4, (128, 256, 512, 1024), (512, 256), True)
CELEBA = Plan("image_celeba", 64, 5, (128, 256, 512, 1024), (512, 256, 128), False)
#: What the decoder begins with: channels and pixels a side.
_SEED, _SIDE = 1024, 8


class PublishedEncoder(nn.Module):
    """Four convolutions of stride 2, each with batch normalisation and ReLU; h is what they give.

    The published dense layer from there to the code is the head. Use ``MnistEncoder`` and
    ``CelebaEncoder``.

    Args:
        plan: Which net.
        shape: (C, H, W).
        multiplier: Of all channels.
        context: Width of the context, 0 for none; it is put beside h.
        tile: Images that are looked at together when nothing is learnt, see ``in_tiles``.

    Raises:
        ValueError: The net is for images of another size.
    """

    def __init__(
        self, plan: Plan, shape: Shape, multiplier: float, context: int, tile: int
    ) -> None:
        super().__init__()
        _check_side(plan, shape)
        self.shape, self.context, self.tile = tuple(shape), context, tile
        self.centered = plan.centered
        channels = [self.shape[0], *(scaled(count, multiplier) for count in plan.down)]
        parts: list[nn.Module] = []
        for before, after in pairwise(channels):
            parts += [SameConv(before, after, plan.kernel), normalisation(after), nn.ReLU()]
        self.layers = nn.Sequential(*parts, nn.Flatten())
        side = plan.side >> len(plan.down)
        self.width = channels[-1] * side * side + context
        """H, the width of h, which the head needs to know."""
        start(self)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features: x (B, C, H, W), context (B, ...) -> h (B, H)."""
        check_images(x, self.shape)
        x = 2.0 * x - 1.0 if self.centered else x
        return join(in_tiles(self.layers, x, self.tile, self.training), context, self.context)


class PublishedDecoder(nn.Module):
    """A dense layer to 8 x 8 pixels, then transposed convolutions of stride 2 and one of stride 1.

    Batch normalisation and ReLU follow each of the first, a sigmoid the last; nothing follows the
    dense layer. Use ``MnistDecoder`` and ``CelebaDecoder``.

    Args:
        plan: Which net.
        shape: (C, H, W).
        latent: D, the width of the code.
        multiplier: Of all channels.
        context: Width of the context, 0 for none; it is put beside the code.
        likelihood, sigma: See ``PixelModel``.
        tile: Codes that are decoded together when nothing is learnt, see ``in_tiles``.

    Raises:
        ValueError: The net is for images of another size.
    """

    def __init__(
        self,
        plan: Plan,
        shape: Shape,
        latent: int,
        multiplier: float,
        context: int,
        likelihood: str,
        sigma: float | None,
        tile: int,
    ) -> None:
        super().__init__()
        _check_side(plan, shape)
        self.shape, self.latent, self.context = tuple(shape), latent, context
        self.tile = tile
        seed = scaled(_SEED, multiplier)
        channels = [seed, *(scaled(count, multiplier) for count in plan.up)]
        parts: list[nn.Module] = [
            nn.Linear(latent + context, seed * _SIDE * _SIDE),
            nn.Unflatten(1, (seed, _SIDE, _SIDE)),
        ]
        for before, after in pairwise(channels):
            parts += [SameConvTranspose(before, after, plan.kernel, 2)]
            parts += [normalisation(after), nn.ReLU()]
        parts.append(SameConvTranspose(channels[-1], self.shape[0], plan.kernel, 1))
        self.layers = nn.Sequential(*parts)
        self.pixels = PixelModel(likelihood, sigma)
        start(self)

    def forward(self, z: Tensor, context: Tensor | None = None) -> PixelLikelihood:
        """p(x|z) for codes z (*S, B, D) and contexts (B, ...)."""
        z = join(z, context, self.context)
        logits = in_tiles(self.layers, z.flatten(0, -2), self.tile, self.training)
        likelihood: PixelLikelihood = self.pixels(logits.view(*z.shape[:-1], *self.shape))
        return likelihood


class MnistEncoder(PublishedEncoder):
    """The paper's encoder for MNIST and CIFAR-10, 32 x 32; arguments as ``PublishedEncoder``."""

    def __init__(
        self, shape: Shape, *, multiplier: float = 1.0, context: int = 0, tile: int = 16
    ) -> None:
        super().__init__(MNIST, shape, multiplier, context, tile)


class CelebaEncoder(PublishedEncoder):
    """The paper's encoder for CelebA, 64 x 64; arguments as ``PublishedEncoder``."""

    def __init__(
        self, shape: Shape, *, multiplier: float = 1.0, context: int = 0, tile: int = 16
    ) -> None:
        super().__init__(CELEBA, shape, multiplier, context, tile)


class MnistDecoder(PublishedDecoder):
    """The paper's decoder for MNIST and CIFAR-10, 32 x 32; arguments as ``PublishedDecoder``."""

    def __init__(
        self,
        shape: Shape,
        latent: int,
        *,
        multiplier: float = 1.0,
        context: int = 0,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        tile: int = 16,
    ) -> None:
        super().__init__(MNIST, shape, latent, multiplier, context, likelihood, sigma, tile)


class CelebaDecoder(PublishedDecoder):
    """The paper's decoder for CelebA, 64 x 64; arguments as ``PublishedDecoder``."""

    def __init__(
        self,
        shape: Shape,
        latent: int,
        *,
        multiplier: float = 1.0,
        context: int = 0,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        tile: int = 16,
    ) -> None:
        super().__init__(CELEBA, shape, latent, multiplier, context, likelihood, sigma, tile)


class SameConv(nn.Conv2d):
    """A convolution of stride 2 that halves even sides, padded as TensorFlow's ``same``.

    Args:
        before: Channels that come in.
        after: Channels that go out.
        kernel: Its side; with an odd one there is one row more of padding behind than before.
    """

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel, stride=2)
        short, more = (kernel - 2) // 2, (kernel - 1) // 2
        self.border = (short, more, short, more)

    def forward(self, input: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / 2, W / 2)."""
        return super().forward(pad(input, self.border))


class SameConvTranspose(nn.ConvTranspose2d):
    """The transpose of a convolution that is padded as TensorFlow's ``same``.

    Args:
        before: Channels that come in.
        after: Channels that go out.
        kernel: Its side.
        stride: 1, or 2, which doubles the sides.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__(before, after, kernel, stride=stride, padding=(kernel - stride) // 2)
        self.times = stride

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, before, H, W) -> (B, after, stride H, stride W); what is too much is cut behind."""
        height, width = input.shape[-2] * self.times, input.shape[-1] * self.times
        return super().forward(input, output_size)[..., :height, :width]


def normalisation(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation as Keras has it by default: a running mean over about 100 batches."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def start(net: nn.Module) -> None:
    """Weights of linear maps uniform by Glorot and Bengio (2010), biases 0."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _check_side(plan: Plan, shape: Shape) -> None:
    """Refuse what the paper has no net for.

    Raises:
        ValueError: The images are not as large as the net's.
    """
    _, height, width = shape
    if (height, width) != (plan.side, plan.side):
        raise ValueError(
            f"the net {plan.name!r} is for images of {plan.side} by {plan.side} pixels, and these "
            f"have {height} by {width}: bring them to that size with --image-size {plan.side}, or "
            "use the net 'image'"
        )
