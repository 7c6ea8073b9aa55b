from __future__ import annotations

import math

import pytest
import torch

from molae.densities import Gaussian, NormalizingFlow, density

QUICK = {"transforms": 4, "hidden": 32, "epochs": 25, "learning_rate": 3e-3}


def ring(rows=3000, seed=0):
    """A ring of width 0.1, whose density is known."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(rows, generator=generator)
    radius = 1.0 + 0.1 * torch.randn(rows, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1).double()


def log_ring(z):
    radius = z.norm(dim=1)
    normal = torch.distributions.Normal(1.0, 0.1).log_prob(radius)
    return normal - math.log(2 * math.pi) - radius.log()


@pytest.fixture(scope="module")
def made():
    return NormalizingFlow(**QUICK).fit(ring())


def test_a_known_gaussian():
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.1]])
    z = torch.randn(3000, 3, generator=generator) @ mix.T + 5.0
    flow = NormalizingFlow(transforms=2, hidden=16, epochs=6).fit(z)
    new = torch.randn(1000, 3, generator=generator) @ mix.T + 5.0
    truth = torch.distributions.MultivariateNormal(torch.full((3,), 5.0), scale_tril=mix)
    assert (flow.log_prob(new) - truth.log_prob(new)).abs().mean() < 0.15
    assert (flow.log_prob(new) - truth.log_prob(new)).mean().abs() < 0.05


def test_a_ring(made):
    new = ring(1000, seed=1)
    gap = (log_ring(new) - made.log_prob(new)).mean()
    assert -0.02 < gap < 0.25
    assert made.log_prob(new).mean() > Gaussian().fit(ring()).log_prob(new).mean() + 0.5


def test_two_dimensions_integrate_to_one(made):
    edge = torch.linspace(-6, 6, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(edge, edge)
    total = made.log_prob(grid).exp().sum() * (edge[1] - edge[0]) ** 2
    assert total.item() == pytest.approx(1.0, abs=5e-3)


def test_the_determinant_is_that_of_the_jacobian(made):
    z = ring(3, seed=2)
    for each in z:
        w = made._whiten(each.unsqueeze(0))[0]
        transform = made._transform()
        jacobian = torch.autograd.functional.jacobian(transform, w)
        noise = transform(w)
        log_det = torch.linalg.slogdet(jacobian).logabsdet
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum()
        volume = made.scale_tril.diagonal().log().sum()
        assert made.log_prob(each).item() == pytest.approx(float(normal + log_det - volume))
        assert torch.allclose(transform.inv(noise), w, atol=1e-8)


def test_training_begins_with_the_gaussian():
    for size in (1, 2, 5):
        z = torch.randn(100, size, generator=torch.Generator().manual_seed(0)).exp()
        flow = NormalizingFlow(epochs=1, learning_rate=1e-12).fit(z)
        near = Gaussian().fit(z).sample_rows(0, torch.arange(50))
        gap = flow.log_prob(near) - Gaussian().fit(z).log_prob(near)
        assert gap.abs().max() < 1e-4


def test_every_dimension_is_turned():
    flow = NormalizingFlow(transforms=2, epochs=1).fit(torch.randn(50, 7))
    first, second = (coupling.mask for coupling in flow.couplings)
    assert torch.equal(first, ~second)
    assert first.sum() == 3


def test_weights_take_no_gradients_any_more(made):
    assert not any(p.requires_grad for p in made.parameters())
    assert all(p.dtype == torch.float64 for p in made.parameters())
    fresh = density("flow", **made.settings())
    fresh.load_state_dict(made.state_dict())
    assert not any(p.requires_grad for p in fresh.parameters())


def test_a_handful_of_codes():
    for rows in (2, 19, 25):
        z = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
        with pytest.warns(UserWarning, match="codes") if rows == 2 else _quiet():
            flow = NormalizingFlow(transforms=2, hidden=8, epochs=2).fit(z)
        assert flow.log_prob(z).isfinite().all()


def _quiet():
    from contextlib import nullcontext

    return nullcontext()


def test_settings_are_checked():
    for wrong in ({"transforms": 0}, {"bins": 1}, {"epochs": 0}, {"learning_rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            NormalizingFlow(**wrong)
