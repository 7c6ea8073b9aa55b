"""Optimisation in the space of codes, with the small model that ships."""

from __future__ import annotations

import math

import pytest
import torch

from molae.optimize import LatentOptimizer
from molae.oracles import oracle
from molae.oracles.base import Answer
from molae.workflows.campaign.latent import STEPS, LatentStrategy
from molae.workflows.campaign.settings import DEFAULTS
from molae.workflows.campaign.strategies import build
from molae.workflows.campaign.strategy import Candidate
from molae.workflows.neighbors import code_scale


@pytest.fixture
def make(tiny):
    def optimizer(run, number):
        return LatentOptimizer(run.density(), run.size, seed=3 + number, candidates=200)

    return lambda: LatentStrategy(tiny, optimizer)


def told(strategy, n, score):
    """Ask and tell once; candidates and answers."""
    candidates = strategy.ask(n)
    strategy.tell(candidates, score(candidates))
    return candidates


def by_length(candidates):
    return [Answer(float(len(c.text))) for c in candidates]


def test_what_is_told_is_the_code_of_the_text(make, tiny, monkeypatch):
    strategy = make()
    candidates = strategy.ask(6)
    texts = [candidate.text for candidate in candidates]
    assert all(text == tiny.spelling([text])[0] for text in texts)
    torch.testing.assert_close(
        torch.stack([candidate.z for candidate in candidates]), tiny.encode(texts)
    )
    heard = []
    tell = strategy.optimizer.tell
    monkeypatch.setattr(
        strategy.optimizer, "tell", lambda z, y: (heard.append((z, y)), tell(z, y))
    )
    strategy.tell(candidates, by_length(candidates))
    ((z, y),) = heard
    assert torch.equal(z, torch.stack([candidate.z for candidate in candidates]))
    assert y.tolist() == [len(text) for text in texts]


def test_steps_to_the_side_of_repeats(make, tiny, monkeypatch):
    strategy = make()
    z = strategy.optimizer.ask(3)
    monkeypatch.setattr(strategy.optimizer, "ask", lambda n: torch.cat([z, z[:1]])[:n])
    first = told(strategy, 4, by_length)
    texts = [candidate.text for candidate in first]
    assert len(first) == 5
    assert len(set(texts[:4])) == 4
    assert first[4] == Candidate(texts[0])  # from where the step was taken: counted, not learnt
    for candidate in first[:4]:
        torch.testing.assert_close(candidate.z, tiny.encode([candidate.text])[0])
    again = told(strategy, 3, by_length)
    assert not {candidate.text for candidate in again[:3]} & set(texts)
    assert [candidate.text for candidate in again[3:]] == texts[:3]
    assert strategy.unencoded == 0


def test_steps_to_the_side_stay_plausible(tiny, monkeypatch):
    """Where one text is all there is to find, the longest steps are taken, too, and draws."""

    def optimizer(run, number):
        return LatentOptimizer(run.density(), run.size, plausible=0.3, seed=3)

    strategy, decoded = LatentStrategy(tiny, optimizer), []
    monkeypatch.setattr(tiny, "decode", lambda z: decoded.append(z.clone()) or ["CCO"] * len(z))
    strategy.ask(20)
    asked, *stepped, drawn = decoded
    assert len(stepped) == len(STEPS)
    assert (drawn[:, None] != torch.cat([asked, *stepped])).any(-1).all()
    plausible = strategy.optimizer.plausible_set
    assert all(plausible.holds(z).all() for z in decoded)
    far = (stepped[-1] - asked[1:]).norm(dim=1) / code_scale(tiny).norm()
    assert 0 < far.max() < STEPS[-1]  # pulled back, and most not all of the way
    assert (far > 0).float().mean() > 0.5


def test_where_no_step_leads_anywhere(make, monkeypatch):
    strategy = make()
    z = strategy.optimizer.ask(2)
    monkeypatch.setattr(strategy.optimizer, "ask", lambda n: z[:n])
    monkeypatch.setattr(strategy.run, "decode", lambda z: ["CCO"] * len(z))
    new, repeat = told(strategy, 2, by_length)
    assert (new.text, repeat.text) == ("CCO", "CCO")
    assert not torch.equal(new.z, z[0])
    assert torch.equal(repeat.z, z[1])  # the optimiser learns that it is known there
    assert [c.z.tolist() for c in strategy.ask(2)] == z.tolist()


def test_texts_from_elsewhere(make, tiny):
    strategy = make()
    candidates = strategy.candidates(["CCO", "C[Fe]", "c1ccccc1"])
    assert [candidate.z is None for candidate in candidates] == [False, True, False]
    torch.testing.assert_close(candidates[0].z, tiny.encode(["CCO"])[0])
    strategy.tell(candidates, [Answer(1.0), Answer(2.0), Answer(3.0)])
    assert strategy.unencoded == 1
    assert strategy.known.scores == {"CCO": 1.0, "C[Fe]": 2.0, "c1ccccc1": 3.0}
    strategy.tell([Candidate(None, torch.zeros(tiny.size))], [Answer(math.nan)])
    assert len(strategy.known) == 3


def test_state(make):
    whole, cut = make(), make()
    for _ in range(2):
        told(whole, 5, by_length), told(cut, 5, by_length)
    tensors, scalars = cut.state()
    other = make()
    other.load_state(tensors, scalars)
    for _ in range(2):
        left, right = told(whole, 5, by_length), told(other, 5, by_length)
        assert [c.text for c in left] == [c.text for c in right]
        assert all(torch.equal(a.z, b.z) for a, b in zip(left, right, strict=True))


def test_it_finds_better_molecules_than_it_began_with(tiny):
    """More atoms than the draws that it began with; a surrogate that learnt nothing would not."""
    strategy = build({**DEFAULTS, "seed": 1}, tiny, [], 1)
    scorer = oracle("heavy_atoms")
    means = []
    for _ in range(6):
        candidates = strategy.ask(12)
        answers = scorer.answer([candidate.text for candidate in candidates])
        strategy.tell(candidates, answers)
        means.append(sum(answer.score for answer in answers) / 12)
    assert max(means[3:]) > means[0] + 4


def test_retraining(tiny, demo):
    texts = demo[:40]
    start = [(text, Answer(float(text.count("N")))) for text in texts]
    settings = {**DEFAULTS, "retrain": "every=8,epochs=0.5"}
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}

    def begun():
        strategy = build(settings, tiny, start, 1)
        strategy.tell(strategy.candidates(texts), [answer for _, answer in start])
        return strategy

    whole, cut = begun(), begun()
    for strategy in (whole, cut):
        told(strategy, 4, by_length)
    assert whole.retrainer.retrained == 1  # before the first ask, as published
    other = build(settings, tiny, start, 1)
    other.load_state(*cut.state())
    for _ in range(2):
        left, right = told(whole, 4, by_length), told(other, 4, by_length)
        assert [c.text for c in left] == [c.text for c in right]
    assert whole.retrainer.retrained == other.retrainer.retrained == 2
    assert whole.seconds["retrain"] > 0
    # The optimiser knows the codes of the model of now.
    own = whole.run.encode(texts[:3]).double()
    gaps = (whole.optimizer.state()[0]["told.z"][:, None] - own).square().sum(-1).min(0).values
    assert float(gaps.max()) < 1e-6
    assert all(torch.equal(before[k], v) for k, v in tiny.model.state_dict().items())
