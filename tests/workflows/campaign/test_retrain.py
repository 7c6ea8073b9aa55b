"""Weighted retraining of the small shipped model, towards molecules with many nitrogens."""

from __future__ import annotations

import gzip
import math
import os
import signal
import threading
from itertools import islice

import numpy as np
import pytest
import torch

from molae.oracles.base import Answer
from molae.oracles.ledger import Evaluation
from molae.resources import data_path
from molae.runs import Run, RunError
from molae.training import TrainingDiverged
from molae.workflows.campaign.retrain import Retrainer, parse_retrain

#: Molecules of the start set.
COUNT = 250


def nitrogens(text: str | None) -> float:
    return math.nan if text is None else float(text.upper().count("N"))


@pytest.fixture(scope="module")
def start():
    """Molecules of the demo set with their nitrogens."""
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        texts = [line.split()[0] for line in islice(stream, COUNT)]
    return texts, [nitrogens(text) for text in texts]


@pytest.fixture
def run():
    return Run.load("tiny", "cpu")


def short(run, start, **more):
    """A retrainer whose retraining is a handful of steps."""
    return Retrainer(run, *start, **{"every": 10, "epochs": 0.3, "seed": 1} | more)


def evaluated(texts, scores=None):
    scores = [nitrogens(text) for text in texts] if scores is None else scores
    pairs = zip(texts, scores, strict=True)
    return [Evaluation(call, text, Answer(y)) for call, (text, y) in enumerate(pairs, 1)]


def weights(run):
    found = {f"model/{name}": value.clone() for name, value in run.model.state_dict().items()}
    for name, density in run.densities.items():
        found |= {f"{name}/{key}": value.clone() for key, value in density.state_dict().items()}
    return found


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def found_texts(run):
    return [text for text in run.sample(12, seed=7) if text is not None]


# What it does ------------------------------------------------------------------------------------


def test_samples_become_better(run, start):
    before = np.mean([nitrogens(text) for text in run.sample(150, seed=3)])
    retrainer = Retrainer(run, *start, epochs=2, seed=0)
    retrainer.retrain([])
    after = np.mean([nitrogens(text) for text in run.sample(150, seed=3)])
    assert after > before + 0.5
    assert retrainer.retrained == 1


def test_the_model_itself_knows_the_best_better(run, start):
    """Not only the density: the loss of the best molecules falls."""
    texts, scores = start
    best = [texts[row] for row in np.argsort(scores)[-25:]]
    x = run.codec.encode(best)

    def loss():
        with torch.no_grad():
            z = run.model.encode(x)
            return float(-run.model.likelihood(z).log_prob(x).mean())

    before = loss()
    short(run, start, epochs=3).retrain([])
    assert loss() < 0.9 * before


def test_what_was_found_counts_too(start):
    """The same molecule has another weight where its score is another."""
    text = found_texts(Run.load("tiny", "cpu"))[0]
    runs = []
    for score in (100.0, -100.0):
        runs.append(Run.load("tiny", "cpu"))
        short(runs[-1], start).retrain(evaluated([text], [score]))
    assert not same(weights(runs[0]), weights(runs[1]))


def test_what_cannot_be_encoded_is_skipped_and_counted(run, start):
    """The small model has no selenium; its row of codes is NaN."""
    retrainer = short(run, start)
    retrainer.retrain(evaluated(["C[Se]C", start[0][0]]))
    assert retrainer.skipped == 1


def test_what_has_no_score_is_not_learnt_from(start):
    runs = [Run.load("tiny", "cpu") for _ in range(2)]
    short(runs[0], start).retrain([])
    failed = evaluated(["C" * 9, "O" + "C" * 9], [math.nan, math.nan])
    short(runs[1], start).retrain(failed)
    assert same(weights(runs[0]), weights(runs[1]))


def test_nothing_happens_without_scores(run):
    before = weights(run)
    retrainer = Retrainer(run, every=10)
    retrainer.retrain(evaluated(["CCO"], [math.nan]))
    assert same(weights(run), before)
    assert retrainer.retrained == 0
    assert retrainer.state()[0] == {}


def test_few_texts_do_not_narrow_the_densities(run):
    before = {name: value for name, value in weights(run).items() if "model" not in name}
    Retrainer(run, every=10, epochs=1).retrain(evaluated(["CCO", "CCN", "CCC"]))
    after = weights(run)
    assert same({name: after[name] for name in before}, before)
    assert not torch.equal(
        after["model/encoder.embedding.weight"],
        Run.load("tiny", "cpu").model.state_dict()["encoder.embedding.weight"],
    )


# When --------------------------------------------------------------------------------------------


def test_it_is_due_before_the_first_call_and_every_so_many(run, start):
    retrainer = short(run, start, epochs=0.05)
    assert retrainer.due(0)
    retrainer.retrain([])
    assert [calls for calls in range(31) if retrainer.due(calls)] == list(range(10, 31))
    retrainer.retrain(evaluated([f"{'C' * n}O" for n in range(1, 14)]))  # batches overshoot
    assert [calls for calls in range(13, 31) if retrainer.due(calls)] == list(range(20, 31))


def test_without_a_start_set_there_is_nothing_to_learn_before_the_first_call(run):
    assert not Retrainer(run, every=10).due(0)
    assert not Retrainer(run, ["CCO"], [math.nan], every=10).due(9)
    assert Retrainer(run, every=10).due(10)


# Exactness ---------------------------------------------------------------------------------------


def test_a_campaign_that_goes_on_is_the_same(start):
    """Killed between two retrainings, with all that was found before parsed anew."""
    found = evaluated(found_texts(Run.load("tiny", "cpu")))
    whole = Run.load("tiny", "cpu")
    retrainer = short(whole, start)
    retrainer.retrain([])
    retrainer._library.rows(["CCCCO"])  # the order of what is parsed does not matter
    tensors, scalars = retrainer.state()
    retrainer.retrain(found)

    resumed = Run.load("tiny", "cpu")
    torch.manual_seed(12345)
    again = short(resumed, start)
    again.load_state(tensors, scalars)
    assert not again.due(9)
    assert again.due(10)
    again.retrain(found)
    assert same(weights(whole), weights(resumed))
    assert again.state()[1] == retrainer.state()[1]
    assert same(again.state()[0], retrainer.state()[0])


def test_another_seed_is_another_model(start):
    runs = [Run.load("tiny", "cpu") for _ in range(2)]
    for seed, run in enumerate(runs):
        short(run, start, seed=seed).retrain([])
    assert not same(weights(runs[0]), weights(runs[1]))


def test_a_retraining_leaves_the_random_numbers_alone(run, start):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    short(run, start).retrain([])
    assert torch.equal(torch.rand(3), wanted)


def test_there_are_no_tensors_before_the_first_retraining(run, start):
    tensors, scalars = short(run, start).state()
    assert tensors == {}
    fresh = short(run, start)
    fresh.load_state(tensors, scalars)
    assert fresh.due(0)


def test_the_state_of_another_run_is_refused(run, start):
    retrainer = short(run, start, epochs=0.02)
    retrainer.retrain([])
    tensors, scalars = retrainer.state()
    tensors["model/encoder.embedding.weight"] = torch.zeros(2, 2)
    with pytest.raises(RunError, match="another model"):
        retrainer.load_state(tensors, scalars)


def test_ctrl_c_leaves_the_run_as_it_was(run, start):
    before = weights(run)
    retrainer = short(run, start, epochs=1000)
    presser = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        retrainer.retrain([])
    presser.join()
    assert same(weights(run), before)
    assert retrainer.due(0)
    assert retrainer.retrained == 0


def test_a_divergence_leaves_the_run_as_it_was(run, start):
    before = weights(run)
    run.config["objective"]["beta"] = math.inf
    with pytest.raises(TrainingDiverged, match="learning rate"):
        short(run, start, epochs=2).retrain([])
    assert same(weights(run), before)


# The objective -----------------------------------------------------------------------------------


def test_a_schedule_does_not_begin_again(start):
    """A ramp of beta is over: as if its end had been given."""
    runs = []
    for beta in (0.001, {"schedule": "linear", "start": 0.0, "end": 0.001, "steps": 10_000}):
        runs.append(Run.load("tiny", "cpu"))
        runs[-1].config["objective"]["beta"] = beta
        short(runs[-1], start).retrain([])
    assert same(weights(runs[0]), weights(runs[1]))


# What is typed -----------------------------------------------------------------------------------


def test_what_is_asked_for():
    assert parse_retrain("every=50,k=1e-3,epochs=0.1") == {"every": 50, "k": 1e-3, "epochs": 0.1}
    assert parse_retrain(" k = inf , rate=1e-4") == {"k": math.inf, "rate": 1e-4}
    assert isinstance(parse_retrain("every=20")["every"], int)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected name=value"),
        ("50", "in place of '50', such as every=50"),
        ("every=", "in place of 'every='"),
        ("every=50,", "in place of ''"),
        ("evry=50", "did you mean 'every'"),
        ("every=many", "every is 'many'; expected a number"),
        ("every=2.5", "every is 2.5; expected a whole number"),
        ("every=0", "every is 0; expected a whole number of calls, 1 or more"),
        ("k=0", "k is 0; expected a number above 0"),
        ("k=nan", "k is nan"),
        ("epochs=-1", "epochs is -1; expected a number above 0"),
        ("epochs=inf", "epochs is inf"),
        ("rate=3", "rate is 3; expected a learning rate, above 0 and below 1"),
        ("k=1,k=2", "k is there twice"),
    ],
)
def test_what_cannot_be_asked_for(text, told):
    with pytest.raises(ValueError, match=r"expected|mean|twice") as error:
        parse_retrain(text)
    assert told in str(error.value)


def test_texts_and_scores_go_together(run):
    with pytest.raises(ValueError, match="2 texts have 1 scores"):
        Retrainer(run, ["C", "CC"], [1.0])
