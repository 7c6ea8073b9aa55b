"""What is built from what was asked for, and what is refused with which words."""

from __future__ import annotations

from dataclasses import fields

import pytest

from molae.names import HEADS, OBJECTIVES
from molae.objectives import Cyclical, Linear, objective
from molae.workflows.settings import _USUAL, Asked, settings


def asked(**options):
    nothing = {field.name: None for field in fields(Asked)} | {"properties": ()}
    return Asked(**(nothing | options))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_usual_settings_are_those_of_the_objective(name):
    table = settings(asked(objective=name))
    made = objective(**table["objective"])
    assert table["objective"] == {"name": name} | {
        option: made.settings()[option] for option in _USUAL[name]
    }
    assert table["model"]["head"]["name"] in HEADS
    assert table["grammar"] == "smiles"
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
