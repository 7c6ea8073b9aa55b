"""Laws that every objective keeps, over the table of names."""

from __future__ import annotations

import json

import pytest
import torch

from molae.names import OBJECTIVES, REGULARIZERS
from molae.objectives import objective

CASES = [("vae", {}), ("vae", {"beta": {"schedule": "cyclical", "period": 20}}), ("ae", {}),
         ("ae", {"weight": 0.1}), ("vae", {"noise_scale": 0.01}), ("cvvae", {"beta": 0.5}),
         ("wae", {}), ("wae", {"weight": 2.0, "scales": [0.5, 1.0]})]  # fmt: skip
CASES += [("rae", {"regularizer": name, "noise": 0.1}) for name in REGULARIZERS]
CASES += [("rae", {"regularizer": "gp", "gradient": "jacobian"})]
CASES += [("iwae", {}), ("iwae", {"samples": 3, "doubly": True, "beta": 0.5})]
# The multiplier is held: while it rises, so does the loss.
CASES += [("geco", {"tolerance": 0.2, "warmup": 1000})]
# The critics of these stand still here; they move in test_adversarial.py and its neighbours.
CASES += [("aae", {}), ("avb", {}), ("avb", {"contrast": 0, "beta": 0.5}), ("ali", {})]
CASES += [("iae", {}), ("iae", {"both": False, "hidden": [8]})]
CASES += [("dae", {}), ("dae", {"corruption": "gaussian", "level": 0.3}), ("cae", {})]
CASES += [("cae", {"of": "reconstruction", "probes": 0}), ("vcae", {}), ("strkm", {"noise": 0.1})]
CASES += [("vqvae", {"weight": 0.1})]


@pytest.fixture(params=CASES, ids=str)
def made(request):
    name, settings = request.param
    return name, objective(name, **settings)


def test_the_table_is_complete():
    assert {name for name, _ in CASES} == set(OBJECTIVES)


def test_settings_make_the_same_objective(made):
    name, first = made
    again = objective(name, **json.loads(json.dumps(first.settings())))
    assert again.settings() == first.settings()
    assert type(again) is type(first)


def test_parts_are_per_example_or_of_the_batch_and_learnt_from(made, model, batch):
    _, first = made
    first.prepare(model)
    player, *_ = first.players(model)
    terms = player.terms(model, batch, 0)
    assert {part.shape for part in terms.parts.values()} <= {(4,), ()}
    assert all(value.shape in ((4,), ()) for value in (terms.logged or {}).values())
    terms.loss(torch.rand(4)).backward()
    for name in ("encoder.weight", "decoder.bias"):
        assert model.get_parameter(name).grad.abs().sum() > 0


def test_validation_needs_no_gradients(made, model, batch):
    _, first = made
    first.prepare(model)
    first.eval()
    with torch.no_grad():
        loss = first.terms(model, batch, 0).loss()
    assert loss.isfinite()
    assert not loss.requires_grad


def test_training_lowers_the_loss(made, model, batch):
    _, first = made
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
            parameter.normal_(std=0.3)
    first.prepare(model)
    player, *_ = first.players(model)
    optimizer = torch.optim.Adam(player.parameters, 0.03)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = player.terms(model, batch, 100).loss()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < sum(losses[:10])


def test_names_are_answered():
    with pytest.raises(ValueError, match="did you mean 'vae'"):
        objective("vea")
    with pytest.raises(ValueError, match="did you mean 'regularizer'"):
        objective("rae", regulariser="l2")
    with pytest.raises(ValueError, match="unknown regularizer 'l3'"):
        objective("rae", regularizer="l3")
    with pytest.raises(ValueError, match="did you mean 'squared'"):
        objective("rae", gradient="square")
    for bad in ({"weight": -1.0}, {"noise": -1.0}):
        with pytest.raises(ValueError, match="below 0"):
            objective("rae", **bad)
    with pytest.raises(ValueError, match="below 0"):
        objective("ae", weight=-1.0)
    with pytest.raises(ValueError, match="below 0"):
        objective("vae", noise_scale=-0.1)
