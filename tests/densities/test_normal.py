from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from molae.densities import (
    CentredGaussian,
    Gaussian,
    GaussianMixture,
    NotFittedError,
    StandardNormal,
)


def codes(rows=500, size=6):
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(size, size, generator=generator)
    return (torch.randn(rows, size, generator=generator) @ mix + 3.0).double()


def test_standard_normal_is_scipys():
    z = codes(20)
    expected = multivariate_normal(np.zeros(6)).logpdf(z.numpy())
    assert np.allclose(StandardNormal(6).log_prob(z).numpy(), expected, atol=1e-12)


def test_standard_normal_needs_no_fit_where_the_size_is_given():
    assert StandardNormal(6).sample(2).shape == (2, 6)
    assert StandardNormal(6).settings() == {"dim": 6}


def test_gaussian_is_scipys():
    z = codes()
    made = Gaussian(jitter=1e-9).fit(z)
    expected = multivariate_normal(z.mean(0).numpy(), np.cov(z.numpy().T, bias=True))
    assert np.allclose(made.log_prob(z).numpy(), expected.logpdf(z.numpy()), atol=1e-6)


def test_centred_has_the_covariance_around_the_mean_and_no_mean():
    z = codes()
    made = CentredGaussian(jitter=1e-9).fit(z)
    expected = multivariate_normal(np.zeros(6), np.cov(z.numpy().T, bias=True))
    assert np.allclose(made.log_prob(z).numpy(), expected.logpdf(z.numpy()), atol=1e-6)
    drawn = made.sample_rows(0, torch.arange(20_000)).double()
    assert (drawn.mean(0).abs() < 0.05 * z.std(0)).all()


def test_centred_like_a_gaussian_is_the_fitted_one():
    z = codes()
    made, fitted = CentredGaussian.like(Gaussian().fit(z)), CentredGaussian().fit(z)
    for key, value in fitted.state_dict().items():
        assert torch.equal(made.state_dict()[key], value)
    with pytest.raises(NotFittedError):
        CentredGaussian.like(Gaussian())


def test_gaussian_is_a_mixture_of_one():
    z = codes()
    one = GaussianMixture(1).fit(z)
    assert torch.allclose(Gaussian().fit(z).log_prob(z), one.log_prob(z), atol=1e-9)


def test_fit_does_not_depend_on_the_scale_of_the_codes():
    z = codes()
    for factor in (1e-6, 1e6):
        shift = z.shape[1] * np.log(factor)
        small = Gaussian().fit(z * factor).log_prob(z * factor) + shift
        assert torch.allclose(small, Gaussian().fit(z).log_prob(z), atol=1e-6)


def test_few_codes_are_fitted_with_a_warning():
    z = codes(5)
    with pytest.warns(UserWarning, match="at least 7"):
        made = Gaussian().fit(z)
    assert made.log_prob(z).isfinite().all()


def test_jitter_must_be_positive():
    with pytest.raises(ValueError, match="above 0"):
        Gaussian(jitter=0.0)
