from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.mixture import BayesianGaussianMixture as BayesianReference
from sklearn.mixture import GaussianMixture as Reference

from molae.densities import BayesianMixture, GaussianMixture


def blobs(rows=900, size=5):
    generator = torch.Generator().manual_seed(0)
    centers = 4.0 * torch.randn(3, size, generator=generator)
    which = torch.randint(0, 3, (rows,), generator=generator)
    return centers[which] + torch.randn(rows, size, generator=generator)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_log_density_is_scikit_learns(covariance):
    z = blobs().double()
    made = GaussianMixture(4, covariance, seed=3).fit(z)
    jitter = 1e-6 * z.var(0, correction=0).mean().item()
    reference = Reference(
        4, covariance_type=covariance, reg_covar=jitter, max_iter=100, random_state=3
    )
    reference.fit(z.numpy())
    far = torch.cat([z, 10 * z])
    expected = reference.score_samples(far.numpy())
    assert np.allclose(made.log_prob(far).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_a_fit_in_pieces_is_a_fit():
    """Codes without clusters take many iterations, and progress is told every ten."""
    z = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).double()
    told = []
    made = GaussianMixture(4, iterations=35, tolerance=0.0).fit(z, told.append)
    jitter = 1e-6 * z.var(0, correction=0).mean().item()
    reference = Reference(4, reg_covar=jitter, max_iter=35, tol=0.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.fit(z.numpy())
    assert told == [10 / 35, 20 / 35, 30 / 35, 1.0]
    assert np.allclose(made.log_prob(z).numpy(), reference.score_samples(z.numpy()), atol=1e-9)


def test_components_are_drawn_by_weight():
    z = blobs()
    made = GaussianMixture(3).fit(z)
    drawn = made.sample_rows(0, torch.arange(20_000)).double()
    nearest = torch.cdist(drawn, made.means).argmin(1)
    share = torch.bincount(nearest, minlength=3) / len(drawn)
    assert torch.allclose(share.double(), made.log_weights.exp(), atol=0.02)


def test_the_seed_decides():
    z = blobs()
    first, again = GaussianMixture(5, seed=1).fit(z), GaussianMixture(5, seed=1).fit(z)
    assert torch.equal(first.means, again.means)


@pytest.mark.parametrize(("rows", "count"), [(3, 1), (12, 2), (59, 9), (60, 10)])
def test_few_codes_get_fewer_components(rows, count):
    """With 5 dimensions a full covariance takes 6 codes."""
    made = GaussianMixture(10)
    z = blobs(rows)
    if count < 10:
        with pytest.warns(UserWarning, match=f"{count} fitted"):
            made.fit(z)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made.fit(z)
    assert len(made.log_weights) == count
    assert made.components == 10
    assert made.log_prob(z).isfinite().all()


def test_many_codes_are_fitted_by_a_random_part():
    z = blobs(4000).sort(0).values  # the first rows are not like the others
    part, whole = GaussianMixture(1, rows=1500).fit(z), GaussianMixture(1).fit(z)
    again = GaussianMixture(1, rows=1500).fit(z)
    assert torch.equal(part.means, again.means)
    assert not torch.equal(part.means, whole.means)
    assert (part.log_prob(z).mean() - whole.log_prob(z).mean()).abs() < 0.05


def test_settings_are_checked():
    with pytest.raises(ValueError, match="did you mean 'full'"):
        GaussianMixture(covariance="ful")
    with pytest.raises(ValueError, match="components"):
        GaussianMixture(0)


def test_a_bayesian_mixture_leaves_components_empty():
    z = blobs(1500)
    bayesian = BayesianMixture(10, iterations=300, tolerance=1e-6).fit(z)
    plain = GaussianMixture(10).fit(z)
    weights = bayesian.log_weights.exp().sort(descending=True).values
    assert weights[:3].sum() > 0.97
    assert plain.log_weights.exp().sort(descending=True).values[:3].sum() < 0.9
    assert "10 components" in bayesian.described()
    assert "in use" in bayesian.described()


def test_a_bayesian_mixture_of_one_gaussian():
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([[1.0, 0.0], [0.7, 0.5]], dtype=torch.float64)
    truth = torch.distributions.MultivariateNormal(
        torch.tensor([1.0, -2.0]).double(), scale_tril=scale
    )
    z = torch.randn(5000, 2, generator=generator).double() @ scale.T + truth.loc
    made = BayesianMixture(5).fit(z)
    gap = made.log_prob(z) - truth.log_prob(z)
    assert gap.mean().abs() < 0.02
    assert gap.abs().mean() < 0.1


def test_a_bayesian_mixture_is_scikit_learns():
    """Its posterior means, and the density of the mixture that they are."""
    z = blobs().double()
    made = BayesianMixture(5, concentration=3.0, seed=1).fit(z)
    jitter = 1e-6 * z.var(0, correction=0).mean().item()
    prior = np.cov(z.numpy().T) + jitter * np.eye(5)
    reference = BayesianReference(
        n_components=5,
        weight_concentration_prior=3.0,
        covariance_prior=prior,
        reg_covar=jitter,
        max_iter=100,
        random_state=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.fit(z.numpy())
    assert np.allclose(made.log_weights.exp().numpy(), reference.weights_)
    each = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(z.numpy())
        for weight, mean, covariance in zip(
            reference.weights_, reference.means_, reference.covariances_, strict=True
        )
    ]
    assert np.allclose(made.log_prob(z).numpy(), np.logaddexp.reduce(each), atol=1e-8)
    with pytest.raises(ValueError, match="concentration"):
        BayesianMixture(concentration=0.0)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_empty_components_in_a_plane(covariance):
    """An empty component has the prior's covariance, which must not be singular."""
    z = blobs(60, 3)
    flat = torch.cat([z, z[:, :1]], 1)
    made = BayesianMixture(10, covariance=covariance).fit(flat)
    assert made.log_prob(flat).isfinite().all()
