"""Critics of codes and of pairs, for all kinds of data."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from molae.nn.critics import Critic, ImageReader, SequenceReader, VectorReader, reader
from molae.nn.encoders import ConvolutionalEncoder, RecurrentEncoder
from molae.nn.image import ImageEncoder
from molae.types import PAD

ENCODERS = {
    "images": lambda: ImageEncoder((3, 17, 20), hidden=8),
    "rules": lambda: RecurrentEncoder(7, 4, 8),
    "windows": lambda: ConvolutionalEncoder(7, 12, filters=((4, 3),), hidden=8),
}


def data(name):
    torch.manual_seed(1)
    if name == "images":
        return torch.rand(5, 3, 17, 20)
    x = torch.randint(0, 7, (5, 12))
    x[2, 6:] = PAD
    return x


@pytest.mark.parametrize("name", ENCODERS)
def test_a_pair_has_one_logit(name):
    critic, x, z = Critic(3, reader(ENCODERS[name]()), hidden=(16,)), data(name), torch.randn(5, 3)
    z.requires_grad_()
    logits = critic(z, critic.read(x))
    assert logits.shape == (5,)
    logits.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in critic.parameters())
    assert (z.grad != 0).any(1).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(z, critic.read(x)).dtype == torch.float32
    assert not torch.allclose(logits, critic(z, critic.read(x.flip(0))))


@pytest.mark.parametrize("name", ENCODERS)
def test_no_example_looks_at_another(name):
    critic, x, z = Critic(3, reader(ENCODERS[name]()), hidden=(16,)), data(name), torch.randn(5, 3)
    whole = critic(z, critic.read(x))
    torch.testing.assert_close(critic(z[1:2], critic.read(x[1:2])), whole[1:2])


def test_a_critic_of_codes():
    critic = Critic(3, hidden=())
    assert critic(torch.randn(4, 3)).shape == (4,)
    with pytest.raises(ValueError, match="reader"):
        critic.read(torch.randn(4, 2))


def test_a_context_is_seen():
    critic, z = Critic(3, context=2), torch.randn(4, 3)
    first = critic(z, None, torch.zeros(4, 2))
    assert not torch.allclose(first, critic(z, None, torch.ones(4, 2)))
    with pytest.raises(ValueError, match="no context"):
        critic(z)


def test_sequences_are_the_same_relaxed():
    net, x = SequenceReader(7, width=8), data("rules")
    relaxed = (one_hot(x.clamp(min=0), 7) * (x != PAD).unsqueeze(-1)).float().requires_grad_()
    torch.testing.assert_close(net(relaxed), net(x))
    net(relaxed).sum().backward()
    assert (relaxed.grad != 0).any()


def test_padding_is_not_seen():
    net, x = SequenceReader(7, width=8), data("rules")[2:3]
    longer = torch.cat([x, torch.full((1, 8), PAD)], 1)
    torch.testing.assert_close(net(longer), net(x))


def test_readers_are_chosen_by_shape():
    linear = nn.Linear(4, 2)
    with pytest.raises(ValueError, match="shape"):
        reader(linear)
    linear.shape = (4,)
    assert isinstance(reader(linear), VectorReader)
    assert reader(linear)(torch.ones(3, 4)).shape == (3, reader(linear).width)
    assert isinstance(reader(ENCODERS["images"]()), ImageReader)
