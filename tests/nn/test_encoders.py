from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from molae.nn.encoders import ConvolutionalEncoder, RecurrentEncoder
from molae.types import PAD


def build(kind):
    torch.manual_seed(0)
    if kind == "convolutional":
        return ConvolutionalEncoder(9, 40, hidden=20)
    return RecurrentEncoder(9, 8, 16, layers=2, pooling=kind == "pooled")


KINDS = ["convolutional", "pooled", "last"]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_company_do_not_change_features(kind, sequences):
    encoder = build(kind)
    h = encoder(sequences)
    assert h.shape == (64, encoder.width)
    torch.testing.assert_close(encoder(pad(sequences, (0, 9), value=PAD)), h)
    length = int((sequences[7] != PAD).sum())
    torch.testing.assert_close(encoder(sequences[7:8, :length]), h[7:8])


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_reaches_the_features(kind, sequences):
    encoder = build(kind)
    h = encoder(sequences)
    for step in range(int((sequences[0] != PAD).sum())):
        other = sequences[:1].clone()
        other[0, step] = (other[0, step] + 2) % 9
        assert not torch.allclose(encoder(other), h[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_sequence_has_finite_features_and_gradients(kind):
    encoder = build(kind)
    encoder(torch.full((2, 5), PAD)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(
    "make",
    [
        lambda: RecurrentEncoder(9, 8, 16, context=3),
        lambda: ConvolutionalEncoder(9, 40, context=3),
    ],
)
def test_context_is_put_beside_the_features(make, sequences):
    encoder = make()
    context = torch.randn(64, 3)
    h = encoder(sequences, context)
    assert h.shape == (64, encoder.width)
    assert torch.equal(h[:, -3:], context)
    with pytest.raises(ValueError, match="no context was given"):
        encoder(sequences)
    with pytest.raises(ValueError, match="width 2"):
        encoder(sequences, context[:, :2])


def test_sizes_of_the_paper():
    encoder = ConvolutionalEncoder(76, 277)
    assert [tuple(p.shape) for p in encoder.convolutions[0].parameters()] == [(9, 76, 9), (9,)]
    assert encoder.dense.in_features == 10 * (277 - 8 - 8 - 10)
    assert encoder(torch.zeros(2, 277, dtype=torch.int64)).shape == (2, 435)


def test_sequences_and_kernels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 27 steps"):
        ConvolutionalEncoder(9, 20)
    with pytest.raises(ValueError, match="max_steps=40"):
        ConvolutionalEncoder(9, 40)(torch.zeros(1, 41, dtype=torch.int64))


def test_bfloat16_gives_nearly_the_same_features_in_float32(sequences):
    encoder = build("pooled")
    with torch.autocast("cpu", torch.bfloat16):
        low = encoder(sequences)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, encoder(sequences), atol=3e-2, rtol=0)
