"""Training on images end to end: every objective, what is left behind, refusals."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch

from molae.names import LIKELIHOODS, OBJECTIVES, REGULARIZERS
from molae.pictures import pixels_of
from molae.runs import Run, RunError
from molae.training import TrainingInterrupted
from molae.training.loop import Loop
from molae.workflows.info import info
from molae.workflows.train import train


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A file of 300 digits, 8 x 8."""
    from sklearn.datasets import load_digits

    path = tmp_path_factory.mktemp("images") / "digits.npz"
    images = (load_digits().images[:300] * (255 / 16)).round().astype(np.uint8)
    np.savez(path, images=images)
    return path


@pytest.fixture(scope="module")
def made(digits, tmp_path_factory, tiny):
    """A run that has seen each digit forty times."""
    folder = tmp_path_factory.mktemp("runs") / "rae"
    options = {name: value for name, value in tiny.items() if not name.endswith("_hidden")}
    options |= {"latent_dim": 16, "width": 1.0, "validation": 0.2}
    return train(digits, folder, objective="rae", epochs=40, **options)


WAYS = [
    *({"objective": name} for name in OBJECTIVES),
    *({"regularizer": name} for name in REGULARIZERS),
    {"regularizer": "gp", "gradient": "jacobian"},
    {"objective": "ae", "weight": 1e-4},
    *({"objective": "vae", "likelihood": name} for name in LIKELIHOODS),
    {"decoder": "pixelcnn"},
    {"decoder": "convdraw", "objective": "vae", "latent_dim": 32},
]
FITTED = ["gaussian", "gmm"]


#: Ways that the authors of the RAE have, under their likelihood.
PUBLISHED = [
    *({"objective": name} for name in ("vae", "cvvae", "wae", "rae", "ae")),
    *({"regularizer": name} for name in REGULARIZERS),
    {"regularizer": "gp", "gradient": "jacobian"},
    {"objective": "ae", "weight": 1e-4},
    {"objective": "vae", "likelihood": "gaussian"},
    {"decoder": "convdraw", "objective": "vae", "latent_dim": 32},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_every_objective_and_likelihood(way, digits, tmp_path, tiny):
    options, fitted = tiny | way, FITTED
    if way.get("objective") == "vqvae":
        fitted = [*FITTED, "indices"]
    if "decoder" in way:  # neither has a dense layer
        options = {name: value for name, value in options.items() if "hidden" not in name}
    if way.get("decoder") == "convdraw":
        options, fitted = options | {"options": {"decoder.steps": 2}}, []
    run = train(digits, tmp_path / "run", steps=4, **options)
    assert list(run.densities) == fitted
    loaded, density = Run.load(tmp_path / "run", "cpu"), next(iter(fitted), "prior")
    assert ("as published" in info(loaded)) == (way in PUBLISHED)
    texts = loaded.sample(3, seed=1, density=density)
    assert texts == run.sample(3, seed=1, density=density)
    assert pixels_of(texts[0]).shape == (8, 8, 1)
    assert 0 < run.card["metrics"]["squared_error"] < 1
    losses = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").open()]
    assert all(math.isfinite(line["loss"]) for line in losses)
    drawn = loaded.sample(3, seed=1, density=density, temperature=0.5)
    assert drawn != texts


def test_it_learns(made):
    assert made.card["counts"]["height"] == 8
    assert made.card["training"]["examples_per_second"] > 1
    # Half of the values of a digit vary by more than 0.2; a mean image has an error of 0.07.
    assert made.card["metrics"]["squared_error"] < 0.03
    assert made.card["metrics"]["measured_on"] == "validation"
    told = info(made)
    assert told["expresses"] == "grey images, 8 x 8 pixels, 8 bits a value"
    assert told["reconstruction"].startswith("squared error 0.0")
    assert told["as published"].startswith("b = 0.008 ")
    assert "vocabulary" not in told
    assert told["images"].endswith("validation")


def test_texts_to_codes_and_back(made, digits):
    from sklearn.datasets import load_digits

    from molae.pictures import text_of

    images = (load_digits().images[:40] * (255 / 16)).round().astype(np.uint8)
    texts = [text_of(image) for image in images]
    z = made.encode(texts)
    assert z.shape == (40, 16)
    torch.testing.assert_close(made.encode(texts[3:9]), z[3:9], rtol=1e-5, atol=1e-6)
    back = np.stack([pixels_of(text)[..., 0] for text in made.decode(z)])
    error = np.square(back / 255 - images / 255).mean()
    assert error < 0.03


def test_images_do_not_depend_on_how_many_are_drawn(made):
    whole = made.sample(70, seed=5)
    assert made.sample(9, seed=5) == whole[:9]
    assert made.sample(3, seed=5, start=66) == whole[66:69]
    warm = made.sample(5, seed=5, temperature=1.0)
    assert made.sample(2, seed=5, temperature=1.0, start=3) == warm[3:]
    assert made.sample(70, seed=6) != whole


def test_same_seed_same_weights(digits, tmp_path, tiny):
    first, second = (
        train(digits, tmp_path / name, steps=3, **tiny).model.state_dict() for name in "ab"
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_interrupted_and_resumed(digits, tmp_path, monkeypatch, tiny):
    options = tiny | {"likelihood": "optimal", "image_size": 12, "steps": 6}
    whole = train(digits, tmp_path / "whole", **options)
    step = Loop._step

    def interrupted(loop, *arguments):
        loop._interrupts.wanted = loop.state.step == 2
        return step(loop, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", interrupted)
        with pytest.raises(TrainingInterrupted):
            train(digits, tmp_path / "killed", **options)
    with pytest.raises(RunError, match="image_size"):
        train(digits, tmp_path / "killed", resume=True, **(options | {"image_size": 8}))
    resumed = train(digits, tmp_path / "killed", resume=True, **options)
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    # Running means of batch normalisation and of the error are there too.
    assert {"decoder.pixels.error", "encoder.layers.1.running_mean"} <= ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_goes_on_from_a_run(made, digits, tmp_path):
    said = []
    options = {"device": "cpu", "progress": False, "workers": 1, "remembered": False}
    tuned = train(
        digits, tmp_path / "t", start_from=made.folder, steps=1, learning_rate=1e-9,
        say=said.append, **options,
    )  # fmt: skip
    assert any(line == f"starting from {made.folder}" for line in said)
    ours, theirs = made.model.state_dict(), tuned.model.state_dict()
    name = "decoder.layers.0.weight"
    torch.testing.assert_close(ours[name], theirs[name])
    for wanted, words in (
        ({"image_size": 9}, r"image_size \(8, 8\)"),
        ({"likelihood": "optimal"}, "likelihood 'gaussian'"),
        ({"width": 2.0}, "width 1.0"),
        ({"crop": "celeba"}, "no crop"),
        ({"decoder": "image_mnist"}, "decoder 'image'"),
    ):
        with pytest.raises(RunError, match=words):
            train(digits, tmp_path / "u", start_from=made.folder, steps=1, **options, **wanted)
    same = {"image_size": 8, "width": 1.0, "encoder": "image"}
    train(digits, tmp_path / "v", start_from=made.folder, steps=1, **options, **same)


def test_what_an_objective_has_learnt_goes_on_with_the_same_settings(digits, tmp_path, tiny):
    short = {name: tiny[name] for name in ("device", "progress", "workers", "remembered")}
    told = {"tolerance": 0.01, "step_size": 0.5}
    old = train(digits, tmp_path / "old", steps=3, objective="geco", options=told, **tiny)
    assert old.objective.log_multiplier == 1.5

    def tuned(name, **options):
        said = []
        run = train(
            digits, tmp_path / name, start_from=old.folder, steps=1, say=said.append,
            **short, **options,
        )  # fmt: skip
        return run.objective, [line for line in said if line.startswith("what the objective")]

    goal, said = tuned("on")
    assert goal.log_multiplier == 2.0
    assert said == ["what the objective has learnt itself goes on: average and log_multiplier"]
    for name, why, options in (
        ("other", "its settings are others", {"options": {"tolerance": 0.02}}),
        ("lost", "holds no checkpoint of it", {}),
    ):
        if name == "lost":
            shutil.rmtree(old.folder / "checkpoint")
        goal, said = tuned(name, **options)
        assert goal.log_multiplier == 0.5
        assert len(said) == 1
        assert said[0].startswith("what the objective learns itself (average and log_multiplier)")
        assert said[0].endswith(why)


def test_a_critic_goes_on(digits, tmp_path, tiny):
    old = train(digits, tmp_path / "old", steps=1, objective="aae", **tiny)
    short = {name: tiny[name] for name in ("device", "progress", "workers", "remembered")}
    new = train(
        digits, tmp_path / "new", start_from=old.folder, steps=1, learning_rate=1e-9, **short
    )
    theirs = new.objective.state_dict()
    assert theirs
    for name, value in old.objective.state_dict().items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-7)


def test_published_nets_on_padded_digits(digits, tmp_path, tiny):
    options = {k: v for k, v in tiny.items() if not k.endswith("hidden")} | {"width": 1 / 32}
    with pytest.raises(ValueError, match="--image-size 32"):
        train(digits, tmp_path / "a", steps=2, encoder="image_mnist", **options)
    assert not (tmp_path / "a").exists()
    run = train(digits, tmp_path / "a", steps=2, encoder="image_mnist", image_size=32, **options)
    assert run.config["model"]["decoder"]["name"] == "image_mnist"
    assert run.codec.shape == (1, 32, 32)


@pytest.mark.parametrize("name", ["geco", "aae", "avb", "ali", "iae"])
def test_losses_that_cannot_be_compared_stop_nothing(name, digits, tmp_path, tiny):
    with pytest.raises(ValueError, match=f"{name!r} at different times.*--patience"):
        train(digits, tmp_path / "run", steps=1, objective=name, patience=2, **tiny)
    assert not (tmp_path / "run").exists()


def test_images_and_texts_do_not_mix(made, run, digits, molecules, tmp_path):
    options = {"device": "cpu", "progress": False, "workers": 1, "steps": 1}
    with pytest.raises(RunError, match="of images, and the data are texts"):
        train(molecules, tmp_path / "a", start_from=made.folder, **options)
    with pytest.raises(RunError, match="of texts, and the data are images"):
        train(digits, tmp_path / "a", start_from=run.folder, **options)
    for wanted, words in (
        ({"grammar": "zinc"}, "grammar: this is for texts, and the data are images"),
        ({"codec": "characters", "max_steps": 9}, "codec and max-steps: this is for texts"),
        ({"properties": ["qed"]}, "properties: this is for texts"),
        ({"decoder": "autoregressive"}, "'autoregressive' is not for images: choose from image"),
        ({"embedding": 9}, "have no embedding"),
        ({"noise": [0.1, 2.0]}, "needs a decoder that is told"),
        ({"gradient": "jacobian"}, "form of the regularizer 'gp'"),
        ({"likelihood": "bernoulli", "sigma": 0.1}, "has no sigma"),
    ):
        with pytest.raises(ValueError, match=words):
            train(digits, tmp_path / "a", **options, **wanted)
    for wanted, words in (
        ({"image_size": 32}, "image-size: this is for images, and the data are texts"),
        ({"likelihood": "bernoulli"}, "likelihood: this is for images"),
        ({"encoder": "image"}, "'image' is not for texts: choose from recurrent"),
    ):
        with pytest.raises(ValueError, match=words):
            train(molecules, tmp_path / "a", **options, **wanted)
    assert not (tmp_path / "a").exists()


def test_what_a_codec_says_of_itself(made, run):
    images, texts = made.codec, run.codec
    assert (images.medium, images.items, images.entries) == ("images", "images", [])
    assert (texts.medium, texts.items) == ("sequences", "molecules")
    assert texts.entries[:1] == [texts.grammar.rule_text(0)]
    assert len(texts.entries) == texts.counts["rules"]
    assert images.slots == {"shape": (1, 8, 8)}
    assert set(texts.slots) == {"size", "max_steps", "constraint"}
    for codec, x in ((images, torch.rand(7, 1, 8, 8)), (texts, texts.encode(["C", "CCO", "CC"]))):
        rows, parts = zip(*codec.groups(x, 2), strict=True)
        assert torch.cat(rows).sort().values.tolist() == list(range(len(x)))
        assert max(map(len, parts)) == 2
        for places, part in zip(rows, parts, strict=True):
            assert torch.equal(x[places][:, : part.shape[1]], part)
    white, black = images.decode(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8))
    assert images.agreement([white, black], [white, white]) == {"squared_error": 0.5}
    assert texts.agreement(["C", "CC"], ["C", None]) == {"reconstruction": 0.5}
    assert images.at_once * images.size <= 1 << 25
