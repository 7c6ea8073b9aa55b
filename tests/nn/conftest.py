"""Two constraints that are small enough to see through, and some sequences that they allow."""

from __future__ import annotations

import pytest
import torch

from molae.draws import choose
from molae.types import PAD


class Rolling:
    """Entry 0 ends a sequence. Subclasses say what is legal from the number of steps taken."""

    def __init__(self, size, max_steps):
        self.size, self.max_steps = size, max_steps

    def legal(self, step):
        raise AssertionError

    def mask(self, x):
        state = self.start(len(x), x.device)
        masks = []
        for rule in x.unbind(1):
            masks.append(self.allowed(state))
            state = self.advance(state, rule)
        return torch.stack(masks, 1)

    def start(self, n, device="cpu"):
        return {
            "step": torch.zeros(n, dtype=torch.int64, device=device),
            "done": torch.zeros(n, dtype=torch.bool, device=device),
        }

    def choose(self, state, logits, **how):
        return choose(logits, self.allowed(state), **how)

    def allowed(self, state):
        return self.legal(state["step"]) & ~state["done"][:, None]

    def advance(self, state, rule):
        step = state["step"] + (rule != PAD)
        return {"step": step, "done": state["done"] | (rule == 0)}

    def finished(self, state):
        return state["done"]

    def take(self, state, rows):
        return {name: value[rows] for name, value in state.items()}

    def put(self, state, rows, new):
        for name, value in state.items():
            value[rows] = new[name]


class AllTrue(Rolling):
    """Everything may come at every step, and nothing makes a sequence end in time."""

    def legal(self, step):
        return torch.ones(len(step), self.size, dtype=torch.bool)


class Alternating(Rolling):
    """Even and odd entries take turns, beginning with odd; the end comes in time."""

    def legal(self, step):
        entry = torch.arange(self.size)
        turn = (entry[None] + step[:, None]) % 2 == 1
        last = step[:, None] >= self.max_steps - 1
        return torch.where(last, entry[None] == 0, turn)


@pytest.fixture(params=[AllTrue, Alternating], ids=["free", "alternating"])
def constraint(request):
    return request.param(9, 12)


@pytest.fixture
def alternating():
    return Alternating(9, 12)


@pytest.fixture
def sequences():
    """64 different sequences (64, 12) that both constraints allow; each ends with 0."""
    generator = torch.Generator().manual_seed(1)
    seen: set[tuple[int, ...]] = set()
    while len(seen) < 64:
        half = int(torch.randint(2, 6, (), generator=generator))
        odd = 2 * torch.randint(0, 4, (half,), generator=generator) + 1
        even = 2 * torch.randint(1, 5, (half,), generator=generator)
        even[-1] = 0
        seen.add(tuple(torch.stack([odd, even], 1).flatten().tolist()))
    x = torch.full((64, 12), PAD)
    for row, entries in zip(x, sorted(seen), strict=True):
        row[: len(entries)] = torch.tensor(entries)
    return x
