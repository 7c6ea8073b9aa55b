"""The optimiser: ask for codes, tell what they score."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molae.densities import Gaussian, LatentDensity, StandardNormal
from molae.draws import mixed_seed
from molae.names import ACQUISITIONS, SURROGATES, pick
from molae.optimize.plausible import Plausible
from molae.optimize.scales import Whitening
from molae.optimize.search import LocalSearch, Points, Search, SparseSearch, WideSearch
from molae.optimize.told import Told, keys

_SEARCHES: dict[str, type[Search]] = {
    "trust_region": LocalSearch,
    "exact": WideSearch,
    "sparse": SparseSearch,
}
#: Draws of the density that whiten codes where no training codes are given.
_DRAWN = 5_000
#: Best points whose scores, as the surrogate sees them, are to be improved on.
_LEADERS = 200
#: Times that codes are drawn again where some were not new.
_TRIES = 20
#: What a saved state must agree with.
_SETTINGS = (
    *("size", "surrogate", "acquisition", "plausible", "seed"),
    *("candidates", "local", "inducing", "beta"),
)


class LatentOptimizer:
    """Bayesian optimisation in latent space, by BoTorch; higher scores are better.

    Knows codes, scores and a density; neither molecules nor networks. Everything that is learnt
    is float64. What is asked follows from the seed, from what was told before and from how often
    was asked, not from the pieces in which it was told.

    Until two different scores were told, codes are drawn from the density. Then a Gaussian
    process learns scores (by rank, see ``normal_scores``) from whitened codes; an acquisition
    function chooses among ``candidates`` points, and moves the batch uphill together.

    * ``trust_region``: TuRBO (see ``TrustRegion``). The process learns from the ``local`` codes
      that are best and nearest to the best, so an ask does not get slower as more is told. Where
      all that was told lies near regions that were given up, codes are drawn from the density.
    * ``exact``: the same process on everything, at most on the best 1,000 and as many others.
    * ``sparse``: a sparse variational process on everything, with ``inducing`` points; with no
      more codes than that it is ``exact``. Its hyper-parameters go on from the ask before.

    **Plausible codes only.** Every code that is asked has a log-density of at least the quantile
    ``plausible`` of the training codes' log-densities. A point that has not is pulled back towards
    the best code told, until it has; or, where that code is not plausible itself, towards the
    nearest training code that is. So a batch is always full: in the worst case with codes of
    training data, and if these are too few for q different ones, an error says so. Without
    training codes, which a saved run does not keep, 5,000 draws of the density stand for them,
    here and where codes are whitened: as good as the density fits the training codes.

    **Failures.** A code told with nan is learnt as the worst that was seen, and is never what the
    search looks around.

    **Repeats.** A code that is told again has the score that was told last. One that is measured
    several times is told with the mean of all, anew whenever there is one more.

    Args:
        density: What codes are drawn from and judged by, fitted. None: a Gaussian fitted to
            ``training_codes``, or the standard normal distribution.
        size: D.
        surrogate: A key of ``molae.names.SURROGATES``.
        acquisition: A key of ``molae.names.ACQUISITIONS``.
        plausible: The share of the training codes that are less likely than what may be asked;
            with 0 everything may.
        training_codes: (N, D); whiten codes and set what is plausible. None: 5,000 draws of the
            density.
        seed: Of everything that is left to chance.
        device: Of the surrogate, which is float64: the CPU in place of ``mps``, which has none.
        candidates: Points that an acquisition function chooses from; memory grows with the square.
        local: Codes that a trust region learns from, at most.
        inducing: Points of a sparse process (500 in Kusner, Paige and Hernández-Lobato, *Grammar
            Variational Autoencoder*, ICML 2017).
        beta: Of the acquisition function ``ucb``: the mean is raised by sqrt(beta) deviations.

    Raises:
        ValueError: A name or a number that is out of range, or codes of another size.
        NotFittedError: The density is not fitted.
    """

    def __init__(
        self,
        density: LatentDensity | None,
        size: int,
        *,
        surrogate: str = "trust_region",
        acquisition: str = "logei",
        plausible: float = 0.01,
        training_codes: Tensor | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        candidates: int = 2000,
        local: int = 400,
        inducing: int = 500,
        beta: float = 0.1,
    ) -> None:
        self.surrogate = pick(SURROGATES, surrogate, "surrogate")
        self.acquisition = pick(ACQUISITIONS, acquisition, "acquisition")
        if min(candidates, local, inducing) < 2 or not beta > 0:
            raise ValueError(
                "candidates, local and inducing are 2 or more and beta is above 0, got "
                f"{candidates}, {local}, {inducing} and {beta}"
            )
        if training_codes is not None and training_codes.shape[1:] != (size,):
            raise ValueError(
                f"training codes (N, {size}) are expected, got {tuple(training_codes.shape)}"
            )
        if density is None:
            z = training_codes
            density = StandardNormal(size) if z is None else Gaussian().fit(z)
        if density.size != size:
            raise ValueError(f"codes have {size} dimensions, those of the density {density.size}")
        self.size, self.plausible, self.seed = size, plausible, seed
        self.candidates, self.local, self.inducing, self.beta = candidates, local, inducing, beta
        self.device = torch.device("cpu" if torch.device(device).type == "mps" else device)
        if training_codes is None:
            # Numbers below 0: those from 0 on will be asked.
            training_codes = density.sample_rows(seed, torch.arange(-_DRAWN, 0))
        self.plausible_set = Plausible(density, plausible, training_codes, mixed_seed(seed))
        self._whitening = Whitening.of(training_codes)
        self._told = Told(size)
        limit = {"trust_region": local, "sparse": inducing}.get(surrogate, 0)
        self._search = _SEARCHES[surrogate](size, limit, self.device)
        self._heard = self._asks = self._drawn = 0

    @property
    def best(self) -> tuple[Tensor, float] | None:
        """The best code told (D,) and its score; None before there was a score."""
        y = self._told.y.nan_to_num(nan=-torch.inf)
        row = int(y.argmax()) if len(y) else -1
        return None if row < 0 or y[row].isinf() else (self._told.z[row], float(y[row]))

    @property
    def facts(self) -> dict[str, float]:
        """How far it is: codes told, scores told, asks; and of a trust region, its state."""
        counts = {"told": len(self._told), "scores": self._heard, "asks": self._asks}
        return counts | self._search.facts()

    def tell(self, z: Tensor, y: Tensor) -> None:
        """Learn scores.

        Args:
            z: Codes (n, D) of any type; they need not have been asked.
            y: Their scores (n,); nan for what failed.

        Raises:
            ValueError: Other shapes, a code that is not finite, or an infinite score.
        """
        self._told.add(z, y)
        self._heard += len(z)

    def ask(self, q: int) -> Tensor:
        """The next q codes to try, (q, D) float32 on the CPU: different, new and plausible.

        Args:
            q: 1 or more.

        Raises:
            ValueError: q is below 1, or there are not q different plausible codes to be found.
        """
        if q < 1:
            raise ValueError(f"1 or more codes can be asked, got {q}")
        z = self._fill(self._found(q), q)
        self._asks += 1
        return z

    def _found(self, q: int) -> Tensor:
        """Codes that the surrogate finds worth trying, the best first, (k, D) float32."""
        points = self._points()
        center = self._search.center(points, self._heard)
        if center is None or not bool((points.y != points.y[0]).any()):
            return torch.zeros(0, self.size)
        # Imported here: BoTorch takes a second, and the first asks need none of it.
        from molae.optimize.acquisition import Acquisition, highest_mean

        seed = self._key(0)
        space = self._search.space(points, center, self._draw, self.candidates, seed)
        leaders = points.x[points.y.topk(min(_LEADERS, len(points.y))).indices]
        best = highest_mean(space.model, leaders.to(self.device))
        acquisition = Acquisition(self.acquisition, self.beta, best, seed)
        anchor = self._anchor(center)
        z = self._plausible_codes(space.x, anchor[None].expand(len(space.x), -1))
        rows = self._new(z)
        if not len(rows):
            return z[rows]
        z = z[rows]
        x = self._whitening.coordinates(z).to(self.device)
        chosen = acquisition.choose(space.model, x, q)
        edges = (edge[rows[chosen]].to(self.device) for edge in (space.low, space.high))
        moved = self._moved(acquisition, space.model, x[chosen], z[chosen], *edges)
        left = torch.ones(len(z), dtype=torch.bool)
        left[chosen] = False
        return torch.cat([moved, z[chosen], z[left][:q]])

    def _moved(
        self, acquisition: Any, model: Any, x: Tensor, z: Tensor, low: Tensor, high: Tensor
    ) -> Tensor:
        """A batch x (q, D), whose codes are z, moved uphill as far as that stays plausible."""
        moved = self._plausible_codes(acquisition.moved(model, x, low, high).cpu(), z)
        there = self._whitening.coordinates(moved).to(self.device)
        return moved if acquisition.worth(model, there) > acquisition.worth(model, x) else z

    def _points(self) -> Points:
        told = self._told
        return Points(self._whitening.coordinates(told.z), told.learnt, ~told.y.isnan())

    def _draw(self, n: int) -> Tensor:
        """x of n plausible draws of the density, (n, D), others in every ask."""
        return self._whitening.coordinates(self.plausible_set.draws(n, self._key(1), 0))

    def _anchor(self, center: int) -> Tensor:
        """The code that points are pulled back to, (D,) float32, plausible."""
        z = self._told.z[center].float()
        if self.plausible_set.holds(z[None]).all():
            return z
        kept = self.plausible_set.kept
        gaps = self._whitening.coordinates(kept) - self._whitening.coordinates(z[None])
        return kept[int(gaps.square().sum(1).argmin())]

    def _plausible_codes(self, x: Tensor, anchor: Tensor) -> Tensor:
        """Codes of points x (n, D), pulled towards the anchors (n, D); float32."""
        return self.plausible_set.pulled(self._whitening.codes(x).float(), anchor)

    def _new(self, z: Tensor) -> Tensor:
        """Rows of the codes z (n, D) that are not told yet, the first of equal ones, in order."""
        first = {key: row for row, key in reversed(list(enumerate(keys(z))))}
        rows = torch.tensor(sorted(first.values()), dtype=torch.int64)
        return rows[~self._told.knows(z[rows])]

    def _fill(self, z: Tensor, q: int) -> Tensor:
        """The first q new codes of z; where there are fewer, draws of the density after them."""
        z, drawn = z[self._new(z)], self._drawn
        for _ in range(_TRIES):
            if len(z) >= q:
                break
            z = torch.cat([z, self.plausible_set.draws(q - len(z), self.seed, drawn)])
            z, drawn = z[self._new(z)], drawn + q
        if len(z) < q:
            raise ValueError(
                f"only {len(z)} of {q} codes asked for are new and plausible: ask for fewer, "
                f"lower 'plausible' (now {self.plausible:g}), or fit the density to more codes"
            )
        self._drawn = drawn
        return z[:q].clone()

    def _key(self, stream: int) -> int:
        """The seed of one stream of this ask."""
        return mixed_seed(mixed_seed(self.seed) + 8 * self._asks + stream) & ((1 << 62) - 1)

    def settings(self) -> dict[str, Any]:
        """What a saved state must agree with, by name."""
        return {name: getattr(self, name) for name in _SETTINGS}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON values that ``load_state`` takes back."""
        tensors = {f"told.{name}": value for name, value in self._told.state().items()}
        tensors |= {f"search.{name}": value for name, value in self._search.tensors().items()}
        tensors |= {
            "whitening.mean": self._whitening.mean,
            "whitening.scales": self._whitening.scales,
            "plausible.threshold": self.plausible_set.threshold,
            "plausible.kept": self.plausible_set.kept,
        }
        scalars = {
            "settings": self.settings(),
            "search": self._search.scalars(),
            **{"heard": self._heard, "asks": self._asks, "drawn": self._drawn},
        }
        return {name: value.clone() for name, value in tensors.items()}, scalars

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on where ``state`` was taken: the next ask is the one that would have come there.

        The density must be the same; training codes need not be given again.

        Raises:
            ValueError: It is the state of an optimiser with other settings.
        """
        mine, saved = self.settings(), scalars["settings"]
        other = [
            f"{k}: {saved.get(k)} saved, {v} here" for k, v in mine.items() if saved.get(k) != v
        ]
        if other:
            raise ValueError(
                f"the state is of an optimiser with other settings ({'; '.join(other)}): "
                "make it with those, or tell a new one"
            )
        parts: dict[str, dict[str, Tensor]] = {"told": {}, "search": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        self._told.load_state(parts["told"])
        self._search.load_state(parts["search"], scalars["search"])
        self._whitening = Whitening(**parts["whitening"])
        self.plausible_set.load_state(**parts["plausible"])
        self._heard, self._asks, self._drawn = (scalars[k] for k in ("heard", "asks", "drawn"))
