"""The importance-weighted bound on a linear-Gaussian model, where log p(x) is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from molae.distributions import NoDensityError, NormalPosterior
from molae.objectives import IWAE, VAE
from molae.types import Batch


def repeated(batch, times):
    return Batch(batch.x.repeat_interleave(times, 0))


def spoilt(model):
    """The posterior is not the exact one any more."""
    with torch.no_grad():
        model.scale.mul_(1.5)
        model.encoder.bias.add_(0.3)
    return model


def bound(model, batch, samples, times=4000, **settings):
    """Mean bound of every example and its standard error, (B,) each."""
    torch.manual_seed(1)
    with torch.no_grad():
        terms = IWAE(samples, **settings).terms(model, repeated(batch, times), 0)
    draws = terms.logged["bound"].view(-1, times)
    return draws.mean(1), draws.std(1) / math.sqrt(times)


def gradients(model, batch, made, times):
    """Mean gradient over ``times`` steps and its standard error, by name of the parameter."""
    found = {name: [] for name, _ in model.named_parameters()}
    for seed in range(times):
        torch.manual_seed(seed)
        loss = made.terms(model, repeated(batch, 40), 0).loss()
        weights = list(model.parameters())
        for name, slope in zip(found, torch.autograd.grad(loss, weights), strict=True):
            found[name].append(slope)
    stacked = {name: torch.stack(values) for name, values in found.items()}
    return {
        name: (values.mean(0), values.std(0) / math.sqrt(times))
        for name, values in stacked.items()
    }


def test_one_weight_says_all_at_the_exact_posterior(model, batch):
    """There w = p(x) whatever z is, so that every L_K is log p(x), without any noise."""
    for doubly in (False, True):
        terms = IWAE(3, doubly=doubly).terms(model, batch, 0)
        torch.testing.assert_close(terms.logged["bound"], model.evidence(batch.x))
        torch.testing.assert_close(terms.logged["effective"], torch.full((4,), 3.0).double())
        torch.testing.assert_close(-terms.parts["minus_bound"], terms.logged["bound"])


def test_it_rises_with_the_samples_and_stays_below_the_evidence(model, batch):
    spoilt(model)
    truth = model.evidence(batch.x)
    bounds = [bound(model, batch, samples) for samples in (1, 2, 5, 50)]
    for (low, first), (high, second) in pairwise(bounds):
        assert (high - low > -4 * (first + second)).all()
        assert (high - low).mean() > 4 * (first + second).mean()
    best, error = bounds[-1]
    assert (best < truth + 4 * error).all()
    assert (truth - best).mean() < 0.1 * (truth - bounds[0][0]).mean()


def test_one_sample_is_the_evidence_lower_bound(model, batch):
    spoilt(model)
    for beta in (1.0, 0.3):
        mine, error = bound(model, batch, 1, beta=beta)
        torch.manual_seed(2)
        with torch.no_grad():
            terms = VAE(beta).terms(model, repeated(batch, 4000), 0)
        each = -(terms.parts["distortion"] + terms.parts["beta_rate"]).view(-1, 4000)
        other = each.std(1) / math.sqrt(4000)
        assert ((mine - each.mean(1)).abs() < 4.5 * (error + other)).all()


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_the_doubly_reparametrised_gradient_is_the_same_on_average(model, batch, beta):
    spoilt(model)
    plain = gradients(model, batch, IWAE(4, beta=beta), 100)
    doubly = gradients(model, batch, IWAE(4, doubly=True, beta=beta), 100)
    for name, (mean, error) in plain.items():
        other, smaller = doubly[name]
        assert ((mean - other).abs() < 4.5 * (error.square() + smaller.square()).sqrt()).all()
        if name.startswith(("encoder", "scale")) and beta == 1.0:
            assert smaller.mean() < error.mean()  # which is what it is for


def test_the_doubly_reparametrised_gradient_is_nought_at_the_exact_posterior(model, batch):
    """For the encoder, and in every draw: what the plain one is on average only."""
    for made, noisy in ((IWAE(4), True), (IWAE(4, doubly=True), False)):
        model.zero_grad()
        loss = made.terms(model, batch, 0).loss()
        loss.backward(inputs=list(model.parameters()))
        assert (model.encoder.weight.grad.abs().max() > 1e-3) == noisy
        assert model.decoder.weight.grad.abs().max() > 1e-3


def test_what_is_logged_and_weighed(model, batch):
    terms = IWAE(7, beta={"schedule": "linear", "start": 0.0, "steps": 4}).terms(model, batch, 2)
    assert terms.logged["beta"].item() == 0.5
    assert set(terms.parts) == {"minus_bound", "penalty"}
    assert all(value.shape == (4,) for value in terms.parts.values())
    assert ((terms.logged["effective"] >= 1) & (terms.logged["effective"] <= 7)).all()
    assert not any(value.requires_grad for value in terms.logged.values())


def test_what_cannot_be_is_refused(model, point_model, batch):
    with pytest.raises(NoDensityError, match="'rae'"):
        IWAE().terms(point_model, batch, 0)
    with pytest.raises(ValueError, match="1 or more"):
        IWAE(0)

    class Other:
        """Has a density, and no normal one."""

        def __init__(self, kept: NormalPosterior) -> None:
            self.rsample_and_log_prob, self.penalty = kept.rsample_and_log_prob, kept.penalty

    own = model.posterior
    model.posterior = lambda x, context=None: Other(own(x))
    assert IWAE(2).terms(model, batch, 0).loss().isfinite()
    with pytest.raises(ValueError, match="leave 'doubly' out"):
        IWAE(2, doubly=True).terms(model, batch, 0)
