"""What there is to tell of a campaign, at any moment of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from molae.oracles.ledger import Evaluation
from molae.workflows.campaign.trace import TOP, Floats, best_so_far, top_mean


@dataclass(frozen=True)
class Record:
    """All calls of a campaign, and what it cost.

    Attributes:
        evaluations: All calls, in order.
        minimize: Low scores are the good ones.
        given: Scores that were known at the beginning, and cost no call; nan where there is none.
        counts: What became of the candidates, by name.
        seconds: What the time was spent on, by name.
        batch: Candidates asked for at once.
        ended: Why it is over; "" as long as it is not.
    """

    evaluations: Sequence[Evaluation]
    minimize: bool = False
    given: Sequence[float] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    batch: int = 1
    ended: str = ""

    @property
    def scores(self) -> list[float]:
        """The score of every call, nan where there is none."""
        return [each.answer.score for each in self.evaluations]

    @property
    def best(self) -> list[Evaluation]:
        """Everything with a score, the best first; of equal ones the earlier."""
        scored = [each for each in self.evaluations if not each.answer.failed]
        sign = 1.0 if self.minimize else -1.0
        return sorted(scored, key=lambda each: (sign * each.answer.score, each.call))

    @property
    def failures(self) -> Counter[str]:
        """Why calls have no score, and how many."""
        return Counter(each.answer.error for each in self.evaluations if each.answer.error)

    def traces(self) -> dict[str, Floats]:
        """The best so far and the mean of the best ten, for each call, (n,)."""
        scores = self.scores
        return {
            "best so far": best_so_far(scores, minimize=self.minimize),
            f"mean of the best {TOP}": top_mean(scores, minimize=self.minimize),
        }
