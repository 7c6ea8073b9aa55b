"""Expressive priors in the space of codes: a mixture, and one dimension after the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from molae.densities.base import Progress, not_fitted
from molae.densities.trained import BLOCK, TILE, Pace, train
from molae.densities.whitened import Whitened
from molae.draws import inverted
from molae.repeatable import in_tiles, seeded

_LOG_2PI = math.log(2.0 * math.pi)
#: Log-scales lie within it, by a tanh.
_BOUND = 7.0
#: Numbers (codes times components times dimensions) that a mixture looks at together.
_TOGETHER = 1 << 24


class LearnedMixture(Whitened):
    """A mixture of K normals with a variance for each dimension, learnt by gradient.

    log p(z) = log sum_k pi_k N(z; m_k, s_k^2). Learnt with a model it is what is left of the
    VampPrior (``VampPrior``; Tomczak and Welling, AISTATS 2018) where pseudo-inputs are not led
    through the encoder but stand in the space of codes: pseudo-posteriors. So it suits any data,
    sequences too. Tomczak and Welling compare with it ("MoG prior") and find it slightly worse.

    Fitted to codes, it is what ``gmm`` with diagonal covariances is, after whitening, found by
    gradients from means that are codes.

    Args:
        components: K.
        epochs: Passes over the codes, at most, where it is fitted; see ``trained.Pace``, and for
            the next three.
        batch_size: See there.
        learning_rate: See there.
        patience: See there.
        jitter: Added to the diagonal of the covariance, see ``Whitened``.
        rows: Fit to this many codes at most.
        seed: Of means, order and noise.
        dim: D of a prior that is learnt with a model; None for what is fitted to codes.
    """

    name = "learned_mixture"

    parts: _Components | None

    def __init__(
        self,
        components: int = 50,
        epochs: int = 100,
        batch_size: int = 512,
        learning_rate: float = 1e-2,
        patience: int = 4,
        jitter: float = 1e-6,
        rows: int = 1_000_000,
        seed: int = 0,
        dim: int | None = None,
    ) -> None:
        super().__init__(jitter, rows, seed, dim)
        if components < 1:
            raise ValueError(f"components must be 1 or more, got {components}")
        pace = Pace(epochs, batch_size, learning_rate, patience)
        self.components = components
        self.epochs, self.batch_size = pace.epochs, pace.batch_size
        self.learning_rate, self.patience = pace.learning_rate, pace.patience
        self.register_module("parts", None)
        self._stand()

    def described(self) -> str:
        """How many components there are."""
        return "" if self.parts is None else f"{self.components} components, learnt by gradient"

    def _begin(self, size: int) -> None:
        with seeded(self.seed):
            made = _Components(self.components, size)
        self.parts = made.to(self.mean).requires_grad_(False)

    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        parts = self._fitted().float()
        with seeded(self.seed):
            first = torch.randint(len(w), (self.components,)).to(w.device)
        parts.means.copy_(w[first])
        parts.requires_grad_(True)
        pace = Pace(self.epochs, self.batch_size, self.learning_rate, self.patience)
        train(parts, lambda x, _: -parts.log_prob(x), w.float(), pace, self.seed, progress)
        parts.double()

    def _white_log_prob(self, w: Tensor) -> Tensor:
        most = max(1, _TOGETHER // (self.components * self.size))
        return torch.cat([self._fitted().log_prob(part) for part in torch.split(w, most)])

    def _white_draws(self, u: Tensor) -> Tensor:
        """The first uniform chooses the component, the others become noise."""
        return self._fitted().draws(u)

    def _fitted(self) -> _Components:
        if self.parts is None:
            raise not_fitted(self.name)
        return self.parts


class AutoregressiveDensity(Whitened):
    """p(z) = prod_i p(z_i | z_<i), each a mixture of normals in one dimension (MADE).

    One masked network (Germain, Gregor, Murray and Larochelle, *MADE*, ICML 2015) gives weights,
    means and scales of all D mixtures at once, those of z_i from z_1 to z_(i-1) only; with
    mixtures as in RNADE (Uria, Murray and Larochelle, NeurIPS 2013). Densities cost one pass,
    draws D. As a prior that is learnt with the model it is the autoregressive prior of Chen et al.
    (*Variational Lossy Autoencoder*, ICLR 2017), with mixtures in place of single normals.

    Args:
        components: Of each mixture.
        hidden: Width of the two hidden layers.
        epochs: Passes over the codes, at most, where it is fitted; see ``trained.Pace``, and for
            the next three.
        batch_size: See there.
        learning_rate: See there.
        patience: See there.
        jitter: Added to the diagonal of the covariance, see ``Whitened``.
        rows: Fit to this many codes at most.
        seed: Of weights, order and noise.
        dim: D of a prior that is learnt with a model; None for what is fitted to codes.
    """

    name = "autoregressive"

    net: _Conditionals | None

    def __init__(
        self,
        components: int = 8,
        hidden: int = 256,
        epochs: int = 100,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        patience: int = 4,
        jitter: float = 1e-6,
        rows: int = 1_000_000,
        seed: int = 0,
        dim: int | None = None,
    ) -> None:
        super().__init__(jitter, rows, seed, dim)
        if components < 1 or hidden < 1:
            raise ValueError(
                f"components and hidden must be 1 or more, got {components} and {hidden}"
            )
        pace = Pace(epochs, batch_size, learning_rate, patience)
        self.components, self.hidden = components, hidden
        self.epochs, self.batch_size = pace.epochs, pace.batch_size
        self.learning_rate, self.patience = pace.learning_rate, pace.patience
        self.register_module("net", None)
        self._stand()

    @property
    def width(self) -> int:
        """Uniforms that a draw takes: D that choose components, D that become noise."""
        return 2 * self.size

    def described(self) -> str:
        """Components and weights."""
        if self.net is None:
            return ""
        weights = sum(p.numel() for p in self.net.parameters())
        return f"{self.components} components a dimension, {weights:,} weights"

    def _begin(self, size: int) -> None:
        with seeded(self.seed):
            made = _Conditionals(size, self.components, self.hidden)
        self.net = made.to(self.mean).requires_grad_(False)

    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        net = self._fitted().float().requires_grad_(True)
        pace = Pace(self.epochs, self.batch_size, self.learning_rate, self.patience)
        train(net, lambda x, _: -net.log_prob(x), w.float(), pace, self.seed, progress)
        net.double()

    def _white_log_prob(self, w: Tensor) -> Tensor:
        return torch.cat([self._fitted().log_prob(part) for part in torch.split(w, BLOCK)])

    def _white_draws(self, u: Tensor) -> Tensor:
        """The first D uniforms choose components, the others become noise."""
        return in_tiles(self._fitted().draws, u, TILE).to(self.mean)

    def _fitted(self) -> _Conditionals:
        if self.net is None:
            raise not_fitted(self.name)
        return self.net


class _Components(nn.Module):
    """Weights, means and log-scales of K normals in D dimensions; together about N(0, I)."""

    def __init__(self, components: int, size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        spread = 0.0 if components == 1 else math.sqrt(0.5)
        self.means = nn.Parameter(spread * torch.randn(components, size))
        self.raw = nn.Parameter(torch.full((components, size), 0.5 * math.log(1.0 - spread**2)))

    def log_prob(self, w: Tensor) -> Tensor:
        """(n, D) -> (n,)."""
        log_scales = _bounded(self.raw)
        distance = (w.unsqueeze(1) - self.means) * torch.exp(-log_scales)  # (n, K, D)
        each = -0.5 * (distance.square() + _LOG_2PI).sum(-1) - log_scales.sum(-1)
        return (each + self.logits.log_softmax(0)).logsumexp(1)

    def draws(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> (n, D), elementwise."""
        which = chosen(self.logits.expand(len(u), -1), u[:, 0])
        noise = torch.special.ndtri(u[:, 1:]).to(self.means)
        w: Tensor = self.means[which] + torch.exp(_bounded(self.raw))[which] * noise
        return w


class _Conditionals(nn.Module):
    """The masked network: w (n, D) to a mixture for each dimension, given those before."""

    def __init__(self, size: int, components: int, hidden: int) -> None:
        super().__init__()
        # Imported here: only what has masks needs it.
        from zuko.nn import MaskedMLP

        self.size, self.components = size, components
        # The first input is 1: what depends on no dimension depends on it.
        sees = torch.arange(size + 1) <= torch.arange(size).unsqueeze(1)  # (D, D + 1)
        self.layers = MaskedMLP(
            sees.repeat_interleave(3 * components, 0), (hidden, hidden), nn.SiLU
        )
        last = self.layers[-1]
        nn.init.zeros_(last.weight)
        # At first each mixture is about N(0, 1), of components that are not alike.
        middle = torch.special.ndtri((torch.arange(components) + 0.5) / components)
        middle = math.sqrt(0.5) * middle
        rest = 0.5 * torch.log(1.0 - middle.square().mean())
        first = torch.stack([torch.zeros(components), middle, rest.expand(components)])
        with torch.no_grad():
            last.bias.copy_(first.flatten().repeat(size))

    def mixtures(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log-scales, (n, D, K) each."""
        out = self.layers(torch.cat([torch.ones_like(w[:, :1]), w], 1))
        logits, means, raw = out.view(len(w), self.size, 3, self.components).unbind(2)
        return logits, means, _bounded(raw)

    def log_prob(self, w: Tensor) -> Tensor:
        """(n, D) -> (n,)."""
        logits, means, log_scales = self.mixtures(w)
        distance = (w.unsqueeze(-1) - means) * torch.exp(-log_scales)
        each = -0.5 * (distance.square() + _LOG_2PI) - log_scales
        return (each + logits.log_softmax(-1)).logsumexp(-1).sum(-1)

    def draws(self, u: Tensor) -> Tensor:
        """Uniforms (n, 2 D) -> (n, D), one dimension after the other; of the type of ``u``."""
        weight: Tensor = self.layers[-1].weight
        noise = torch.special.ndtri(u[:, self.size :]).to(weight)
        w = torch.zeros_like(noise)
        for i in range(self.size):
            logits, means, log_scales = (part[:, i] for part in self.mixtures(w))  # (n, K)
            which = chosen(logits, u[:, i]).unsqueeze(1)
            scale = torch.exp(log_scales.gather(1, which).squeeze(1))
            w[:, i] = means.gather(1, which).squeeze(1) + scale * noise[:, i]
        return w.to(u)


def chosen(logits: Tensor, u: Tensor) -> Tensor:
    """The component that a uniform number chooses: logits (n, K), u (n,) -> (n,)."""
    return inverted(logits.double().softmax(-1), u.double())


def _bounded(raw: Tensor) -> Tensor:
    return _BOUND * torch.tanh(raw / _BOUND)
