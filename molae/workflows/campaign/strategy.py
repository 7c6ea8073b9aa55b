"""What proposes the next texts of a campaign and learns from their scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from torch import Tensor

from molae.oracles.base import Answer

#: Tensors and JSON values (numbers, strings, lists, tables) that a strategy is restored from.
State = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposal.

    Attributes:
        text: Canonical SMILES, or whatever the grammar describes; None where a code was decoded
            to nothing valid.
        z: The code that stands for it, (D,) float32 on the CPU; None where there is none, or where
            whoever proposes it does not know it.
    """

    text: str | None
    z: Tensor | None = None


class Strategy(ABC):
    """Proposes texts and learns from their scores; higher is better.

    A subclass calls ``super().__init__()``. All its chance comes from generators of its own whose
    state is in ``state``, so that a campaign that was stopped goes on as if it had not been.

    Attributes:
        name: As in ``molae.names.STRATEGIES``.
        seconds: Spent so far, by part of ``ask`` and ``tell`` that is worth a line of its own,
            such as ``decode`` and ``retrain``; see ``timed``.
    """

    name: str

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @abstractmethod
    def ask(self, n: int) -> list[Candidate]:
        """The next candidates.

        Args:
            n: How many are wanted, at least 1.

        Returns:
            At most n new texts, in the order in which they are to be scored. There may be repeats
            of what was told, too, which cost nothing and are counted as duplicates. None at all
            says that there is nothing left to propose, and ends the campaign.
        """

    @abstractmethod
    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Learn what became of candidates.

        Args:
            candidates: n, most often what ``ask`` gave: new texts, and also repeats of what was
                told and candidates without a text, both of which a strategy may pass over. Before
                the first ``ask``, and in a laboratory at any time, there are others, which
                ``candidates`` made.
            answers: One for each. The score is NaN where the oracle failed, a requirement is not
                met or there is no text; ``error`` says why.
        """

    def candidates(self, texts: Sequence[str]) -> list[Candidate]:
        """Candidates of texts that come from elsewhere, to be told; with codes where they help."""
        return [Candidate(text) for text in texts]

    def again(self, texts: Sequence[str], codes: Sequence[Tensor | None]) -> list[Candidate]:
        """Candidates of texts that were told without a score, with the codes they had then."""
        return [Candidate(*pair) for pair in zip(texts, codes, strict=True)]

    @abstractmethod
    def state(self) -> State:
        """All that ``ask`` and ``tell`` changed, as tensors and JSON values, copied or final."""

    @abstractmethod
    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from ``state`` of a strategy that was made with the same arguments."""

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the seconds of a block to ``seconds[part]``."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += perf_counter() - start
