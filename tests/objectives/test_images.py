"""Objectives on images: penalties against their definitions, scales, spectral norms."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import Conv2d
from torch.nn.utils.parametrize import is_parametrized

from molae.densities import StandardNormal
from molae.models import Autoencoder
from molae.names import GRADIENTS
from molae.nn.heads import DeltaHead, NormalHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.image_published import MnistDecoder, MnistEncoder
from molae.objectives import objective
from molae.objectives.regularizers import gradient_penalty, squared_weights
from molae.types import Batch

D = 4


def model(kind, head=DeltaHead):
    torch.manual_seed(0)
    if kind == "image":
        shape, encoder, decoder = (1, 16, 16), ImageEncoder, ImageDecoder
        options = {"hidden": 16, "multiplier": 0.25}
    else:
        shape, encoder, decoder = (1, 32, 32), MnistEncoder, MnistDecoder
        options = {"multiplier": 1 / 64}
    reads = encoder(shape, **options)
    writes = decoder(shape, D, **options)
    return Autoencoder(reads, head(reads.width, D), writes, StandardNormal(D))


@pytest.fixture(params=["image", "image_mnist"])
def kind(request):
    return request.param


def batch(kind, n=3):
    generator = torch.Generator().manual_seed(1)
    side = 16 if kind == "image" else 32
    return Batch(torch.rand(n, 1, side, side, generator=generator))


def jacobians(net, z):
    """dy/dz of each example by itself, (n, values, D), in evaluation."""

    def pixels(code):
        return net.likelihood(code[None]).mode().flatten()

    return torch.stack([torch.autograd.functional.jacobian(pixels, code) for code in z])


def test_squared_gradient_is_its_definition(kind):
    net = model(kind).double().eval()
    z = torch.randn(3, D, dtype=torch.float64)
    found = gradient_penalty(net, batch(kind), z, "squared")
    y = net.likelihood(z).mode().flatten(1)
    slope = 2 * torch.einsum("nv,nvd->nd", y, jacobians(net, z))
    torch.testing.assert_close(found, slope.square().mean(-1))


def test_jacobian_norm_is_estimated_without_bias(kind):
    net = model(kind).double().eval()
    z = torch.randn(2, D, dtype=torch.float64)
    exact = jacobians(net, z).square().sum((1, 2))
    torch.manual_seed(2)
    draws = torch.stack([gradient_penalty(net, batch(kind, 2), z, "jacobian") for _ in range(400)])
    error = draws.std(0) / 400**0.5
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()


@pytest.mark.parametrize("form", GRADIENTS)
def test_second_derivatives_reach_all_weights(kind, form):
    """Also through batch normalisation in training, against finite differences."""
    net = model(kind).double().train()
    part = batch(kind)
    z = torch.randn(3, D, dtype=torch.float64, requires_grad=True)

    def penalty():
        torch.manual_seed(3)
        return gradient_penalty(net, part, z, form).sum()

    weights = [p for name, p in net.decoder.named_parameters() if p.ndim >= 2]
    slopes = torch.autograd.grad(penalty(), [z, *weights])
    assert all(slope.isfinite().all() for slope in slopes)
    assert all((slope != 0).any() for slope in slopes)
    for weight, slope in zip(weights, slopes[1:], strict=True):
        direction = torch.randn_like(weight)
        direction /= direction.norm()
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight += step * direction
            ends.append(penalty().item())
            with torch.no_grad():
                weight -= step * direction
        numeric = (ends[0] - ends[1]) / 2e-6
        assert numeric == pytest.approx((slope * direction).sum().item(), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rae", {"regularizer": "gp"}),
        ("rae", {"regularizer": "gp", "gradient": "jacobian"}),
        ("rae", {"regularizer": "l2"}),
        ("rae", {"regularizer": "sn"}),
        ("wae", {}),
        ("ae", {"weight": 1e-4}),
        ("vae", {}),
    ],
)
def test_the_same_steps_lower_each_loss(kind, name, options):
    goal = objective(name, **options)
    net = model(kind, NormalHead if name == "vae" else DeltaHead)
    goal.prepare(net)
    net.train()
    part = batch(kind, 16)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for step in range(15):
        loss = goal.terms(net, part, step).loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(loss == loss for loss in losses)
    assert losses[-1] < losses[0]


def test_distortion_is_the_squared_error_and_a_constant(kind):
    net, part = model(kind).eval(), batch(kind)
    parts = objective("ae").terms(net, part, 0).parts
    wanted = (part.x - net.likelihood(net.encode(part.x)).mode()).square().flatten(1).sum(1)
    constant = 0.5 * part.x[0].numel() * torch.log(torch.tensor(torch.pi))
    torch.testing.assert_close(parts["distortion"], wanted + constant, rtol=1e-5, atol=1e-4)


def test_kernels_are_squared_and_dense_layers_and_scales_are_not(kind):
    decoder = model(kind).decoder
    kernels = [p for p in decoder.parameters() if p.ndim == 4]
    assert len(kernels) == (2 if kind == "image" else 3)
    expected = sum(kernel.square().sum() for kernel in kernels)
    torch.testing.assert_close(squared_weights(decoder), expected)
    assert any(p.ndim == 2 for p in decoder.parameters())
    squared_weights(decoder).backward()
    assert all((p.grad is not None) == (p.ndim == 4) for p in decoder.parameters())


def test_spectral_norms_of_dense_and_transposed_layers(kind):
    goal, net = objective("rae", regularizer="sn"), model(kind)
    goal.prepare(net)
    layers = [layer for layer in net.decoder.layers if is_parametrized(layer, "weight")]
    assert len(layers) == 4
    net.train()
    for _ in range(30):
        net.likelihood(torch.randn(2, D))
    net.eval()
    for layer in layers:
        matrix = layer.weight.flatten(1)
        assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1.0, rel=0.05)
    assert not any(is_parametrized(layer, "weight") for layer in net.encoder.layers)
    objective("rae", regularizer="sn", spectra="both").prepare(net)
    assert is_parametrized(net.head.center, "weight")
    layers = [layer for layer in net.encoder.layers if isinstance(layer, Conv2d)]
    assert layers
    assert all(is_parametrized(layer, "weight") for layer in layers)


def test_digits_are_learnt_under_a_spectral_norm():
    """Their net has one doubling; without a normalisation in it only the mean image was learnt."""
    x = torch.tensor(load_digits().images[:600], dtype=torch.float32)[:, None] / 16
    torch.manual_seed(0)
    options = {"hidden": 64, "multiplier": 0.5}
    encoder = ImageEncoder((1, 8, 8), **options)
    net = Autoencoder(
        encoder, DeltaHead(encoder.width, 16), ImageDecoder((1, 8, 8), 16, **options),
        StandardNormal(16),
    )  # fmt: skip
    goal = objective("rae", regularizer="sn", spectra="both", beta=1.15)
    goal.prepare(net)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for step in range(120):
        loss = goal.terms(net, Batch(x[torch.randint(0, 600, (50,))]), step).loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        error = (net.likelihood(net.encode(x)).mode() - x).square().mean()
    assert error < 0.7 * (x - x.mean(0)).square().mean()
