"""The accounting of a campaign: what was asked of the oracle, and what was free.

A call is one new text. Repeats, texts without a meaning and texts known beforehand cost nothing
and are counted, each under its own name; so that two methods are compared by the same measure
(Gao et al. 2022, Practical molecular optimization, section 3.1: unique valid calls).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from molae.oracles.base import Answer, Oracle
from molae.oracles.cache import Cache
from molae.oracles.workers import Workers


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One call of the oracle.

    Attributes:
        call: Its number, from 1, in the order in which texts were given.
        text: What was scored.
        answer: What the oracle said.
    """

    call: int
    text: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the texts that were given; ``dataclasses.asdict`` makes it JSON.

    Attributes:
        calls: New texts, scored or failed: what the budget counts.
        failures: Calls that gave no score: errors, timeouts, unmet requirements.
        cached: Calls whose answer was on disc already, and cost nothing.
        duplicates: Repeats of a text of this campaign; free.
        known: Texts known before the campaign; free, and not scored.
        invalid: None in place of a text; free.
        beyond: New texts for which the budget was used up; not scored.
    """

    calls: int = 0
    failures: int = 0
    cached: int = 0
    duplicates: int = 0
    known: int = 0
    invalid: int = 0
    beyond: int = 0


class Ledger:
    """An oracle with a budget, and a record of all that was asked of it.

    The record does not depend on the number of workers nor on what the cache holds, except for the
    count ``cached``.

    Args:
        oracle: What scores.
        budget: Calls that may be made, at least 1.
        cache: Where answers are looked up before they are paid for, and kept as they arrive.
        workers: Processes that ask, see ``molae.oracles.workers.Workers``.
        known: Texts that are not new, such as the training data where only new molecules count.
        scheduler: Address of a dask scheduler in place of worker processes.
        retry_failed: Ask again about texts of which the cache knows a failure; of those that
            failed here, see ``retry``.
        piece: Texts to ask about at once, at most, see ``molae.oracles.workers.Workers``.

    Raises:
        ValueError: The budget, ``workers`` or ``piece`` is below 1, or no scheduler answers.
        ImportError: A scheduler is named and dask is not installed.
    """

    def __init__(
        self,
        oracle: Oracle,
        budget: int,
        cache: Cache | None = None,
        workers: int = 1,
        known: Collection[str] = (),
        *,
        scheduler: str | None = None,
        retry_failed: bool = False,
        piece: int | None = None,
    ) -> None:
        if budget < 1:
            raise ValueError(f"the budget is {budget} calls: expected at least 1")
        self.oracle = oracle
        self.budget = budget
        self.cache = cache
        self.retry_failed = retry_failed
        self._known = frozenset(known)
        self._workers = Workers(oracle, workers, scheduler, piece)
        self._evaluations: dict[str, Evaluation] = {}  # in order of the calls
        self._free: Counter[str] = Counter()

    @property
    def evaluations(self) -> list[Evaluation]:
        """All calls so far, in order."""
        return list(self._evaluations.values())

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self.budget - len(self._evaluations)

    @property
    def counts(self) -> Counts:
        """What became of all texts so far."""
        failures = sum(each.answer.failed for each in self._evaluations.values())
        return Counts(calls=len(self._evaluations), failures=failures, **self._free)

    def evaluate(
        self,
        texts: Sequence[str | None],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Evaluation | None]:
        """Score what is new, as far as the budget goes.

        If it is interrupted, the ledger is as it was before, and the answers that had arrived are
        in the cache: the same texts can be given again, and are paid for once.

        Args:
            texts: In the form in which equal things are equal texts, such as canonical SMILES;
                None for what has no meaning.
            progress: Called with (answers there, answers needed) as they arrive.

        Returns:
            For each text its evaluation, be it of now or of an earlier call; None for None, for a
            known text and for one beyond the budget.

        Raises:
            RuntimeError: The oracle cannot be brought to the workers, or they are gone for good.
            DataError: The cache cannot be read or written.
        """
        new, free = self._sorted(texts)
        answers, cached = self._answers(new, progress)
        for call, text in enumerate(new, len(self._evaluations) + 1):
            self._evaluations[text] = Evaluation(call, text, answers[text])
        self._free.update(free, cached=cached)
        return [None if text is None else self._evaluations.get(text) for text in texts]

    def retry(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> list[Evaluation]:
        """Ask again about calls, which keep their numbers and are not counted again.

        Args:
            texts: Of calls that failed, each once.
            progress: As for ``evaluate``.

        Returns:
            What became of them.

        Raises:
            RuntimeError, DataError: As ``evaluate``.
        """
        answers, cached = self._answers(texts, progress)
        again = {text: replace(self._evaluations[text], answer=answers[text]) for text in texts}
        self._evaluations |= again  # in their old places
        self._free.update(cached=cached)
        return list(again.values())

    def restore(self, evaluations: Iterable[Evaluation], counts: Counts | None = None) -> None:
        """Go on from the record of a campaign that was stopped.

        Args:
            evaluations: ``evaluations`` of the earlier ledger.
            counts: Its ``counts``; without it, what was free is counted from 0. Calls and failures
                are counted from the evaluations.

        Raises:
            ValueError: This ledger was used already; the evaluations are not calls 1 to n of
                different texts; or there are more than the budget allows.
        """
        if self._evaluations or self._free.total():
            raise ValueError("a ledger that was used cannot be restored: make a new one")
        past = list(evaluations)
        if [each.call for each in past] != list(range(1, len(past) + 1)):
            raise ValueError(
                f"the {len(past)} evaluations are not calls 1 to {len(past)} in order: "
                "is the file whole?"
            )
        found = {each.text: each for each in past}
        if len(found) < len(past):
            twice = Counter(each.text for each in past).most_common(1)[0][0]
            raise ValueError(f"{twice!r} was scored twice: these are not the calls of a campaign")
        if len(past) > self.budget:
            raise ValueError(
                f"{len(past)} calls were made already, and the budget is {self.budget}: "
                "give one that is larger"
            )
        self._evaluations = found
        if counts is not None:
            names = ("cached", "duplicates", "known", "invalid", "beyond")
            self._free = Counter({name: getattr(counts, name) for name in names})

    def close(self) -> None:
        """End the workers; the cache is its owner's."""
        self._workers.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _sorted(self, texts: Sequence[str | None]) -> tuple[list[str], Counter[str]]:
        """The new texts within the budget, in order; and what the others are, counted."""
        new: dict[str, None] = {}
        free: Counter[str] = Counter()
        for text in texts:
            if text is None:
                free["invalid"] += 1
            elif text in self._evaluations or text in new:
                free["duplicates"] += 1
            elif text in self._known:
                free["known"] += 1
            elif len(new) >= self.left:
                free["beyond"] += 1
            else:
                new[text] = None
        return list(new), free

    def _answers(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None
    ) -> tuple[dict[str, Answer], int]:
        """Text -> answer, and how many of them the cache had."""
        found: dict[str, Answer] = {}
        key = self.oracle.key  # once: it may read files, and those may be edited meanwhile
        if self.cache is not None:
            found = self.cache.get(key, texts, failed=not self.retry_failed)
        cached = len(found)
        missing = [text for text in texts if text not in found]
        for arrived in self._workers.arriving(missing):
            answers = {missing[index]: answer for index, answer in arrived.items()}
            if self.cache is not None:
                self.cache.put(key, answers)
            found |= answers
            if progress is not None:
                progress(len(found), len(texts))
        return found, cached
