"""Gaussian processes: what they learn, that they repeat, and what sparse ones lose."""

from __future__ import annotations

import pytest
import torch

from molae.optimize.scales import normal_scores
from molae.optimize.surrogates import exact_gp, hyper_parameters, sparse_gp


def cloud(n, size, seed=0):
    """Points as whitened codes are: around the middle of a cube."""
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + torch.randn(n, size, generator=generator, dtype=torch.float64) / 8


def wave(x):
    """Along the diagonal, one standard deviation to either side of the middle a slope; about 1."""
    size = x.shape[1]
    return 1.5 * torch.sin(8.0 * (x - 0.5).sum(1) / size**0.5)


def error(model, x, truth):
    with torch.no_grad():
        return (model.posterior(x).mean.squeeze(-1) - truth).square().mean().sqrt().item()


@pytest.fixture(scope="module")
def exact():
    x = cloud(60, 3)
    return exact_gp(x, wave(x), 0)


def test_a_smooth_function_is_learnt(exact):
    x = cloud(200, 3, seed=1)
    assert error(exact, x, wave(x)) < 0.25


def test_in_many_dimensions_few_scores_are_enough():
    """A slope along one direction of sixty, seen at a hundred points: no direction is special."""
    x, fresh = cloud(100, 60), cloud(300, 60, seed=1)
    way = torch.full((60,), 8.0 / 60**0.5, dtype=torch.float64)
    model = exact_gp(x, (x - 0.5) @ way, 0)
    assert error(model, fresh, (fresh - 0.5) @ way) < 0.65  # 1 without learning


def test_doubt_grows_with_distance(exact):
    near, far = (torch.full((1, 3), v, dtype=torch.float64) for v in (0.5, 3.0))
    with torch.no_grad():
        assert exact.posterior(far).variance > 5 * exact.posterior(near).variance


def test_noise_is_learnt_as_noise():
    x = cloud(80, 2)
    noise = torch.randn(80, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model = exact_gp(x, normal_scores(noise), 0)
    assert model.likelihood.noise.item() > 0.3


@pytest.mark.parametrize("y", [torch.zeros(6), torch.zeros(6).index_fill(0, torch.tensor(2), 1.0)])
def test_the_same_point_several_times_and_next_to_no_scores(y):
    x = cloud(6, 2)[[0, 0, 0, 1, 1, 2]]
    model = exact_gp(x, y.double(), 0)
    with torch.no_grad():
        assert model.posterior(x).variance.isfinite().all()


def test_one_point():
    model = exact_gp(cloud(1, 2), torch.zeros(1, dtype=torch.float64), 0)
    with torch.no_grad():
        assert model.posterior(cloud(3, 2)).mean.isfinite().all()


def test_fits_repeat_and_leave_the_global_generator_alone(monkeypatch):
    monkeypatch.setattr("molae.optimize.surrogates._FIRST_STEPS", 50)
    x = cloud(300, 3)
    torch.manual_seed(1)
    found = [
        (exact_gp(x[:40], wave(x[:40]), 5), sparse_gp(x, wave(x), torch.arange(20), {}, 5))
        for _ in range(2)
    ]
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    for one, other in zip(*found, strict=True):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key


# Sparse ------------------------------------------------------------------------------------------

FIRST = torch.arange(25)


@pytest.fixture(scope="module")
def many():
    x = cloud(1500, 3)
    return x, wave(x)


@pytest.fixture(scope="module")
def sparse(many):
    return sparse_gp(*many, FIRST, {}, 0)


def test_few_inducing_points_learn_from_many(sparse, many):
    """More than an exact process learns from those points alone."""
    x = cloud(200, 3, seed=1)
    few = exact_gp(many[0][FIRST], many[1][FIRST], 0)
    assert error(sparse, x, wave(x)) < 0.15
    assert error(sparse, x, wave(x)) < 0.7 * error(few, x, wave(x))


def test_with_a_point_for_each_it_is_exact(monkeypatch):
    """In closed form, under the same hyper-parameters: means and variances agree."""
    monkeypatch.setattr("molae.optimize.surrogates._FIRST_STEPS", 0)
    x = cloud(40, 2)
    y = wave(x) + 0.3 * torch.randn(40, generator=torch.Generator().manual_seed(1)).double()
    exact, sparse = exact_gp(x, y, 0), sparse_gp(x, y, torch.arange(40), {}, 0)
    fresh = cloud(50, 2, seed=1)
    with torch.no_grad():
        a, b = exact.posterior(fresh), sparse.posterior(fresh)
        assert torch.allclose(a.mean, b.mean, atol=1e-3)
        assert torch.allclose(a.variance, b.variance, atol=1e-3)


def test_it_goes_on_from_what_it_learnt(many, sparse):
    """Its scale is there at once, and scores that changed are learnt."""
    x, y = many
    learnt = hyper_parameters(sparse)
    fresh = cloud(200, 3, seed=1)
    turned = sparse_gp(x, -y, FIRST + 100, learnt, 1)
    assert error(turned, fresh, -wave(fresh)) < 0.15
    scales = [model.model.covar_module.lengthscale for model in (sparse, turned)]
    assert torch.allclose(scales[0], scales[1], rtol=0.5)


def noisy(x, seed):
    noise = torch.randn(len(x), generator=torch.Generator().manual_seed(seed))
    return wave(x) + 0.4 * noise.double()


def held_out(model):
    """Mean log-likelihood of scores that were not learnt from; -0.50 is that of the truth."""
    x = cloud(200, 3, seed=1)
    with torch.no_grad():
        there = model.posterior(x, observation_noise=True)
    normal = torch.distributions.Normal(there.mean, there.variance.sqrt())
    return normal.log_prob(noisy(x, 3)[:, None]).mean().item()


@pytest.mark.parametrize(
    ("name", "factor", "gain"),
    [("likelihood.noise_covar.raw_noise", 0.1, 1.0), ("kernel.raw_lengthscale", 0.4, 0.05)],
)
def test_minibatches_correct_what_was_learnt_wrong(many, sparse, monkeypatch, name, factor, gain):
    """Noise or scales that are too small: what was not learnt from becomes likelier."""
    monkeypatch.setattr("molae.optimize.surrogates._MORE_STEPS", 60)
    x, _ = many
    right = hyper_parameters(sparse_gp(x, noisy(x, 2), FIRST, hyper_parameters(sparse), 0))
    wrong = right | {name: factor * right[name]}
    after = sparse_gp(x, noisy(x, 2), FIRST, wrong, 0)
    monkeypatch.setattr("molae.optimize.surrogates._MORE_STEPS", 0)
    before = sparse_gp(x, noisy(x, 2), FIRST, wrong, 0)
    assert held_out(after) > held_out(before) + gain


def test_from_ask_to_ask_the_likelihood_stays(many):
    """The noise, 0.16, does not grow on what the inducing points cannot explain."""
    x, y = many[0], noisy(many[0], 2)
    model = sparse_gp(x, y, FIRST, {}, 0)
    assert held_out(model) > -0.6
    for k in range(1, 5):
        model = sparse_gp(x, y, FIRST + 30 * k, hyper_parameters(model), k)
    assert held_out(model) > -0.6
    assert model.likelihood.noise.item() == pytest.approx(0.16, rel=0.3)


def test_steps_do_not_leave_the_bounds(many, monkeypatch):
    """Adam at a reckless rate, on scores without noise."""
    monkeypatch.setattr("molae.optimize.surrogates._RATE", 0.3)
    x, y = many
    model = sparse_gp(x, y, FIRST, {}, 0)
    assert model.likelihood.noise.item() >= 1e-4
    assert model.model.covar_module.lengthscale.min().item() >= 0.025
    assert error(model, x[:100], y[:100]) < 1.5
