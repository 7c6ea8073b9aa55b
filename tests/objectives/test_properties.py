"""Properties beside an objective: the part by hand, what is masked, who learns from it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from molae.nn.heads import PropertyHead
from molae.objectives import AE, RAE, VAE, WAE, WithProperties
from molae.objectives.properties import half_squares
from molae.types import Batch, Player, Terms

NAN = math.nan


@pytest.fixture(params=["model", "point_model"])
def predicting(request):
    """A model with a head for two properties that counts how often it encodes."""
    model = request.getfixturevalue(request.param)
    model.predictor = PropertyHead(model.prior.size, 2, hidden=8).double()
    model.predict = model.predictor
    model.encoded = 0
    posterior = model.posterior

    def counted(x, context=None):
        model.encoded += 1
        return posterior(x, context)

    model.posterior = counted
    return model


@pytest.fixture
def labelled(batch):
    y = torch.tensor([[0.0, 1.0], [NAN, -1.0], [2.0, NAN], [NAN, NAN]])
    return Batch(batch.x, y=y)


def test_half_squares_by_hand():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    y = torch.tensor([[0.0, 4.0], [NAN, 1.0], [NAN, NAN]])
    found = half_squares(predicted, y)
    assert found.tolist() == [0.5 * (1 + 4), 0.5 * 9, 0.0]
    found.sum().backward()
    assert predicted.grad.tolist() == [[1.0, -2.0], [0.0, 3.0], [0.0, 0.0]]


@pytest.mark.parametrize("inner", [RAE(), AE(0.1), RAE(regularizer="gp")], ids=str)
def test_one_part_more(predicting, labelled, inner):
    alone = inner.terms(predicting, labelled, 0)
    predicting.encoded = 0
    both = WithProperties(inner, 3.0).terms(predicting, labelled, 0)
    assert predicting.encoded == 1
    assert set(both.parts) == {*alone.parts, "property"}
    for name, part in alone.parts.items():
        assert torch.allclose(both.parts[name], part)
    predicted = predicting.predictor(predicting.encoder(labelled.x))
    expected = 3.0 * half_squares(predicted, labelled.y)
    assert torch.allclose(both.parts["property"], expected)
    assert expected[3] == 0
    assert torch.allclose(both.loss() - alone.loss(), expected.mean())


def test_properties_are_of_the_mean_not_of_the_draw(model, labelled):
    model.predict = PropertyHead(model.prior.size, 2).double()
    first, second = (WithProperties(VAE()).terms(model, labelled, 0) for _ in range(2))
    assert torch.equal(first.parts["property"], second.parts["property"])
    assert not torch.equal(first.parts["distortion"], second.parts["distortion"])


def test_encoder_and_head_learn_from_it(predicting, labelled):
    (player,) = WithProperties(RAE()).players(predicting)
    assert player.name == "autoencoder"
    held = {id(parameter) for parameter in player.parameters}
    assert all(id(parameter) in held for parameter in predicting.parameters())
    player.terms(predicting, labelled, 0).parts["property"].sum().backward()
    for module in (predicting.encoder, predicting.predictor.hidden, predicting.predictor.out):
        assert module.weight.grad.abs().sum() > 0
        assert module.weight.grad.isfinite().all()
    assert predicting.decoder.weight.grad is None


class Rivals(AE):
    """An objective of two players, as adversaries are."""

    def players(self, model):
        critic = Player("critic", [nn.Parameter(torch.ones(()))], self._critic, every=2)
        return [*super().players(model), critic]

    def _critic(self, model, batch, step):
        return Terms({"critic": torch.zeros(())})


def test_only_the_player_who_moves_the_model_sees_properties(predicting, labelled):
    rivals = Rivals()
    first, second = WithProperties(rivals).players(predicting)
    assert "property" in first.terms(predicting, labelled, 0).parts
    assert second == replace(rivals.players(predicting)[1], parameters=second.parameters)


def test_what_the_objective_asks_for_is_kept(predicting):
    assert WithProperties(WAE()).mixed_batches
    assert not WithProperties(RAE()).mixed_batches
    WithProperties(RAE(regularizer="sn")).prepare(predicting)
    assert hasattr(predicting.decoder, "parametrizations")
    objective = WithProperties(RAE(beta=2.0), 0.5)
    assert objective.settings() == {"weight": 0.5}


def test_data_without_properties_is_an_error(predicting, batch):
    with pytest.raises(ValueError, match="NaN where it is not known"):
        WithProperties(RAE()).terms(predicting, batch, 0)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        WithProperties(RAE()).terms(predicting, Batch(batch.x, y=torch.zeros(4, 3)), 0)
    with pytest.raises(ValueError, match="below 0"):
        WithProperties(RAE(), -1.0)
