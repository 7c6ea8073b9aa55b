"""A Gaussian kernel density."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from molae.densities.base import Progress
from molae.densities.whitened import Whitened
from molae.names import pick

_RULES = {
    "likelihood": "the one that makes each code likeliest given the others",
    "scott": "N ** (-1 / (D + 4))",
}
#: What ``likelihood`` chooses from: quarters of an octave, in standard deviations of the codes.
_BANDWIDTHS = tuple(math.pow(2.0, k / 4) for k in range(-24, 9))
#: Codes that the likelihood is the mean over.
_LEFT_OUT = 500
#: Pairs of a code and a kernel that are in memory at once, 8 bytes each.
_PAIRS = 1 << 22


class KernelDensity(Whitened):
    """A normal of width h around each of N codes, in coordinates where their covariance is I.

    It has to keep the codes: ``rows`` of them at most, drawn at random from those given, D float64
    numbers each (4.5 MB at the default and D = 56). Its time grows with their number, too.

    A sum of kernels is wider than the codes: their covariance grows by h^2, which is much at the
    widths that many dimensions need. With ``shrink`` the whole density is drawn in towards its
    mean by (1 + h^2)^(-1/2), so that it has the mean and the covariance of the codes (Silverman,
    *Density Estimation for Statistics and Data Analysis*, 1986, section 6.4.1). As h grows it goes
    to one Gaussian then; without, to an ever flatter one.

    Args:
        bandwidth: h, a number, or how to choose it: ``likelihood`` takes, out of quarters of an
            octave from 1/64 to 4, the one with the highest mean log-density of a code under the
            kernels of all others (Duin, IEEE Trans. Comput. C-25, 1976), over at most 500 codes;
            ``scott`` is N^(-1 / (D + 4)) (Scott, *Multivariate Density Estimation*, 1992).
        shrink: Keep the covariance of the codes.
        jitter: Added to the diagonal of the covariance, see ``Whitened``.
        rows: N at most.
        seed: Of the draw of those.
    """

    name = "kde"

    points: Tensor  # whitened codes, (N, D)
    width_of_kernels: Tensor  # h, ()

    def __init__(
        self,
        bandwidth: str | float = "likelihood",
        shrink: bool = True,
        jitter: float = 1e-6,
        rows: int = 10_000,
        seed: int = 0,
    ) -> None:
        super().__init__(jitter, rows, seed)
        if isinstance(bandwidth, str):
            pick(_RULES, bandwidth, "bandwidth")
        elif not 0 < bandwidth < math.inf:
            raise ValueError(f"bandwidth must be above 0, got {bandwidth}")
        self.bandwidth, self.shrink = bandwidth, shrink
        self.register_buffer("points", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("width_of_kernels", torch.zeros((), dtype=torch.float64))

    def described(self) -> str:
        """How many codes are kept, and h."""
        kept = f"{len(self.points):,} codes kept"
        return f"{kept}, bandwidth {float(self.width_of_kernels):.3g}"

    def _begin(self, size: int) -> None:
        """Buffers take their shapes from what is fitted or loaded."""

    def _learn(self, w: Tensor, progress: Progress | None) -> None:
        self.points = w.contiguous()
        if self.bandwidth == "likelihood":
            h = self._likeliest(progress)
        elif self.bandwidth == "scott":
            h = len(w) ** (-1.0 / (w.shape[1] + 4))
        else:
            h = float(self.bandwidth)
        self.width_of_kernels = w.new_tensor(h)

    def _white_log_prob(self, w: Tensor) -> Tensor:
        h = self.width_of_kernels
        parts = torch.split(w, max(1, _PAIRS // len(self.points)))
        sums = torch.cat(
            [self._log_kernels(part, h, *self._products(part)).logsumexp(1) for part in parts]
        )
        return sums - math.log(len(self.points))

    def _white_draws(self, u: Tensor) -> Tensor:
        """The first uniform chooses the kernel."""
        count = len(self.points)
        which = (u[:, 0] * count).long().clamp(max=count - 1)
        noise: Tensor = torch.special.ndtri(u[:, 1:])
        h = self.width_of_kernels
        return (self.points[which] + h * noise) / self._stretch(h)

    def _stretch(self, h: Tensor) -> Tensor:
        """How much wider the sum of kernels is than the density."""
        return (1.0 + h.square()).sqrt() if self.shrink else torch.ones_like(h)

    def _products(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """|w|^2 (n, 1) and w . x for each point x (n, N)."""
        return w.square().sum(1, keepdim=True), w @ self.points.T

    def _log_kernels(self, w: Tensor, h: Tensor, square: Tensor, product: Tensor) -> Tensor:
        """log of each kernel at w (n, D), with its part of the normalisation, (n, N)."""
        size, stretch = w.shape[1], self._stretch(h)
        distance = stretch.square() * square - 2.0 * stretch * product
        distance = distance + self.points.square().sum(1)
        volume = size * (0.5 * math.log(2.0 * math.pi) + (h / stretch).log())
        return -0.5 * distance / h.square() - volume

    def _likeliest(self, progress: Progress | None) -> float:
        """The bandwidth with the highest mean log-density of points left out."""
        count = len(self.points)
        chooser = torch.Generator().manual_seed(self.seed)
        rows = torch.randperm(count, generator=chooser)[:_LEFT_OUT].to(self.points.device)
        total = torch.zeros(len(_BANDWIDTHS), dtype=torch.float64)
        parts = torch.split(rows, max(1, _PAIRS // count))
        for done, part in enumerate(parts, 1):
            w = self.points[part]
            products = self._products(w)
            for i, h in enumerate(_BANDWIDTHS):
                each = self._log_kernels(w, w.new_tensor(h), *products)
                each[torch.arange(len(part)), part] = -torch.inf  # without the point itself
                total[i] += each.logsumexp(1).sum().cpu()
            if progress is not None:
                progress(done / len(parts))
        return float(_BANDWIDTHS[int(total.argmax())])
