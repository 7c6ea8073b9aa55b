"""Likelihoods of pixels against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from molae.names import LIKELIHOODS
from molae.nn.image_likelihood import _CLASSES, BIN, PixelModel, error_weight, is_fixed

SHAPE = (2, 3, 4)


@pytest.fixture
def logits():
    """Of two draws of the codes of five images, float64."""
    generator = torch.Generator().manual_seed(0)
    values = 3 * torch.randn(2, 5, *SHAPE, generator=generator, dtype=torch.float64)
    return values.requires_grad_()


@pytest.fixture
def x():
    """8-bit values of five images; 0 and 255 are among them."""
    generator = torch.Generator().manual_seed(1)
    whole = torch.randint(0, 256, (5, *SHAPE), generator=generator)
    whole[0, 0, 0, :2] = torch.tensor([0, 255])
    return whole.double() / 255


def total(log_prob):
    return log_prob.flatten(-3).sum(-1)


def test_every_name_has_a_class():
    assert {*_CLASSES, "bernoulli"} == set(LIKELIHOODS)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_shapes_and_gradients(kind, logits, x):
    model = PixelModel(kind).double()
    likelihood = model(logits)
    log_prob = likelihood.log_prob(x)
    assert log_prob.shape == (2, 5)
    log_prob.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad != 0).any()
    torch.testing.assert_close(likelihood.mode(), torch.sigmoid(logits))
    torch.testing.assert_close(likelihood.outputs(x), likelihood.mode())
    assert torch.equal(likelihood.lift(x), x)
    assert likelihood.recovers(x).all()
    assert likelihood.recovers(x).shape == (2, 5)


def test_gaussian_is_the_summed_squared_error(logits, x):
    found = PixelModel()(logits).log_prob(x)
    squares = total((x - torch.sigmoid(logits)).square())
    constant = 0.5 * x[0].numel() * math.log(math.pi)
    torch.testing.assert_close(-found, squares + constant)


@pytest.mark.parametrize(("kind", "sigma"), [("gaussian", 0.3), ("learned", 0.3)])
def test_normal_with_one_sigma(kind, sigma, logits, x):
    found = PixelModel(kind, sigma).double()(logits).log_prob(x)
    expected = total(Normal(torch.sigmoid(logits), sigma).log_prob(x))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_learned_sigma_ends_at_the_root_mean_square(logits, x):
    model = PixelModel("learned")
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    fixed = logits.detach().float()
    for _ in range(300):
        loss = -model(fixed).log_prob(x.float()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    error = (x - torch.sigmoid(logits)).square().mean().sqrt().item()
    assert model.log_sigma().exp().item() == pytest.approx(error, rel=1e-3)


def test_optimal_sigma(logits, x):
    model = PixelModel("optimal").double().train()
    found = model(logits).log_prob(x)
    variance = (x - torch.sigmoid(logits)).square().mean()
    values = x[0].numel()
    expected = -0.5 * values * (1 + torch.log(2 * math.pi * variance))
    torch.testing.assert_close(found.mean(), expected)
    # As if sigma had a gradient of its own: it is 0 where sigma is best.
    found.mean().backward()
    ours = logits.grad.clone()
    logits.grad = None
    variance = (x - torch.sigmoid(logits)).square().mean()
    (-0.5 * values * torch.log(variance)).backward()
    torch.testing.assert_close(ours, logits.grad)


def test_optimal_sigma_is_remembered(logits, x):
    model = PixelModel("optimal").double().train()
    model(logits).log_prob(x)
    first = (x - torch.sigmoid(logits)).square().mean().detach()
    torch.testing.assert_close(model.error, first)
    model(logits).log_prob(x + 1)
    second = (x + 1 - torch.sigmoid(logits)).square().mean().detach()
    torch.testing.assert_close(model.error, 0.99 * first + 0.01 * second)
    model.eval()
    before = model.error.clone()
    one, all_of_them = model(logits[:, :1]).log_prob(x[:1]), model(logits).log_prob(x)
    torch.testing.assert_close(one[:, 0], all_of_them[:, 0])  # not of what else is in the batch
    assert torch.equal(model.error, before)
    assert "error" in model.state_dict()


def test_optimal_sigma_waits_for_no_number():
    """On the device ``meta`` there are none to wait for."""
    model = PixelModel("optimal").to("meta")
    logits = torch.zeros(2, *SHAPE, device="meta")
    for mode in (True, False):
        model.train(mode)
        assert model(logits).log_prob(torch.zeros_like(logits)).shape == (2,)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_what_an_error_weighs(kind):
    """The curvature of -log p by the mean, halved, where it is known in closed form."""
    sigma = None if kind in ("bernoulli", "optimal") else 0.3
    model = PixelModel(kind, sigma).double().eval()
    mean = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)

    def loss(shift):
        torch.manual_seed(0)
        return -model(torch.logit(mean + shift)).log_prob(mean)

    step = 1e-3
    halved = (loss(step) + loss(-step) - 2 * loss(0.0)) / (2 * step**2)
    if kind == "optimal":  # in evaluation, before anything was seen, sigma is that of the batch
        model.error.fill_(0.2**2)
        halved = (loss(step) + loss(-step) - 2 * loss(0.0)) / (2 * step**2)
    assert halved.item() == pytest.approx(error_weight(kind, sigma), rel=1e-3)
    assert error_weight("gaussian", 0.5**0.5) == pytest.approx(error_weight("gaussian", None))
    learnt = any(True for _ in model.parameters()) or kind in ("bernoulli", "optimal")
    assert is_fixed(kind, sigma) == (not learnt)


def test_bernoulli(logits, x):
    found = PixelModel("bernoulli")(logits).log_prob(x)
    chance = torch.sigmoid(logits)
    expected = total(x * chance.log() + (1 - x) * (1 - chance).log())
    torch.testing.assert_close(found, expected)


def test_quantised_is_a_normal_with_noise_of_a_bin(logits, x):
    torch.manual_seed(0)
    found = PixelModel("quantised", 0.2)(logits).log_prob(x)
    torch.manual_seed(0)
    noisy = x + BIN * (torch.rand_like(x) - 0.5)
    expected = total(Normal(torch.sigmoid(logits), 0.2).log_prob(noisy) + math.log(BIN))
    torch.testing.assert_close(found, expected)


def test_quantised_bounds_discretised_from_below(logits, x):
    middle = x.clamp(1 / 255, 254 / 255)  # the outermost bins of the one are open
    discretised = PixelModel("discretised", 0.01)(logits).log_prob(middle)
    draws = [PixelModel("quantised", 0.01)(logits).log_prob(middle) for _ in range(200)]
    assert (torch.stack(draws).mean(0) < discretised).all()


@pytest.mark.parametrize("sigma", [0.0026, 0.02, 0.2, 1.0, 10.0])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_256_values_share_a_probability_of_one(sigma, dtype, near):
    means = torch.tensor([-80.0, -5.0, -1.0, 0.0, 0.3, 4.0, 30.0], dtype=dtype).view(-1, 1, 1, 1)
    likelihood = PixelModel("discretised", sigma)(means)
    each = [likelihood.each(torch.full((7, 1, 1, 1), k / 255, dtype=dtype)) for k in range(256)]
    masses = torch.stack(each).exp().sum(0)
    torch.testing.assert_close(masses, torch.ones_like(masses), rtol=0, atol=near)


def test_discretised_is_the_mass_of_the_bin(logits, x):
    found = PixelModel("discretised", 0.1)(logits).log_prob(x)
    normal = Normal(torch.sigmoid(logits), 0.1)
    high = torch.where(x == 1, 1.0, normal.cdf(x + BIN / 2))
    low = torch.where(x == 0, 0.0, normal.cdf(x - BIN / 2))
    near = (x - torch.sigmoid(logits)).abs() < 0.5  # further out the difference has no digits
    ours = PixelModel("discretised", 0.1)(logits).each(x)
    torch.testing.assert_close(ours[near], (high - low).log()[near], rtol=1e-6, atol=1e-6)
    assert found.isfinite().all()


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_draws_depend_on_seed_and_index_only(kind):
    logits = torch.randn(6, 1, 5, 3)
    model = PixelModel(kind).eval()
    index = torch.arange(6)
    whole = model(logits).sample(3, index)
    assert torch.equal(whole, model(logits).sample(3))
    assert torch.equal(whole[4:], model(logits[4:]).sample(3, index[4:]))
    assert not torch.equal(whole, model(logits).sample(4))
    led = model(logits.view(2, 3, 1, 5, 3)).sample(3, index.view(2, 3))
    assert torch.equal(led.flatten(0, 1), whole)
    assert model(logits[:0]).sample(3).shape == (0, 1, 5, 3)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_draws_have_the_mean_and_the_deviation(kind):
    logits = torch.tensor([-1.0, 0.0, 0.5]).view(1, 3, 1, 1).expand(20_000, 3, 1, 1)
    model = PixelModel(kind, None if kind in ("bernoulli", "optimal") else 0.1).eval()
    draws = model(logits).sample(0)
    chance = torch.sigmoid(logits[0])
    sigma = {"optimal": 0.2}.get(kind, 0.1)
    width = (
        (chance * (1 - chance)).sqrt() if kind == "bernoulli" else torch.full_like(chance, sigma)
    )
    torch.testing.assert_close(draws.mean(0), chance, rtol=0, atol=0.015)
    torch.testing.assert_close(draws.std(0), width, rtol=0.03, atol=0)
    if kind != "bernoulli":
        cold = model(logits).sample(0, temperature=0.1)
        torch.testing.assert_close(cold.std(0), 0.1 * width, rtol=0.03, atol=0)
    if kind in ("quantised", "discretised"):
        assert torch.equal((draws * 255).round() / 255, draws)


def test_reparametrised_draws(logits):
    torch.manual_seed(0)
    drawn = PixelModel("gaussian", 0.5)(logits).rsample()
    torch.manual_seed(0)
    noise = torch.randn_like(logits)
    torch.testing.assert_close(drawn, torch.sigmoid(logits) + 0.5 * noise)
    drawn.sum().backward()
    assert (logits.grad != 0).all()
    assert torch.equal(PixelModel("bernoulli")(logits).rsample(), torch.sigmoid(logits))


def test_half_precision_is_left_behind(x):
    logits = torch.randn(5, *SHAPE, dtype=torch.bfloat16)
    assert PixelModel()(logits).log_prob(x.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "gausian"}, "did you mean 'gaussian'"),
        ({"kind": "bernoulli", "sigma": 0.1}, "'bernoulli' has no sigma"),
        ({"kind": "optimal", "sigma": 0.1}, "'optimal' has no sigma"),
        ({"sigma": 0.0}, "above 0"),
        ({"kind": "learned", "sigma": 1e-4}, "expected more than"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        PixelModel(**options)
    with pytest.raises(ValueError, match="temperature"):
        PixelModel()(torch.zeros(1, 1, 2, 2)).sample(temperature=0.0)
