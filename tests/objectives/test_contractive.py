"""The contractive autoencoder against Jacobians that are written out."""

from __future__ import annotations

import pytest
import torch

from molae.densities import StandardNormal
from molae.models import Autoencoder
from molae.nn.heads import DeltaHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.objectives import CAE
from molae.types import Batch


def images():
    torch.manual_seed(0)
    options = {"hidden": 64, "multiplier": 0.5}
    reads = ImageEncoder((1, 8, 8), **options)
    writes = ImageDecoder((1, 8, 8), 3, **options)
    head = DeltaHead(reads.width, 3)
    return Autoencoder(reads, head, writes, StandardNormal(3)).double().eval()


def jacobians(model, x, of):
    def decoded(image):
        z = model.encode(image[None])
        return z[0] if of == "encoder" else model.likelihood(z).outputs(None).flatten()

    return torch.stack([torch.autograd.functional.jacobian(decoded, one) for one in x])


@pytest.mark.parametrize("of", ["encoder", "reconstruction"])
def test_exact_norms_and_unbiased_estimates(of):
    model = images()
    batch = Batch(torch.rand(2, 1, 8, 8, dtype=torch.float64))
    wanted = 0.5 * jacobians(model, batch.x, of).flatten(1).square().sum(1)
    exact = CAE(0.5, of, probes=0).terms(model, batch, 0).parts["contraction"]
    torch.testing.assert_close(exact, wanted)
    goal = CAE(0.5, of, probes=50)
    with torch.no_grad():
        draws = [goal.terms(model, batch, 0).parts["contraction"] for _ in range(8)]
    draws = torch.stack(draws)
    assert ((draws.mean(0) - wanted).abs() < 4 * draws.std(0) / 8**0.5).all()


def test_the_gradient_is_that_of_the_norm(model, batch):
    """Of a linear encoder W the part is weight ||W||^2, whatever x is."""
    weight = model.encoder.weight
    part = CAE(0.3, probes=0).terms(model, batch, 0).parts["contraction"]
    torch.testing.assert_close(part, 0.3 * weight.square().sum().expand(4))
    (gradient,) = torch.autograd.grad(part.mean(), weight)
    torch.testing.assert_close(gradient, 0.6 * weight)


def test_a_contracted_reconstruction_is_a_denoiser(lines):
    """x ~ N(0, 4), r(x) = a x: (1 - a)^2 4 + weight a^2 is least at a = 4 / (4 + weight)."""
    model, goal = lines.linear(DeltaHead, 1, 1), CAE(1.0, "reconstruction")
    lines.learn(model, goal, lambda: Batch(2 * torch.randn(512, 1)), 300)
    assert lines.slope(model) == pytest.approx(0.8, abs=0.02)


def test_free_weights_make_small_codes(lines):
    """Why there is a choice: the encoder's norm falls, and the decoder makes up for it."""
    model, goal = lines.linear(DeltaHead, 1, 1), CAE(1.0, "encoder")
    lines.learn(model, goal, lambda: Batch(2 * torch.randn(512, 1)), 600)
    assert model.head.center.weight.abs().item() < 0.5
    assert lines.slope(model) > 0.9


def test_what_makes_no_sense_is_refused():
    for settings in ({"weight": -1.0}, {"probes": -1}):
        with pytest.raises(ValueError, match="below 0"):
            CAE(**settings)
    with pytest.raises(ValueError, match="did you mean 'encoder'"):
        CAE(of="encode")
