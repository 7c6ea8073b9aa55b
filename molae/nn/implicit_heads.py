"""A head without a density: codes are a function of features and noise, z = f(h, e)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from molae.distributions import ImplicitPosterior


class ImplicitHead(nn.Module):
    """z = f(h, e), e ~ N(0, I): a posterior of any shape that can be drawn from, and no more.

    Mescheder, Nowozin and Geiger, *Adversarial Variational Bayes*, ICML 2017. A code of D numbers
    is [y | s | n], of which one or two may be empty:

    - y, the first ``clusters``: the softmax of as many logits, a soft choice of a cluster (the
      categorical code of Makhzani et al., *Adversarial Autoencoders*, 2015, section 5).
    - s, the middle: any numbers, the style of an example beside its cluster.
    - n, the last ``local``: noise, N(0, 1), that knows nothing of the example. It is the local
      noise vector of Makhzani, *Implicit Autoencoders*, 2018: the decoder turns it into all that
      the other numbers, which are global, do not say of an example.

    ``center`` is f(h, 0), with zeros for n. Without noise, clusters and local numbers it is a
    point, made by a net. Densities that are fitted to centres know nothing of e and n: a run of
    an objective that holds draws to the prior generates from the prior, unless told otherwise.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        noise: Width of e; 0 for none.
        layers: Widths of the hidden layers of f. Its output has no bound.
        clusters: How many numbers y has, 0 for none.
        local: How many numbers n has, 0 for none.

    Raises:
        ValueError: A number is below 0, or y and n leave no room for one another in the code.
    """

    def __init__(
        self,
        hidden: int,
        latent: int,
        *,
        noise: int = 32,
        layers: Sequence[int] = (128,),
        clusters: int = 0,
        local: int = 0,
    ) -> None:
        super().__init__()
        if min(noise, clusters, local) < 0 or clusters == 1:
            raise ValueError(
                "noise, clusters and local are 0 or more, and one cluster is none; got "
                f"{noise}, {clusters} and {local}"
            )
        if clusters + local > latent or local == latent:
            raise ValueError(
                f"a code of {latent} numbers has no room for {clusters} clusters and {local} "
                f"numbers of local noise: give --latent-dim {clusters + max(local, 0) + 1} or more"
            )
        self.hidden, self.latent, self.noise = hidden, latent, noise
        self.clusters, self.local = clusters, local
        widths = [hidden + noise, *layers]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*parts, nn.Linear(widths[-1], latent - local))

    def forward(self, h: Tensor, context: Tensor | None = None) -> ImplicitPosterior:
        """q(z|x) of features h (B, H); the context is known to the encoder already."""
        h = h.to(next(self.layers.parameters()).dtype)
        quiet = h.new_zeros(len(h), self.noise)
        center = self._code(h, quiet, h.new_zeros(len(h), self.local))

        def draw(sample_shape: tuple[int, ...]) -> Tensor:
            lead = (*sample_shape, len(h))
            noise = torch.randn(*lead, self.noise, dtype=h.dtype, device=h.device)
            local = torch.randn(*lead, self.local, dtype=h.dtype, device=h.device)
            return self._code(h.expand(*lead, -1), noise, local)

        return ImplicitPosterior(center, draw)

    def _code(self, h: Tensor, noise: Tensor, local: Tensor) -> Tensor:
        """Codes of features (*S, B, H), noise (*S, B, E) and local noise (*S, B, L)."""
        with torch.autocast(h.device.type, enabled=False):  # codes are exact, as in other heads
            out = self.layers(torch.cat([h, noise], -1))
        choice, style = out[..., : self.clusters], out[..., self.clusters :]
        return torch.cat([torch.softmax(choice, -1), style, local], -1)
