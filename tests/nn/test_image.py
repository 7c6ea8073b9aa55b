"""Nets for images: shapes, sizes as published, tiles, memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from molae.nn.heads import DeltaHead
from molae.nn.image import ImageDecoder, ImageEncoder, in_tiles
from molae.nn.image_published import (
    CelebaDecoder,
    CelebaEncoder,
    MnistDecoder,
    MnistEncoder,
    SameConv,
    SameConvTranspose,
)

SHAPES = [(1, 28, 28), (3, 37, 53), (1, 8, 8), (3, 32, 32), (1, 1, 9), (3, 3, 40), (1, 90, 11)]
PUBLISHED = {
    "mnist": (MnistEncoder, MnistDecoder, (1, 32, 32)),
    "celeba": (CelebaEncoder, CelebaDecoder, (3, 64, 64)),
}


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_any_size(shape):
    encoder, decoder = (
        ImageEncoder(shape, multiplier=0.25),
        ImageDecoder(shape, 5, multiplier=0.25),
    )
    h = encoder(torch.rand(3, *shape))
    assert h.shape == (3, encoder.width)
    image = decoder(torch.randn(2, 3, 5)).mode()
    assert image.shape == (2, 3, *shape)
    assert image.min() > 0
    assert image.max() < 1


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_shapes(name):
    encoder_class, decoder_class, shape = PUBLISHED[name]
    encoder, decoder = (
        encoder_class(shape, multiplier=1 / 32),
        decoder_class(shape, 7, multiplier=1 / 32),
    )
    assert encoder(torch.rand(2, *shape)).shape == (2, encoder.width)
    assert decoder(torch.randn(2, 7)).mode().shape == (2, *shape)


def test_published_numbers_of_weights():
    with torch.device("meta"):
        encoder, decoder = MnistEncoder((1, 32, 32)), MnistDecoder((1, 32, 32), 16)
        head = DeltaHead(encoder.width, 16)
    assert encoder.width == 2 * 2 * 1024
    # Counted by hand from the layers: kernels, biases, scales and shifts, as in the paper's table.
    assert count(encoder, head) == 11_083_408
    assert count(decoder) == 11_606_273
    with torch.device("meta"):
        encoder, decoder = CelebaEncoder((3, 64, 64)), CelebaDecoder((3, 64, 64), 64)
    assert encoder.width == 4 * 4 * 1024
    kernels = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    assert count(encoder) == kernels + 3 * (128 + 256 + 512 + 1024)
    kernels = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + 65 * 8 * 8 * 1024
    assert count(decoder) == kernels + 3 * (512 + 256 + 128) + 3


def test_width_multiplies_channels():
    whole, half = (
        MnistEncoder((1, 32, 32), multiplier=0.125),
        ImageEncoder((1, 28, 28), multiplier=2),
    )
    kernels = [layer.out_channels for layer in whole.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels == [16, 32, 64, 128]
    kernels = [layer.out_channels for layer in half.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels == [32, 64]
    assert half.width == 1024


@pytest.mark.parametrize("kernel", [4, 5])
def test_padding_is_that_of_tensorflow(kernel):
    torch.manual_seed(0)
    conv = SameConv(2, 3, kernel).double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    # 'same' puts the odd row of padding behind.
    behind = pad(x, ((kernel - 2) // 2, kernel - 2 - (kernel - 2) // 2) * 2)
    torch.testing.assert_close(conv(x), conv2d(behind, conv.weight, conv.bias, stride=2))
    # A transposed convolution is the gradient of the convolution that goes the other way.
    for stride in (1, 2):
        up = SameConvTranspose(3, 2, kernel, stride).double()
        nn.init.zeros_(up.bias)
        small = torch.randn(2, 3, 8 // stride, 8 // stride, dtype=torch.float64)
        x.requires_grad_()
        total = kernel - stride
        padded = pad(x, (total // 2, total - total // 2) * 2)
        (conv2d(padded, up.weight, stride=stride) * small).sum().backward()
        torch.testing.assert_close(up(small), x.grad)
        x.grad = None


@pytest.mark.parametrize("kind", ["small", "mnist"])
def test_what_is_decoded_does_not_depend_on_how_many(kind):
    torch.manual_seed(0)
    made = {
        "small": (ImageEncoder((1, 12, 12)), ImageDecoder((1, 12, 12), 4)),
        "mnist": (
            MnistEncoder((1, 32, 32), multiplier=1 / 16),
            MnistDecoder((1, 32, 32), 4, multiplier=1 / 16),
        ),
    }[kind]
    encoder, decoder = (net.eval() for net in made)
    z = torch.randn(150, 4)
    with torch.no_grad():
        whole = decoder(z).mode()
        h = encoder(whole)
        for rows in (slice(0, 1), slice(7, 90), slice(140, 150)):
            assert torch.equal(decoder(z[rows]).mode(), whole[rows])
            assert torch.equal(encoder(whole[rows]), h[rows])
    together = decoder(z).mode()  # with a gradient, in one piece
    torch.testing.assert_close(together, whole)
    assert together.requires_grad


def test_tiles_are_full():
    seen = []

    def net(x):
        seen.append(len(x))
        return 2 * x

    x = torch.arange(10.0).view(5, 2)
    with torch.no_grad():
        assert torch.equal(in_tiles(net, x, 2, False), 2 * x)
        assert in_tiles(net, x[:0], 2, False).shape == (0, 2)
        in_tiles(net, x, 2, True)
    assert seen == [2, 2, 2, 0, 5]


def test_context_is_read():
    torch.manual_seed(0)
    encoder = ImageEncoder((1, 8, 8), context=3)
    decoder = ImageDecoder((1, 8, 8), 4, context=3)
    context = torch.randn(2, 3)
    assert encoder(torch.rand(2, 1, 8, 8), context).shape == (2, encoder.width)
    z = torch.randn(2, 4)
    assert not torch.allclose(decoder(z, context).mode(), decoder(z, -context).mode())
    with pytest.raises(ValueError, match="no context"):
        decoder(z)


@pytest.mark.parametrize("batch_normalised", [False, True])
def test_it_can_memorise_64_digits(batch_normalised):
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    x = torch.tensor(load_digits().images[:64], dtype=torch.float32)[:, None] / 16
    encoder, decoder = ImageEncoder((1, 8, 8)), ImageDecoder((1, 8, 8), 16)
    if batch_normalised:
        x = x.repeat_interleave(4, 2).repeat_interleave(4, 3)  # 32 x 32
        encoder = MnistEncoder((1, 32, 32), multiplier=1 / 16)
        decoder = MnistDecoder((1, 32, 32), 16, multiplier=1 / 16)
    head = nn.Linear(encoder.width, 16)
    weights = [p for part in (encoder, head, decoder) for p in part.parameters()]
    optimizer = torch.optim.Adam(weights, 3e-3)
    for _ in range(60 if batch_normalised else 250):
        loss = (decoder(head(encoder(x))).mode() - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spread = (x - x.mean(0)).square().mean().item()
    assert loss.item() < 0.1 * spread


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MnistEncoder((1, 28, 28)), "--image-size 32"),
        (lambda: CelebaDecoder((3, 218, 178), 64), "'image_celeba' is for images of 64 by 64"),
        (lambda: ImageEncoder((1, 8, 8))(torch.rand(2, 1, 8, 9)), r"built for \(1, 8, 8\)"),
        (lambda: ImageDecoder((1, 8, 8), 4, multiplier=0), "expected > 0"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
