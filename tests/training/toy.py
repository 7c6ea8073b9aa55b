"""A small model, objectives and data for the tests of the loop, and a script that trains them.

``python toy.py FOLDER OUT [--resume] [--players] [--pause S]`` writes the final weights to OUT.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from molae.training import fit
from molae.types import Batch, Player, Terms


class Net(nn.Module):
    """Embeds, drops out, normalises, predicts a number: something of everything that has state."""

    def __init__(self, dropout: float = 0.2, norm: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 6)
        self.hidden = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(6, 1)
        self.unused = nn.Parameter(torch.ones(2))

    def features(self, x):
        h = self.embed(x + 1).mean(1)  # (B, 6)
        return self.dropout(self.norm(torch.tanh(self.hidden(h))))

    def predict(self, x):
        return self.out(self.features(x))[:, 0]


class Regression(nn.Module):
    """One player: squared error and a part of the whole batch."""

    def __init__(self, noise: float = 0.1, decay: float = 1e-3) -> None:
        super().__init__()
        self.noise = noise
        self.decay = decay
        self.prepared = 0

    def prepare(self, model) -> None:
        self.prepared += 1

    def terms(self, model, batch: Batch, step: int) -> Terms:
        y = batch.y + self.noise * torch.randn_like(batch.y)
        weights = self.decay * model.out.weight.square().sum()
        return Terms({"error": (model.predict(batch.x) - y).square(), "weights": weights})

    def players(self, model) -> list[Player]:
        return [Player("all", list(model.parameters()), self.terms)]


class Game(Regression):
    """Three players: the model, a critic of its features, and a multiplier with plain SGD."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Linear(6, 1)
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("average", torch.zeros(()))

    def terms(self, model, batch: Batch, step: int) -> Terms:
        terms = super().terms(model, batch, step)
        terms.parts["fool"] = -self.critic(model.features(batch.x))[:, 0] * self.log_weight.exp()
        return terms

    def judge(self, model, batch: Batch, step: int) -> Terms:
        h = model.features(batch.x)
        real = self.critic(torch.randn_like(h))[:, 0]
        return Terms({"real": (real - 1).square(), "fake": self.critic(h)[:, 0].square()})

    def balance(self, model, batch: Batch, step: int) -> Terms:
        error = (model.predict(batch.x) - batch.y).square().mean().detach()
        self.average.lerp_(error, 0.1)
        return Terms({"balance": self.log_weight * (0.5 - self.average)})

    def players(self, model) -> list[Player]:
        sgd = torch.optim.SGD
        return [
            Player("model", list(model.parameters()), self.terms),
            Player("critic", list(self.critic.parameters()), self.judge, every=2),
            Player("weight", [self.log_weight], self.balance, lambda p, lr: sgd(p, lr=0.1)),
        ]


class Rows:
    """N sequences of symbols of different lengths, and a number for each."""

    def __init__(self, n: int = 100, seed: int = 0, weighted: bool = False, hook=None) -> None:
        rng = np.random.default_rng(seed)
        self.lengths = rng.integers(2, 9, n)
        self.x = np.full((n, 9), -1, dtype=np.int64)
        for row, length in zip(self.x, self.lengths, strict=True):
            row[:length] = rng.integers(0, 7, length)
        self.y = (self.x == 3).sum(1).astype(np.float32)
        self.weight = rng.uniform(0.5, 2.0, n).astype(np.float32) if weighted else None
        self.hook = hook

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index) -> Batch:
        if self.hook is not None:
            self.hook()
        weight = None if self.weight is None else torch.from_numpy(self.weight[index])
        return Batch(
            torch.from_numpy(self.x[index]), torch.from_numpy(self.y[index]), None, weight
        )


def build(players: bool = False) -> tuple[Net, Regression]:
    """The same fresh model and objective each time."""
    torch.manual_seed(7)
    return Net(), Game() if players else Regression()


def train(model, objective, data, **options):
    """``fit`` without ado: fp32 on the CPU, silent."""
    defaults = {"batch_size": 16, "precision": "fp32", "device": "cpu", "progress": False}
    return fit(model, objective, data, **(defaults | options))


def main(folder: str, out: str, *flags: str) -> None:
    torch.set_num_threads(1)
    players = "--players" in flags
    pause = float(flags[flags.index("--pause") + 1]) if "--pause" in flags else 0.0
    model, objective = build(players)
    train(
        model, objective, Rows(hook=lambda: time.sleep(pause)), validation=Rows(30, seed=1),
        epochs=6, folder=Path(folder), resume="--resume" in flags, checkpoint_every=0.02,
        validate_every=10, log_every=4,
    )  # fmt: skip
    tensors = {f"o.{k}": v for k, v in objective.state_dict().items()} | model.state_dict()
    save_file(tensors, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
