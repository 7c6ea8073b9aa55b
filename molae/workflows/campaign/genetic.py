"""Genetic algorithms on molecular graphs, alone and on the acquisition of a Gaussian process."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.chem.fingerprints import morgan
from molae.chem.genetic import offspring
from molae.chem.molecules import MoleculeError
from molae.chem.requirements import parse_requirements
from molae.chem.surgery import Limits, graph
from molae.names import pick
from molae.optimize.fingerprint import TanimotoGP, confidence_bound, log_expected_improvement
from molae.oracles.base import Answer
from molae.training.checkpoint import branch, grow
from molae.workflows.campaign.baselines import begin, check_counts
from molae.workflows.campaign.known import Known, best_rows
from molae.workflows.campaign.ranks import Floats, draw, rank_weights
from molae.workflows.campaign.strategy import Candidate, State, Strategy

#: Rounds in which children are bred before fewer than were wanted are enough.
_PATIENCE = 20
#: Radius and size of the fingerprints that the process learns from, and how many are kept.
_RADIUS, _SIZE, _KEPT = 2, 2048, 20_000
#: Candidates from which a batch is chosen, for each that is wanted.
_SHORTLIST = 10
#: More heavy atoms than any requirement means.
_MOST = 10_000


class Genetic(Strategy):
    """A genetic algorithm on molecular graphs in the spirit of Jensen (2019).

    The population are the best that were told. Each batch is bred from it: parents are drawn with
    a probability of 1 / (k N + rank), crossed and mutated; see ``molae.chem.genetic``.

    Args:
        first: Proposes until ``initial`` molecules have a score: ``Screening`` of a file or of
            given molecules, ``Sampling`` of a run.
        initial: Molecules with a score to begin with.
        population: Molecules that may be parents.
        k: Of the ranks: small lets the best have most of the children, ``inf`` all the same.
        crossover: See ``molae.chem.genetic.offspring``.
        mutation: See there.
        limits: Of the offspring; None for the defaults.
        seed: All the chance there is.

    Raises:
        ValueError: A number below 1, or a k that is not above 0.
    """

    name = "genetic"

    def __init__(
        self,
        first: Strategy,
        *,
        initial: int = 50,
        population: int = 200,
        k: float = 0.001,
        crossover: float = 0.8,
        mutation: float = 0.2,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(initial=initial, population=population)
        self._first, self._initial, self._population = first, initial, population
        self._breed = Breeding(k, crossover, mutation, limits)
        self._rng = np.random.default_rng(seed)
        self._told = Known()

    def ask(self, n: int) -> list[Candidate]:
        """New molecules; fewer where the population has no more of them to give."""
        begun = begin(self._first, self._told, self._initial, n)
        if begun:
            return begun
        parents = parents_of(self._told, self._population)
        children = self._breed(parents, n, self._rng, self._told)
        self._told.ask(children)
        return [Candidate(text) for text in children]

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Note the scores."""
        self._told.tell(candidates, answers)

    def state(self) -> State:
        """What was told, the state of the generator, and that of ``first``."""
        tensors, told = self._told.state()
        inner, first = self._first.state()
        scalars = {"told": told, "first": first, "random": self._rng.bit_generator.state}
        return grow("told", tensors) | grow("first", inner), scalars

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from there."""
        self._told.load_state(branch(tensors, "told"), scalars["told"])
        self._first.load_state(branch(tensors, "first"), scalars["first"])
        self._rng.bit_generator.state = scalars["random"]


class GpGenetic(Strategy):
    """Gaussian-process optimisation on fingerprints, its acquisition climbed by the same breeding.

    A ``TanimotoGP`` learns from what was told. A population, of the best that were told, of those
    that were nearly asked the last time, and of others by chance, is then bred on for some
    generations, with the acquisition as fitness; the batch is chosen from the best of all that
    were met. This is the GP-BO of Tripp, Simm and Hernandez-Lobato (2021) as it stands in the
    benchmark of Gao et al., *Sample Efficiency Matters* (NeurIPS 2022), but for counts in the
    fingerprints, hyper-parameters fitted anew each time, and batches that are spread out.

    Args:
        first: As for ``Genetic``.
        initial: As for ``Genetic``.
        acquisition: ``ucb`` or ``logei``.
        kappa: Standard deviations in ``ucb``: each batch draws a number between these two,
            uniform in its logarithm; by default as in the benchmark.
        points: Molecules to learn from at most: half of them the best, the others by chance.
        generations: Of the breeding between two batches.
        children: Of each generation.
        population: Molecules that may be parents.
        k: See ``Genetic``.
        crossover: See ``Genetic``.
        mutation: See ``Genetic``.
        limits: See ``Genetic``.
        seed: All the chance there is.

    Raises:
        ValueError: A number below 1, an unknown acquisition, or a k or kappa that is not above 0.
    """

    name = "gp_genetic"

    def __init__(
        self,
        first: Strategy,
        *,
        initial: int = 50,
        acquisition: str = "ucb",
        kappa: tuple[float, float] = (0.3, 30.0),
        points: int = 2000,
        generations: int = 20,
        children: int = 100,
        population: int = 500,
        k: float = 0.005,
        crossover: float = 0.8,
        mutation: float = 0.2,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(
            initial=initial, points=points, generations=generations, children=children,
            population=population,
        )  # fmt: skip
        if not 0 < kappa[0] <= kappa[1] < math.inf:
            raise ValueError(f"kappa is {kappa}; expected two numbers above 0, the smaller first")
        pick({"ucb": "", "logei": ""}, acquisition, "acquisition of a process on fingerprints")
        self._first, self._initial, self._population = first, initial, population
        self._acquisition, self._kappa, self._points = acquisition, kappa, points
        self._generations, self._children = generations, children
        self._breed = Breeding(k, crossover, mutation, limits)
        self._rng = np.random.default_rng(seed)
        self._told = Known()
        self._carried: list[str] = []

    def ask(self, n: int) -> list[Candidate]:
        """The batch that the process thinks most of; fewer where so many are not found."""
        begun = begin(self._first, self._told, self._initial, n)
        if begun or not self._told.scored:
            return begun
        process, best = self._learnt()
        acquire = self._drawn(best)

        def worth(texts: Sequence[str]) -> Floats:
            found: Floats = acquire(*process.posterior(counts(texts))).numpy()
            return found

        met = self._climbed(worth)
        ranked = sorted((text for text in met if text not in self._told), key=lambda t: -met[t])
        shortlist = ranked[: _SHORTLIST * n]
        if not shortlist:
            return []
        rows = process.choose(counts(shortlist), n, acquire)
        batch = [shortlist[row] for row in rows.tolist()]
        self._told.ask(batch)
        left = (text for text in ranked if text not in self._told)
        self._carried = [text for text, _ in zip(left, range(self._population // 2), strict=False)]
        return [Candidate(text) for text in batch]

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Note the scores; molecules without one are learnt as the worst that was seen."""
        self._told.tell(candidates, answers)

    def state(self) -> State:
        """What was told and carried on, the state of the generator, and that of ``first``."""
        tensors, told = self._told.state()
        inner, first = self._first.state()
        scalars = {
            "told": told,
            "first": first,
            "random": self._rng.bit_generator.state,
            "carried": list(self._carried),
        }
        return grow("told", tensors) | grow("first", inner), scalars

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from there."""
        self._told.load_state(branch(tensors, "told"), scalars["told"])
        self._first.load_state(branch(tensors, "first"), scalars["first"])
        self._rng.bit_generator.state = scalars["random"]
        self._carried = list(scalars["carried"])

    def _learnt(self) -> tuple[TanimotoGP, float]:
        """A process that learnt from what was told, and the highest score it knows."""
        texts, scores = self._told.table()
        learnt = np.nan_to_num(scores, nan=float(np.nanmin(scores)))
        rows = best_rows(learnt, len(learnt))
        if len(rows) > self._points:
            best, rest = np.split(rows, [(self._points + 1) // 2])
            rows = np.concatenate([best, self._rng.permutation(rest)[: self._points // 2]])
        y = torch.from_numpy(learnt[rows])
        return TanimotoGP().fit(counts([texts[row] for row in rows]), y), float(y.max())

    def _drawn(self, best: float) -> Callable[[Tensor, Tensor], Tensor]:
        """The acquisition function of this batch."""
        if self._acquisition == "logei":
            return lambda mean, variance: log_expected_improvement(mean, variance, best)
        low, high = (math.log(each) for each in self._kappa)
        kappa = math.exp(self._rng.uniform(low, high))
        return lambda mean, variance: confidence_bound(mean, variance, kappa)

    def _climbed(self, worth: Callable[[Sequence[str]], Floats]) -> dict[str, float]:
        """What the acquisition is worth at every molecule that was met on the way."""
        half = self._population // 2
        start = dict.fromkeys([*parents_of(self._told, half), *self._carried])
        texts, _ = self._told.table()
        others = [texts[row] for row in self._rng.permutation(len(texts))[:half]]
        start |= dict.fromkeys(text for text in others if breedable(text))
        met = _valued(list(start), worth)
        for _ in range(self._generations):
            parents = dict(sorted(met.items(), key=lambda pair: -pair[1])[: self._population])
            children = self._breed(parents, self._children, self._rng, met, rounds=1)
            met |= _valued(children, worth)
        return met


class Breeding:
    """New molecules from parents that are drawn by the rank of their fitness.

    Args:
        k: Of the ranks, see ``ranks.rank_weights``.
        crossover: See ``molae.chem.genetic.offspring``.
        mutation: See there.
        limits: See there.

    Raises:
        ValueError: k is not above 0.
    """

    def __init__(self, k: float, crossover: float, mutation: float, limits: Limits | None) -> None:
        if not k > 0:
            raise ValueError(f"k is {k}; expected a number above 0, or inf")
        self._k, self._crossover, self._mutation, self._limits = k, crossover, mutation, limits

    def __call__(
        self,
        parents: Mapping[str, float],
        n: int,
        rng: np.random.Generator,
        known: Container[str],
        rounds: int = _PATIENCE,
    ) -> list[str]:
        """At most n different molecules.

        Args:
            parents: Molecules and their fitness, finite.
            n: How many are wanted.
            rng: All the chance there is.
            known: What is not new.
            rounds: How often so many are bred as are missing, until there are enough.
        """
        if not parents:
            return []
        texts = list(parents)
        weights = rank_weights(np.fromiter(parents.values(), np.float64, len(texts)), self._k)
        found: dict[str, None] = {}
        for _ in range(rounds):
            missing = n - len(found)
            if missing <= 0:
                break
            couples = [rng.permutation(draw(weights, missing, rng)) for _ in range(2)]
            mothers, fathers = ([texts[row] for row in rows] for rows in couples)
            children = offspring(
                mothers, fathers, rng,
                crossover=self._crossover, mutation=self._mutation, limits=self._limits,
            )  # fmt: skip
            found |= {c: None for c in children if c is not None and c not in known}
        return list(found)


def limits_of(requirements: Sequence[str]) -> Limits:
    """The sizes of offspring that requirements of ``heavy_atoms`` allow; others are not looked at.

    Where none says how large, the default is the limit, or twice the smallest size if that is
    more.

    Raises:
        ValueError: A requirement cannot be read, or no size meets all of them.
    """
    wanted = [r for r in parse_requirements(requirements) if r.name == "heavy_atoms"]
    sizes = [n for n in range(1, _MOST) if all(r.holds({r.name: float(n)}) for r in wanted)]
    if not sizes:
        told = ", ".join(map(str, wanted))
        raise ValueError(
            f"no molecule meets {told}: ask for a number of heavy atoms that there is"
        )
    smallest, largest = Limits().atoms
    low = sizes[0] if sizes[0] > 1 else min(smallest, sizes[-1])
    return Limits((low, sizes[-1] if sizes[-1] < _MOST - 1 else max(largest, 2 * low)))


def parents_of(told: Known, n: int) -> dict[str, float]:
    """The n best that were told and can have children, with their scores."""
    return {text: told.scores[text] for text in told.best(n) if breedable(text)}


def breedable(text: str) -> bool:
    """Whether a text is a molecule that can be taken apart."""
    try:
        graph(text)
    except MoleculeError:
        return False
    return True


def counts(texts: Sequence[str]) -> Tensor:
    """Morgan fingerprints of molecules with counts, (n, S) uint8; 255 stands for more, too."""
    if not texts:
        return torch.zeros(0, _SIZE, dtype=torch.uint8)
    return torch.from_numpy(np.stack([_counts(text) for text in texts]))


@lru_cache(maxsize=_KEPT)
def _counts(text: str) -> NDArray[np.uint8]:
    found = morgan([text], _RADIUS, _SIZE, counts=True)[0]
    return np.asarray(np.minimum(found, 255), dtype=np.uint8)


def _valued(texts: Sequence[str], worth: Callable[[Sequence[str]], Floats]) -> dict[str, float]:
    return dict(zip(texts, worth(texts).tolist(), strict=True)) if texts else {}
