"""A normalising flow over codes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from molae.densities.base import Progress
from molae.densities.trained import BLOCK, TILE, Pace, silenced, train
from molae.densities.whitened import Whitened
from molae.repeatable import in_tiles, seeded

_LOG_2PI = math.log(2.0 * math.pi)


class NormalizingFlow(Whitened):
    """Codes as an invertible function of normal noise: neural spline couplings, by zuko.

    Each of the ``transforms`` leaves half of the dimensions as they are and turns each of the
    others by a monotonic rational-quadratic spline, whose knots a network computes from the first
    half (Durkan, Bekasov, Murray and Papamakarios, *Neural Spline Flows*, NeurIPS 2019). Couplings
    cost the same in both directions, unlike autoregressive flows, and here draws matter as much as
    densities. Halves are drawn at random; every other coupling has the complement of the one
    before, so that two of them turn every dimension.

    Splines act within 5 standard deviations of the codes; further out the density is that of a
    Gaussian with their mean and covariance.

    Fitted by maximum likelihood on nine tenths of the codes; those weights are kept that are best
    on the others. Or it is learnt with a model, as its prior (``dim``), beginning with N(0, I).

    Args:
        transforms: How many couplings.
        hidden: Width of the two hidden layers of each network.
        bins: Of each spline.
        epochs: Passes over the codes, at most; see ``trained.Pace``, and for the next three.
        batch_size: See there.
        learning_rate: See there.
        patience: See there.
        jitter: Added to the diagonal of the covariance, see ``Whitened``.
        rows: Fit to this many codes at most.
        seed: Of weights, halves, order and noise.
        dim: D of a prior that is learnt with a model; None for what is fitted to codes.
    """

    name = "flow"

    def __init__(
        self,
        transforms: int = 6,
        hidden: int = 128,
        bins: int = 8,
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
        if transforms < 1 or hidden < 1 or bins < 2:
            raise ValueError(
                "transforms and hidden must be 1 or more and bins 2 or more, got "
                f"{transforms}, {hidden} and {bins}"
            )
        pace = Pace(epochs, batch_size, learning_rate, patience)
        self.transforms, self.hidden, self.bins = transforms, hidden, bins
        self.epochs, self.batch_size = pace.epochs, pace.batch_size
        self.learning_rate, self.patience = pace.learning_rate, pace.patience
        self.couplings = nn.ModuleList()
        self._stand()

    def described(self) -> str:
        """Couplings and weights."""
        weights = sum(p.numel() for p in self.couplings.parameters())
        return f"{len(self.couplings)} couplings, {weights:,} weights"

    def _begin(self, size: int) -> None:
        # Imported here: only what has a flow needs it.
        from zuko.flows import GeneralCouplingTransform
        from zuko.transforms import MonotonicRQSTransform

        with seeded(self.seed):
            halves = [torch.randperm(size) < size // 2 for _ in range(0, self.transforms, 2)]
            made = [
                GeneralCouplingTransform(
                    size,
                    mask=~halves[i // 2] if i % 2 else halves[i // 2],
                    univariate=MonotonicRQSTransform,
                    shapes=[(self.bins,), (self.bins,), (self.bins - 1,)],
                    hidden_features=(self.hidden, self.hidden),
                )
                for i in range(self.transforms)
            ]
            for coupling in made:
                _straighten(coupling)
        self.couplings = nn.ModuleList(made).to(self.mean).requires_grad_(False)

    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        self.couplings.float().requires_grad_(True)
        pace = Pace(self.epochs, self.batch_size, self.learning_rate, self.patience)
        train(self.couplings, lambda x, _: -self._density(x), w.float(), pace, self.seed, progress)
        self.couplings.double()

    def _transform(self) -> Any:
        """From whitened codes to noise."""
        from zuko.transforms import ComposedTransform

        return ComposedTransform(*(coupling() for coupling in self.couplings))

    def _density(self, w: Tensor) -> Tensor:
        noise, log_det = self._transform().call_and_ladj(w)
        value: Tensor = log_det - 0.5 * (noise.square() + _LOG_2PI).sum(-1)
        return value

    def _white_log_prob(self, w: Tensor) -> Tensor:
        return torch.cat([self._density(part) for part in torch.split(w, BLOCK)])

    def _white_draws(self, u: Tensor) -> Tensor:
        """The first uniform is not used."""
        noise = torch.special.ndtri(u[:, 1:]).to(self.mean)
        return in_tiles(self._transform().inv, noise, TILE)


def _straighten(coupling: Any) -> None:
    """Let a coupling begin as the identity: then training begins with the Gaussian of the codes.

    All parameters of a spline nought are evenly spaced knots on the diagonal.
    """
    from zuko.flows import ElementWiseTransform

    if isinstance(coupling, ElementWiseTransform):  # one dimension has no other half
        for parameter in coupling.parameters():
            nn.init.zeros_(parameter)
    else:
        silenced(list(coupling.hyper.modules())[-1])
