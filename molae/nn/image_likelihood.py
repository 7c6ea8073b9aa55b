"""p(x|z) of images: pixels are independent, given the code; values lie between 0 and 1.

The mean of each value is the sigmoid of what the decoder puts out. What is left to choose is how
values lie around it, and that decides what an objective's weights mean: a ``PixelModel`` holds it,
beside the layers of a decoder.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.special import log_ndtr, ndtri

from molae.draws import uniforms
from molae.names import LIKELIHOODS, pick
from molae.repeatable import mean_of_all

#: Width of a bin of 8-bit values.
BIN = 1.0 / 255.0
#: Where no sigma is given: fixed, -log p is then the summed squared error and a constant; where
#: it is learnt, it starts at about the error of a net that has begun to learn.
FIXED_SIGMA, FIRST_SIGMA = math.sqrt(0.5), 0.2
#: A sigma that is not fixed stays above exp(-6) = 0.0025 (Rybkin 2021). That is 0.63 of a bin:
#: with less, a normal density would be paid for hitting values that were rounded to bins.
_LOWEST_LOG = -6.0
#: Share of a new batch in the running mean of squared errors.
_MOMENTUM = 0.01
#: Steps from here on key the draws of pixels; codes and their noise are keyed by others.
_FIRST_STEP = 1 << 24
#: Values that are drawn at once; draws do not depend on it.
_DRAWN = 1 << 22
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


def error_weight(kind: str, sigma: float | None) -> float:
    """What -log p(x|z) multiplies the squared error of a value with: 1 / (2 sigma^2).

    Where sigma is not fixed it is the one that learning starts from; of ``bernoulli`` it is the
    curvature of its cross-entropy where the mean is 1/2, and so sigma^2 = 1/4.

    Args:
        kind: A key of ``molae.names.LIKELIHOODS``.
        sigma: As it was given to ``PixelModel``.
    """
    if sigma is None:
        return {"gaussian": 1.0, "bernoulli": 2.0}.get(kind, 0.5 / FIRST_SIGMA**2)
    return 0.5 / sigma**2


def is_fixed(kind: str, sigma: float | None) -> bool:
    """Whether a ``PixelModel`` weighs squared errors with a number that it does not learn."""
    return kind == "gaussian" or (kind in ("quantised", "discretised") and sigma is not None)


class PixelLikelihood(ABC):
    """p(x|z) for codes z (*S, B, D), one distribution for each value.

    Args:
        logits: Of the means, (*S, B, C, H, W).

    Attributes:
        mean: (*S, B, C, H, W), between 0 and 1.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.mean = torch.sigmoid(logits)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z) in nats, summed over all values: x (B, C, H, W) -> (*S, B)."""
        return self.each(x.to(self.mean)).flatten(-3).sum(-1)

    @abstractmethod
    def each(self, x: Tensor) -> Tensor:
        """log p of each value: x (B, C, H, W) -> (*S, B, C, H, W)."""

    @abstractmethod
    def drawn(self, u: Tensor, rows: slice, temperature: float) -> Tensor:
        """Values from uniform numbers u (n, C, H, W) for some rows of all codes."""

    def outputs(self, x: Tensor) -> Tensor:
        """The means, (*S, B, C, H, W), whatever x is: nothing is fed to these decoders."""
        return self.mean

    def recovers(self, x: Tensor) -> Tensor:
        """True for all, (*S, B): an image comes back as near as it can, not exactly."""
        return torch.ones(self.mean.shape[:-3], dtype=torch.bool, device=self.mean.device)

    def mode(self) -> Tensor:
        """The means, (*S, B, C, H, W): what is shown of a code, whatever others are beside it."""
        return _sigmoid(self.logits)

    @torch.no_grad()
    def sample(
        self, seed: int = 0, index: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw the values of each image, (*S, B, C, H, W).

        Args:
            seed: With ``index`` and the place in the image, all that a draw depends on.
            index: Number of each image, (*S, B) int64; 0, 1, 2, ... by default.
            temperature: Multiplies standard deviations, or divides logits (``bernoulli``).

        Raises:
            ValueError: The temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        event = self.mean.shape[-3:]
        count, values = self.mean.shape[:-3].numel(), event.numel()
        device = self.mean.device
        index = torch.arange(count, device=device) if index is None else index.flatten()
        steps = torch.arange(_FIRST_STEP, _FIRST_STEP + values, device=device)
        pieces = []
        for first in range(0, count, max(1, _DRAWN // max(1, values))):
            rows = slice(first, first + max(1, _DRAWN // max(1, values)))
            u = uniforms(seed, index[rows, None], steps).view(-1, *event)
            pieces.append(self.drawn(u, rows, temperature))
        whole = torch.cat(pieces) if pieces else self.mean.flatten(0, -4)
        return whole.view(self.mean.shape)

    def rsample(self) -> Tensor:
        """Draws with a gradient, (*S, B, C, H, W); torch's own random numbers."""
        return self.mean

    def lift(self, x: Tensor) -> Tensor:
        """Data in the space of ``rsample``: x as it is."""
        return x


class BernoulliPixels(PixelLikelihood):
    """A coin for each value: log p = x log m + (1 - x) log(1 - m).

    Of values between 0 and 1 it is the cross-entropy, as customary, and no density: over [0, 1] it
    does not integrate to 1. Its reparametrised draw is the mean.
    """

    def each(self, x: Tensor) -> Tensor:
        """Minus the cross-entropy of each value."""
        return x * self.logits - softplus(self.logits)

    def drawn(self, u: Tensor, rows: slice, temperature: float) -> Tensor:
        """0 or 1."""
        chance = _sigmoid(self.logits.flatten(0, -4)[rows] / temperature)
        return (u < chance).to(chance)


class NormalPixels(PixelLikelihood):
    """A normal distribution around each mean, with one sigma for all.

    Args:
        logits: Of the means, (*S, B, C, H, W).
        spread: Gives sigma, also where it depends on the errors.
    """

    def __init__(self, logits: Tensor, spread: PixelModel) -> None:
        super().__init__(logits)
        self.spread = spread

    def each(self, x: Tensor) -> Tensor:
        """log N(x; m, sigma^2)."""
        square = (x - self.mean).square()
        log_sigma = self.spread.log_sigma(square)
        return -0.5 * square * torch.exp(-2.0 * log_sigma) - log_sigma - _HALF_LOG_TAU

    def drawn(self, u: Tensor, rows: slice, temperature: float) -> Tensor:
        """Around the mean; beyond 0 and 1 too, where a codec cuts it off."""
        error: Tensor = temperature * torch.exp(self.spread.log_sigma()) * ndtri(u)
        return _sigmoid(self.logits.flatten(0, -4)[rows]) + error

    def rsample(self) -> Tensor:
        """mean + sigma e with e ~ N(0, I)."""
        sigma = torch.exp(self.spread.log_sigma())
        return self.mean + sigma * torch.randn_like(self.mean)


class QuantisedPixels(NormalPixels):
    """The quantised normal: noise over one bin is put on the values, whose density is normal.

    log N(x + u; m, sigma^2) + log(bin) with u uniform over (-bin / 2, bin / 2): on average no more
    than the logarithm of the probability of the 8-bit value (Rezende and Viola, *Taming VAEs*,
    2018; Theis, van den Oord and Bethge, ICLR 2016). The noise is torch's own.
    """

    def each(self, x: Tensor) -> Tensor:
        """log N(x + u; m, sigma^2) + log(bin)."""
        return super().each(x + BIN * (torch.rand_like(x) - 0.5)) + math.log(BIN)

    def drawn(self, u: Tensor, rows: slice, temperature: float) -> Tensor:
        """The 8-bit value whose bin the normal draw falls into; the outermost bins are open."""
        return _nearest(super().drawn(u, rows, temperature))


class DiscretisedPixels(NormalPixels):
    """The probability of the bin of each 8-bit value under a normal distribution.

    log[Phi((x + bin / 2 - m) / sigma) - Phi((x - bin / 2 - m) / sigma)]; the bins of 0 and 255 are
    open, so that 256 values share a probability of 1.
    """

    def each(self, x: Tensor) -> Tensor:
        """The logarithm of the mass of the bin that each value lies in."""
        error = _nearest(x) - self.mean
        scale = torch.exp(-self.spread.log_sigma(error.square()))
        # Both ends on the lower side of the mean: there log Phi has all its digits.
        mirror = torch.where(error > 0, -1.0, 1.0)
        low, high = (mirror * error - 0.5 * BIN) * scale, (mirror * error + 0.5 * BIN) * scale
        level = _nearest(x)
        level = torch.where(error > 0, 1.0 - level, level)  # the level as it is in the mirror
        top, bottom = level > 1.0 - 0.5 * BIN, level < 0.5 * BIN
        upper = torch.where(top, 0.0, log_ndtr(high))
        lower = log_ndtr(torch.where(bottom, 0.0, low))
        ratio = torch.where(bottom, -math.inf, lower - upper)
        return upper + torch.log(-torch.expm1(ratio.clamp(max=-1e-7)))

    def drawn(self, u: Tensor, rows: slice, temperature: float) -> Tensor:
        """The 8-bit value whose bin the normal draw falls into; the outermost bins are open."""
        return _nearest(super().drawn(u, rows, temperature))


def _sigmoid(logits: Tensor) -> Tensor:
    """The sigmoid, rounded so that neighbours in memory have no say in it.

    A processor rounds other where it computes many at a time than for the few that are left.
    """
    if logits.device.type != "cpu":
        return torch.sigmoid(logits)
    return torch.sigmoid(logits.double()).to(logits)


def _nearest(x: Tensor) -> Tensor:
    """The nearest 8-bit values."""
    return (x.clamp(0.0, 1.0) * 255.0).round() / 255.0


#: Which class stands for which name.
_CLASSES: dict[str, type[NormalPixels]] = {
    "gaussian": NormalPixels,
    "learned": NormalPixels,
    "optimal": NormalPixels,
    "quantised": QuantisedPixels,
    "discretised": DiscretisedPixels,
}


class PixelModel(nn.Module):
    """How values lie around the decoder's means: what makes a ``PixelLikelihood`` of logits.

    - ``gaussian``: normal with a fixed sigma. At sigma^2 = 1/2, the default, -log p(x|z) is the
      squared error summed over values, and the constant N log(pi) / 2 for N values.
    - ``learned``: normal with one sigma for all values, a weight of the decoder.
    - ``optimal``: normal with the sigma that is best, sigma^2 = mean squared error: of the batch
      (of all processes) in training, so that the objective weighs error against rate by itself,
      and the running mean of those in evaluation (Rybkin, Daniilidis and Levine, *Simple and
      Effective VAE Training with Calibrated Decoders*, ICML 2021; sigma_opt of Rezende and Viola
      2018).
    - ``bernoulli``, ``quantised`` and ``discretised``: see ``BernoulliPixels``,
      ``QuantisedPixels`` and ``DiscretisedPixels``; sigma of the last two is learnt.

    Args:
        kind: A key of ``molae.names.LIKELIHOODS``.
        sigma: A number fixes it (``gaussian``, ``quantised``, ``discretised``) or is where it
            starts (``learned``); None for what is said above.

    Raises:
        ValueError: There is no such kind, or it has no such sigma.
    """

    def __init__(self, kind: str = "gaussian", sigma: float | None = None) -> None:
        super().__init__()
        self.kind = pick(LIKELIHOODS, kind, "likelihood")
        if sigma is not None and kind in ("bernoulli", "optimal"):
            raise ValueError(f"the likelihood {kind!r} has no sigma to be given; leave it out")
        if sigma is not None and not 0 < sigma < math.inf:
            raise ValueError(f"sigma is {sigma}; expected a number above 0")
        self.sigma = sigma
        if kind == "optimal":
            self.error: Tensor
            self.register_buffer("error", torch.zeros(()))  # 0: no batch was seen yet
        elif kind == "learned" or (sigma is None and kind in ("quantised", "discretised")):
            above = math.log(sigma or FIRST_SIGMA) - _LOWEST_LOG
            if above <= 0:
                raise ValueError(f"sigma is {sigma}; expected more than {math.exp(_LOWEST_LOG)}")
            self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(above))))
        self.fixed = math.log(FIXED_SIGMA if sigma is None else sigma)

    def forward(self, logits: Tensor) -> PixelLikelihood:
        """The likelihood of logits (*S, B, C, H, W), in float32 at least."""
        if logits.dtype in (torch.bfloat16, torch.float16):
            logits = logits.float()
        if self.kind == "bernoulli":
            return BernoulliPixels(logits)
        return _CLASSES[self.kind](logits, self)

    def log_sigma(self, square: Tensor | None = None) -> Tensor:
        """The logarithm of sigma, ().

        Args:
            square: Squared errors of a batch, which sigma depends on in training under
                ``optimal``; they are remembered.
        """
        if self.kind == "optimal":
            return self._optimal(square)
        if "raw" in self._parameters:
            return _LOWEST_LOG + softplus(self.raw)
        return torch.tensor(self.fixed)

    def _optimal(self, square: Tensor | None) -> Tensor:
        with torch.no_grad():
            # The derivative by sigma is 0 at its best, so nothing is lost without a gradient.
            # Choices are made by tensors: a number would have to wait for the device, each step.
            seen = self.error > 0
            error = torch.where(seen, self.error, FIRST_SIGMA**2)
            if square is not None:
                square = square.float().flatten()
                batch = (mean_of_all(square) if self.training else square.mean()).to(error)
                error = batch if self.training else torch.where(seen, error, batch)
                if self.training:
                    self.error.lerp_(batch, (~seen).to(batch).clamp(min=_MOMENTUM))
            return (0.5 * error.log()).clamp(min=_LOWEST_LOG)
