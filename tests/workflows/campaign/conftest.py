"""What tests of campaigns share: the tiny model, and a strategy whose proposals are known."""

from __future__ import annotations

import gzip
from itertools import islice

import pytest

from molae.resources import data_path
from molae.workflows.campaign.strategy import Candidate, Strategy


class Listed(Strategy):
    """Proposes the texts of a list, round after round; remembers what it is told."""

    name = "listed"

    def __init__(self, texts):
        super().__init__()
        self.texts, self.next, self.told = list(texts), 0, []

    def ask(self, n):
        asked = [self.texts[i] for i in range(self.next, self.next + n) if i < len(self.texts)]
        self.next += len(asked)
        return [Candidate(text) for text in asked]

    def tell(self, candidates, answers):
        pairs = zip(candidates, answers, strict=True)
        self.told += [(candidate.text, answer.score) for candidate, answer in pairs]

    def state(self):
        return {}, {"next": self.next}

    def load_state(self, tensors, scalars):
        self.next = scalars["next"]


@pytest.fixture
def listed():
    return Listed


@pytest.fixture(scope="session")
def tiny():
    """The small model that ships; nothing may change it."""
    from molae.runs import Run

    return Run.load("tiny", "cpu")


@pytest.fixture(scope="session")
def demo():
    """Some molecules of the demo set."""
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        return [line.split()[0] for line in islice(stream, 200)]
