from __future__ import annotations

import pytest
import torch
from torch import nn

from molae.distributions import NormalPosterior
from molae.models import Autoencoder


class Answer:
    """A likelihood that tells what it was asked."""

    def __init__(self, z):
        self.z = z

    def mode(self):
        return ("mode", self.z)

    def sample(self, seed=0, index=None, temperature=1.0):
        return (seed, index, temperature, self.z.requires_grad, torch.is_grad_enabled())


class Encoder(nn.Linear):
    def forward(self, x, context=None):
        return super().forward(x) + (0 if context is None else context)


class Head(nn.Module):
    def forward(self, h, context=None):
        return NormalPosterior(h, 0.5)


class Decoder(nn.Linear):
    def forward(self, z, context=None):
        return Answer(super().forward(z) + (0 if context is None else context))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Autoencoder(Encoder(3, 2), Head(), Decoder(2, 3), nn.Identity())


def test_the_verbs_are_the_slots(model):
    x, context = torch.randn(4, 3), torch.randn(4, 1)
    h = model.encoder(x, context)
    assert torch.equal(model.posterior(x, context).center, h)
    assert torch.equal(model.encode(x, context), h)
    assert torch.equal(model.likelihood(h, context).z, model.decoder(h, context).z)
    assert not torch.equal(model.encode(x, context), model.encode(x))


def test_codes_carry_gradients(model):
    model.encode(torch.randn(4, 3)).sum().backward()
    assert model.encoder.weight.grad is not None


def test_decoding_is_greedy_without_a_seed_and_passes_the_draws_on_with_one(model):
    z, index = torch.randn(4, 2), torch.arange(4)
    kind, logits = model.decode(z)
    assert kind == "mode"
    assert torch.equal(logits, model.decoder(z).z)
    assert not logits.requires_grad
    assert model.decode(z, seed=3, index=index, temperature=0.7) == (3, index, 0.7, False, False)


def test_slots_are_saved_under_their_names(model):
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "decoder"}
    assert [name for name, _ in model.named_children()] == ["encoder", "head", "decoder", "prior"]


def test_properties_are_a_slot_that_may_stay_empty(model):
    with pytest.raises(ValueError, match="predicts no properties"):
        model.predict(torch.randn(4, 2))
    slots = model.encoder, model.head, model.decoder, model.prior
    with_one = Autoencoder(*slots, nn.Linear(2, 5))
    z = torch.randn(3, 4, 2, requires_grad=True)
    assert torch.equal(with_one.predict(z), with_one.predictor(z))
    with_one.predict(z).sum().backward()
    assert z.grad is not None
    assert {name.split(".")[0] for name in with_one.state_dict()} > {"predictor"}
