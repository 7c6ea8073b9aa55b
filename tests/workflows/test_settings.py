"""What is built from what was asked for, and what is refused with which words."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from molae.codecs import ImageCodec
from molae.names import DECODERS, ENCODERS, HEADS, LIKELIHOODS, OBJECTIVES, REGULARIZERS
from molae.objectives import Cyclical, Linear, objective, objective_class
from molae.objectives.published import published_weights
from molae.runs import build
from molae.types import Batch
from molae.workflows.asked import Asked
from molae.workflows.info import info
from molae.workflows.settings import settings
from molae.workflows.usual import USUAL


def asked(**options):
    nothing = {field.name: None for field in fields(Asked)} | {"properties": (), "options": {}}
    return Asked(**(nothing | options))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_usual_settings_are_those_of_the_objective(name):
    medium = objective_class(name).media[0]
    table = settings(asked(objective=name), medium=medium)
    made = objective(**table["objective"])
    assert table["objective"] == {"name": name} | {
        option: made.settings()[option] for option in USUAL[medium].objectives.get(name, ())
    }
    assert table["model"]["head"]["name"] in HEADS
    assert table["grammar"] == USUAL[medium].grammar
    assert "prior" not in table["model"]
    assert "properties" not in table


def test_beta_is_a_mean_over_dimensions_where_nothing_is_said():
    for name in ("vae", "cvvae"):
        assert settings(asked(objective=name, latent_dim=8))["objective"]["beta"] == 1 / 8


@pytest.mark.parametrize(
    ("options", "beta"),
    [
        ({"beta": 2}, 2.0),
        ({"beta": 0.5, "beta_warmup": 300}, Linear(0.0, 0.5, 300)),
        ({"beta_warmup": 300}, Linear(0.0, 1 / 56, 300)),
        ({"beta": Cyclical(high=0.3, period=50)}, Cyclical(high=0.3, period=50)),
        ({"beta": {"schedule": "linear", "end": 2.0}}, Linear(0.0, 2.0)),
        ({"objective": "rae", "beta_warmup": 10}, Linear(0.0, 0.05, 10)),
        ({"objective": "rae", "noise": 0.1, "beta_warmup": 10}, Linear(0.0, 1e-3, 10)),
    ],
)
def test_annealing(options, beta):
    table = settings(asked(**({"objective": "vae"} | options)))["objective"]
    made = objective(**table)
    assert made.beta == beta if callable(beta) else table["beta"] == beta


def test_weights():
    for name in ("ae", "wae", "rae"):
        assert settings(asked(objective=name, weight=0.25))["objective"]["weight"] == 0.25
    scaled = settings(asked(objective="vae", noise_scale=0.01))["objective"]
    assert scaled == {"name": "vae", "beta": 1 / 56, "noise_scale": 0.01}


def test_options_go_to_the_part_that_they_name():
    own = {"scales": [1, 2], "head.bound": 3}
    table = settings(asked(objective="wae", head="normal", options=own))
    assert table["objective"] == {"name": "wae", "weight": 10.0, "scales": [1, 2]}
    assert table["model"]["head"] == {"name": "normal", "bound": 3}
    own = {"decoder.layers": 2, "encoder.pooling": True}
    told = settings(asked(decoder="feedforward", options=own))
    assert told["model"]["decoder"] == {"name": "feedforward", "layers": 2}
    assert told["model"]["encoder"]["pooling"] is True
    for wrong in ("sampels", "head.sampels", "decoder.sampels", "prior.sampels"):
        with pytest.raises(ValueError, match="sampels"):
            settings(asked(objective="vae", prior="flow", options={wrong: 3}))
    with pytest.raises(ValueError, match="fitted to codes after training"):
        settings(asked(objective="vae", prior="gmm"))
    learnt = settings(asked(objective="vae", prior="flow", options={"prior.transforms": 2}))
    assert learnt["model"]["prior"] == {"name": "flow", "transforms": 2}
    with pytest.raises(ValueError, match="name another prior"):
        settings(asked(options={"prior.transforms": 2}))


def test_objectives_and_heads_that_do_not_go_together():
    for goal, head in (("vae", "delta"), ("cvvae", "delta"), ("cvvae", "normal")):
        with pytest.raises(ValueError, match=f"'{goal}' .*head '.*'"):
            settings(asked(objective=goal, head=head))


def test_noise_of_a_constant_head_is_its_scale():
    table = settings(asked(objective="cvvae", noise=0.7))
    assert table["model"]["head"] == {"name": "constant", "scale": 0.7}
    assert "noise" not in table["objective"]
    assert settings(asked(objective="cvvae"))["model"]["head"] == {"name": "constant"}
    both = settings(asked(objective="rae", head="constant", noise=0.7))
    assert both["model"]["head"] == {"name": "constant"}
    assert both["objective"]["noise"] == 0.7


def test_a_range_of_noise_is_told_to_the_decoder():
    table = settings(asked())
    assert table["objective"]["noise"] == table["model"]["decoder"]["noise"] == [0.1, 2.0]
    assert table["generation"] == {"noise": 1.0}
    narrow = settings(asked(noise=(0.05, 0.5)))
    assert narrow["model"]["decoder"]["noise"] == [0.05, 0.5]
    assert narrow["generation"] == {"noise": 0.5}
    for one in (asked(noise=0.2), asked(decoder="feedforward"), asked(objective="vae")):
        plain = settings(one)
        assert "noise" not in plain["model"]["decoder"]
        assert "generation" not in plain
    assert settings(asked(decoder="feedforward"))["objective"]["noise"] == 0.05
    with pytest.raises(ValueError, match="one level"):
        settings(asked(objective="cvvae", noise=(0.1, 1.0)))


def test_characters_have_no_grammar():
    assert settings(asked(codec="characters"))["grammar"] is None
    assert settings(asked(codec="grammar", grammar="zinc"))["grammar"] == "zinc"


def test_properties():
    table = settings(asked(properties=("qed", "logp")))["properties"]
    assert table == {"names": ["qed", "logp"], "weight": 1.0, "hidden": 128}
    heavy = settings(asked(properties=["mw"], property_weight=0.1))["properties"]
    assert heavy["weight"] == 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "wae", "beta": 1.0}, "'wae' has no beta;"),
        ({"objective": "wae", "beta_warmup": 5}, "'wae' has no beta_warmup"),
        ({"objective": "wae", "noise": 0.1}, "'wae' has no noise"),
        ({"objective": "ae", "beta": 1.0, "regularizer": "l2"}, "no beta and no regularizer"),
        ({"objective": "cvvae", "noise_scale": 0.1}, "'cvvae' has no noise_scale"),
        ({"objective": "rae", "noise_scale": 0.1}, "'rae' has no noise_scale"),
        ({"objective": "vae", "noise": 0.1}, "'vae' has no noise;"),
        ({"objective": "vae", "beta": Linear(), "beta_warmup": 5}, "a schedule already"),
        ({"objective": "vae", "beta": {"schedule": "liner"}}, "did you mean 'linear'"),
        ({"codec": "character"}, "did you mean 'characters'"),
        ({"codec": "characters", "grammar": "zinc"}, "has no grammar"),
        ({"properties": ("qde",)}, "did you mean 'qed'"),
        ({"property_weight": 0.1}, "no properties to weigh"),
    ],
)
def test_what_does_not_go_together(options, words):
    with pytest.raises(ValueError, match=words):
        settings(asked(**options))


# Images ------------------------------------------------------------------------------------------


def images(**options):
    return settings(asked(**options), medium="images")


def test_every_net_is_for_one_kind_of_data():
    for slot, table in (("encoders", ENCODERS), ("decoders", DECODERS)):
        named = [name for usual in USUAL.values() for name in getattr(usual, slot)]
        assert sorted(named) == sorted(table)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_usual_settings_of_images(name):
    table = images(objective=name)
    made = objective(**table["objective"])
    usual = USUAL["images"].objectives.get(name, {})
    assert {option: made.settings()[option] for option in usual} == usual
    assert table["model"]["encoder"] == {"name": "image"}
    assert table["model"]["decoder"] == {"name": "image"}
    assert (table["model"]["latent_dim"], table["grammar"]) == (16, None)
    assert "generation" not in table  # no noise is told to a decoder that sees all at once


#: Weights of the RAE paper's code on MNIST, 32 x 32, for codes of 16 numbers.
PUBLISHED = [
    ({"objective": "rae"}, {"b": 5e-4}),
    ({"objective": "rae", "regularizer": "l2"}, {"b": 1e-4, "a": 1e-7}),
    ({"objective": "rae", "regularizer": "gp"}, {"b": 1e-4, "a": 5e-8}),
    ({"objective": "rae", "regularizer": "sn"}, {"b": 9e-3}),
    ({"objective": "vae"}, {"w": 0.312}),
    ({"objective": "cvvae"}, {"w": 0.039}),
    ({"objective": "wae"}, {"w": 3e-2}),
    ({"objective": "ae"}, {"a": 0.0}),
    ({"objective": "ae", "weight": 1e-4}, {"a": 1e-7}),
]


@pytest.mark.parametrize(("options", "theirs"), PUBLISHED)
def test_weights_are_the_published_ones(options, theirs):
    table = images(**options)["objective"]
    found = published_weights(table, 16, (1, 32, 32), 0.5**0.5)
    assert found == pytest.approx(theirs, rel=0.03)
    wide = published_weights(table, 16, (1, 32, 32), 1.0)  # half of our weights is then the same
    assert wide == pytest.approx({name: 2 * value for name, value in found.items()})


#: Those for CIFAR-10, and for CelebA, whose WAE weighs a summed error by 0.05 and its MMD by 100.
OTHERS = [
    ({"b": 1e-2}, {"b": 1e-4}),
    ({"b": 1e-3, "a": 1e-6}, {"b": 1e-4, "a": 1e-7}),
    ({"b": 9e-4, "a": 0.0}, {"b": 1e-4, "a": 1e-7}),
    ({"b": 3e-2}, {"b": 2.4e-3}),
    ({"w": 0.024}, {"w": 0.09024}),
    ({"w": 9e-4}, {"w": 0.01}),
    ({"w": 6e-3}, {"w": 100 / (0.05 * 3 * 64 * 64)}),
    ({"a": 1e-6}, {"a": 1e-6}),
]


def test_weights_in_the_docs_are_the_published_ones():
    page = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    row = r"^\| `(\w+)(?: --regularizer (\w+))?`[^|]*\| `(--[^`]*)`[^|]*\| `(--[^`]*)`"
    rows = re.findall(row, page, re.MULTILINE)
    for (name, regularizer, *each), theirs in zip(rows, OTHERS, strict=True):
        for flags, size, side, published in zip(each, (128, 64), (32, 64), theirs, strict=True):
            words = flags.replace("--", "").split()
            given = dict(zip(words[::2], map(float, words[1::2]), strict=True))
            table = images(objective=name, regularizer=regularizer or None, **given)["objective"]
            found = published_weights(table, size, (3, side, side), 0.5**0.5)
            assert found == pytest.approx(published, rel=3e-3)


@pytest.mark.parametrize("likelihood", ["quantised", "discretised"])
def test_a_given_sigma_is_converted(likelihood):
    """The usual weights are multiplied as squared errors are; ``info`` divides them again."""
    run = build(images(likelihood=likelihood, sigma=0.1), ImageCodec(32, 32, 1))
    assert info(run)["as published"].startswith("b = 0.0005")
    free = build(images(likelihood=likelihood), ImageCodec(32, 32, 1))
    assert "as published" not in info(free)


@pytest.mark.parametrize("name", sorted(OBJECTIVES.keys() - {"vae", "cvvae", "wae", "rae", "ae"}))
def test_what_the_authors_do_not_have_has_no_weights_of_theirs(name):
    table = images(objective=name)["objective"]
    assert published_weights(table, 16, (1, 32, 32), 0.5**0.5) == {}


def test_the_penalty_that_the_authors_do_not_have_has_no_weight_of_theirs():
    for gradient, theirs in (("squared", {"b", "a"}), ("jacobian", {"b"})):
        table = images(regularizer="gp", gradient=gradient)["objective"]
        assert set(published_weights(table, 16, (1, 32, 32), 0.5**0.5)) == theirs


@pytest.mark.parametrize(("options", "theirs"), PUBLISHED)
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_sigma_does_not_change_what_is_best(sigma, options, theirs):
    """With usual weights the loss is 1 / (2 sigma^2) times the usual one, and a constant."""
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    losses = []
    for given in (0.5**0.5, sigma):
        wide = {} if given != sigma else {"sigma": sigma}
        asked = options | wide
        if "weight" in asked:  # the one that is given, of AE-L2
            asked["weight"] /= 2 * given**2
        config = images(**asked, width=0.25)
        torch.manual_seed(1)
        run = build(config, ImageCodec(8, 8, 1))
        loss = run.objective.terms(run.model, Batch(x), 0).loss().item()
        losses.append(loss - 64 * (math.log(given) + 0.5 * math.log(2 * math.pi)))
        units = published_weights(config["objective"], 16, (1, 32, 32), given)
        assert units == pytest.approx(theirs, rel=0.03)
    assert losses[1] == pytest.approx(losses[0] / (2 * sigma**2), rel=1e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_where_sigma_is_learnt_the_loss_is_the_bound(likelihood):
    fixed = likelihood == "gaussian"
    for name, published in (("vae", 0.312), ("cvvae", 0.039)):
        table = images(objective=name, likelihood=likelihood)["objective"]
        assert table["beta"] == (published if fixed else 1.0)
        assert images(objective=name, likelihood=likelihood, beta=2.0)["objective"]["beta"] == 2.0
    weight = images(objective="wae", likelihood=likelihood)["objective"]["weight"]
    factor = {"gaussian": 1.0, "bernoulli": 2.0}.get(likelihood, 12.5)
    assert weight == pytest.approx(31.0 * factor)
    if likelihood in ("quantised", "discretised"):
        given = images(objective="vae", likelihood=likelihood, sigma=0.1)["objective"]
        assert given["beta"] == pytest.approx(0.312 * 50)


def test_every_regularizer_of_images_has_its_weights():
    assert {"none", *USUAL["images"].regularized} == set(REGULARIZERS)
    assert images(regularizer="sn")["objective"]["spectra"] == "both"
    assert images(regularizer="gp")["objective"]["gradient"] == "squared"
    assert images(regularizer="gp", gradient="jacobian")["objective"]["gradient"] == "jacobian"
    assert "gradient" not in images(regularizer="l2")["objective"]
    assert images(regularizer="l2", beta=0.5, weight=2.0)["objective"]["beta"] == 0.5


def test_constant_variance_as_published():
    assert images(objective="cvvae")["model"]["head"] == {"name": "constant", "scale": 0.7}
    assert images(objective="cvvae", noise=0.2)["model"]["head"]["scale"] == 0.2


def test_a_net_has_both_halves():
    for option in ("encoder", "decoder"):
        model = images(**{option: "image_celeba"})["model"]
        assert {model["encoder"]["name"], model["decoder"]["name"]} == {"image_celeba"}
    model = images(encoder="image_mnist", decoder="image", width=0.5, sigma=0.1)["model"]
    assert model["encoder"] == {"name": "image_mnist", "multiplier": 0.5}
    assert model["decoder"] == {"name": "image", "multiplier": 0.5, "sigma": 0.1}
    hidden = images(encoder_hidden=9, decoder_hidden=8, likelihood="optimal")["model"]
    assert hidden["encoder"] == {"name": "image", "hidden": 9}
    assert hidden["decoder"] == {"name": "image", "hidden": 8, "likelihood": "optimal"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": "image_mnist", "encoder_hidden": 9}, "'image_mnist' has no encoder_hidden"),
        ({"embedding": 9}, "the encoder 'image' and the decoder 'image' have no embedding"),
        ({"decoder": "feedforward"}, "not for images: choose from image, image_mnist"),
        ({"grammar": "zinc", "max_steps": 9}, "grammar and max-steps: this is for texts"),
        ({"likelihood": "gaussan"}, "did you mean 'gaussian'"),
        ({"gradient": "jacobain"}, "did you mean 'jacobian'"),
        ({"regularizer": "l2", "gradient": "squared"}, "the form of the regularizer 'gp'"),
    ],
)
def test_what_does_not_go_with_images(options, words):
    with pytest.raises(ValueError, match=words):
        images(**options)


def test_what_does_not_go_with_texts():
    for options, words in (
        ({"crop": "celeba"}, "crop: this is for images, and the data are texts"),
        ({"decoder": "image"}, "'image' is not for texts: choose from autoregressive"),
    ):
        with pytest.raises(ValueError, match=words):
            settings(asked(**options))
