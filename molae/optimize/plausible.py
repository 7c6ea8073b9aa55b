"""Where codes are plausible: as likely as nearly all codes of the training data."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.densities import LatentDensity

#: Codes that the threshold is a quantile of, and that are kept to go back to.
_JUDGED, _KEPT = 10_000, 2_000
#: Halvings of the way to a plausible code, left, before that code itself is taken.
_HALVINGS = 8


class Plausible:
    """The set of codes whose log-density is at least a quantile of that of given codes.

    Codes are compared as they leave the optimiser, in float32.

    Args:
        density: Fitted.
        share: Of the given codes that are not plausible, 0 to below 1; with 0 every code is.
        codes: Of training data, (N, D).
        seed: Of the choice, where there are many.

    Raises:
        ValueError: The share is out of range.
    """

    def __init__(self, density: LatentDensity, share: float, codes: Tensor, seed: int) -> None:
        if not 0 <= share < 1:
            raise ValueError(
                f"plausible is the share of the codes that are less so, 0 to below 1, got {share}"
            )
        self._density = density
        self._everything = share == 0
        if len(codes) > _JUDGED:
            chooser = torch.Generator().manual_seed(seed)
            codes = codes[torch.randperm(len(codes), generator=chooser)[:_JUDGED]]
        codes = codes.detach().cpu().float()
        worth = self._worth(codes)
        self.threshold = torch.quantile(worth, share)
        self.kept = codes[worth >= self.threshold][:_KEPT]  # (k, D) float32

    @torch.no_grad()
    def _worth(self, z: Tensor) -> Tensor:
        """log p(z), (n, D) float32 -> (n,) float64."""
        return self._density.log_prob(z.double())

    def holds(self, z: Tensor) -> Tensor:
        """Which of the codes z (n, D) float32 are plausible, (n,) bool."""
        if self._everything or not len(z):
            return torch.ones(len(z), dtype=torch.bool)
        return self._worth(z) >= self.threshold

    def pulled(self, z: Tensor, anchor: Tensor) -> Tensor:
        """Codes z, each moved towards a plausible one until it is plausible itself.

        Those that are plausible stay as they are. Others go half of the way, three quarters of it,
        and so on; at last they are the anchor itself.

        Args:
            z: (n, D) float32.
            anchor: (n, D) float32, all plausible.

        Returns:
            (n, D) float32.
        """
        z, share = z.clone(), 1.0
        wrong = torch.nonzero(~self.holds(z)).squeeze(1)
        way = z - anchor
        for _ in range(_HALVINGS):
            if not len(wrong):
                return z
            share *= 0.5
            z[wrong] = anchor[wrong] + share * way[wrong]
            wrong = wrong[~self.holds(z[wrong])]
        z[wrong] = anchor[wrong]
        return z

    def draws(self, n: int, seed: int, first: int) -> Tensor:
        """Plausible draws of the density, (n, D) float32: numbers ``first``, ``first`` + 1, ...

        A draw that is not plausible is pulled towards one of the codes that are.
        """
        index = torch.arange(first, first + n)
        z = self._density.sample_rows(seed, index).cpu()
        return self.pulled(z, self.kept[index % len(self.kept)])

    def load_state(self, threshold: Tensor, kept: Tensor) -> None:
        """Take back ``threshold`` and ``kept`` of a set with the same density and share."""
        self.threshold, self.kept = threshold.clone(), kept.clone()
