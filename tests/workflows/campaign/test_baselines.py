import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from molae.chem.molecules import canonical
from molae.chem.surgery import Limits, graph
from molae.names import STRATEGIES
from molae.oracles import oracle
from molae.oracles.base import Answer, failure
from molae.oracles.ledger import Ledger
from molae.workflows.campaign.baselines import LocalSearch, Sampling, Screening
from molae.workflows.campaign.genetic import Genetic, GpGenetic, limits_of
from molae.workflows.campaign.known import Known, best_rows
from molae.workflows.campaign.latent import LatentStrategy
from molae.workflows.campaign.strategy import Candidate

TARGET = 'similarity("Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1")'


@pytest.fixture(scope="module")
def texts(smiles):
    return [canonical(text) for text in smiles]


def campaign(strategy, calls, batch=10, score=TARGET):
    """The scores of all calls, as ``Campaign`` makes them but without a folder."""
    ledger = Ledger(oracle(score), calls)
    while ledger.left:
        before = ledger.left
        one_round(strategy, ledger, min(batch, before))
        if ledger.left == before:
            break
    return ledger


def one_round(strategy, ledger, n):
    candidates = strategy.ask(n)
    assert len(candidates) <= n
    found = ledger.evaluate([candidate.text for candidate in candidates])
    answers = [failure("not valid") if f is None else f.answer for f in found]
    strategy.tell(candidates, answers)
    return candidates


def top(ledger, n=10):
    return np.sort([each.answer.score for each in ledger.evaluations])[-n:].mean()


def told(strategy, pairs):
    strategy.tell([Candidate(text) for text, _ in pairs], [Answer(y) for _, y in pairs])


# All of them -----------------------------------------------------------------------------------

MAKE = {
    "screening": lambda run, texts: Screening(texts, seed=3),
    "sampling": lambda run, texts: Sampling(run, seed=3),
    "local": lambda run, texts: LocalSearch(run, seed=3, initial=10, elites=4),
    "genetic": lambda run, texts: Genetic(Screening(texts, seed=3), seed=3, initial=12),
    "gp_genetic": lambda run, texts: GpGenetic(
        Screening(texts, seed=3), seed=3, initial=12, generations=2, children=10, population=20
    ),
}


def test_every_name_has_its_class():
    classes = [LatentStrategy, Screening, Sampling, LocalSearch, Genetic, GpGenetic]
    assert [each.name for each in classes] == list(STRATEGIES)
    assert list(MAKE) == list(STRATEGIES)[1:]


@pytest.mark.parametrize("name", MAKE)
def test_a_restored_strategy_goes_on_as_if_nothing_had_been(name, run, texts):
    ledger = Ledger(oracle("qed"), 1000)
    strategy = MAKE[name](run, texts)
    for _ in range(4):
        one_round(strategy, ledger, 7)
    strategy.ask(3)  # asked, and not told
    tensors, scalars = strategy.state()
    tensors, scalars = load(save(tensors)), json.loads(json.dumps(scalars))
    going_on = [one_round(strategy, ledger, 7) for _ in range(3)]

    again, after = MAKE[name](run, texts), Ledger(oracle("qed"), 1000)
    again.load_state(tensors, scalars)
    after.restore(ledger.evaluations[:0])
    restored = [one_round(again, after, 7) for _ in range(3)]
    assert [[c.text for c in batch] for batch in restored] == [
        [c.text for c in batch] for batch in going_on
    ]
    for batch, other in zip(restored, going_on, strict=True):
        for a, b in zip(batch, other, strict=True):
            assert (a.z is None) == (b.z is None)
            assert a.z is None or torch.equal(a.z, b.z)


@pytest.mark.parametrize("name", MAKE)
def test_a_seed_makes_a_campaign(name, run, texts):
    one, two = (MAKE[name](run, texts) for _ in range(2))
    first = [campaign(strategy, 24, 6, "qed") for strategy in (one, two)]
    assert [e.text for e in first[0].evaluations] == [e.text for e in first[1].evaluations]


# Screening -------------------------------------------------------------------------------------


def test_screening_goes_through_all_once(texts):
    strategy = Screening(texts, seed=1)
    found = []
    while batch := strategy.ask(70):
        found += [candidate.text for candidate in batch]
    assert sorted(found) == sorted(texts)
    assert found != texts
    assert [c.text for c in Screening(texts, seed=2).ask(300)] != found


def test_screening_spells_molecules_and_leaves_other_texts():
    assert [c.text for c in Screening(["OCC", "C1CC("]).ask(9)] in (["CCO", None], [None, "CCO"])
    assert [c.text for c in Screening(["x+ 1"], molecules=False).ask(9)] == ["x+ 1"]


def test_screening_goes_on_only_with_the_same_texts(texts):
    strategy = Screening(texts)
    strategy.ask(5)
    with pytest.raises(ValueError, match="not those that the screening was begun with"):
        Screening(texts[::-1]).load_state(*strategy.state())
    with pytest.raises(ValueError, match="nothing to screen"):
        Screening([])


# Sampling and local search ---------------------------------------------------------------------


def test_sampling_is_what_the_run_draws(run):
    strategy = Sampling(run, seed=5)
    found = [c.text for _ in range(3) for c in strategy.ask(4)]
    assert found == run.sample(12, 5)
    with pytest.raises(ValueError, match="unknown density of this run"):
        Sampling(run, density="nothing")


def test_local_search_steps_from_the_best(run, texts):
    strategy = LocalSearch(run, initial=5, elites=1, radius=0.05, seed=2)
    told(strategy, [(text, float(i)) for i, text in enumerate(texts[:20])])
    best = run.encode([texts[19]])
    batch = strategy.ask(64)
    z = torch.stack([candidate.z for candidate in batch])
    assert z.shape == (64, run.size)
    everything = run.encode(texts[:20])
    distance = torch.cdist(z, everything)
    assert bool((distance.argmin(1) == 19).all())
    deviation = (z - best).std(0) / run.encode(texts).std(0)
    assert 0.03 < float(deviation.mean()) < 0.08
    assert [c.text for c in batch] == run.decode(z)


def test_radius_follows_the_share_of_new_texts(run, texts):
    strategy = LocalSearch(run, initial=5, radius=0.2)
    told(strategy, [(text, 1.0) for text in texts[:20]])
    rounds = []
    for _ in range(6):
        before = strategy.radius
        batch = strategy.ask(16)
        new = {c.text for c in batch if c.text is not None} - set(texts[:20])
        new -= {text for earlier in rounds for text in earlier}
        rounds.append({c.text for c in batch})
        assert (strategy.radius > before) == (len(new) < 8)
        assert 0.05 <= strategy.radius <= 2.0


def test_local_search_draws_until_there_is_something_to_step_from(run):
    strategy = LocalSearch(run, initial=6, seed=4)
    drawn = [c.text for c in strategy.ask(6)]
    assert drawn == run.sample(6, 4)
    strategy.tell([Candidate(text) for text in drawn], [failure("no")] * 6)
    assert [c.text for c in strategy.ask(6)] == run.sample(6, 4, start=6)  # nothing has a score
    with pytest.raises(ValueError, match="radius is 0"):
        LocalSearch(run, radius=0)
    with pytest.raises(ValueError, match="elites is 0"):
        LocalSearch(run, elites=0)


# Genetic ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_genetic_beats_screening(texts, seed):
    screened = campaign(Screening(texts, seed=seed), 200)
    bred = campaign(Genetic(Screening(texts, seed=seed), initial=50, seed=seed), 200)
    assert top(bred) > top(screened) + 0.03
    assert [e.text for e in bred.evaluations[:50]] == [e.text for e in screened.evaluations[:50]]


@pytest.mark.parametrize("acquisition", ["ucb", "logei"])
def test_the_process_leads_the_genetic_algorithm(texts, acquisition):
    """With half the calls it is further than screening."""
    screened = campaign(Screening(texts), 200)
    led = campaign(
        quick(Screening(texts), initial=50, acquisition=acquisition, generations=4), 100
    )
    assert top(led) > top(screened) + 0.03
    assert len({e.text for e in led.evaluations}) == 100


@pytest.mark.parametrize(
    ("requirements", "atoms"),
    [
        ([], (3, 50)),
        (["mw<500,heavy_atoms<=38"], (3, 38)),
        (["heavy_atoms<100", "heavy_atoms>=20.5"], (21, 99)),
        (["heavy_atoms>60"], (61, 122)),
        (["heavy_atoms==2"], (2, 2)),
    ],
)
def test_limits_of_requirements(requirements, atoms):
    assert limits_of(requirements) == Limits(atoms)


def quick(texts, **settings):
    """A ``GpGenetic`` that breeds for a short time only."""
    return GpGenetic(texts, **{"generations": 2, "children": 30, "population": 40} | settings)


@pytest.mark.parametrize("kind", [Genetic, quick])
def test_nothing_is_asked_twice_before_it_is_told(kind, texts):
    strategy = kind(Screening(texts), initial=5)
    told(strategy, [(text, len(text) / 100) for text in texts[:40]])
    asked = [c.text for _ in range(3) for c in strategy.ask(6)]
    assert len(set(asked)) == 18
    assert not set(asked) & set(texts[:40])


@pytest.mark.parametrize("kind", [Genetic, quick])
def test_limits_hold(kind, texts):
    strategy = kind(Screening(texts), initial=5, limits=Limits(atoms=(5, 12)))
    told(strategy, [(text, 1.0) for text in texts[:40]])
    assert all(graph(c.text).size in range(5, 13) for c in strategy.ask(20))


@pytest.mark.parametrize("kind", [Genetic, quick])
def test_what_failed_has_no_children_and_no_texts_are_needed(kind, texts):
    strategy = kind(Screening(["CCO", "not a molecule"]), initial=10)
    first = strategy.ask(9)
    assert {c.text for c in first} == {"CCO", None}
    strategy.tell(first, [failure("no")] * 2)
    assert strategy.ask(9) == []  # nothing is left to propose, and nothing has a score
    told(strategy, [("c1ccccc1C(=O)NC", 1.0), ("CCOC(=O)CC", 0.0)])
    strategy.tell([Candidate("C[Si](C)(C)C"), Candidate(None)], [failure("no"), failure("no")])
    children = [c.text for c in strategy.ask(10)]
    assert len(children) == 10
    if kind is Genetic:
        assert not any("Si" in text for text in children)


def test_better_parents_have_more_children():
    strategy = Genetic(Screening(["C"]), initial=2, k=0.01, crossover=0.0, seed=0)
    told(strategy, [("FCCCCCCCCF", 1.0), *(("C" * n, 0.0) for n in range(10, 20))])
    children = strategy.ask(60)
    # 1 / 0.11 of 1 / 0.11 + 10 / 1.11: half of them
    assert 20 < sum("F" in c.text for c in children) < 40
    strategy = Genetic(Screening(["C"]), initial=2, k=math.inf, crossover=0.0, seed=0)
    told(strategy, [("FCCCCCCCCF", 1.0), *(("C" * n, 0.0) for n in range(10, 20))])
    assert sum("F" in c.text for c in strategy.ask(60)) < 15  # one in eleven


def test_a_process_learns_from_the_best_and_some_others(texts):
    strategy = GpGenetic(Screening(texts), initial=5, points=30, generations=1, children=5)
    scores = np.random.default_rng(0).normal(size=len(texts))
    told(strategy, list(zip(texts, scores.tolist(), strict=True)))
    process, best = strategy._learnt()
    assert best == pytest.approx(scores.max())
    mean, variance = process.posterior(torch.zeros(1, 2048))
    assert bool(mean.isfinite().all() and (variance > 0).all())
    assert len(process._weights) == 30
    assert len(strategy.ask(4)) == 4


def test_bad_arguments(texts):
    first = Screening(texts)
    with pytest.raises(ValueError, match="population is 0"):
        Genetic(first, population=0)
    with pytest.raises(ValueError, match="k is 0"):
        Genetic(first, k=0)
    with pytest.raises(ValueError, match="kappa is"):
        GpGenetic(first, kappa=(2.0, 1.0))
    with pytest.raises(ValueError, match="unknown acquisition"):
        GpGenetic(first, acquisition="thompson")
    with pytest.raises(ValueError, match="generations is 0"):
        GpGenetic(first, generations=0)


# What is known ---------------------------------------------------------------------------------


def test_known_texts():
    known = Known()
    known.ask(["CC", None, "CCC", "CC"])
    assert "CC" in known
    assert len(known) == 0
    pairs = {"CC": 2.0, "C": 3.0, "O": math.nan, "N": 3.0}
    known.tell([Candidate(t) for t in pairs], [Answer(y) for y in pairs.values()])
    assert known.scored == 3
    assert list(known.asked) == ["CCC"]
    assert known.best(2) == ["C", "N"]
    assert known.best(9) == ["C", "N", "CC"]
    again = Known()
    again.load_state(*known.state())
    assert again.best(9) == known.best(9)
    assert again.asked == known.asked
    assert math.isnan(again.scores["O"])
    assert Known().best(3) == []
    assert best_rows(np.array([math.nan]), 1).tolist() == []
