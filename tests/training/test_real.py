"""Real models and objectives: they train, and a stop in the middle leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from molae.datasets.arrays import SequenceData
from molae.densities import StandardNormal
from molae.grammar.cfg import Grammar
from molae.grammar.machine import GrammarConstraint
from molae.models import Autoencoder
from molae.nn.autoregressive import AutoregressiveDecoder
from molae.nn.encoders import RecurrentEncoder
from molae.nn.feedforward import FeedForwardDecoder
from molae.nn.heads import DeltaHead, NormalHead
from molae.objectives import AE, RAE, VAE

TEXT = "S -> 'a' S | 'b' T | 'c'\nT -> 'd' S | 'e'\n"


def sequences(n=64):
    """Derivations: rules are 0 S->aS, 1 S->bT, 2 S->c, 3 T->dS, 4 T->e."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        row, rule = [], 0
        while rule not in (2, 4):
            choices = [3, 4] if rule == 1 else [0, 1, 2]
            rule = rng.choice(choices) if len(row) < 8 else choices[-1]
            row.append(rule)
        rows.append(row)
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return SequenceData(np.concatenate(rows).astype(np.uint16), offsets)


def build(objective, decoder=FeedForwardDecoder):
    torch.manual_seed(3)
    constraint = GrammarConstraint(Grammar.from_text(TEXT), 16, attributes=False)
    encoder = RecurrentEncoder(5, embedding=8, hidden=12)
    head = NormalHead if isinstance(objective, VAE) else DeltaHead
    return Autoencoder(
        encoder, head(encoder.width, 6), decoder(5, 6, constraint, hidden=16), StandardNormal(6)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: VAE(beta=0.5), lambda: AE(), lambda: RAE(regularizer="l2"),
        lambda: RAE(regularizer="gp", weight=0.1), lambda: RAE(regularizer="sn"),
    ],
    ids=["vae", "ae", "l2", "gp", "sn"],
)  # fmt: skip
def test_stopped_in_the_middle(toy, same, tmp_path, make):
    data = sequences()
    options = {"schedule": "constant", "warmup_steps": 0, "validation": sequences(8)}
    options |= {"log_every": 2, "validate_every": 3}
    objective = make()
    whole = build(objective)
    result = toy.train(whole, objective, data, steps=10, **options)
    for steps in (5, 10):
        objective = make()
        cut = build(objective)
        toy.train(cut, objective, data, steps=steps, folder=tmp_path, resume=True, **options)
    assert same(whole, cut)
    assert {record["kind"] for record in result.history} == {"train", "validation"}


def test_it_memorises(toy):
    objective = AE()
    model = build(objective, AutoregressiveDecoder)
    data = sequences(16)
    toy.train(model, objective, data, steps=300, learning_rate=0.02, progress=False)
    x = data.batch(np.arange(16)).x
    decoded = model.decode(model.encode(x))
    width = min(x.shape[1], decoded.shape[1])
    assert (decoded[:, :width] == x[:, :width]).all(1).float().mean() > 0.9
