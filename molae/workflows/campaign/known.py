"""What a strategy knows of texts: those it was told of, with their scores, and those it asked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molae.oracles.base import Answer
from molae.workflows.campaign.ranks import Floats, Rows
from molae.workflows.campaign.strategy import Candidate, State


class Known:
    """Texts with their scores, in the order in which they were first told.

    Attributes:
        scores: By text; NaN where there is none.
        asked: Texts that were asked and not told yet, in order; they are not asked again.
    """

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}
        self.asked: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, text: object) -> bool:
        """Whether a text was told or asked."""
        return text in self.scores or text in self.asked

    @property
    def scored(self) -> int:
        """Texts with a score."""
        return sum(not math.isnan(score) for score in self.scores.values())

    def ask(self, texts: Iterable[str | None]) -> None:
        """Note that texts are asked."""
        self.asked |= {text: None for text in texts if text is not None and text not in self}

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Note answers; candidates without a text are passed over."""
        for candidate, answer in zip(candidates, answers, strict=True):
            if candidate.text is not None:
                self.scores[candidate.text] = answer.score
                self.asked.pop(candidate.text, None)

    def table(self) -> tuple[list[str], Floats]:
        """All texts (N) and their scores (N,) float64, NaN where there is none."""
        return list(self.scores), np.fromiter(self.scores.values(), np.float64, len(self))

    def best(self, n: int) -> list[str]:
        """The n texts with the highest scores, the best first and of equals the first."""
        texts, scores = self.table()
        return [texts[row] for row in best_rows(scores, n)]

    def state(self) -> State:
        """All there is to save."""
        text = bytearray(json.dumps([list(self.scores), list(self.asked)]).encode())
        scores = torch.tensor(list(self.scores.values()), dtype=torch.float64)
        return {"texts": torch.frombuffer(text, dtype=torch.uint8), "scores": scores}, {}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        told, asked = json.loads(tensors["texts"].numpy().tobytes())
        self.scores = dict(zip(told, tensors["scores"].tolist(), strict=True))
        self.asked = dict.fromkeys(asked)


def best_rows(scores: Floats, n: int) -> Rows:
    """Rows of the n highest of scores (N,), the best first, of equals the first; NaN never."""
    order = np.argsort(-scores, kind="stable")  # NaN last
    return order[: min(n, int((~np.isnan(scores)).sum()))]
