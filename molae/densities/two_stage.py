"""The second stage of a two-stage VAE: a VAE over codes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from molae.densities.base import Progress, not_fitted
from molae.densities.trained import TILE, Pace, silenced, train
from molae.densities.whitened import Whitened
from molae.repeatable import in_tiles, seeded

_LOG_2PI = math.log(2.0 * math.pi)
#: Pairs of a code and a sample of it that are decoded at once.
_PAIRS = 1 << 15
#: Gamma before it is learnt, and the slope that goes with it, see ``_SecondStage``.
_GAMMA = 0.1
_SLOPE = math.sqrt(1.0 - _GAMMA)


class TwoStage(Whitened):
    """A small VAE over codes, with as many latent numbers u as a code has and a learnt variance.

    Dai and Wipf, *Diagnosing and Enhancing VAE Models*, ICLR 2019: p(u) = N(0, I),
    p(w|u) = N(f(u), gamma I) with one gamma that is learnt, q(u|w) a diagonal normal. Where the
    first stage has found the manifold of the data, its codes fill all their dimensions, and there
    such a VAE can match their distribution. Draws are u ~ N(0, I), w = f(u) + gamma^(1/2) noise.

    With ``skip`` the networks are theirs: ``layers`` (three) hidden ones of width ``hidden``
    (1024), the input put beside what comes out of them, and one dense layer on both; weights are
    uniform at first (Glorot and Bengio 2010). They learn from the codes as they are, a new draw of
    q(z|x) in each of 800 passes, in batches of 64 and at a rate of 1e-4 that is halved every 300;
    here it is from whitened codes, those that ``fit`` is given, with the pace below. Their gamma
    begins at 1; here it is 0.1, see ``_SecondStage`` for the reason, and there for what is other
    without ``skip``.

    With ``gamma``, and ``skip`` and ``noise`` off, it is the second stage of the released code of
    the RAE paper (Ghosh et al., ICLR 2020, ``estimate_density_and_sample.py``): plain networks of
    two layers of 1024, Glorot's weights at first, and the mean over D of the squared error plus
    beta times the divergence. That is beta times what is minimised here, and a constant, if
    gamma = D beta / 2; for D = 16 and its beta of 1.5e-3, on MNIST, 0.012. Its draws are the means
    f(u). These have no density; ``log_prob`` is that of the model with noise either way. There
    each dimension of the codes is standardised, here they are whitened.

    Its ``log_prob`` is a lower bound in expectation, the importance-weighted one (Burda, Grosse
    and Salakhutdinov, ICLR 2016): log 1/K sum_k p(w, u_k) / q(u_k|w) with u_k from q(u|w). The
    noise behind the u_k follows from the seed and is the same for every code, so that the same
    code has the same value in any batch, and a gradient. More samples make it tighter, at their
    price in time.

    Fitted by the ELBO on nine tenths of the codes; those weights are kept that are best on the
    others.

    Args:
        hidden: Width of the hidden layers of encoder and decoder.
        layers: How many of those each has.
        samples: K.
        skip: Whether the networks are those of Dai and Wipf.
        gamma: The variance of p(w|u), that of whitened codes being 1; None: it is learnt.
        noise: Whether draws have the noise of p(w|u).
        epochs: Passes over the codes, at most; see ``trained.Pace``, and for the next three.
        batch_size: See there.
        learning_rate: See there.
        patience: See there.
        jitter: Added to the diagonal of the covariance, see ``Whitened``.
        rows: Fit to this many codes at most.
        seed: Of weights, order and noise.
    """

    name = "two_stage"

    vae: _SecondStage | None

    def __init__(
        self,
        hidden: int = 256,
        layers: int = 2,
        samples: int = 64,
        skip: bool = False,
        gamma: float | None = None,
        noise: bool = True,
        epochs: int = 200,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        patience: int = 8,
        jitter: float = 1e-6,
        rows: int = 1_000_000,
        seed: int = 0,
    ) -> None:
        super().__init__(jitter, rows, seed)
        if hidden < 1 or layers < 1 or samples < 1:
            raise ValueError(
                f"hidden, layers and samples must be 1 or more, got {hidden}, {layers} and "
                f"{samples}"
            )
        if gamma is not None and not 0.0 < gamma < math.inf:
            raise ValueError(f"gamma must be above 0, or left out to be learnt, got {gamma}")
        pace = Pace(epochs, batch_size, learning_rate, patience)
        self.hidden, self.layers, self.samples, self.skip = hidden, layers, samples, skip
        self.gamma, self.noise = gamma, noise
        self.epochs, self.batch_size = pace.epochs, pace.batch_size
        self.learning_rate, self.patience = pace.learning_rate, pace.patience
        self.register_module("vae", None)

    @property
    def width(self) -> int:
        """Uniforms that a draw takes: one that is not used, D for u and D for the noise."""
        return 2 * self.size + 1

    def described(self) -> str:
        """Layers, gamma and K."""
        if self.vae is None:
            return ""
        gamma = float((2.0 * self.vae.log_scale).exp())
        skip = " with a skip" if self.skip else ""
        return (
            f"{self.layers} layers of {self.hidden}{skip}, gamma {gamma:.3g}, bound of "
            f"{self.samples} samples"
        )

    def _begin(self, size: int) -> None:
        with seeded(self.seed):
            made = _SecondStage(size, self.hidden, self.layers, self.skip, self.gamma)
        self.vae = made.to(self.mean).requires_grad_(False)

    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        vae = self._fitted().float().requires_grad_(True)
        pace = Pace(self.epochs, self.batch_size, self.learning_rate, self.patience)
        train(vae, vae.loss, w.float(), pace, self.seed, progress)
        vae.double()

    def _white_log_prob(self, w: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.samples, 1, self.size)
        noise = torch.randn(shape, generator=generator, dtype=torch.float64).to(w)
        vae = self._fitted()
        parts = torch.split(w, max(1, _PAIRS // self.samples))
        weights = torch.cat([vae.log_weights(part, noise) for part in parts], 1)  # (K, n)
        return weights.logsumexp(0) - math.log(self.samples)

    def _white_draws(self, u: Tensor) -> Tensor:
        """The first uniform is not used, the next D become u, the last D the noise."""
        vae, size = self._fitted(), self.size
        noise: Tensor = torch.special.ndtri(u[:, 1:])
        center = in_tiles(vae.decode, noise[:, :size], TILE)
        return center + vae.log_scale.exp() * noise[:, size:] if self.noise else center

    def _fitted(self) -> _SecondStage:
        if self.vae is None:
            raise not_fitted(self.name)
        return self.vae


_Net = TypeVar("_Net", bound=nn.Module)


class _SecondStage(nn.Module):
    """Encoder, decoder and gamma; codes w (n, D), latent numbers u (..., n, D).

    A gamma of 1 with a decoder that ignores u is N(0, I), the Gaussian of whitened codes, and a
    point where the gradient is nought: no direction of such codes is worth more than another, so
    that a VAE which knows nothing of their shape gains nothing by telling them apart. What begins
    near it stays. With a small gamma, u is what errors are made less with from the first step.

    Where gamma is learnt and there is no ``skip``, encoder and decoder are a straight line plus a
    network, whose last layer is nought at first. So training begins with the linear VAE
    w = (1 - gamma)^(1/2) u + gamma^(1/2) noise, whose likelihood is that N(0, I) and whose
    posterior is exact (Tipping and Bishop, *Probabilistic Principal Component Analysis*, J. R.
    Stat. Soc. B 61, 1999).
    """

    log_scale: Tensor  # log gamma^(1/2)

    def __init__(
        self, size: int, hidden: int, layers: int, skip: bool, gamma: float | None
    ) -> None:
        super().__init__()
        lined = gamma is None and not skip
        made = _Skip if skip else _silent if lined else _plain
        self.encoder = made(size, hidden, layers, 2 * size)
        self.decoder = made(size, hidden, layers, size)
        self.slope = _SLOPE if lined else 0.0
        self.first = 0.5 * math.log(_GAMMA) if lined else 0.0
        log_scale = torch.tensor(0.5 * math.log(gamma or _GAMMA))
        if gamma is None:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def decode(self, u: Tensor) -> Tensor:
        """f(u), the mean of p(w|u), (..., n, D)."""
        center: Tensor = self.slope * u + self.decoder(u)
        return center

    def posterior(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(u|w), (n, D) each."""
        mean, log_scale = self.encoder(w).chunk(2, -1)
        return self.slope * w + mean, (self.first + log_scale).clamp(-10.0, 10.0)

    def log_likelihood(self, w: Tensor, u: Tensor) -> Tensor:
        """log p(w|u), (..., n)."""
        error = (w - self.decode(u)) * (-self.log_scale).exp()
        return -0.5 * (error.square() + _LOG_2PI).sum(-1) - w.shape[-1] * self.log_scale

    def loss(self, w: Tensor, generator: torch.Generator) -> Tensor:
        """-ELBO with one sample and the divergence in closed form, (n,)."""
        mean, log_scale = self.posterior(w)
        noise = torch.randn(w.shape, generator=generator, dtype=w.dtype).to(w)
        rate = 0.5 * (mean.square() + (2.0 * log_scale).exp() - 1.0).sum(-1) - log_scale.sum(-1)
        return rate - self.log_likelihood(w, mean + log_scale.exp() * noise)

    def log_weights(self, w: Tensor, noise: Tensor) -> Tensor:
        """log p(w, u) / q(u|w) for u from the noise (K, 1, D): (K, n)."""
        mean, log_scale = self.posterior(w)
        u = mean + log_scale.exp() * noise  # (K, n, D)
        prior = -0.5 * u.square().sum(-1)
        posterior = -0.5 * noise.square().sum(-1) - log_scale.sum(-1)  # 2 pi cancels
        return self.log_likelihood(w, u) + prior - posterior


def _silent(inside: int, hidden: int, layers: int, outside: int) -> nn.Sequential:
    """A feed-forward network with ReLUs that says nought before it is trained."""
    return nn.Sequential(*_hidden(inside, hidden, layers), silenced(nn.Linear(hidden, outside)))


def _plain(inside: int, hidden: int, layers: int, outside: int) -> nn.Sequential:
    """A feed-forward network with ReLUs and Glorot's weights."""
    last = nn.Linear(hidden, outside)
    return _by_glorot(nn.Sequential(*_hidden(inside, hidden, layers), last))


class _Skip(nn.Module):
    """A feed-forward network with ReLUs whose last layer sees the input, too."""

    def __init__(self, inside: int, hidden: int, layers: int, outside: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*_hidden(inside, hidden, layers))
        self.last = nn.Linear(inside + hidden, outside)
        _by_glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inside) -> (..., outside)."""
        out: Tensor = self.last(torch.cat([x, self.hidden(x)], -1))
        return out


def _by_glorot(network: _Net) -> _Net:
    """The network with weights as Glorot and Bengio (2010) draw them, and biases of nought."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def _hidden(inside: int, hidden: int, layers: int) -> list[nn.Module]:
    widths = [inside, *[hidden] * layers]
    return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
