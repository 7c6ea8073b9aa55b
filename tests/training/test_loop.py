from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from molae.training import (
    CheckpointError,
    TrainingDiverged,
    TrainingInterrupted,
    checkpoint,
    loop,
)
from molae.training.devices import Hardware
from molae.types import Player, Terms


def losses(result, kind="train"):
    return [record["loss"] for record in result.history if record["kind"] == kind]


def test_it_learns(toy):
    torch.manual_seed(0)
    model, objective = toy.Net(dropout=0.0), toy.Regression(noise=0.0, decay=0.0)
    result = toy.train(
        model, objective, toy.Rows(64), epochs=250, batch_size=64, learning_rate=0.03
    )
    assert objective.prepared == 1
    assert losses(result)[-1] < 0.05 * losses(result)[0]
    assert (result.steps, result.epochs, result.reason) == (250, 250.0, "finished")
    assert (result.device, result.precision) == ("cpu", "fp32")
    assert not model.training


def test_it_is_plain_gradient_descent(toy):
    """One player with SGD, no clipping: the closed form of a step."""
    model = nn.Linear(1, 1, bias=False)

    class Square(toy.Regression):
        def terms(self, model, batch, step):
            return Terms({"per example": (model.weight[0, 0] - batch.y) ** 2})

        def players(self, model):
            return [
                Player("w", [model.weight], self.terms, lambda p, lr: torch.optim.SGD(p, lr=lr))
            ]

    data = toy.Rows(10, weighted=True)
    w, weight = model.weight.item(), data.weight
    toy.train(
        model, Square(), data, steps=3, batch_size=10, schedule="constant", learning_rate=0.1,
        clip=None,
    )  # fmt: skip
    for _ in range(3):
        w -= 0.1 * 2 * (w - float((weight * data.y).sum() / weight.sum()))
    assert model.weight.item() == pytest.approx(w, rel=1e-5)


def test_clipping_bounds_the_step(toy):
    model, objective = toy.build()
    objective.players = lambda m: [
        Player("all", list(m.parameters()), objective.terms, lambda p, lr: torch.optim.SGD(p, lr))
    ]
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    toy.train(
        model, objective, toy.Rows(), steps=1, clip=1e-3, learning_rate=1.0, schedule="constant"
    )
    moved = nn.utils.parameters_to_vector(model.parameters()).detach() - before
    assert 0 < moved.norm() <= 1.001e-3


def test_players_change_what_is_theirs(toy, same):
    data = toy.Rows()
    for alone in ("model", "critic", "weight"):
        model, game = toy.build(players=True)
        players = game.players(model)
        game.players = lambda m, alone=alone, players=players: [
            p for p in players if p.name == alone
        ]
        old = {k: v.clone() for k, v in game.state_dict().items()}
        net = {k: v.clone() for k, v in model.named_parameters()}
        toy.train(model, game, data, steps=3)
        assert same(dict(model.named_parameters()), net) is (alone != "model")
        assert torch.equal(game.critic.weight, old["critic.weight"]) is (alone != "critic")
        assert torch.equal(game.log_weight, old["log_weight"]) is (alone != "weight")


def test_every(toy):
    model, game = toy.build(players=True)
    seen = []
    judge = game.judge
    game.judge = lambda m, b, step: (seen.append(step), judge(m, b, step))[1]
    result = toy.train(model, game, toy.Rows(), steps=5, log_every=5)
    assert seen == [0, 2, 4]
    parts = result.history[-1]["parts"]
    assert {"model/error", "model/weights", "critic/fake", "weight/balance"} <= parts.keys()


def test_players_are_checked(toy):
    model, objective = toy.build()
    for players, says in [
        ([], "different names"),
        ([Player("a", list(model.parameters()), objective.terms)] * 2, "different names"),
        ([Player("a", [], objective.terms)], "no parameters"),
        ([Player("a", list(model.parameters()), objective.terms, every=0)], "every 0"),
    ]:
        objective.players = lambda m, players=players: players
        with pytest.raises(ValueError, match=says):
            toy.train(model, objective, toy.Rows(), steps=1)


def test_same_seed_same_result(toy, same):
    models = []
    for seed in (1, 1, 2):
        model, objective = toy.build()
        toy.train(model, objective, toy.Rows(), epochs=2, seed=seed)
        models.append(model)
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_validation_and_logging_do_not_disturb(toy, same, tmp_path):
    plain, objective = toy.build()
    toy.train(plain, objective, toy.Rows(), epochs=3)
    watched, objective = toy.build()
    toy.train(
        watched, objective, toy.Rows(), epochs=3, validation=toy.Rows(20, seed=1),
        validate_every=2, log_every=1, folder=tmp_path, checkpoint_every=0.0,
    )  # fmt: skip
    assert same(plain, watched)


def test_validation_is_the_mean_over_examples(toy):
    model, objective = toy.Net(), toy.Regression(noise=0.0)
    data = toy.Rows(33, seed=1, weighted=True)
    result = toy.train(model, objective, toy.Rows(), steps=4, validation=data)
    batch = data.batch(np.arange(33))
    with torch.no_grad():
        terms = objective.terms(model, batch, 4)
    last = result.history[-1]
    assert last["kind"] == "validation"
    assert last["loss"] == pytest.approx(terms.loss(batch.weight).item(), rel=1e-4)
    assert last["parts"].keys() == {"error", "weights"}


@pytest.mark.parametrize("by_length", [True, False])
def test_batches_of_like_length_or_of_any(toy, by_length):
    spreads = {True: [], False: []}
    seen = []

    class Watch(toy.Regression):
        def terms(self, model, batch, step):
            spreads[self.training].append((batch.x >= 0).sum(1).double().std().item())
            if not self.training:
                seen.extend(map(tuple, batch.x.tolist()))
            return super().terms(model, batch, step)

    held = toy.Rows(160, seed=1)
    options = {"validation": held, "epochs": 1, "by_length": by_length}
    toy.train(toy.Net(), Watch(), toy.Rows(800), **options)
    assert sorted(seen) == sorted(map(tuple, held.x.tolist()))
    for found in spreads.values():
        mean = np.mean(found)
        assert mean < 0.7 if by_length else mean > 1.5


def test_validation_sees_schedules_at_their_end(toy):
    model, objective = toy.build()
    seen, terms = [], objective.terms
    objective.terms = lambda m, b, step: (seen.append((m.training, step)), terms(m, b, step))[1]
    toy.train(model, objective, toy.Rows(), steps=6, validation=toy.Rows(9), validate_every=2)
    assert {step for training, step in seen if not training} == {6}
    assert [step for training, step in seen if training] == list(range(6))


def test_early_stopping_keeps_the_best_weights(toy, tmp_path):
    """Validation on other targets: it gets worse as soon as training works."""
    model, objective = toy.Net(dropout=0.0), toy.Regression(noise=0.0, decay=0.0)
    other = toy.Rows(30, seed=1)
    other.y = -5 - other.y
    options = {
        "validation": other, "epochs": 100, "patience": 3, "validate_every": 5,
        "learning_rate": 0.01, "folder": tmp_path,
    }  # fmt: skip
    result = toy.train(model, objective, toy.Rows(), **options)
    assert result.reason == "patience"
    assert result.best_loss == min(losses(result, "validation"))
    assert result.steps == result.best_step + 15
    model.eval()
    batch = other.batch(np.arange(30))
    assert objective.terms(model, batch, 0).loss().item() == pytest.approx(result.best_loss)
    # A finished run that is resumed is finished, with the same weights.
    again, objective = toy.Net(dropout=0.0), toy.Regression(noise=0.0, decay=0.0)
    repeated = toy.train(again, objective, toy.Rows(), resume=True, **options)
    assert repeated.steps == result.steps
    assert repeated.history == result.history
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )


def test_a_bad_batch_is_skipped(toy):
    model, objective = toy.build()
    terms = objective.terms

    def spoilt(model, batch, step):
        result = terms(model, batch, step)
        if step in (3, 9):
            result.parts["error"] = result.parts["error"] * float("nan")
        return result

    objective.terms = spoilt
    result = toy.train(model, objective, toy.Rows(), steps=20, log_every=5)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert result.history[-1]["skipped"] == 2
    assert all(np.isfinite(losses(result)))


def test_divergence_names_the_step_and_keeps_the_checkpoint(toy, tmp_path, same):
    model, objective = toy.build()
    start = {k: v.clone() for k, v in model.named_parameters()}
    objective.terms = lambda m, b, s: Terms({"bad": m.predict(b.x) / 0.0})
    with pytest.raises(TrainingDiverged, match=r"at step 6 .*checkpoint is kept"):
        toy.train(model, objective, toy.Rows(), steps=20, folder=tmp_path)
    assert same(dict(model.named_parameters()), start)
    assert checkpoint.load(tmp_path / "checkpoint")[1]["step"] == 0


@pytest.mark.parametrize("players", [False, True])
def test_interrupted_and_resumed(toy, tmp_path, same, players):
    """Ctrl-C in the middle of a step: heard after it, and nothing is lost."""
    before = signal.getsignal(signal.SIGINT)  # ignored, where the suite runs in the background
    options = {
        "epochs": 4, "validation": toy.Rows(20, seed=1), "validate_every": 3, "log_every": 2,
        "patience": 50,
    }  # fmt: skip
    model, objective = toy.build(players)
    whole = toy.train(model, objective, toy.Rows(), folder=tmp_path / "whole", **options)
    calls = []

    def press():
        calls.append(0)
        if len(calls) in (9, 23):
            os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        broken, critic = toy.build(players)
        with pytest.raises(TrainingInterrupted, match="--resume"):
            toy.train(
                broken, critic, toy.Rows(hook=press), folder=tmp_path / "cut", resume=True,
                **options,
            )  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is before
    resumed, critic = toy.build(players)
    result = toy.train(
        resumed, critic, toy.Rows(), folder=tmp_path / "cut", resume=True, **options
    )
    assert same(model, resumed)
    assert same(objective, critic)
    assert [strip(r) for r in result.history] == [strip(r) for r in whole.history]
    lines = (tmp_path / "cut" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history


def strip(record):
    return {k: v for k, v in record.items() if k not in ("seconds", "examples_per_second")}


def test_interrupted_without_a_folder(toy):
    model, objective = toy.build()
    data = toy.Rows(hook=lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(TrainingInterrupted, match="nothing was saved"):
        toy.train(model, objective, data, steps=5)


def test_a_time_becomes_a_number_of_steps_and_keeps_it(toy, tmp_path):
    model, objective = toy.build()
    data = toy.Rows()
    result = toy.train(model, objective, data, seconds=0.5, folder=tmp_path)
    assert result.reason == "finished"
    assert result.history[-1]["learning_rate"] < 0.1 * 1e-3  # the schedule came to its end
    state = checkpoint.load(tmp_path / "checkpoint")[1]
    assert state["total"] == state["step"] == result.steps
    # Cut after some steps, the same time asked for: the same number of steps.
    stop = result.steps // 2
    calls = []

    def press():
        calls.append(0)
        if len(calls) == stop:
            os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "cut"
    with pytest.raises(TrainingInterrupted):
        toy.train(model, objective, toy.Rows(hook=press), seconds=30.0, folder=folder)
    total = checkpoint.load(folder / "checkpoint")[1]["total"]
    path = folder / "checkpoint" / "state.json"
    state = json.loads(path.read_text()) | {"total": 400}
    path.write_text(json.dumps(state))
    result = toy.train(model, objective, data, seconds=30.0, folder=folder, resume=True)
    assert (result.steps, total is None or total > stop) == (400, True)


def test_a_trial_of_precisions_leaves_no_trace(toy, same, monkeypatch):
    plain, objective = toy.build(players=True)
    toy.train(plain, objective, toy.Rows(), steps=loop.PROBE_STEPS)
    calls = []

    def probe(self, steps, patience):
        calls.append(len(steps))
        for step in steps:
            step()
        return "fp32"

    monkeypatch.setattr(Hardware, "probe", probe)
    tried, critic = toy.build(players=True)
    toy.train(tried, critic, toy.Rows(), steps=loop.PROBE_STEPS, precision="auto")
    assert calls == [loop.PROBE_BATCHES]
    assert same(plain, tried)
    assert same(objective, critic)


def test_probe_takes_what_is_faster(monkeypatch):
    hardware = Hardware("cpu")
    for patience, cost, best in [
        (9.0, {"fp32": 1.0, "bf16": 0.5}, "bf16"),
        (9.0, {"fp32": 1.0, "bf16": 0.95}, "fp32"),
        (0.1, {"fp32": 1.0, "bf16": 0.5}, "bf16"),
    ]:
        now = [0.0]

        def step(cost=cost, now=now):
            now[0] += cost[hardware.precision]

        monkeypatch.setattr(hardware, "clock", lambda now=now: now[0])
        assert hardware.probe([step, step], patience) == best


def test_precision_reaches_the_verbs(toy):
    """Autocast is on inside terms, whichever method of the model they call."""
    seen = {}
    for precision in ("bf16", "fp32"):
        model, objective = toy.build()
        terms = objective.terms

        def spy(m, b, s, terms=terms, precision=precision):
            seen[precision] = m.out(m.features(b.x)).dtype
            return terms(m, b, s)

        objective.terms = spy
        result = toy.train(model, objective, toy.Rows(), steps=2, precision=precision)
        assert result.precision == precision
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert seen == {"bf16": torch.bfloat16, "fp32": torch.float32}


def test_bad_arguments(toy, tmp_path):
    model, objective = toy.build()
    data = toy.Rows()
    toy.train(model, objective, data, steps=2, folder=tmp_path)
    for options, says in [
        ({}, "none of them"),
        ({"steps": 1, "epochs": 1}, "give one of"),
        ({"seconds": 0.0}, "more than 0"),
        ({"steps": 1, "device": "cuda:99"}, "this machine has cpu"),
        ({"steps": 1, "device": "tpu"}, "'auto' takes the best"),
        ({"steps": 1, "precision": "fp16"}, "auto, fp32, bf16"),
        ({"steps": 1, "schedule": "linear"}, "cosine"),
        ({"steps": 1, "patience": 3}, "validation"),
        ({"steps": 1, "log_every": 0}, "log_every"),
        ({"steps": 1, "resume": True}, "folder"),
        ({"steps": 1, "folder": tmp_path}, "already"),
        ({"steps": 1, "tensorboard": True}, "folder"),
    ]:
        with pytest.raises(ValueError, match=says):
            toy.train(model, objective, data, **options)


def test_a_checkpoint_of_something_else(toy, tmp_path):
    model, objective = toy.build()
    toy.train(model, objective, toy.Rows(), steps=2, folder=tmp_path)
    options = {"steps": 4, "folder": tmp_path, "resume": True}
    with pytest.raises(CheckpointError, match=r"players = .*AdamW of"):
        toy.train(toy.Net(norm=False), objective, toy.Rows(), **options)
    renamed = toy.Net()
    renamed.register_buffer("new", torch.zeros(1))
    with pytest.raises(CheckpointError, match="another model"):
        toy.train(renamed, objective, toy.Rows(), **options)
    with pytest.raises(CheckpointError, match="examples = 100"):
        toy.train(model, objective, toy.Rows(99), **options)
    with pytest.raises(CheckpointError, match="seed = 0"):
        toy.train(model, objective, toy.Rows(), seed=1, **options)
    fewer = toy.Regression()
    fewer.players = lambda m: [Player("all", [m.out.weight], fewer.terms)]
    with pytest.raises(CheckpointError, match="AdamW of 1 "):
        toy.train(model, fewer, toy.Rows(), **options)
    assert toy.train(model, objective, toy.Rows(), **options).steps == 4
