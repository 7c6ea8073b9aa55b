"""Priors that are learnt with a model: their laws, and what they are worth on a toy."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from molae.densities import (
    AutoregressiveDensity,
    NotFittedError,
    StandardNormal,
    VampPrior,
    density,
)
from molae.distributions import FlowPosterior, NormalPosterior
from molae.models import Autoencoder
from molae.nn.flow_heads import NvpHead
from molae.nn.heads import DeltaHead, NormalHead
from molae.objectives import IWAE, VAE
from molae.types import Batch

D, X, NOISE = 2, 4, 0.03
SETTINGS = {
    "flow": {"transforms": 3, "hidden": 32},
    "learned_mixture": {"components": 8},
    "autoregressive": {"components": 4, "hidden": 32},
    "vamp": {"components": 8},
}
IN_CODES = ["flow", "learned_mixture", "autoregressive"]


class Encoder(nn.Module):
    """Features of "images" of X values around 1/2."""

    def __init__(self):
        super().__init__()
        self.shape, self.width = (X,), 16
        self.layers = nn.Sequential(nn.Linear(X, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.layers(5.0 * (x - 0.5))


class Decoder(nn.Linear):
    """x ~ N(W z + c, NOISE^2)."""

    def forward(self, z: Tensor, context: Tensor | None = None):
        mean = super().forward(z)

        class Normals:
            def log_prob(self, x: Tensor) -> Tensor:
                return Normal(mean, NOISE).log_prob(x).sum(-1)

        return Normals()


def begun(name, size=D, **settings):
    return density(name, **SETTINGS.get(name, {}) | settings, dim=size)


def autoencoder(name):
    torch.manual_seed(0)
    encoder = Encoder()
    head, prior = NormalHead(encoder.width, D), begun(name)
    prior.attach(encoder, head)
    return Autoencoder(encoder, head, Decoder(D, X), prior)


def clusters(rows, seed):
    """Four clusters on a plane in X dimensions."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 2, (rows, 2), generator=generator) * 2.0 - 1.0
    z = corner + 0.15 * torch.randn(rows, 2, generator=generator)
    plane = torch.tensor([[0.15, 0.1, 0.0, 0.05], [0.0, -0.1, 0.2, 0.05]])
    return 0.5 + z @ plane + NOISE * torch.randn(rows, X, generator=generator)


@pytest.fixture(scope="module")
def trained():
    """The bound on new data after the same training, by name of the prior."""
    found, models = {}, {}
    for name in ("prior", *SETTINGS):
        model, x = autoencoder(name), clusters(2000, 0)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(300):
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 300)
            loss = VAE().terms(model, Batch(x[torch.randint(2000, (128,))]), step).loss()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            terms = VAE().terms(model, Batch(clusters(1000, 1)), 0)
        found[name], models[name] = -terms.loss().item(), model
    return found, models


@pytest.mark.parametrize("name", SETTINGS)
def test_the_bound_is_better_than_with_a_standard_normal_prior(trained, name):
    bounds, models = trained
    assert bounds[name] > bounds["prior"] + 0.5
    drawn = models[name].prior.sample_rows(0, torch.arange(2000))
    assert drawn.shape == (2000, D)
    # What it draws looks like codes: its own density of draws is that of codes.
    with torch.no_grad():
        codes = models[name].posterior(clusters(2000, 2)).rsample()
        mine = models[name].prior.log_prob(drawn).mean()
        theirs = models[name].prior.log_prob(codes).mean()
    assert abs(mine - theirs) < 0.8


@pytest.mark.parametrize("name", SETTINGS)
def test_rows_of_a_prior_that_is_being_learnt(trained, name):
    prior, index = trained[1][name].prior, torch.arange(300)
    whole = prior.sample_rows(7, index)
    for size in (1, 13, 300):
        assert torch.equal(torch.cat([prior.sample_rows(7, i) for i in index.split(size)]), whole)
    assert not whole.requires_grad


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_and_loaded_with_its_model(trained, name):
    model, fresh = trained[1][name], autoencoder(name)
    before = dict(fresh.named_parameters())
    fresh.load_state_dict(model.state_dict())
    after = dict(fresh.named_parameters())
    assert all(after[key] is before[key] for key in before)  # an optimiser may know them
    assert all(value.requires_grad and value.dtype == torch.float32 for value in after.values())
    z = torch.randn(9, D)
    assert torch.equal(fresh.prior.log_prob(z), model.prior.log_prob(z))
    settings = json.loads(json.dumps(model.prior.settings()))
    assert density(name, **settings).settings() == settings
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.1)
    assert torch.equal(twin.prior.log_prob(z), fresh.prior.log_prob(z))
    model.load_state_dict(fresh.state_dict())


@pytest.mark.parametrize("name", ["prior", *SETTINGS])
def test_objectives_reach_every_weight(name):
    model, batch = autoencoder(name), Batch(clusters(16, 0))
    for made in (VAE(), IWAE(3), IWAE(3, doubly=True)):
        model.zero_grad()
        made.terms(model, batch, 0).loss().backward()
        slopes = {key: p.grad for key, p in model.prior.named_parameters()}
        assert all(slope is not None and slope.isfinite().all() for slope in slopes.values())
        assert not slopes or any(slope.abs().sum() > 0 for slope in slopes.values())


@pytest.mark.parametrize("name", IN_CODES)
def test_it_begins_near_the_standard_normal(name):
    prior = begun(name, size=1)
    grid = torch.linspace(-30, 30, 6001).double().unsqueeze(1)
    value = prior.log_prob(grid)
    assert value.dtype == torch.float64
    assert torch.trapezoid(value.exp(), grid[:, 0]).item() == pytest.approx(1.0, abs=1e-4)
    z = torch.randn(2000, 1)
    apart = StandardNormal(1).log_prob(z) - prior.log_prob(z)
    assert abs(apart.mean()) < 0.5


@pytest.mark.parametrize("name", IN_CODES)
def test_autocast_changes_nothing(name):
    prior, z = begun(name), torch.randn(5, 3, D)
    exact = prior.log_prob(z)
    assert exact.shape == (5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prior.log_prob(z), exact)


def test_each_dimension_knows_those_before_it_only():
    made = AutoregressiveDensity(components=3, hidden=40, dim=5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    w = torch.randn(5)
    for part in range(3):

        def mixtures(value, part=part):
            return made.net.mixtures(value.unsqueeze(0))[part][0].sum(-1)

        slope = torch.autograd.functional.jacobian(mixtures, w)  # (D, D)
        assert (slope.triu() == 0).all()
        assert (slope.tril(-1).abs().sum(1)[1:] > 0).all()


def test_draws_of_each_dimension_follow_its_mixture():
    """In one dimension by the cumulative distribution, given fixed ones before."""
    made = AutoregressiveDensity(components=3, hidden=16, dim=2).double()
    with torch.no_grad():
        made.net.layers[-1].bias.add_(0.7 * torch.randn(18, dtype=torch.float64))
    z = made.sample(20_000, torch.Generator().manual_seed(0)).double()
    logits, means, log_scales = made.net.mixtures(z)
    each = Normal(means, log_scales.exp()).cdf(z.unsqueeze(-1))
    levels = (logits.softmax(-1) * each).sum(-1)  # uniform, if all is well
    for column in levels.T:
        assert abs(column.mean() - 0.5) < 0.01
        assert abs(column.var() - 1 / 12) < 0.003


def test_vamp_is_the_mean_of_posteriors():
    model = autoencoder("vamp")
    z = torch.randn(3, 5, D)
    with torch.no_grad():
        each = model.posterior(torch.sigmoid(model.prior.raw))
        by_hand = torch.stack([
            NormalPosterior(m, s).log_prob(z)
            for m, s in zip(each.center, each.scale, strict=True)
        ])  # fmt: skip
    wanted = by_hand.logsumexp(0) - math.log(8)
    torch.testing.assert_close(model.prior.log_prob(z).detach(), wanted)
    drawn = model.prior.sample(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), each.center.mean(0), atol=0.05, rtol=0)


def test_vamp_owns_its_pseudo_images_and_leaves_the_model_as_it_was():
    model = autoencoder("vamp")
    assert {key for key in model.state_dict() if key.startswith("prior")} == {
        "prior.raw", "prior.origin"
    }  # fmt: skip
    names = [id(p) for p in model.parameters()]
    assert len(names) == len(set(names))
    model.encoder.layers.insert(1, nn.BatchNorm1d(16))
    model.train()
    before = model.encoder.layers[1].running_mean.clone()
    model.prior.log_prob(torch.randn(3, D))
    assert torch.equal(model.encoder.layers[1].running_mean, before)
    assert model.encoder.training
    assert all(layer.training for layer in model.encoder.layers)


def test_vamp_says_what_it_needs():
    with pytest.raises(NotFittedError, match="vamp"):
        VampPrior(dim=2).log_prob(torch.zeros(1, 2))
    with pytest.raises(NotFittedError, match="vamp"):
        VampPrior().sample(3)
    with pytest.raises(ValueError, match="learned_mixture"):
        VampPrior(dim=2).fit(torch.randn(20, 2))
    for head in (DeltaHead(16, 2), NvpHead(16, 2)):
        assert not isinstance(head(torch.zeros(1, 16)), NormalPosterior)
        with pytest.raises(ValueError, match="head 'normal'"):
            VampPrior(dim=2).attach(Encoder(), head)
    assert isinstance(NvpHead(16, 2)(torch.zeros(1, 16)), FlowPosterior)
