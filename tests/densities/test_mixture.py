from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Reference

from molae.densities import GaussianMixture


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
