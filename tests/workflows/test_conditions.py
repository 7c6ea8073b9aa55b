"""Models that are told a label or context images, and objectives that are taught labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from molae.datasets.files import DataError
from molae.datasets.images import ImageData, read_images
from molae.datasets.transforms import save_images, transformed
from molae.pictures import pixels_of, save_png
from molae.runs import Run, RunError
from molae.training import TrainingInterrupted
from molae.training.loop import Loop
from molae.workflows.conditions import contexts_of, kept_labels
from molae.workflows.generate import generate
from molae.workflows.info import info
from molae.workflows.train import train


@pytest.fixture(scope="module")
def digits():
    """300 digits, 8 x 8, with their labels."""
    whole = read_images("digits")
    return replace(
        whole,
        pixels=whole.pixels[:300],
        labels=whole.labels[:300],
        keys=whole.keys[:300],
        names=whole.names[:300],
    )


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """Digits with labels, and sums with the addends as contexts."""
    folder = tmp_path_factory.mktemp("files")
    save_images(digits, folder / "digits.npz")
    save_images(transformed("sum", digits), folder / "sum.npz")
    return folder


@pytest.fixture(scope="module")
def told(files, tmp_path_factory, tiny):
    """A run that is told labels and has learnt what they look like."""
    options = tiny | {"encoder_hidden": 64, "decoder_hidden": 64, "width": 1.0}
    return train(
        files / "digits.npz", tmp_path_factory.mktemp("runs") / "told", objective="vae",
        condition="label", prior="conditional", epochs=40, validation=0.2, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def untold(files, tmp_path_factory, tiny):
    """A run that is told nothing."""
    folder = tmp_path_factory.mktemp("runs") / "untold"
    return train(files / "digits.npz", folder, steps=2, **tiny)


@pytest.fixture(scope="module")
def shown(files, tmp_path_factory, tiny):
    """A run that is shown context images."""
    folder = tmp_path_factory.mktemp("runs") / "shown"
    return train(
        files / "sum.npz", folder, objective="vae", condition="context", prior="conditional",
        steps=4, validation=0.2, **tiny,
    )  # fmt: skip


def means(digits):
    """The mean image of each class."""
    return np.stack([digits.pixels[digits.labels == label].mean(0) for label in range(10)])


def test_a_label_decides_what_is_drawn(told, digits):
    right = 0
    for label in range(10):
        rows = generate(told, 8, context=contexts_of(told, str(label)), workers=1)
        drawn = np.stack([pixels_of(row["smiles"]) for row in rows]).astype(float)
        distance = np.square(means(digits)[None] - drawn[:, None]).sum((2, 3, 4))
        right += int((distance.argmin(1) == label).sum())
    assert right >= 48  # of 80; chance is 8


def test_the_code_keeps_what_the_label_does_not_say(told):
    metrics = told.card["metrics"]
    assert 0 < metrics["squared_error"] < 0.08
    assert np.isfinite(metrics["densities"]["nats"]["prior"])


def test_loading_gives_the_same_images(told):
    loaded = Run.load(told.folder, "cpu")
    assert loaded.condition == told.condition
    assert loaded.condition.classes == tuple("0123456789")
    context = contexts_of(loaded, "7,1")
    assert context.tolist() == [[float(i == label) for i in range(10)] for label in (7, 1)]
    texts = loaded.sample(5, seed=3, context=context)
    assert texts == told.sample(5, seed=3, context=context)
    assert texts[2:] == loaded.sample(3, seed=3, context=context, start=2)
    rows = [row["smiles"] for row in generate(loaded, 5, seed=3, context=context, batch=2)]
    assert rows == texts


def test_labels_are_drawn_as_often_as_they_are(told, digits):
    drawn = told.condition.drawn(0, torch.arange(5000)).sum(0) / 5000
    shares = torch.tensor([(digits.labels == label).mean() for label in range(10)])
    assert ((drawn - shares).abs() < 5 * (shares * (1 - shares) / 5000).sqrt()).all()
    assert (told.condition.drawn(0, torch.arange(7, 9)).sum(1) == 1).all()
    assert told.sample(2, seed=1) == told.sample(2, seed=1)


def test_the_prior_depends_on_the_label(told):
    prior = told.model.prior_of(torch.eye(10))
    z = prior.sample(10, torch.Generator().manual_seed(0))
    assert z.shape == (10, 4)
    assert torch.isfinite(prior.log_prob(z)).all()
    assert prior.each.center.std(0).max() > 0.1
    with pytest.raises(ValueError, match="no context"):
        told.model.prior.log_prob(z)


def test_context_images_are_told(shown, files, digits):
    assert shown.condition.shape == (2, 8, 8)
    assert not shown.condition.classes
    loaded = Run.load(shown.folder, "cpu")
    contexts = contexts_of(loaded, str(files / "sum.npz"))
    assert contexts.shape == (300, 2, 8, 8)
    assert float(contexts.max()) == 1
    texts = loaded.sample(3, seed=1, context=contexts[:3])
    assert texts == shown.sample(3, seed=1, context=contexts[:3])
    assert texts != shown.sample(3, seed=1, context=contexts[3:6])
    x = torch.from_numpy(digits.data().array([0, 1]))
    z = loaded.codes(x, context=contexts[:2])
    assert (z != loaded.codes(x, context=contexts[2:4])).all()
    with pytest.raises(ValueError, match="have to be given"):
        loaded.sample(1)
    with pytest.raises(DataError, match="no contexts"):
        contexts_of(loaded, "digits")


def test_runs_without_a_condition_refuse_one(untold, told):
    assert untold.condition is None
    with pytest.raises(ValueError, match="without a condition"):
        contexts_of(untold, "7")
    with pytest.raises(ValueError, match="without a condition"):
        untold.sample(1, context=torch.eye(10))
    with pytest.raises(ValueError, match="labels 0, 1"):
        contexts_of(told, "seven")
    with pytest.raises(ValueError, match="has to be given"):
        told.codes(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="shape"):
        told.codes(torch.zeros(1, 1, 8, 8), context=torch.zeros(1, 3))


WRONG = [
    ({"condition": "lable"}, ValueError, "label"),
    ({"condition": "context"}, DataError, "no contexts"),
    ({"prior": "conditional", "objective": "vae"}, ValueError, "--condition label"),
    ({"prior": "conditional", "condition": "label"}, ValueError, "never asks how likely"),
    ({"labels": 3}, ValueError, "not taught labels"),
    ({"objective": "aae", "options": {"label_weight": 1.0}}, ValueError, "--labels"),
    ({"condition": "label", "objective": "vae", "decoder": "nothing"}, ValueError, "decoder"),
]


@pytest.mark.parametrize(("options", "error", "match"), WRONG)
def test_what_does_not_go_together(options, error, match, files, tmp_path, tiny):
    with pytest.raises(error, match=match):
        train(files / "digits.npz", tmp_path / "run", steps=1, **tiny, **options)
    assert not (tmp_path / "run" / "config.json").exists()


def test_context_images_keep_their_size(files, tmp_path, tiny):
    with pytest.raises(DataError, match="image-size"):
        train(
            files / "sum.npz", tmp_path / "run", condition="context", image_size=12, steps=1,
            **tiny,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_images_without_labels_are_refused(digits, tmp_path, tiny):
    np.savez(tmp_path / "bare.npz", images=digits.pixels)
    with pytest.raises(DataError, match="no labels"):
        train(tmp_path / "bare.npz", tmp_path / "run", condition="label", steps=1, **tiny)


def test_training_on_keeps_the_classes(told, files, digits, tmp_path, tiny):
    few = digits.labels < 3
    some = replace(digits, pixels=digits.pixels[few], labels=digits.labels[few])
    save_images(some, tmp_path / "few.npz")
    options = {k: tiny[k] for k in ("batch_size", "precision", "device", "progress", "workers")}
    again = train(
        tmp_path / "few.npz", tmp_path / "again", start_from=told.folder, steps=1,
        remembered=False, **options,
    )  # fmt: skip
    assert again.condition == told.condition
    with pytest.raises(RunError, match="condition"):
        train(
            files / "sum.npz", tmp_path / "other", start_from=told.folder, condition="context",
            steps=1, remembered=False, **options,
        )  # fmt: skip


def test_interrupted_and_resumed(files, tmp_path, monkeypatch, tiny):
    options = tiny | {"objective": "vae", "condition": "context", "prior": "conditional"}
    options |= {"steps": 5}
    whole = train(files / "sum.npz", tmp_path / "whole", **options)
    step = Loop._step

    def interrupted(loop, *arguments):
        loop._interrupts.wanted = loop.state.step == 2
        return step(loop, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", interrupted)
        with pytest.raises(TrainingInterrupted):
            train(files / "sum.npz", tmp_path / "killed", **options)
    with pytest.raises(RunError, match="--resume"):
        train(
            files / "sum.npz", tmp_path / "killed", resume=True,
            **(options | {"condition": "label"}),
        )  # fmt: skip
    resumed = train(files / "sum.npz", tmp_path / "killed", resume=True, **options)
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert {"reader.layers.0.weight", "prior.net.0.weight"} <= ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_convdraw_looks_at_contexts_itself(files, tmp_path):
    run = train(
        files / "sum.npz", tmp_path / "run", objective="vae", decoder="convdraw",
        condition="context", steps=1, device="cpu", progress=False, workers=1, remembered=False,
        latent_dim=32, width=0.25, components=2, options={"decoder.steps": 2},
    )  # fmt: skip
    contexts = contexts_of(run, str(files / "sum.npz"))
    texts = run.sample(3, density="prior", context=contexts)
    assert texts == Run.load(run.folder, "cpu").sample(3, density="prior", context=contexts)
    assert "context images, 2 x 8 x 8" in info(run)["told"]


def test_classes_of_several_sources_go_by_their_names(digits, tmp_path, tiny):
    for label in (3, 11, 7):
        for number in range(3):
            place = tmp_path / "folders" / str(label)
            place.mkdir(parents=True, exist_ok=True)
            save_png(digits.pixels[10 * label + number], place / f"{number}.png")
    np.savez(tmp_path / "more.npz", images=digits.pixels[:20], labels=digits.labels[:20] % 2)
    run = train(
        [tmp_path / "folders", tmp_path / "more.npz"], tmp_path / "run", condition="label",
        objective="vae", steps=1, cache=tmp_path / "cache", **tiny,
    )  # fmt: skip
    assert run.condition.classes == ("0", "1", "3", "7", "11")
    assert run.condition.shares == pytest.approx([10 / 29, 10 / 29, 3 / 29, 3 / 29, 3 / 29])
    assert info(run)["told"] == "the label: 0, 1, 3, 7, 11"
    np.savez(tmp_path / "bad.npz", images=digits.pixels[:20], labels=digits.labels[:20] - 1)
    with pytest.raises(DataError, match="from 0 up"):
        train(tmp_path / "bad.npz", tmp_path / "other", condition="label", steps=1, **tiny)


def test_so_many_labels_of_each_class_are_kept(digits):
    data = ImageData(digits.pixels).with_targets(digits.labels).subset(range(50, 250))
    kept, again = (kept_labels(data, 4, 1).y[50:250] for _ in range(2))
    assert (kept == again).all()
    assert (np.bincount(kept[kept >= 0], minlength=10) == 4).all()
    assert (kept[kept >= 0] == digits.labels[50:250][kept >= 0]).all()
    assert set(kept[kept < 0].tolist()) == {-1}
    assert (kept != kept_labels(data, 4, 2).y[50:250]).any()
    assert (kept_labels(data, 1000, 0).y[50:250] == digits.labels[50:250]).all()
    batch = kept_labels(data, 4, 1).batch([3, 5])
    assert batch.y.dtype == torch.int64
    assert batch.y.shape == (2,)


def test_labels_reach_an_objective_that_is_taught(files, tmp_path, tiny):
    run = train(
        files / "digits.npz", tmp_path / "run", objective="aae", head="implicit",
        prior="clusters", labels=2, steps=4, validation=0.2,
        options={"label_weight": 1.0, "head.clusters": 10, "prior.clusters": 10},
        **tiny | {"latent_dim": 12},
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").open()]
    held = next(line["parts"]["label"] for line in lines if line["kind"] == "validation")
    assert 0.5 < held < 30
    assert run.config["training"]["labels"] == 2
    options = {k: tiny[k] for k in ("batch_size", "precision", "device", "progress", "workers")}
    options |= {"start_from": run.folder, "steps": 1, "remembered": False}
    with pytest.raises(ValueError, match="--labels"):
        train(files / "digits.npz", tmp_path / "on", **options)
    assert not (tmp_path / "on").exists()
    train(files / "digits.npz", tmp_path / "on", labels=2, **options)
    train(files / "digits.npz", tmp_path / "off", options={"label_weight": 0.0}, **options)
