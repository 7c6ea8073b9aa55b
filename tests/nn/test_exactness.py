"""Decoders that are told how exact a code is."""

from __future__ import annotations

import pytest
import torch

from molae.nn.exactness import NoiseReader, noise_range
from molae.nn.sequence import AutoregressiveDecoder


@pytest.fixture
def decoder(alternating):
    torch.manual_seed(0)
    made = AutoregressiveDecoder(
        9, 4, alternating, embedding=8, hidden=16, tile=8, noise=(0.1, 2.0)
    )
    with torch.no_grad():
        made.to_logits.weight.mul_(8)
        made.noise.outer.weight.normal_()
    return made.eval()


def told(level, n=20):
    return torch.full((n, 1), level)


def test_without_a_word_codes_are_exact(decoder, sequences):
    z = torch.randn(64, 4)
    silent = decoder(z).log_prob(sequences)
    assert torch.equal(silent, decoder(z, torch.zeros(64, 1)).log_prob(sequences))
    # Below the range of training nothing but the tiny shrinkage changes.
    torch.testing.assert_close(silent, decoder(z, told(1e-4, 64)).log_prob(sequences))
    for level in (0.3, 1.0):
        assert not torch.allclose(silent, decoder(z, told(level, 64)).log_prob(sequences))


def test_each_code_has_a_level_of_its_own(decoder, sequences):
    z = torch.randn(64, 4)
    levels = torch.rand(64, 1) * 2
    together = decoder(z, levels).log_prob(sequences)
    for row in (0, 40):
        alone = decoder(z[row : row + 1], levels[row : row + 1]).log_prob(sequences[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


def test_generation_is_told_too(decoder):
    z = torch.randn(20, 4)
    x = decoder(z, told(1.5)).mode()
    assert torch.equal(x[:7], decoder(z[:7], told(1.5, 7)).mode())
    assert not torch.equal(x, decoder(z).mode())


def test_context_stands_before_the_level(alternating, sequences):
    made = AutoregressiveDecoder(9, 4, alternating, hidden=16, context=2, noise=(0.1, 2.0)).eval()
    with torch.no_grad():
        made.noise.outer.weight.normal_()
    z, context = torch.randn(64, 4), torch.randn(64, 2)
    exact = made(z, context).log_prob(sequences)
    joined = torch.cat([context, torch.zeros(64, 1)], 1)
    assert torch.equal(exact, made(z, joined).log_prob(sequences))
    assert not torch.allclose(
        exact, made(z, torch.cat([context, told(1.0, 64)], 1)).log_prob(sequences)
    )
    with pytest.raises(ValueError, match="no context was given"):
        made(z)


def test_codes_are_shrunk_as_if_their_variance_were_one():
    reader = NoiseReader(3, 0, 5, (0.1, 2.0))
    z = torch.tensor([[2.0, -4.0, 1.0, 0.0], [2.0, -4.0, 1.0, 1.0]])
    shrunk, more = reader(z)
    assert shrunk.tolist() == [[2.0, -4.0, 1.0], [1.0, -2.0, 0.5]]
    assert more.shape == (2, 5)
    bumps = reader.bumps(torch.tensor([[0.1], [2.0], [0.01], [9.0]]))
    assert bumps.argmax(1).tolist() == [0, 7, 0, 7]
    assert torch.equal(bumps[2:], bumps[:2])  # beyond the range of training it is its end


@pytest.mark.parametrize("noise", [(2.0, 0.1), (0.0, 1.0), (1.0,), (0.1, float("inf")), "ab", 3])
def test_what_is_no_range(noise):
    with pytest.raises(ValueError, match="noise is"):
        noise_range(noise)
