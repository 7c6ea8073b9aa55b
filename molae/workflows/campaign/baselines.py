"""What a method has to be better than: screening, draws from the model, local search."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molae.chem.molecules import canonical
from molae.names import REFINE
from molae.oracles.base import Answer
from molae.runs.run import Run
from molae.training.checkpoint import branch, grow
from molae.workflows.campaign.known import Known
from molae.workflows.campaign.strategy import Candidate, State, Strategy
from molae.workflows.neighbors import RADIUS, near

#: Radii that a local search does not leave, in the units of ``neighbors.near``.
_RADII = (0.05, 2.0)
#: Share of the draws of a local search that are to be new texts, and how fast its radius follows.
_NEW, _GAIN = 0.5, 0.5


class Screening(Strategy):
    """Texts in random order, each once: what any method must do better than at the same cost.

    Args:
        texts: What there is to screen.
        seed: Of the order.
        molecules: Whether the texts are SMILES, which are made canonical as they are asked for;
            other texts stay as they are.

    Raises:
        ValueError: There is no text.
    """

    name = "screening"

    def __init__(self, texts: Sequence[str], *, seed: int = 0, molecules: bool = True) -> None:
        super().__init__()
        if not len(texts):
            raise ValueError("there is nothing to screen: give at least one text")
        self._texts, self._molecules = texts, molecules
        self._order = np.random.default_rng(seed).permutation(len(texts))
        self._next = 0

    def ask(self, n: int) -> list[Candidate]:
        """The next n, and fewer at the end; those that are no molecule have no text."""
        rows = self._order[self._next : self._next + n]
        self._next += len(rows)
        texts = [self._texts[row] for row in rows]
        return [Candidate(canonical(text) if self._molecules else text) for text in texts]

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Learn nothing."""

    def state(self) -> State:
        """How far it is, and in which texts."""
        return {}, {"next": self._next, "digest": self._digest()}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: The texts are not those of the state.
        """
        if scalars["digest"] != self._digest():
            raise ValueError(
                f"the {len(self._texts):,} texts to screen are not those that the screening was "
                "begun with: put the same file in place, or begin anew"
            )
        self._next = int(scalars["next"])

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for text in self._texts:
            digest.update(text.encode() + b"\n")
        return digest.hexdigest()


class Sampling(Strategy):
    """Draws from the model, which learn nothing: what optimising in its latent space must beat.

    Args:
        run: The model.
        seed: Of codes and draws.
        density: What codes are drawn from, see ``Run.density``.
        temperature: Of the draws, see ``Run.sample``.
    """

    name = "sampling"

    def __init__(
        self,
        run: Run,
        *,
        seed: int = 0,
        density: str | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        run.density(density)  # an unknown name is an error now, not at the first ask
        self.run, self._seed = run, seed
        self._density, self._temperature = density, temperature
        self._next = 0

    def ask(self, n: int) -> list[Candidate]:
        """The next n draws, repeats and failures included."""
        with self.timed("decode"):
            texts = self.run.sample(
                n,
                self._seed,
                density=self._density,
                temperature=self._temperature,
                start=self._next,
            )
        self._next += n
        return [Candidate(text) for text in texts]

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Learn nothing."""

    def state(self) -> State:
        """The number of the next draw."""
        return {}, {"next": self._next}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from there."""
        self._next = int(scalars["next"])


class LocalSearch(Strategy):
    """Normal steps from the codes of the best texts: an evolution strategy in latent space.

    A decoder that can be told of noise on its code is told how far the steps go, see
    ``neighbors.near``. The radius grows where most draws are known already and shrinks where most
    are new, so that about half of them are: the smallest steps that lead anywhere.

    Args:
        run: The model.
        first: Proposes until ``initial`` texts have a score; None for ``Sampling``.
        initial: Texts with a score to begin with.
        elites: How many of the best texts steps are taken from.
        radius: To begin with, see ``neighbors.near``.
        seed: Of the steps.

    Attributes:
        radius: The one of now.

    Raises:
        ValueError: A number below 1, or a radius that is not above 0.
    """

    name = "local"

    def __init__(
        self,
        run: Run,
        *,
        first: Strategy | None = None,
        initial: int = 50,
        elites: int = 10,
        radius: float = RADIUS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(initial=initial, elites=elites)
        if not 0 < radius < math.inf:
            raise ValueError(f"radius is {radius}; expected a number above 0")
        self.run, self.radius = run, radius
        self._first = Sampling(run, seed=seed) if first is None else first
        self._initial, self._elites, self._seed = initial, elites, seed
        self._told = Known()
        self._next = 0

    def ask(self, n: int) -> list[Candidate]:
        """Steps from the best, or what ``first`` proposes."""
        begun = begin(self._first, self._told, self._initial, n)
        if begun:
            return begun
        z = self._codes(self._told.best(self._elites))
        if not len(z):
            return self._first.ask(n)
        source, noise = near(self.run, z, self.radius)
        index = torch.arange(self._next, self._next + n)
        self._next += n
        with self.timed("decode"):
            drawn = source.sample_rows(self._seed, index)
            drawn = self.run.blurred(drawn, noise, self._seed, index)
            texts = self.run.decode(drawn, index=index, noise=noise)
        new = {text for text in texts if text is not None and text not in self._told}
        self.radius *= math.exp(_GAIN * (_NEW - len(new) / n))
        self.radius = min(max(self.radius, _RADII[0]), _RADII[1])
        self._told.ask(texts)
        return [Candidate(text, code.float()) for text, code in zip(texts, drawn, strict=True)]

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Note the scores."""
        self._told.tell(candidates, answers)

    def state(self) -> State:
        """What was told, the radius, and how far it and ``first`` are."""
        tensors, told = self._told.state()
        inner, first = self._first.state()
        scalars = {"told": told, "first": first, "next": self._next, "radius": self.radius}
        return grow("told", tensors) | grow("first", inner), scalars

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from there."""
        self._told.load_state(branch(tensors, "told"), scalars["told"])
        self._first.load_state(branch(tensors, "first"), scalars["first"])
        self._next, self.radius = int(scalars["next"]), float(scalars["radius"])

    def _codes(self, texts: Sequence[str]) -> Tensor:
        """The codes of those texts that the model can encode, (n, D)."""
        with self.timed("decode"):
            encoding = self.run.codec.parse(texts)
            if not len(encoding.kept):
                return torch.zeros(0, self.run.size)
            return self.run.codes(encoding.padded(), REFINE)


def check_counts(**counts: int) -> None:
    """Numbers of things that there must be at least one of.

    Raises:
        ValueError: One is below 1.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; expected at least 1")


def begin(first: Strategy, told: Known, initial: int, n: int) -> list[Candidate]:
    """What another strategy proposes until ``initial`` texts have a score; then nothing.

    Nothing, too, where it has nothing left to propose.
    """
    missing = initial - told.scored
    found = first.ask(min(n, missing)) if missing > 0 else []
    told.ask(candidate.text for candidate in found)
    return found
