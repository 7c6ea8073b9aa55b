from __future__ import annotations

import math

import pytest
import torch

from molae.densities import Gaussian, TwoStage, density

QUICK = {"hidden": 32, "layers": 1, "epochs": 25, "learning_rate": 3e-3}


def gauss(rows=3000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    return torch.randn(rows, 2, generator=generator) @ mix.T + 5.0


@pytest.fixture(scope="module", params=[False, True], ids=["line", "skip"])
def made(request):
    return TwoStage(skip=request.param, **QUICK).fit(gauss())


def with_samples(made, samples, seed=0):
    other = density("two_stage", **made.settings() | {"samples": samples, "seed": seed})
    other.load_state_dict(made.state_dict())
    return other


def test_a_known_gaussian(made):
    mix = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    truth = torch.distributions.MultivariateNormal(torch.full((2,), 5.0), scale_tril=mix)
    new = gauss(1000, seed=1)
    gap = (truth.log_prob(new) - made.log_prob(new)).mean()
    assert -0.02 < gap < 0.1


def test_draws_have_mean_and_covariance(made):
    z, drawn = gauss(), made.sample_rows(0, torch.arange(20_000))
    scale = z.std(0)
    assert ((drawn.mean(0) - z.mean(0)).abs() < 0.06 * scale).all()
    spread = (torch.cov(drawn.T) - torch.cov(z.T)).abs()
    assert (spread < 0.1 * torch.outer(scale, scale)).all()


def last(network):
    """The last layer."""
    return network[-1] if isinstance(network, torch.nn.Sequential) else network.last


def test_closed_form(made):
    """Straight lines: w = 0.9^(1/2) u + b + 0.1^(1/2) noise, p(w) = N(b, I), q(u|w) is exact."""
    plain, b = with_samples(made, 5), torch.tensor([0.3, -0.2]).double()
    slope, narrow = math.sqrt(0.9), 0.5 * math.log(0.1)
    write, read = last(plain.vae.decoder), last(plain.vae.encoder)
    with torch.no_grad():
        for layer in (write, read):
            layer.weight.zero_()
            layer.bias.zero_()
        if made.skip:  # the line is what the last layer makes of its input
            write.weight[:, :2] = read.weight[:2, :2] = slope * torch.eye(2)
            read.bias[2:] = narrow
        write.bias.copy_(b)
        read.bias[:2] = -slope * b
        plain.vae.log_scale.fill_(narrow)
    z = gauss(20, seed=3).double()
    w = torch.linalg.solve(plain.scale_tril, (z - plain.mean).T).T
    expected = torch.distributions.Normal(b, 1.0).log_prob(w).sum(1)
    expected -= torch.linalg.slogdet(plain.scale_tril).logabsdet
    assert torch.allclose(plain.log_prob(z), expected, atol=1e-9)
    drawn = plain.sample_rows(0, torch.arange(20_000)).double()
    white = torch.linalg.solve(plain.scale_tril, (drawn - plain.mean).T).T
    assert torch.allclose(white.mean(0), b, atol=0.03)
    assert torch.allclose(torch.cov(white.T), torch.eye(2).double(), atol=0.03)
    plain.vae.log_scale.data.fill_(math.log(2.0))  # more noise on what is drawn
    noisy = torch.cov(plain.sample_rows(0, torch.arange(20_000)).double().T)
    expected = plain.scale_tril @ plain.scale_tril.T * 4.9
    assert torch.allclose(noisy, expected, rtol=0.05)


def test_training_begins_with_the_gaussian():
    """And ends no worse: a handful of codes tells no more than their mean and covariance."""
    z = gauss(60)
    few = TwoStage(hidden=16, epochs=1, learning_rate=1e-12).fit(z)
    gap = few.log_prob(z) - Gaussian().fit(z).log_prob(z)
    assert gap.abs().max() < 1e-4


def test_more_samples_are_tighter(made):
    torch.manual_seed(0)
    loose = with_samples(made, 1)
    with torch.no_grad():  # a posterior that is too wide leaves a gap
        last(loose.vae.encoder).bias[2:] += 1.0
    z = gauss(500, seed=4)
    means = []
    for samples in (1, 8, 64):
        other = with_samples(loose, samples)
        means.append(float(other.log_prob(z).mean()))
    assert means[0] < means[1] - 0.05
    assert means[1] < means[2]


def test_a_code_has_one_value_in_any_batch(made):
    z = gauss(300, seed=5)
    whole = made.log_prob(z)
    assert torch.allclose(torch.cat([made.log_prob(part) for part in z.split(7)]), whole)
    assert not torch.equal(with_samples(made, 64, seed=1).log_prob(z), whole)


def test_draws_are_noisy_around_the_decoder(made):
    assert made.width == 5
    assert "gamma" in made.described()
    assert made.settings()["samples"] == 64


def test_the_published_networks():
    """Three hidden layers, the input beside what comes out; gamma is 1 at first."""
    made = TwoStage(hidden=16, layers=3, skip=True, epochs=1, learning_rate=1e-12).fit(gauss(60))
    assert made.vae.decoder.last.in_features == 2 + 16
    assert [tuple(p.shape) for p in made.vae.encoder.hidden.parameters() if p.ndim == 2] == [
        (16, 2), (16, 16), (16, 16)
    ]  # fmt: skip
    assert made.vae.encoder.last.out_features == 4
    assert made.described() == "3 layers of 16 with a skip, gamma 1, bound of 64 samples"
    w = gauss(5).double()
    before = made.vae.decode(w)
    made.vae.decoder.last.weight[:, 0] += 1.0  # of the first number of the input
    torch.testing.assert_close(made.vae.decode(w), before + w[:, :1])


def test_it_learns_what_is_no_gaussian():
    """Nats that a curved density of codes has over one Gaussian."""
    u = torch.randn(2500, 2, generator=torch.Generator().manual_seed(0))
    z = torch.stack([1.5 * u[:, 0], 0.7 * u[:, 0] ** 2 + 0.3 * u[:, 1]], 1)
    made = TwoStage(skip=True, **QUICK).fit(z[:2000])
    gained = made.log_prob(z[2000:]) - Gaussian().fit(z[:2000]).log_prob(z[2000:])
    assert gained.mean() > 0.4


def test_settings_are_checked():
    for wrong in ({"hidden": 0}, {"samples": 0}, {"patience": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TwoStage(**wrong)
