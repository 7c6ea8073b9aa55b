"""Where to look next, and what is known there: one class for each surrogate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molae.optimize.candidates import around, redrawn
from molae.optimize.region import TrustRegion
from molae.optimize.scales import normal_scores

if TYPE_CHECKING:  # BoTorch takes a second to import
    from botorch.models.gpytorch import GPyTorchModel

#: x (m, D) of so many draws of the density.
Draw = Callable[[int], Tensor]
#: An exact process on everything learns from this many points at most.
_EXACT = 2_000
#: Points that a search without a trust region looks around.
_BEST = 10


@dataclass(frozen=True)
class Points:
    """What was told, in whitened coordinates.

    Attributes:
        x: (N, D) float64.
        y: Scores to learn from, (N,) float64.
        scored: Which have a score of their own, (N,) bool.
    """

    x: Tensor
    y: Tensor
    scored: Tensor


@dataclass(frozen=True)
class Space:
    """Where an acquisition function looks.

    Attributes:
        model: The surrogate.
        x: Points to choose from, (n, D).
        low: Lowest corners of the boxes that each of them may be moved in, (n, D).
        high: Highest corners.
    """

    model: GPyTorchModel
    x: Tensor
    low: Tensor
    high: Tensor


class Search(ABC):
    """A surrogate, and where it is asked.

    Args:
        size: D.
        limit: ``local`` or ``inducing`` of the optimiser, where the class has use for it.
        device: Of the surrogate.
    """

    def __init__(self, size: int, limit: int, device: torch.device) -> None:
        self.size, self.limit, self.device = size, limit, device

    def center(self, points: Points, heard: int) -> int | None:
        """The row to look around: that of the best score, the first of several.

        Args:
            points: What was told.
            heard: How many scores were told in all, codes told again among them.

        Returns:
            None where there is no score to begin from.
        """
        return _best(points.y, points.scored)

    @abstractmethod
    def space(self, points: Points, center: int, draw: Draw, n: int, seed: int) -> Space:
        """Learn from ``points``, and set out n points to choose from.

        Args:
            points: What was told, N of 1 or more.
            center: The row to look around.
            draw: ``draw(m)``: m draws of the density, for those who use them.
            n: How many to choose from.
            seed: Of everything left to chance.
        """

    def facts(self) -> dict[str, float]:
        """Numbers that tell how the search goes."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What is to be saved, besides what was told."""
        return {}

    def scalars(self) -> dict[str, Any]:
        """And what of it is no tensor."""
        return {}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Take back what ``tensors`` and ``scalars`` gave."""
        return None

    def _exact(self, points: Points, rows: Tensor, seed: int) -> GPyTorchModel:
        """An exact process that has learnt from some rows."""
        from molae.optimize.surrogates import exact_gp

        scores = normal_scores(points.y[rows])
        return exact_gp(points.x[rows].to(self.device), scores.to(self.device), seed)


class LocalSearch(Search):
    """An exact process in a trust region, see ``TrustRegion``.

    It learns from ``limit`` points: from those nearest to the centre, up to half of them, and the
    best.
    """

    def __init__(self, size: int, limit: int, device: torch.device) -> None:
        super().__init__(size, limit, device)
        self.region = TrustRegion(size)
        self._heard = 0  # how many scores, when the region was last looked at
        self._best: float | None = None  # the score of its centre then

    def center(self, points: Points, heard: int) -> int | None:
        """The best point that counts; the region learns here how the last round went."""
        row = _best(points.y, points.scored & self.region.counts(points.x))
        if row is not None and self._best is not None and heard > self._heard:
            improved = float(points.y[row]) > self._best
            restarts = self.region.restarts
            self.region.judge(improved, heard - self._heard, points.x[row])
            if self.region.restarts > restarts:
                row = _best(points.y, points.scored & self.region.counts(points.x))
        self._heard = heard
        self._best = None if row is None else float(points.y[row])
        return row

    def space(self, points: Points, center: int, draw: Draw, n: int, seed: int) -> Space:
        """Points in the box of the trust region."""
        middle = points.x[center]
        model = self._exact(points, self._rows(points, middle), seed)
        low, high = self.region.box(middle)
        low, high = low.expand(n, -1), high.expand(n, -1)
        return Space(model, redrawn(middle.expand(n, -1), low, high, seed), low, high)

    def _rows(self, points: Points, middle: Tensor) -> Tensor:
        """What to learn from, in the order in which it was told."""
        count = len(points.x)
        if count <= self.limit:
            return torch.arange(count)
        near = (points.x - middle).square().sum(1).topk(self.limit // 2, largest=False).indices
        best = points.y.topk(self.limit).indices
        best = best[~torch.isin(best, near)][: self.limit - len(near)]
        return torch.cat([near, best]).sort().values

    def facts(self) -> dict[str, float]:
        """Length and restarts of the region."""
        return {"length": self.region.length, "restarts": self.region.restarts}

    def tensors(self) -> dict[str, Tensor]:
        """Centres that were given up."""
        return {"left": self.region.left}

    def scalars(self) -> dict[str, Any]:
        """The region, and what it was when last looked at."""
        return self.region.state() | {"heard": self._heard, "best": self._best}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Take them back."""
        self.region.load_state(tensors["left"], scalars)
        self._heard, self._best = int(scalars["heard"]), scalars["best"]


class WideSearch(Search):
    """An exact process on everything, at most on 2,000 points: the best 1,000 and as many others.

    It is asked at draws of the density and around the ten best points.
    """

    def space(self, points: Points, center: int, draw: Draw, n: int, seed: int) -> Space:
        """Draws of the density, and points around the best."""
        model = self._model(points, seed)
        best = points.x[points.y.topk(min(_BEST, len(points.x))).indices]
        x = torch.cat([draw(n // 2), around(best, n - n // 2, seed)])
        low, high = points.x.amin(0).clamp(max=0.0), points.x.amax(0).clamp(min=1.0)
        return Space(model, x, low.expand(n, -1), high.expand(n, -1))

    def _model(self, points: Points, seed: int) -> GPyTorchModel:
        return self._exact(points, _best_and_others(points, _EXACT, seed), seed)


class SparseSearch(WideSearch):
    """The same with a sparse process, whose hyper-parameters go on from those of the ask before.

    Half of its inducing points begin at the best points, the others anywhere. With no more points
    than inducing ones it is exact: that is what a sparse one would become.
    """

    def __init__(self, size: int, limit: int, device: torch.device) -> None:
        super().__init__(size, limit, device)
        self._learnt: dict[str, Tensor] = {}

    def _model(self, points: Points, seed: int) -> GPyTorchModel:
        from molae.optimize.surrogates import hyper_parameters, sparse_gp

        if len(points.x) <= self.limit:
            return super()._model(points, seed)
        x, y = points.x.to(self.device), normal_scores(points.y).to(self.device)
        rows = _best_and_others(points, self.limit, seed).to(self.device)
        model = sparse_gp(x, y, rows, self._learnt, seed)
        self._learnt = hyper_parameters(model)
        return model

    def tensors(self) -> dict[str, Tensor]:
        """What the process has learnt."""
        return self._learnt

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Take it back."""
        self._learnt = {name: value.clone() for name, value in tensors.items()}


def _best(y: Tensor, among: Tensor) -> int | None:
    """The first row of the highest score among some."""
    rows = torch.nonzero(among).squeeze(1)
    if not len(rows):
        return None
    return int(rows[torch.nonzero(y[rows] == y[rows].max())[0, 0]])


def _best_and_others(points: Points, most: int, seed: int) -> Tensor:
    """Rows, all or ``most`` of them: half of them the best, the others at random."""
    count = len(points.x)
    if count <= most:
        return torch.arange(count)
    order = points.y.argsort(descending=True, stable=True)
    others = torch.randperm(count - most // 2, generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[: most // 2], order[most // 2 :][others[: most - most // 2]]])
