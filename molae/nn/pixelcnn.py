"""PixelCNN: an image, pixel after pixel, from the code and everything before (PixelVAE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from molae.draws import uniforms
from molae.nn.image import ImageDecoder, scaled
from molae.nn.pixel_values import BinaryValues, LogisticMixture, PixelValues

#: Steps from here on key the draws of pixels; codes and their noise are keyed by others.
_FIRST_STEP = 1 << 24

#: ``choose(parameters (n, P), number of the pixel) -> values (n, C)``
Choose = Callable[[Tensor, int], Tensor]


class PixelCNNDecoder(nn.Module):
    """p(x|z) = prod_i p(x_i | x_1 ... x_i-1, z), pixels in reading order, channels in theirs.

    The PixelVAE (Gulrajani et al., ICLR 2017) with one level of codes. The code becomes a map of
    features by the layers of ``ImageDecoder``, and each layer of a gated PixelCNN (van den Oord
    et al., *Conditional Image Generation with PixelCNN Decoders*, NIPS 2016) is told of it.

    A net that sees what was before can do without the code: see ``free_bits`` of the objective
    ``vae``, and keep ``layers`` and ``kernel`` small, so that it sees little.

    Args:
        shape: (C, H, W).
        latent: D, the width of the code.
        hidden: Width of the dense layer that reads the code.
        multiplier: Of all channels and of ``hidden``.
        context: Width of the context, 0 for none; it is put beside the code.
        likelihood: ``logistic``, a mixture of logistic distributions of 8-bit values (see
            ``LogisticMixture``), or ``bernoulli``, of images that are black or white.
        components: Of the mixture.
        channels: Of the masked convolutions.
        layers: Gated layers.
        kernel: Side of the convolutions before they are masked, odd, 3 or more.
        features: Channels of the map that the code becomes.
        tile: Images that are drawn together.

    Attributes:
        draws: That images are drawn from p(x|z) unless the likeliest pixels are asked for: one
            after the other, these become a blank image, which is likely and not typical.

    Raises:
        ValueError: The likelihood is not known, or a number out of range.
    """

    draws = True

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        *,
        hidden: int = 512,
        multiplier: float = 1.0,
        context: int = 0,
        likelihood: str = "logistic",
        components: int = 5,
        channels: int = 32,
        layers: int = 4,
        kernel: int = 5,
        features: int = 16,
        tile: int = 64,
    ) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0 or layers < 1 or components < 1:
            raise ValueError(
                "kernel must be odd and 3 or more, layers and components 1 or more, got "
                f"{kernel}, {layers} and {components}"
            )
        self.shape, self.latent, self.context = tuple(shape), latent, context
        self.tile, self.values = tile, _values(likelihood, self.shape[0], components)
        told = (scaled(features, multiplier), *self.shape[1:])
        self.map = ImageDecoder(
            told, latent, hidden=hidden, multiplier=multiplier, context=context, tile=tile
        )
        width = scaled(channels, multiplier)
        self.net = MaskedNet(self.shape[0], told[0], self.values.size, width, layers, kernel // 2)
        self.values.start(self.net.out)

    def forward(self, z: Tensor, context: Tensor | None = None) -> AutoregressivePixels:
        """p(x|z) for codes z (*S, B, D) and contexts (B, ...)."""
        return AutoregressivePixels(self, self.map(z, context).logits)


class AutoregressivePixels:
    """p(x|z) of images (C, H, W), each pixel given those before it.

    Args:
        decoder: Its net and the distribution of values.
        told: Maps of features, one for each code, (*S, B, F, H, W).
    """

    def __init__(self, decoder: PixelCNNDecoder, told: Tensor) -> None:
        self.decoder, self.told = decoder, told

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z) in nats, summed over the image: x (B, C, H, W) -> (*S, B).

        Of ``logistic`` and of ``bernoulli`` it is the logarithm of a probability.
        """
        every, parameters = self._fed(x)
        each = self.decoder.values.log_prob(parameters, every)
        return each.flatten(1).sum(1).view(self.told.shape[:-3])

    def outputs(self, x: Tensor) -> Tensor:
        """Expected values where x is fed: x (B, C, H, W) -> (*S, B, C, H, W)."""
        every, parameters = self._fed(x)
        means = self.decoder.values.means(parameters, every)
        return means.view(*self.told.shape[:-3], *means.shape[1:])

    def recovers(self, x: Tensor) -> Tensor:
        """True for all, (*S, B): an image comes back as near as it can, not exactly."""
        lead = self.told.shape[:-3]
        return torch.ones(lead, dtype=torch.bool, device=self.told.device)

    def mode(self) -> Tensor:
        """The likeliest value of one pixel after the other, (*S, B, C, H, W)."""
        return self._generate(None, None, 1.0)

    def sample(
        self, seed: int = 0, index: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw an image from each code, (*S, B, C, H, W).

        Args:
            seed: With ``index`` and the place in the image, all that a draw depends on.
            index: Number of each image, (*S, B) int64; 0, 1, 2, ... by default.
            temperature: Of the distribution of each value.

        Raises:
            ValueError: The temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        return self._generate(seed, index, temperature)

    def rsample(self) -> Tensor:
        """There is no draw with a gradient.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "a pixel that depends on the pixels before has no draw with a gradient, as critics of "
            "images need: use the decoder 'image'"
        )

    def lift(self, x: Tensor) -> Tensor:
        """Data as the net sees them."""
        return self.decoder.values.fed(x)

    def _fed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x for every code, (N, C, H, W), and what the net says of its pixels, (N, P, H, W)."""
        told = self.told.flatten(0, -4)
        every = self.decoder.values.fed(x.to(torch.promote_types(x.dtype, torch.float32)))
        every = every.expand(*self.told.shape[:-3], *x.shape[1:]).flatten(0, -4)
        parameters = self.decoder.net(2.0 * every - 1.0, told)
        return every, parameters.to(torch.promote_types(parameters.dtype, torch.float32))

    @torch.no_grad()
    def _generate(self, seed: int | None, index: Tensor | None, temperature: float) -> Tensor:
        told, decoder = self.told.flatten(0, -4).float(), self.decoder
        device, draws = told.device, 1 + decoder.shape[0]
        index = torch.arange(len(told), device=device) if index is None else index.flatten()
        pieces = []
        for rows in torch.split(torch.arange(len(told), device=device), decoder.tile):
            # Every product has the same shape, whatever was asked for.
            filled = pad(told[rows], (0, 0) * 3 + (0, decoder.tile - len(rows)))
            key = pad(index[rows], (0, decoder.tile - len(rows)))[:, None]

            def choose(parameters: Tensor, pixel: int, key: Tensor = key) -> Tensor:
                if seed is None:
                    return decoder.values.choose(parameters, None, temperature)
                first = _FIRST_STEP + pixel * draws
                steps = torch.arange(first, first + draws, device=device)
                return decoder.values.choose(parameters, uniforms(seed, key, steps), temperature)

            with torch.autocast(device.type, enabled=False):
                pieces.append(decoder.net.roll(filled, choose)[: len(rows)])
        whole = torch.cat(pieces) if pieces else told.new_zeros(0, *decoder.shape)
        return whole.view(*self.told.shape[:-3], *decoder.shape)


class MaskedNet(nn.Module):
    """Gated masked convolutions without a blind spot, from values before to parameters.

    Two stacks, so that every pixel before is seen and no other: the one looks at whole rows above,
    the other to the left in its own row, and is told what the first has found. Values come with a
    channel of ones, which says where the image ends.

    Args:
        channels: C, of the image.
        told: F, channels of the map that every layer is told of.
        parameters: P, for each pixel.
        width: Channels of the layers.
        layers: How many.
        reach: Pixels that each looks up, left and right.
    """

    def __init__(
        self, channels: int, told: int, parameters: int, width: int, layers: int, reach: int
    ) -> None:
        super().__init__()
        self.channels, self.width, self.reach = channels, width, reach
        self.above = nn.Conv2d(channels + 1, width, (reach + 1, 2 * reach + 1))
        self.before = nn.Conv2d(channels + 1, width, (1, reach))
        self.layers = nn.ModuleList(GatedLayer(width, told, reach) for _ in range(layers))
        self.within = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, parameters, 1)

    def forward(self, values: Tensor, told: Tensor) -> Tensor:
        """Parameters of all pixels at once: (N, C, H, W), (N, F, H, W) -> (N, P, H, W)."""
        values = torch.cat([values, torch.ones_like(values[:, :1])], 1)
        r = self.reach
        up = self.above(pad(values, (r, r, r + 1, 0))[..., :-1, :])
        left = self.before(pad(values, (r, 0))[..., :-1])
        for layer in self._gated():
            up, left = layer(up, left, told)
        return self._last(left)

    def roll(self, told: Tensor, choose: Choose) -> Tensor:
        """One pixel after the other: maps (n, F, H, W) -> values from 0 to 1, (n, C, H, W).

        A row of the upper stack is computed once, when its row begins, and a pixel of the other
        one when it is its turn; so the whole image costs about as much as looking at it once.
        """
        n, _, height, wide = told.shape
        r = self.reach
        canvas = told.new_zeros(n, self.channels + 1, r + 1 + height, wide + 2 * r)
        canvas[:, self.channels, r + 1 :, r : r + wide] = 1.0
        rows = [told.new_zeros(n, self.width, r + 1, wide) for _ in self.layers]
        for y in range(height):
            up = self.above(canvas[:, :, y : y + r + 1])
            hints = []
            for number, layer in enumerate(self._gated()):
                rows[number] = torch.cat([rows[number][:, :, 1:], up], 2)
                up, hint = layer.row(rows[number], told[:, :, y : y + 1])
                hints.append(hint)
            line = canvas[:, :, r + 1 + y : r + 2 + y]  # written to from left to right
            seen = [told.new_zeros(n, self.width, 1, r + wide) for _ in self.layers]
            for x in range(wide):
                left = self.before(line[..., x : x + r])
                for number, layer in enumerate(self._gated()):
                    seen[number][..., r + x : r + x + 1] = left
                    window = seen[number][..., x : x + r + 1]
                    left = layer.step(window, hints[number][..., x : x + 1])
                chosen = choose(self._last(left)[..., 0, 0], y * wide + x)
                line[:, : self.channels, 0, r + x] = 2.0 * chosen - 1.0
        return 0.5 * canvas[:, : self.channels, r + 1 :, r : r + wide] + 0.5

    def _gated(self) -> list[GatedLayer]:
        return [cast(GatedLayer, layer) for layer in self.layers]

    def _last(self, left: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.within(torch.relu(left))))
        return out


class GatedLayer(nn.Module):
    """One layer of both stacks, with gates tanh(a) sigmoid(b).

    Args:
        width: Channels.
        told: F, channels of the map.
        reach: Pixels that it looks up, left and right.
    """

    def __init__(self, width: int, told: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.vertical = nn.Conv2d(width, 2 * width, (reach + 1, 2 * reach + 1), padding=(0, reach))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, reach + 1))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.told = nn.Conv2d(told, 4 * width, 1)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, up: Tensor, left: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Both stacks (N, width, H, W) after this layer."""
        up, hint = self.row(pad(up, (0, 0, self.reach, 0)), told)
        return up, self._left(pad(left, (self.reach, 0)), left, hint)

    def row(self, above: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """The upper stack of some rows, and what it says to the other.

        Args:
            above: These rows and ``reach`` more before them, (N, width, H + reach, W).
            told: (N, F, H, W).
        """
        seen = self.vertical(above)
        for_up, for_left = self.told(told).chunk(2, 1)
        return _gate(seen + for_up), self.link(seen) + for_left

    def step(self, window: Tensor, hint: Tensor) -> Tensor:
        """The other stack at a pixel, with ``reach`` more before it, (n, width, 1, reach + 1)."""
        return self._left(window, window[..., -1:], hint)

    def _left(self, window: Tensor, left: Tensor, hint: Tensor) -> Tensor:
        more: Tensor = self.mix(_gate(self.horizontal(window) + hint))
        return left + more


def _gate(both: Tensor) -> Tensor:
    a, b = both.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


def _values(likelihood: str, channels: int, components: int) -> PixelValues:
    """How values are distributed.

    Raises:
        ValueError: It is not known here.
    """
    if likelihood == "bernoulli":
        return BinaryValues(channels)
    if likelihood == "logistic":
        return LogisticMixture(channels, components)
    raise ValueError(
        f"the decoder 'pixelcnn' knows the likelihoods 'logistic' and 'bernoulli', got "
        f"{likelihood!r}: leave it out for 'logistic'"
    )
