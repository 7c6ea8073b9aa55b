"""The loop: ask a strategy, score what is new, tell, and write everything down."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from time import monotonic, perf_counter
from types import FrameType
from typing import Any, NoReturn

from molae.oracles.base import Answer, failure
from molae.oracles.ledger import Counts, Evaluation, Ledger
from molae.workflows.campaign.folder import Folder
from molae.workflows.campaign.record import Record
from molae.workflows.campaign.strategy import Candidate, Strategy

#: Rounds in a row that bring no new text, after which a campaign is over.
FRUITLESS = 50
#: Seconds between two pictures of a campaign that goes on.
REFRESH = 60.0


@dataclass(frozen=True)
class Progress:
    """How far a campaign is.

    Attributes:
        calls: Calls made.
        budget: Calls in all.
        best: The best score so far, None where there is none.
        doing: What is going on, in a word or two.
    """

    calls: int
    budget: int
    best: float | None
    doing: str


Show = Callable[[Progress], None]


class Campaign:
    """A strategy against an oracle, in a folder.

    The state is saved after every batch. What a campaign does depends on its strategy, its oracle
    and its settings only, and not on where it was stopped.

    Args:
        strategy: Proposes.
        ledger: Scores and counts; made anew, also for going on.
        folder: Where everything is written; begun already.
        batch: Candidates asked for at once.
        minimize: Low scores are the good ones.
        refresh: Called now and then, and at the end, to draw what is there.

    Attributes:
        seconds: Spent in ``ask``, ``decode``, ``oracle``, ``retrain``, ``tell`` and ``save``.
    """

    def __init__(
        self,
        strategy: Strategy,
        ledger: Ledger,
        folder: Folder,
        *,
        batch: int = 10,
        minimize: bool = False,
        refresh: Callable[[Campaign], None] | None = None,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch is {batch}; expected at least 1")
        self.strategy, self.ledger, self.folder = strategy, ledger, folder
        self.batch, self.minimize = batch, minimize
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._refresh = refresh or (lambda _campaign: None)
        self._drawn = monotonic()
        start = folder.start()
        self._given = {text: answer for text, answer in start if answer is not None}
        self._queue = [text for text, answer in start if answer is None]
        self._started = self._fruitless = 0
        self._best: float | None = None

    # What there is -----------------------------------------------------------------------------

    @property
    def evaluations(self) -> list[Evaluation]:
        """All calls so far, in order."""
        return self.ledger.evaluations

    @property
    def ended(self) -> str:
        """Why the campaign is over; "" as long as it is not."""
        if self.ledger.left < 1:
            return "all calls are made"
        if self._fruitless >= FRUITLESS:
            return f"nothing new was proposed in {FRUITLESS} rounds"
        return ""

    @property
    def record(self) -> Record:
        """What there is to tell."""
        return Record(
            self.evaluations,
            self.minimize,
            [answer.score for answer in self._given.values()],
            asdict(self.ledger.counts),
            dict(self.seconds),
            self.batch,
            self.ended,
        )

    # What is done ------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on from the state in the folder; nothing happens where there is none.

        Raises:
            CampaignError: It is damaged.
            ValueError: The budget is less than what was spent.
        """
        if not self.folder.saved:
            return
        evaluations, tensors, known = self.folder.load()
        self.ledger.restore(evaluations, Counts(**known["counts"]))
        self._note(evaluations)
        self.seconds.update(known["seconds"])
        self.strategy.seconds.update(known["strategy_seconds"])
        self._started, self._fruitless = known["started"], known["fruitless"]
        self.strategy.load_state(tensors, known["strategy"])

    def run(self, show: Show = lambda _progress: None) -> None:
        """Go on until the calls are used up, or nothing new is proposed any more.

        Args:
            show: Told how far it is.

        Raises:
            KeyboardInterrupt: Ctrl-C, or a polite kill; the folder is as after the last batch.
            OSError: The folder cannot be written.
        """
        with _terminated():
            if not self.folder.saved:
                self._begin(show)
            try:
                if self.ledger.retry_failed:
                    self._retry(show)
                while not self.ended:
                    self._round(show)
            finally:
                self._refresh(self)

    def _begin(self, show: Show) -> None:
        """Tell what is known from the beginning."""
        if self._given:
            self._show(show, "learning")
            with self._timed("tell", "decode"):
                self._tell(self.strategy.candidates(list(self._given)), self._given.values())
        self._save()

    def _round(self, show: Show) -> None:
        """One batch."""
        self._show(show, "asking")
        with self._timed("ask", "decode", "retrain"):
            candidates = self._candidates(min(self.batch, self.ledger.left))
        texts = [candidate.text for candidate in candidates]
        before = len(self.evaluations)
        with self._timed("oracle"):
            found = self.ledger.evaluate(
                texts, lambda done, of: self._show(show, f"scoring {done} of {of}")
            )
        self._show(show, "learning")
        told = [(c, a) for c, e in zip(candidates, found, strict=True) if (a := self._said(c, e))]
        with self._timed("tell", "decode", "retrain"):
            self._tell([c for c, _ in told], [a for _, a in told])
        new = self.evaluations[before:]
        self._note(new)
        self._fruitless = 0 if new else self._fruitless + 1
        if not candidates:
            self._fruitless = FRUITLESS
        codes = {c.text: c.z for c in reversed(candidates)}  # the first of each text is its own
        with self._timed("save"):
            self.folder.append(new, [codes[each.text] for each in new])
            self._save()
        if monotonic() - self._drawn > REFRESH:
            self._refresh(self)
            self._drawn = monotonic()

    def _retry(self, show: Show) -> None:
        """Ask again about what failed before; the calls keep their numbers."""
        failed = [each.text for each in self.evaluations if each.answer.failed]
        for start in range(0, len(failed), self.batch):
            texts = failed[start : start + self.batch]
            self._show(show, f"again: {start:,} of {len(failed):,}")
            with self._timed("oracle"):
                again = self.ledger.retry(texts)
            scored = [each for each in again if not each.answer.failed]
            with self._timed("tell", "decode", "retrain"):
                codes = [self.folder.code(each.call) for each in scored]
                found = self.strategy.again([each.text for each in scored], codes)
                self._tell(found, [each.answer for each in scored])
            self._note(scored)
            if scored:
                self._fruitless = 0
            with self._timed("save"):
                parts = chain(self.folder.parts, *(each.answer.parts for each in again))
                self.folder.parts = list(dict.fromkeys(parts))
                self._save()  # first: a kill in between leaves calls that can be asked again
                self.folder.replace(self.evaluations, self.folder.parts, ())

    def _candidates(self, n: int) -> list[Candidate]:
        """The next n: of the texts to start from first, then of the strategy."""
        if self._started < len(self._queue):
            texts = self._queue[self._started : self._started + n]
            self._started += len(texts)
            return self.strategy.candidates(texts)
        return self.strategy.ask(n)

    def _said(self, candidate: Candidate, evaluation: Evaluation | None) -> Answer | None:
        """What there is to tell of a candidate; None where that is nothing."""
        if candidate.text is None:
            return failure("not valid")
        return self._given.get(candidate.text) if evaluation is None else evaluation.answer

    def _tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer] | Any) -> None:
        """Tell the strategy, for which higher is better."""
        if not candidates:
            return
        signed = [replace(a, score=-a.score) if self.minimize else a for a in answers]
        self.strategy.tell(candidates, signed)

    def _note(self, evaluations: Sequence[Evaluation]) -> None:
        """Keep the best score."""
        pick = min if self.minimize else max
        scores = [each.answer.score for each in evaluations if not each.answer.failed]
        known = [] if self._best is None else [self._best]
        self._best = pick(scores + known, default=None)

    def _save(self) -> None:
        tensors, strategy = self.strategy.state()
        scalars = {
            "counts": asdict(self.ledger.counts),
            "seconds": dict(self.seconds),
            "strategy_seconds": dict(self.strategy.seconds),
            "started": self._started,
            "fruitless": self._fruitless,
            "strategy": strategy,
        }
        self.folder.save(tensors, scalars)

    def _show(self, show: Show, doing: str) -> None:
        budget = self.ledger.budget
        show(Progress(budget - self.ledger.left, budget, self._best, doing))

    @contextmanager
    def _timed(self, part: str, *inner: str) -> Iterator[None]:
        """Add the seconds of a block to a part, but for what the strategy counts as another's."""
        start, own = perf_counter(), self.strategy.seconds.copy()
        try:
            yield
        finally:
            spent = {name: self.strategy.seconds[name] - own[name] for name in inner}
            self.seconds[part] += perf_counter() - start - sum(spent.values())
            for name, seconds in spent.items():
                self.seconds[name] += seconds


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM means what Ctrl-C means; outside the main thread nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
