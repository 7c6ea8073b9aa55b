"""PixelCNN: what each pixel sees, and one pixel after the other against all at once."""

from __future__ import annotations

import itertools

import pytest
import torch

from molae.nn.pixelcnn import PixelCNNDecoder

SMALL = {"hidden": 16, "channels": 6, "layers": 2, "kernel": 3, "features": 3, "tile": 4}
SHAPES = [(1, 5, 6), (3, 4, 4), (1, 1, 7), (1, 6, 1)]


def made(shape=(1, 5, 6), **settings):
    torch.manual_seed(0)
    decoder = PixelCNNDecoder(shape, 4, **SMALL | settings).eval()
    with torch.no_grad():  # that it says something
        decoder.net.out.weight.mul_(20)
    return decoder


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("likelihood", ["logistic", "bernoulli"])
def test_a_pixel_sees_all_before_and_nothing_after(shape, likelihood):
    """In reading order: no gradient for j >= i, and no blind spot among j < i."""
    decoder = made(shape, likelihood=likelihood, layers=5, channels=16).double()
    told = decoder.map(torch.randn(1, 4).double()).logits
    values = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    parameters = decoder.net(values, told)
    height, width = shape[1:]
    for y, x in itertools.product(range(height), range(width)):
        (slope,) = torch.autograd.grad(parameters[0, :, y, x].sum(), values, retain_graph=True)
        seen = (slope[0].abs().sum(0) > 0).flatten()
        pixel = y * width + x
        assert not seen[pixel:].any()
        assert seen[:pixel].all()


def test_a_channel_sees_those_before_it():
    decoder = made((3, 2, 2))
    x = torch.rand(1, 3, 2, 2)
    x.requires_grad_()
    means = decoder(torch.randn(1, 4)).outputs(x)
    for c in range(3):
        (slope,) = torch.autograd.grad(means[0, c, 1, 0], x, retain_graph=True)
        assert (slope[0, :c, 1, 0] != 0).all()
        assert (slope[0, c:, 1, 0] == 0).all()


def test_masses_of_all_binary_images_add_up_to_one():
    decoder = made((1, 2, 3), likelihood="bernoulli")
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).view(64, 1, 2, 3)
    likelihood = decoder(torch.randn(1, 4).expand(64, 4))
    assert likelihood.log_prob(every).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_pixel_after_the_other_is_as_all_at_once(shape):
    """Given the values, the net says the same of every pixel; so draws have its distribution."""
    decoder = made(shape)
    told = decoder.map(torch.randn(3, 4)).logits
    x, said = torch.randint(0, 256, (3, *shape)) / 255, []

    def choose(parameters, pixel):
        said.append(parameters)
        return x.flatten(2)[:, :, pixel]

    with torch.no_grad():
        torch.testing.assert_close(decoder.net.roll(told, choose), x)
        expected = decoder.net(2 * x - 1, told)
    torch.testing.assert_close(torch.stack(said, 2).view_as(expected), expected)


@pytest.mark.parametrize("likelihood", ["logistic", "bernoulli"])
def test_draws_depend_on_seed_and_index_only(likelihood):
    decoder = made((2, 4, 3), likelihood=likelihood)
    z, index = torch.randn(6, 4), torch.arange(6)
    whole = decoder(z).sample(3, index)
    assert torch.equal(whole, decoder(z).sample(3))
    for rows in (slice(0, 1), slice(2, 5), slice(5, 6)):
        assert torch.equal(decoder(z[rows]).sample(3, index[rows]), whole[rows])
        assert torch.equal(decoder(z[rows]).mode(), decoder(z).mode()[rows])
    assert not torch.equal(decoder(z).sample(4), whole)
    assert not torch.equal(decoder(z).sample(3, index, 5.0), whole)
    led = decoder(z.view(2, 3, 4)).sample(3, index.view(2, 3))
    assert torch.equal(led.flatten(0, 1), whole)
    assert decoder(z[:0]).sample(3).shape == (0, 2, 4, 3)
    torch.testing.assert_close((255 * whole).round() / 255, whole)
    if likelihood == "bernoulli":
        assert set(whole.unique().tolist()) == {0.0, 1.0}


def test_draws_follow_the_masses():
    decoder = made((1, 1, 2), likelihood="bernoulli", tile=512)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=2))).view(4, 1, 1, 2)
    z = torch.randn(1, 4)
    masses = decoder(z.expand(4, 4)).log_prob(every).exp()
    drawn = decoder(z.expand(4000, 4)).sample(1)
    share = (drawn.view(-1, 1, 2) == every.view(4, 2)).all(-1).float().mean(0)
    assert (share - masses).abs().max() < 0.035
    assert torch.equal(decoder(z).mode().flatten()[0], (masses[2:].sum() > 0.5).float())


def test_shapes_of_codes_and_the_code_is_read():
    decoder, x = made(), torch.rand(3, 1, 5, 6)
    z = torch.randn(2, 3, 4, requires_grad=True)
    likelihood = decoder(z)
    value = likelihood.log_prob(x)
    assert value.shape == (2, 3)
    assert likelihood.outputs(x).shape == (2, 3, 1, 5, 6)
    assert likelihood.recovers(x).shape == (2, 3)
    assert torch.equal(likelihood.lift(x), x)
    torch.testing.assert_close(value[1], decoder(z[1]).log_prob(x))
    value.sum().backward()
    assert (z.grad.abs().sum(-1) > 0).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert decoder(z).log_prob(x).dtype == torch.float32


def test_context_is_read():
    decoder, z, context = made(context=2), torch.randn(3, 4), torch.randn(3, 2)
    x = torch.rand(3, 1, 5, 6)
    assert not torch.allclose(decoder(z, context).log_prob(x), decoder(z, -context).log_prob(x))
    with pytest.raises(ValueError, match="no context"):
        decoder(z)


def test_refusals():
    with pytest.raises(ValueError, match="'logistic' and 'bernoulli'"):
        made(likelihood="gaussian")
    with pytest.raises(ValueError, match="odd"):
        made(kernel=4)
    likelihood = made()(torch.randn(1, 4))
    with pytest.raises(ValueError, match="above 0"):
        likelihood.sample(temperature=0.0)
    with pytest.raises(ValueError, match="use the decoder 'image'"):
        likelihood.rsample()
