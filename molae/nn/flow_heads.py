"""Heads whose q(z|x) is a normalising flow: a normal distribution, bent by functions of x.

Each begins as the diagonal normal distribution of ``NormalHead``: its flow is the identity until
something is learnt. All compute in float32 even under autocast.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from molae.distributions import Bijection, FlowPosterior
from molae.nn.heads import NormalHead

#: softplus of it is 1.
_ONE = math.log(math.expm1(1.0))
#: How near a planar transformation may come to one that is not invertible.
_MARGIN = 1e-3
#: Halvings of the interval that the inverse of a planar transformation is looked for in.
_HALVINGS = 40


class FlowHead(nn.Module, ABC):
    """What heads on flows share: the normal distribution that is bent.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        layers: How many transformations follow each other.
        bound: Of log-variances, see ``NormalHead``.

    Raises:
        ValueError: There is no transformation.
    """

    def __init__(self, hidden: int, latent: int, layers: int, bound: float) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}, expected 1 or more; without use NormalHead")
        self.hidden, self.latent, self.layers, self.bound = hidden, latent, layers, bound
        self.base = NormalHead(hidden, latent, bound=bound)

    def forward(self, h: Tensor, context: Tensor | None = None) -> FlowPosterior:
        """q(z|x) of features h (B, H); the context is known to the encoder already."""
        with torch.autocast(h.device.type, enabled=False):
            flow = self.flow(h.to(self.base.mean.weight.dtype))
        return FlowPosterior(self.base(h, context), flow)

    @abstractmethod
    def flow(self, h: Tensor) -> Bijection:
        """The transformations of B examples, from their features (B, H)."""


class SteppedHead(FlowHead):
    """What heads share whose steps are networks that are told of x.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        layers: How many steps.
        width: Of the two hidden layers of each network.
        told: Numbers of x that each network is told, a linear map of the features.
        bound: Of log-variances, see ``NormalHead``.
    """

    #: Whether draws go through the steps backwards.
    inverted: ClassVar[bool] = False

    def __init__(
        self,
        hidden: int,
        latent: int,
        *,
        layers: int = 4,
        width: int = 128,
        told: int = 32,
        bound: float = 12.0,
    ) -> None:
        super().__init__(hidden, latent, layers, bound)
        self.width, self.told = width, told
        self.telling = nn.Linear(hidden, told)
        self.steps = self._made()

    @abstractmethod
    def _made(self) -> nn.ModuleList:
        """The steps, each ``step(told) -> transform``."""

    def flow(self, h: Tensor) -> Bijection:
        """The steps of B examples."""
        told = self.telling(h)
        return _Steps([step(told) for step in self.steps], inverted=self.inverted)


class NvpHead(SteppedHead):
    """Affine coupling layers, each told of x (RealNVP: Dinh, Sohl-Dickstein, Bengio, ICLR 2017).

    z_b <- exp(s) z_b + m with (m, s) = net(z_a, features of x): half of the dimensions decide how
    the other half is moved, halves are drawn at random, every other layer has the complement of
    the one before. Draws and densities cost the same, one pass. It is the posterior that Rezende
    and Viola (*Taming VAEs*, 2018) call VAE+NVP.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code. In one dimension there is nothing to couple, and the
            posterior stays normal.
        layers: How many couplings.
        width: Of the two hidden layers of each network.
        told: Numbers of x that each network is told, a linear map of the features.
        bound: Of log-variances, see ``NormalHead``.
    """

    def _made(self) -> nn.ModuleList:
        # Imported here: only what has a flow needs it.
        from zuko.flows import GeneralCouplingTransform

        halves = [torch.randperm(self.latent) < self.latent // 2 for _ in range(0, self.layers, 2)]
        steps = nn.ModuleList(
            GeneralCouplingTransform(
                self.latent,
                self.told,
                mask=~halves[i // 2] if i % 2 else halves[i // 2],
                hidden_features=(self.width, self.width),
            )
            for i in range(self.layers)
        )
        _begin_straight(steps)
        return steps


class IafHead(SteppedHead):
    """Inverse autoregressive flow (Kingma, Salimans, Jozefowicz et al., NeurIPS 2016).

    z_i <- exp(s_i) z_i + m_i with (m, s) = net(z_<i, features of x), all dimensions at once. So
    draws, with their densities, cost one pass a layer; the density of a code that was not drawn
    costs D passes. Theirs is the same map with a sigmoid for exp.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        layers: How many steps; every other one goes through the dimensions backwards.
        width: Of the two hidden layers of each masked network.
        told: Numbers of x that each network is told, a linear map of the features.
        bound: Of log-variances, see ``NormalHead``.
    """

    def _made(self) -> nn.ModuleList:
        return _masked(self.latent, self.layers, self.width, self.told)


class MafHead(SteppedHead):
    """Masked autoregressive flow (Papamakarios, Pavlakou and Murray, NeurIPS 2017).

    z_i <- (z_i - m_i) exp(-s_i) with (m, s) = net(z_<i of the result, features of x), the inverse
    of ``IafHead``. So densities cost one pass a layer and draws D: to be trained by draws it is
    the slowest of these heads; it is here for what asks for densities of many codes.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        layers: How many steps; every other one goes through the dimensions backwards.
        width: Of the two hidden layers of each masked network.
        told: Numbers of x that each network is told, a linear map of the features.
        bound: Of log-variances, see ``NormalHead``.
    """

    inverted = True

    def _made(self) -> nn.ModuleList:
        return _masked(self.latent, self.layers, self.width, self.told)


class PlanarHead(FlowHead):
    """Planar flow (Rezende and Mohamed, *Variational Inference with Normalizing Flows*, 2015).

    z <- z + u tanh(w . z + b), with u, w and b of each layer linear in the features of x, and
    u . w kept above -1 as in their appendix, which makes each layer invertible:
    log |det| = log(1 + u . w (1 - tanh^2)). Layers are cheap and bend little; many are used. The
    inverse has no formula, but along w it is a rising function of one number, which is found by
    halving an interval.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        layers: How many; they had 10 to 80.
        bound: Of log-variances, see ``NormalHead``.
    """

    def __init__(self, hidden: int, latent: int, *, layers: int = 16, bound: float = 12.0) -> None:
        super().__init__(hidden, latent, layers, bound)
        self.telling = nn.Linear(hidden, layers * (2 * latent + 1))
        with torch.no_grad():
            bias = self.telling.bias.zero_().view(layers, -1)
            bias[:, latent : 2 * latent].normal_(std=latent**-0.5)
            self.telling.weight.view(layers, -1, hidden)[:, :latent] = 0.0  # u, so no step yet

    def flow(self, h: Tensor) -> Bijection:
        """The layers of B examples."""
        parts = self.telling(h).unflatten(-1, (self.layers, -1))  # (B, L, 2 D + 1)
        u, w, b = parts.split([self.latent, self.latent, 1], -1)
        return _Planar(u, w, b.squeeze(-1))


class _Steps:
    """Transformations of zuko, one after the other; or their inverses as ``forward``."""

    def __init__(self, steps: Sequence[Any], inverted: bool = False) -> None:
        self._steps, self._inverted = steps, inverted

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        if not self._inverted:
            return self._through(z)
        z, log_det = self._back(z)
        return z, -log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        if not self._inverted:
            return self._back(z)
        z, log_det = self._through(z)
        return z, -log_det

    def _through(self, z: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for step in self._steps:
            z, log_det = step.call_and_ladj(z)
            total = total + log_det
        return z, total

    def _back(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What ``_through`` makes z of, and its log-determinant there."""
        total = z.new_zeros(z.shape[:-1])
        for step in reversed(self._steps):
            z = step.inv(z)
            total = total + step.call_and_ladj(z)[1]
        return z, total


class _Planar:
    """Planar transformations of B examples: u and w (B, L, D), b (B, L)."""

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        along = (w * u).sum(-1)  # (B, L)
        # 0 stays 0, and nothing is below -1: m(w . u) of the paper, shifted.
        kept = (1.0 - _MARGIN) * (softplus(along + _ONE) - 1.0)
        length = w.square().sum(-1, keepdim=True) + 1e-6
        self._u = (u + (kept - along).unsqueeze(-1) * w / length).unbind(1)
        self._w, self._b = w.unbind(1), b.unbind(1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for u, w, b in zip(self._u, self._w, self._b, strict=True):
            bent = torch.tanh((w * z).sum(-1) + b)
            total = total + torch.log1p((u * w).sum(-1) * (1.0 - bent.square()))
            z = z + u * bent.unsqueeze(-1)
        return z, total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for u, w, b in zip(self._u[::-1], self._w[::-1], self._b[::-1], strict=True):
            slope = (u * w).sum(-1)
            place = _place((w * z).sum(-1), slope, b)
            bent = torch.tanh(place + b)
            total = total + torch.log1p(slope * (1.0 - bent.square()))
            z = z - u * bent.unsqueeze(-1)
        return z, total


def _place(aim: Tensor, slope: Tensor, b: Tensor) -> Tensor:
    """a with a + slope tanh(a + b) = aim, for slope > -1: (*S, B), (B,) and (B,) -> (*S, B)."""
    with torch.no_grad():
        low, high = aim - slope.abs(), aim + slope.abs()
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            above = middle + slope * torch.tanh(middle + b) > aim
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        found = 0.5 * (low + high)
        steepness = 1.0 + slope * (1.0 - torch.tanh(found + b).square())
    # A step of Newton: hardly any change, but the right derivative.
    return found - (found + slope * torch.tanh(found + b) - aim) / steepness


def _masked(latent: int, layers: int, width: int, told: int) -> nn.ModuleList:
    """Affine steps, one dimension after the other, that do nothing yet."""
    from zuko.flows import MaskedAutoregressiveTransform

    order = torch.arange(latent)
    steps = nn.ModuleList(
        MaskedAutoregressiveTransform(
            latent, told, order=order.flip(0) if i % 2 else order, hidden_features=(width, width)
        )
        for i in range(layers)
    )
    _begin_straight(steps)
    return steps


def _begin_straight(steps: nn.ModuleList) -> None:
    """Let networks say nought at first, so that their transformations are the identity."""
    for step in steps:
        last: Any = list(step.modules())[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
