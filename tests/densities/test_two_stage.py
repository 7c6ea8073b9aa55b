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
    """Three hidden layers, the input beside what comes out."""
    made = TwoStage(hidden=16, layers=3, skip=True, epochs=1, learning_rate=1e-12).fit(gauss(60))
    assert made.vae.decoder.last.in_features == 2 + 16
    assert [tuple(p.shape) for p in made.vae.encoder.hidden.parameters() if p.ndim == 2] == [
        (16, 2), (16, 16), (16, 16)
    ]  # fmt: skip
    assert made.vae.encoder.last.out_features == 4
    assert made.described() == "3 layers of 16 with a skip, gamma 0.1, bound of 64 samples"
    w = gauss(5).double()
    before = made.vae.decode(w)
    made.vae.decoder.last.weight[:, 0] += 1.0  # of the first number of the input
    torch.testing.assert_close(made.vae.decode(w), before + w[:, :1])


def clusters(rows, seed):
    """Eight narrow groups on corners of a cube in 4 dimensions, as far from each other as wide."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(2, (rows, 3), generator=generator) * 2.0 - 1.0
    at = torch.cat([corners, corners.prod(1, keepdim=True)], 1)
    return at + 0.2 * torch.randn(rows, 4, generator=generator)


@pytest.mark.parametrize(
    "settings", [{}, {"skip": True}, {"gamma": 0.05}], ids=["line", "skip", "fixed"]
)
def test_it_does_not_collapse_to_one_gaussian(settings):
    """Clusters are white as they are: one Gaussian and a decoder that ignores u are the same."""
    z, new = clusters(2000, 0), clusters(500, 1)
    made = TwoStage(**settings, **QUICK | {"batch_size": 64, "hidden": 64}).fit(z)
    gained = made.log_prob(new) - Gaussian().fit(z).log_prob(new)
    assert gained.mean() > 0.8
    assert made.vae.decode(torch.randn(1000, 4).double()).var(0).mean() > 0.5


def test_a_gamma_that_is_given_stays():
    """Also through a file; draws without noise are means of the same latent numbers."""
    z = gauss(300)
    settings = {"gamma": 0.05, "hidden": 16, "layers": 1, "epochs": 2}
    noisy = TwoStage(**settings).fit(z)
    plain = density("two_stage", **noisy.settings() | {"noise": False})
    plain.load_state_dict(noisy.state_dict())
    for made in (noisy, plain):
        assert "gamma 0.05" in made.described()
        assert not any(p.requires_grad for p in made.parameters())
    assert torch.equal(noisy.log_prob(z), plain.log_prob(z))
    u = torch.rand(20_000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = torch.cat([u[:, :3], u[:, 3:].flip(0)], 1)  # of the noise
    assert torch.equal(plain.from_uniforms(u), plain.from_uniforms(other))
    w = torch.linalg.solve(plain.scale_tril, (noisy.from_uniforms(u) - plain.from_uniforms(u)).T)
    assert torch.allclose(torch.cov(w), 0.05 * torch.eye(2).double(), atol=2e-3)


def test_the_weight_of_the_divergence_that_a_gamma_is():
    """Beta times the loss is the mean squared error plus beta divergences, and a constant."""
    size, beta = 3, 0.02
    gamma = size * beta / 2
    z = torch.randn(50, size, generator=torch.Generator().manual_seed(0))
    vae = TwoStage(gamma=gamma, hidden=8, epochs=1).fit(z).vae
    w = torch.randn(40, size, generator=torch.Generator().manual_seed(1)).double()
    mean, log_scale = vae.posterior(w)
    noise = torch.randn(w.shape, generator=torch.Generator().manual_seed(2), dtype=w.dtype)
    error = (w - vae.decode(mean + log_scale.exp() * noise)).square().mean(1)
    rate = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, log_scale.exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    constant = size / 2 * math.log(2 * math.pi * gamma)
    loss = vae.loss(w, torch.Generator().manual_seed(2))
    # The scale was kept in single precision.
    torch.testing.assert_close(beta * (loss - constant), error + beta * rate, rtol=1e-5, atol=0)


def test_it_learns_what_is_no_gaussian():
    """Nats that a curved density of codes has over one Gaussian."""
    u = torch.randn(2500, 2, generator=torch.Generator().manual_seed(0))
    z = torch.stack([1.5 * u[:, 0], 0.7 * u[:, 0] ** 2 + 0.3 * u[:, 1]], 1)
    made = TwoStage(skip=True, **QUICK).fit(z[:2000])
    gained = made.log_prob(z[2000:]) - Gaussian().fit(z[:2000]).log_prob(z[2000:])
    assert gained.mean() > 0.4


def test_settings_are_checked():
    for wrong in ({"hidden": 0}, {"samples": 0}, {"patience": 0}, {"gamma": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TwoStage(**wrong)
