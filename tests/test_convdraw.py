"""ConvDRAW: steps that add up, a prior that depends on them, contexts, and that it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.datasets import load_digits

from molae.convdraw import ConvDRAW
from molae.distributions import rate
from molae.nn.draw import code_unit
from molae.objectives import objective
from molae.types import Batch

SHAPE, T = (1, 8, 8), 3
D = 3 * 16
SMALL = {"steps": T, "channels": 12, "kernel": 3}


def made(seed=0, **settings):
    """A model whose prior and posterior depend on what was before."""
    torch.manual_seed(seed)
    settings = SMALL | {"shape": SHAPE, "latent": D} | settings
    model = ConvDRAW(settings.pop("shape"), settings.pop("latent"), **settings)
    with torch.no_grad():
        for layer in (model.head, model.decoder.prior):
            layer.weight.normal_(std=0.3)
            layer.bias.normal_(std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture
def x():
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_verbs_and_shapes(model, x):
    posterior = model.posterior(x)
    assert posterior.center.shape == (5, D)
    z, log_q = posterior.rsample_and_log_prob((2, 3))
    assert z.shape == (2, 3, 5, D)
    assert log_q.shape == (2, 3, 5)
    assert posterior.rate(z).shape == (2, 3, 5)
    assert posterior.rates(z).shape == (T, 2, 3, 5)
    assert posterior.penalty().shape == (5,)
    assert set(posterior.logged()) == {"rate_1", "rate_2", "rate_3"}
    assert all(value.shape == (5,) for value in posterior.logged().values())
    assert model.prior.log_prob(z).shape == (2, 3, 5)
    assert model.likelihood(z).log_prob(x).shape == (2, 3, 5)
    assert model.decode(z[0]).shape == (3, 5, *SHAPE)
    assert torch.equal(model.encode(x), posterior.center)
    assert model.encode(x[:0]).shape == (0, D)


@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 9, 15), (1, 28, 28)])
def test_any_size(shape):
    unit = code_unit(shape, 2)
    model = ConvDRAW(shape, 2 * unit, steps=2, channels=4, kernel=3)
    x = torch.rand(2, *shape)
    assert model.decode(model.encode(x)).shape == x.shape


def test_what_is_remembered_is_what_is_found_again(model, x):
    posterior = model.posterior(x)
    z, log_q = posterior.rsample_and_log_prob((2,))
    rates = posterior.rates(z)
    again = z.clone()  # other codes, for all it knows
    torch.testing.assert_close(posterior.log_prob(again), log_q)
    torch.testing.assert_close(posterior.rates(again), rates)
    torch.testing.assert_close(rate(posterior, model.prior, z), rates.sum(0))


def test_each_step_depends_on_those_before_and_no_other(model, x):
    z = torch.randn(1, D, requires_grad=True)
    each = []

    def choose(step, p, state):
        each.append(p.center.sum() + p.scale.sum())
        return z[:, step * 16 : step * 16 + 16]

    model.decoder.unroll(model.decoder.told(None, (1,)), choose)
    assert (
        not each[0].requires_grad
        or not torch.autograd.grad(each[0], z, retain_graph=True, allow_unused=True)[0]
    )
    for step in (1, 2):
        slope = torch.autograd.grad(each[step], z, retain_graph=True)[0].view(T, 16)
        assert slope[:step].any(1).all()
        assert not slope[step:].any()


def test_the_rate_is_the_mean_of_log_q_minus_log_p(model, x):
    posterior = model.posterior(x[:2])
    with torch.no_grad():
        z, log_q = posterior.rsample_and_log_prob((3000,))
        ratio = log_q - model.prior.log_prob(z)
        rates = posterior.rate(z)
    error = (ratio.var(0) / 3000).sqrt() + (rates.var(0) / 3000).sqrt()
    assert ((ratio.mean(0) - rates.mean(0)).abs() < 4 * error).all()
    assert (rates.var(0) < ratio.var(0)).all()  # what the closed form is for


def test_the_prior_is_normal_before_anything_is_learnt():
    fresh = ConvDRAW(SHAPE, D, **SMALL)
    z = torch.randn(4, D)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(fresh.prior.log_prob(z), normal)


def test_draws_of_the_prior_follow_its_density(model):
    with torch.no_grad():
        one = model.prior.log_prob(model.prior.sample(600, torch.Generator().manual_seed(0)))
        # E log p(z) over normal noise through the steps: z_t = mean + scale e.
        two = model.prior.log_prob(model.prior.sample_rows(1, torch.arange(600)))
    error = ((one.var() + two.var()) / 600).sqrt()
    assert (one.mean() - two.mean()).abs() < 4 * error
    # A draw, taken step by step, has the noise that it was made of.
    u = torch.rand(3, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z, noise, each = model.prior.from_uniforms(u).float(), torch.special.ndtri(u).float(), []

    def choose(step, p, state):
        part = z[:, step * 16 : step * 16 + 16]
        each.append((part - p.center) / p.scale)
        return part

    model.decoder.unroll(model.decoder.told(None, (3,)), choose)
    torch.testing.assert_close(torch.cat(each, 1), noise, rtol=1e-4, atol=1e-4)


def test_rows_do_not_depend_on_the_batch(model, x):
    many = torch.rand(70, *SHAPE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        z, images = model.encode(many), model.decode(model.encode(many))
        assert torch.equal(model.encode(many[66:]), z[66:])
        assert torch.equal(model.decode(z[3:5]), images[3:5])
    index = torch.arange(70)
    drawn = model.prior.sample_rows(3, index)
    assert torch.equal(model.prior.sample_rows(3, index[65:67]), drawn[65:67])


def test_the_prior_has_no_weights_of_its_own(model):
    assert not list(model.prior.parameters())
    assert not [name for name in model.state_dict() if name.startswith("prior")]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.decoder.prior.bias.add_(1.0)
    z = torch.randn(2, D)
    assert not torch.allclose(twin.prior.log_prob(z), model.prior.log_prob(z))
    with pytest.raises(ValueError, match="learnt with it"):
        model.prior.fit(z)


@pytest.mark.parametrize("context", [3, (2, 8, 8)])
def test_a_context_is_read_everywhere(context, x):
    model = made(context=context)
    shape = (context,) if isinstance(context, int) else context
    known = torch.rand(5, *shape, generator=torch.Generator().manual_seed(3))
    other = known.flip(0)
    z = torch.randn(2, 5, D)
    assert not torch.allclose(model.encode(x, known), model.encode(x, other))
    assert not torch.allclose(model.decode(z, known), model.decode(z, other))
    ours, theirs = model.prior.given(known), model.prior.given(other)
    assert not torch.allclose(ours.log_prob(z), theirs.log_prob(z))
    assert ours.sample(5).shape == (5, D)
    rows = torch.cat([model.decode(z[0, i : i + 1], known[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(rows, model.decode(z[0], known))
    posterior = model.posterior(x, known)
    drawn, log_q = posterior.rsample_and_log_prob((400,))
    ratio = (log_q - ours.log_prob(drawn)).detach()
    gap = ratio.mean(0) - posterior.rate(drawn).detach().mean(0)
    assert (gap.abs() < 5 * ratio.std(0) / 20).all()
    for call in (
        lambda: model.decode(z),
        lambda: model.prior.log_prob(z),
        lambda: model.posterior(x, known[:, :1]).center,
    ):
        with pytest.raises(ValueError, match="was built for a context"):
            call()


def digits():
    return torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16


@pytest.mark.parametrize("name", ["vae", "geco"])
def test_it_learns_digits_a_little(name):
    torch.manual_seed(0)
    model = ConvDRAW(SHAPE, D, **SMALL, likelihood="gaussian", sigma=0.2).train()
    settings = {"initial": 20.0} if name == "geco" else {}
    goal, x = objective(name, **settings).train(), digits()
    goal.prepare(model)
    players = goal.players(model)
    optimizer = torch.optim.Adam(players[0].parameters, 1e-2)
    shown = []
    for step in range(80):
        terms = players[0].terms(model, Batch(x[torch.randint(len(x), (32,))]), step)
        optimizer.zero_grad()
        terms.loss().backward()
        optimizer.step()
        shown.append(terms)
    model.eval()
    spread = (x - x.mean(0)).square().mean()
    error = (model.decode(model.encode(x[:200])) - x[:200]).square().mean()
    assert error < 0.75 * spread
    if name == "vae":
        last = shown[-1].logged
        each = torch.stack([last[f"rate_{step}"] for step in (1, 2, 3)])
        torch.testing.assert_close(each.sum(0), last["rate"])
        before, after = (terms.logged["bound"].mean() for terms in (shown[0], shown[-1]))
        assert after > before + 15
    with torch.no_grad():
        z = model.posterior(x[:100]).rsample()
        near, far = model.prior.log_prob(z), model.prior.log_prob(z.flip(1))
    assert near.mean() > far.mean()  # the prior has learnt too


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latent": 50}, r"latent_dim 48"),
        ({"latent": 16}, r"latent_dim 48"),
        ({"kernel": 2}, "odd"),
        ({"context": (1, 4, 8)}, "must be the same"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(ValueError, match=words):
        made(**settings)


def test_images_of_another_size_are_refused(model):
    with pytest.raises(ValueError, match=r"built for \(1, 8, 8\)"):
        model.posterior(torch.rand(2, 1, 8, 9))
