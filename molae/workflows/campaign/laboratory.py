"""Campaigns without an oracle: suggestions for a laboratory, and measured values back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from molae.datasets.writers import TextWriter
from molae.oracles.base import Answer, failure
from molae.oracles.ledger import Evaluation
from molae.workflows.campaign.folder import Folder
from molae.workflows.campaign.record import Record
from molae.workflows.campaign.strategy import Candidate, Strategy
from molae.workflows.criteria import Criteria

#: Rounds in a row without a new suggestion, after which no more are looked for.
FRUITLESS = 20
#: Parts of a measured score: how many values it is the mean of, and their standard deviation.
PARTS = ("measurements", "sd")


@dataclass(frozen=True)
class Told:
    """What became of measured values.

    Attributes:
        new: Molecules that had no value before.
        more: Molecules that had one, and have more now.
        unknown: Of the new ones, those that were not suggested.
        repeated: Values that were told before, and are not counted again.
        replicated: Molecules of which several values came at once.
    """

    new: int = 0
    more: int = 0
    unknown: int = 0
    repeated: int = 0
    replicated: int = 0


class Laboratory:
    """Suggests texts, and learns from what is measured of them, days later.

    A value of a text counts once, although a table may be handed in again with more rows filled
    in: as many equal values of a text as were told before are taken for the same ones. What the
    strategy is told of a text is the mean of all its values so far, each time that there are new
    ones; a value that a text had from the start counts until it is measured here.

    Args:
        strategy: Proposes.
        folder: Where everything is written; begun already.
        minimize: Low values are the good ones.
        criteria: What a suggestion must meet.

    Attributes:
        values: All values of each text, in the order in which they came.
        pending: Suggestions without a value.
        round: How many times there were suggestions.
    """

    def __init__(
        self,
        strategy: Strategy,
        folder: Folder,
        *,
        minimize: bool = False,
        criteria: Criteria | None = None,
    ) -> None:
        self.strategy, self.folder, self.minimize = strategy, folder, minimize
        self.criteria = criteria or Criteria()
        self.values: dict[str, list[float]] = {}
        self.pending: list[str] = []
        self.round = 0
        self.counts: Counter[str] = Counter()
        start = folder.start()
        self._given = {text: answer for text, answer in start if answer is not None}
        self._queue = [text for text, answer in start if answer is None]

    @property
    def record(self) -> Record:
        """What there is to tell."""
        given = [answer.score for answer in self._given.values()]
        counts = {"suggested": len(self.pending), **self.counts}
        return Record(
            self._evaluations(), self.minimize, given, counts, dict(self.strategy.seconds)
        )

    def restore(self) -> None:
        """Go on from the state in the folder, or tell what is known from the beginning.

        Raises:
            CampaignError: The state is damaged.
        """
        if not self.folder.saved:
            if self._given:
                self._learn(self._given)
            return
        _, tensors, known = self.folder.load()
        self.values = {text: list(values) for text, values in known["values"]}
        self.pending, self.round = known["pending"], known["round"]
        self.counts = Counter(known["counts"])
        self.strategy.load_state(tensors, known["strategy"])

    def suggest(self, n: int) -> list[str]:
        """New texts to measure, which are pending as soon as this is saved.

        Texts to start from come first. There are fewer than n where a strategy proposes nothing
        new any more.

        Raises:
            ValueError: n is below 1.
        """
        if n < 1:
            raise ValueError(f"n is {n}; expected at least 1")
        found: list[str] = []
        idle = 0
        while len(found) < n and idle < FRUITLESS:
            candidates = self._proposed(n - len(found), [*self.pending, *found])
            if not candidates:
                break
            new, told = self._sorted(candidates, {*self.pending, *found})
            if told:
                self.strategy.tell([c for c, _ in told], [self._signed(a) for _, a in told])
            found += new
            idle = 0 if new else idle + 1
        self.pending += found
        self.round += bool(found)
        return found

    def tell(self, values: Mapping[str, Sequence[float]]) -> Told:
        """Learn measured values, and save; see the class for what is told twice.

        Args:
            values: Finite values of each text, the texts as ``suggest`` spells them.
        """
        fresh: dict[str, list[float]] = {}
        repeated = 0
        for text, given in values.items():
            left = list((Counter(given) - Counter(self.values.get(text, ()))).elements())
            repeated += len(given) - len(left)
            if left:
                fresh[text] = left
        new = [text for text in fresh if text not in self.values]
        told = Told(
            new=len(new),
            more=len(fresh) - len(new),
            unknown=len(set(new) - set(self.pending)),
            repeated=repeated,
            replicated=sum(len(some) > 1 for some in fresh.values()),
        )
        for text, some in fresh.items():
            self.values.setdefault(text, []).extend(some)
        if fresh:
            self._learn({text: _answer(self.values[text]) for text in fresh})
        self.pending = [text for text in self.pending if text not in self.values]
        self.save(new)
        return told

    def _proposed(self, n: int, taken: Sequence[str]) -> list[Candidate]:
        """Texts to start from that were not suggested or measured yet; then of the strategy."""
        out = {*taken, *self.values}
        waiting = [text for text in self._queue if text not in out]
        return self.strategy.candidates(waiting[:n]) if waiting else self.strategy.ask(n)

    def _sorted(
        self, candidates: Iterable[Candidate], taken: set[str]
    ) -> tuple[list[str], list[tuple[Candidate, Answer]]]:
        """What is new, and what there is to tell of the others at once."""
        new: list[str] = []
        told: list[tuple[Candidate, Answer]] = []
        for candidate in candidates:
            text = candidate.text
            answer = self._known(text)
            if answer is not None:
                told.append((candidate, answer))
            elif text is not None and text not in taken and text not in new:
                new.append(text)
            else:
                self.counts["duplicates"] += 1
        return new, told

    def _known(self, text: str | None) -> Answer | None:
        """What is known of a candidate without measuring it."""
        if text is None:
            self.counts["invalid"] += 1
            return failure("not valid")
        if text in self.values or text in self._given:
            self.counts["duplicates"] += 1
            return _answer(self.values[text]) if text in self.values else self._given[text]
        if self.criteria.drops and (found := self.criteria.verdict(text)).kind:
            self.counts["unmet"] += 1
            return failure(f"{found.kind} {found.reason} is not met")
        return None

    def _learn(self, answers: Mapping[str, Answer]) -> None:
        candidates = self.strategy.candidates(list(answers))
        self.strategy.tell(candidates, [self._signed(a) for a in answers.values()])

    def _signed(self, answer: Answer) -> Answer:
        """An answer as strategies know them: higher is better."""
        return replace(answer, score=-answer.score) if self.minimize else answer

    def _evaluations(self) -> list[Evaluation]:
        return [
            Evaluation(call, text, _answer(values))
            for call, (text, values) in enumerate(self.values.items(), 1)
        ]

    def save(self, new: Sequence[str] = ()) -> None:
        """Write everything down.

        Args:
            new: Texts that have a value now and had none before.

        Raises:
            OSError: It cannot be written.
        """
        codes = [candidate.z for candidate in self.strategy.candidates(new)] if new else []
        self.folder.replace(self._evaluations(), PARTS, codes)
        tensors, strategy = self.strategy.state()
        known = {
            "values": [[text, values] for text, values in self.values.items()],
            "pending": self.pending,
            "round": self.round,
            "counts": dict(self.counts),
            "strategy": strategy,
        }
        self.folder.save(tensors, known)


def write_suggestions(path: Path, texts: Sequence[str], round: int) -> None:
    """A table to be filled in: ``id``, ``smiles`` and an empty ``score``.

    Args:
        path: Where; the file appears when it is whole.
        texts: What is suggested.
        round: The number of the suggestions, the first part of each id.

    Raises:
        DataError: It cannot be written.
    """
    with TextWriter(path, ("id", "smiles", "score"), "csv") as out:
        for place, text in enumerate(texts, 1):
            out.write({"id": f"{round}-{place:02d}", "smiles": text})


def _answer(values: Sequence[float]) -> Answer:
    """The mean of values, which are finite, with their number and standard deviation."""
    mean = float(np.mean(values))
    if not isfinite(mean):
        return failure("the values are too large to have a mean")
    parts: dict[str, Any] = {"measurements": float(len(values))}
    if len(values) > 1:
        parts["sd"] = float(np.std(values, ddof=1))
    return Answer(mean, parts)
