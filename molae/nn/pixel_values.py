"""How the values of one pixel are distributed, given what a net says of it: channels in order.

Values lie between 0 and 1; each channel sees those before it. What a net puts out for a pixel is
called its parameters, (N, P, H, W).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from molae.draws import draw

#: Half a bin of 8-bit values, where they are spread over -1 to 1.
_HALF = 1.0 / 255.0
#: Logistic distributions have scales above exp(-7), a quarter of half a bin.
_LOWEST_LOG = -7.0


class PixelValues(ABC):
    """p(value of each channel | those before it) at every pixel.

    Args:
        channels: C.

    Attributes:
        size: P, the parameters that a pixel needs.
    """

    size: int

    def __init__(self, channels: int) -> None:
        self.channels = channels

    @abstractmethod
    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p in nats: parameters (N, P, H, W), x (N, C, H, W) -> (N, H, W)."""

    @abstractmethod
    def means(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Expected values given the channels before them in x, (N, C, H, W)."""

    @abstractmethod
    def choose(self, parameters: Tensor, u: Tensor | None, temperature: float) -> Tensor:
        """Values (n, C) of one pixel each.

        Args:
            parameters: (n, P).
            u: Uniform numbers, (n, 1 + C); None takes the likeliest value of each channel.
            temperature: Widens (above 1) or narrows the distributions.
        """

    def start(self, layer: nn.Conv2d) -> None:
        """Let training begin near what the biases of the last layer say."""
        with torch.no_grad():
            layer.weight.mul_(0.1)

    def fed(self, x: Tensor) -> Tensor:
        """What the net sees of x, and what x is taken for."""
        return x


class BinaryValues(PixelValues):
    """A coin for each channel, whose logit is moved by the channels before it.

    Images are black or white: what is at one half or above is taken for 1, and the rest for 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.size = channels + channels * (channels - 1) // 2

    def fed(self, x: Tensor) -> Tensor:
        """0 or 1."""
        return (x >= 0.5).to(x)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The logarithm of a probability."""
        logits = self._logits(parameters, x)
        return (self.fed(x) * logits - softplus(logits)).sum(1)

    def means(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Probabilities of 1."""
        return torch.sigmoid(self._logits(parameters, x))

    def choose(self, parameters: Tensor, u: Tensor | None, temperature: float) -> Tensor:
        """0 or 1; logits are divided by the temperature."""
        wide, x = parameters[..., None, None], parameters.new_zeros(len(parameters), self.channels)
        for c in range(self.channels):
            chance = torch.sigmoid(
                self._logits(wide, x[..., None, None])[:, c, 0, 0] / temperature
            )
            x[:, c] = (chance > (0.5 if u is None else u[:, 1 + c])).to(x)
        return x

    def _logits(self, parameters: Tensor, x: Tensor) -> Tensor:
        signs = 2.0 * self.fed(x) - 1.0
        own, slopes = parameters[:, : self.channels], parameters[:, self.channels :]
        return torch.stack([own[:, c] + moved(slopes, signs, c) for c in range(self.channels)], 1)


class LogisticMixture(PixelValues):
    """8-bit values: the masses of their bins under a mixture of logistic distributions.

    Salimans, Karpathy, Chen and Kingma, *PixelCNN++*, ICLR 2017: the components are shared by the
    channels of a pixel, and the mean of a channel is moved by the values of those before it. The
    outermost bins are open, so that 256 masses add up to 1. A softmax over 256 values knows
    nothing of their order and needs much more data and ten times the weights.

    The mass of a bin from b to a, in units of the scale, is sigma(a) - sigma(b) = sigma(a)
    sigma(-b) (1 - exp(b - a)): a product, whose logarithm needs no differences of like numbers.

    Args:
        channels: C.
        components: K.
    """

    def __init__(self, channels: int, components: int) -> None:
        super().__init__(channels)
        self.components = components
        self.pairs = channels * (channels - 1) // 2
        self.size = components * (1 + 2 * channels + self.pairs)

    def start(self, layer: nn.Conv2d) -> None:
        """Components side by side, each as wide as its share of all values."""
        share = 2.0 / self.components
        super().start(layer)
        with torch.no_grad():
            bias = layer.bias.view(self.components, -1)  # type: ignore[union-attr]
            bias.zero_()
            middles = torch.linspace(share / 2 - 1, 1 - share / 2, self.components)
            bias[:, 1 : 1 + self.channels] = middles[:, None]
            bias[:, 1 + self.channels : 1 + 2 * self.channels] = torch.tensor(share / 2).log()

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The logarithm of the mass of the bin around each value."""
        weights, centers, scales, slopes = self._split(parameters)
        values = 2.0 * x - 1.0
        for c in range(self.channels):
            center = centers[:, :, c] + self._moved(slopes, values, c)
            weights = weights + log_mass(values[:, None, c], center, scales[:, :, c])
        return weights.logsumexp(1)

    def means(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Means of the logistic distributions, brought to 0 to 1, weighed by the components."""
        weights, centers, scales, slopes = self._split(parameters)
        values, found = 2.0 * x - 1.0, []
        for c in range(self.channels):
            center = centers[:, :, c] + self._moved(slopes, values, c)
            found.append((weights.softmax(1) * center.clamp(-1.0, 1.0)).sum(1))
            weights = weights + log_mass(values[:, None, c], center, scales[:, :, c])
        return 0.5 * torch.stack(found, 1) + 0.5

    def choose(self, parameters: Tensor, u: Tensor | None, temperature: float) -> Tensor:
        """8-bit values; the temperature multiplies scales and divides the components' logits."""
        weights, centers, scales, slopes = self._split(parameters[..., None, None])
        values = parameters.new_zeros(len(parameters), self.channels, 1, 1)
        every = torch.linspace(-1.0, 1.0, 256, device=values.device, dtype=values.dtype)
        if u is not None:
            flat = weights[..., 0, 0]
            which = draw(flat, torch.ones_like(flat, dtype=torch.bool), u[:, 0], temperature)
            rows = torch.arange(len(flat), device=flat.device)
        for c in range(self.channels):
            center = centers[:, :, c] + self._moved(slopes, values, c)
            if u is None:
                each = log_mass(every, center[..., 0], scales[:, :, c, 0])  # (n, K, 256)
                best = (weights[..., 0] + each).logsumexp(1).argmax(1)
                values[:, c, 0, 0] = every[best]
                weights = weights + log_mass(values[:, None, c], center, scales[:, :, c])
            else:
                spread = temperature * scales[rows, which, c, 0, 0].exp()
                value = center[rows, which, 0, 0] + spread * torch.logit(u[:, 1 + c])
                values[:, c, 0, 0] = _nearest(value)
        return 0.5 * values[..., 0, 0] + 0.5

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log weights (N, K, H, W), means and log scales (N, K, C, H, W), and slopes likewise."""
        parts = parameters.view(len(parameters), self.components, -1, *parameters.shape[2:])
        sizes = [1, self.channels, self.channels, self.pairs]
        weights, centers, scales, slopes = torch.split(parts, sizes, 2)
        return weights[:, :, 0].log_softmax(1), centers, scales.clamp(min=_LOWEST_LOG), slopes

    def _moved(self, slopes: Tensor, values: Tensor, c: int) -> Tensor:
        """What the channels before c add to the mean of each component, (N, K, H, W)."""
        return moved(slopes.tanh().transpose(1, 2), values[:, :, None], c)


def moved(slopes: Tensor, values: Tensor, c: int) -> Tensor:
    """The sum over channels before c of slope times value.

    Args:
        slopes: (N, C (C - 1) / 2, ...), those of channel 1, then the two of channel 2, ...
        values: (N, C, ...).
        c: Which channel.
    """
    first = c * (c - 1) // 2
    return (slopes[:, first : first + c] * values[:, :c]).sum(1)


def log_mass(value: Tensor, center: Tensor, log_scale: Tensor) -> Tensor:
    """The logarithm of the mass of the 8-bit bin around a value, from -1 to 1."""
    narrow = torch.exp(-log_scale)
    above = (value - center + _HALF) * narrow
    below = (value - center - _HALF) * narrow
    inside = torch.log(-torch.expm1(-2.0 * _HALF * narrow))
    upper, lower = logsigmoid(above), logsigmoid(-below)
    outer = torch.where(value < _HALF - 1.0, upper, lower)
    return torch.where(value.abs() > 1.0 - _HALF, outer, upper + lower + inside)


def _nearest(value: Tensor) -> Tensor:
    """The nearest 8-bit value, from -1 to 1."""
    levels = (127.5 * (value + 1.0)).round().clamp(0.0, 255.0)
    return levels / 127.5 - 1.0
