"""Decoders and the grammar machine together, with networks that have learnt nothing."""

from __future__ import annotations

import pytest
import torch

from molae.grammar.cfg import Grammar
from molae.grammar.machine import GrammarConstraint
from molae.nn.sequence import AutoregressiveDecoder, FeedForwardDecoder
from molae.resources import grammar_text
from molae.types import PAD


@pytest.fixture(params=["smiles", "equation"])
def constraint(request):
    return GrammarConstraint(Grammar.from_text(grammar_text(request.param)), 20)


@pytest.fixture(params=[AutoregressiveDecoder, FeedForwardDecoder])
def decoder(request, constraint):
    torch.manual_seed(0)
    return request.param(constraint.size, 4, constraint, hidden=16, tile=16).eval()


def test_every_rule_was_legal_and_every_derivation_ends(decoder, constraint):
    x = decoder(torch.randn(60, 4)).sample(0, temperature=2.0)
    legal = constraint.mask(x).gather(-1, x.clamp(min=0)[..., None])[..., 0]
    assert legal[x != PAD].all()
    assert (x[:, 0] != PAD).all()
    state = constraint.start(60)
    for rule in x.unbind(1):
        state = constraint.advance(state, rule)
    assert constraint.finished(state).all()


def test_one_by_one_equals_together(decoder):
    z = torch.randn(40, 4)
    together = decoder(z).sample(3)
    assert len(together.unique(dim=0)) > 5
    for row in range(0, 40, 7):
        alone = decoder(z[row : row + 1]).sample(3, torch.tensor([row]))
        assert torch.equal(alone[0], together[row])


def test_log_prob_of_what_was_drawn_is_that_of_legal_rules(decoder):
    x = decoder(torch.randn(60, 4)).sample(1)
    with torch.no_grad():
        log_prob = decoder(torch.randn(60, 4)).log_prob(x)
    # A single forbidden rule would cost about 10,000 nats.
    assert (log_prob > -1000).all()


def test_without_a_budget_derivations_are_cut_off():
    grammar = Grammar.from_text(grammar_text("equation"))
    free = GrammarConstraint(grammar, 6, budget=False)
    torch.manual_seed(0)
    decoder = AutoregressiveDecoder(grammar.size, 4, free, embedding=4, hidden=16, tile=16)
    x = decoder(torch.randn(100, 4)).sample(0)
    assert x.shape == (100, 6)
    state = free.start(100)
    for rule in x.unbind(1):
        state = free.advance(state, rule)
    assert 0 < free.finished(state).sum() < 100
