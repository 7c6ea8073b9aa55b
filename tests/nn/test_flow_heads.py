"""Heads on flows: their densities against a change of variables by autograd, and what they fit."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from molae.distributions import NormalPosterior, rate
from molae.nn.flow_heads import IafHead, MafHead, NvpHead, PlanarHead
from molae.nn.heads import NormalHead

HEADS = {"nvp": NvpHead, "iaf": IafHead, "maf": MafHead, "planar": PlanarHead}
H, D, B = 6, 3, 5
#: Small ones, which the laws need no more than.
SMALL = {"planar": {"layers": 4}}


def head(name, latent=D, bent=True, **settings):
    torch.manual_seed(0)
    small = SMALL.get(name, {"layers": 3, "width": 16, "told": 5})
    made = HEADS[name](H, latent, **small | settings).double()
    if bent:  # as after some training: what begins as the identity is no test
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.4 * torch.randn_like(parameter))
    return made


@pytest.fixture
def h():
    return torch.randn(B, H, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(params=HEADS)
def name(request):
    return request.param


def test_the_density_is_that_of_the_change_of_variables(name, h):
    posterior = head(name)(h)
    e = posterior.base.rsample().detach()
    z, log_det = posterior.flow.forward(e)
    log_q = posterior.base.log_prob(e) - log_det
    for row in range(B):

        def one(value, row=row):
            return posterior.flow.forward(torch.where(_is(row), value, e))[0][row]

        jacobian = torch.autograd.functional.jacobian(one, e[row])
        volume = torch.linalg.slogdet(jacobian).logabsdet
        normal = Normal(posterior.base.center[row], posterior.base.scale[row]).log_prob(e[row])
        torch.testing.assert_close(log_q[row], normal.sum() - volume)
    # And from z alone, by the inverse.
    torch.testing.assert_close(posterior.log_prob(z), log_q, rtol=1e-6, atol=1e-8)


def _is(row):
    return (torch.arange(B) == row).unsqueeze(1)


def test_there_and_back_and_the_center(name, h):
    posterior = head(name)(h)
    e = torch.randn(2, 4, B, D, dtype=torch.float64)
    z, log_det = posterior.flow.forward(e)
    again, same = posterior.flow.inverse(z)
    torch.testing.assert_close(again, e, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(same, log_det, rtol=1e-6, atol=1e-8)
    assert (z - e).abs().max() > 0.1
    torch.testing.assert_close(posterior.flow.inverse(posterior.center)[0], posterior.base.center)


def test_the_gradient_by_the_inverse(name, h):
    """log q of codes from elsewhere has the right slope for features and codes."""
    made = head(name)
    z = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    h.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, code: made(f).log_prob(code), (h, z), atol=1e-4)


def test_shapes_and_draws_are_remembered(name, h):
    posterior = head(name)(h)
    z, log_q = posterior.rsample_and_log_prob((2, 3))
    assert z.shape == (2, 3, B, D)
    assert log_q.shape == (2, 3, B)
    assert posterior.log_prob(z) is log_q
    torch.testing.assert_close(posterior.log_prob(z.clone()), log_q, rtol=1e-5, atol=1e-7)
    assert posterior.penalty().tolist() == [0.0] * B
    assert posterior.center.shape == (B, D)


def test_it_begins_as_the_normal_distribution(name, h):
    made = head(name, bent=False)
    posterior, base = made(h), made.base(h)
    z = torch.randn(7, B, D, dtype=torch.float64)
    torch.testing.assert_close(posterior.log_prob(z), base.log_prob(z))
    torch.testing.assert_close(posterior.center, base.center)


def test_float32_under_autocast(name, h):
    made, h = head(name).float(), h.float()
    torch.manual_seed(3)
    z, log_q = made(h).rsample_and_log_prob()
    with torch.autocast("cpu", torch.bfloat16):
        posterior = made(h)
        torch.manual_seed(3)
        again, same = posterior.rsample_and_log_prob()
        assert torch.equal(again, z)
        assert torch.equal(same, log_q)
        assert torch.equal(posterior.center, made(h).center)
        assert made(h.bfloat16()).log_prob(z).dtype == torch.float32


def test_one_dimension(name, h):
    posterior = head(name, latent=1)(h)
    z, log_q = posterior.rsample_and_log_prob((4,))
    torch.testing.assert_close(posterior.log_prob(z.clone()), log_q, rtol=1e-5, atol=1e-7)


def banana(z):
    """A target that is bent: z_2 lies around z_1^2."""
    first = Normal(0.0, 1.0).log_prob(z[..., 0])
    return first + Normal(z[..., 0].square() - 1.0, 0.3).log_prob(z[..., 1])


class Bent:
    """It as a prior without a closed form."""

    def log_prob(self, z):
        return banana(z)

    def expected_log_prob(self, mean, scale):
        return None


def fitted_gap(made, steps):
    """KL(q || target) after fitting q by draws, in nats."""
    torch.manual_seed(0)
    h = torch.zeros(128, H)
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    values = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps)
        loss = rate(made(h), Bent()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return sum(values[-50:]) / 50


def test_tighter_than_a_diagonal_posterior_where_the_target_is_bent(name):
    torch.manual_seed(1)
    plain = fitted_gap(NormalHead(H, 2), 200)
    flow = {"planar": {"layers": 8}}.get(name, {"layers": 4, "width": 24, "told": 2})
    bent = fitted_gap(HEADS[name](H, 2, **flow), 200)
    assert plain > 0.4
    assert bent < 0.5 * plain
    assert bent > -0.05  # a divergence is not below 0


def test_the_rate_looks_at_the_draws_that_were_decoded(h):
    posterior = head("iaf")(h)
    z = posterior.rsample()
    by_hand = posterior.log_prob(z) - banana(z)
    assert torch.equal(rate(posterior, Bent(), z), by_hand)
    detached = NormalPosterior(h, torch.ones_like(h) * 2).detached()
    assert math.isclose(detached.scale.mean().item(), 2.0)


def test_settings_are_checked(name):
    with pytest.raises(ValueError, match="layers is 0"):
        HEADS[name](H, D, layers=0)
