import gzip
import math
from itertools import islice

import numpy as np
import pytest
import torch

from molae.chem.fingerprints import morgan, tanimoto
from molae.chem.properties import score
from molae.optimize.fingerprint import (
    Tanimoto,
    TanimotoGP,
    confidence_bound,
    log_expected_improvement,
)
from molae.resources import data_path


def random_counts(n, size=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(0.7, (n, size)) * (rng.random((n, size)) < 0.5)


def definition(a, b):
    """sum of the smaller counts over the sum of the larger."""
    low, high = (f(a[:, None], b[None]).sum(-1) for f in (np.minimum, np.maximum))
    return np.where(high > 0, low / np.maximum(high, 1), 1.0)


@pytest.fixture(scope="module")
def learnt():
    counts, rng = random_counts(60), np.random.default_rng(1)
    y = rng.multivariate_normal(np.full(60, 3.0), 4.0 * definition(counts, counts))
    y += rng.normal(0.0, 0.8, 60)
    return counts, y, TanimotoGP().fit(torch.tensor(counts), torch.tensor(y))


def dense(model, counts, y, other):
    """Mean and covariance at other points by Rasmussen and Williams, eq. 2.25-2.26."""
    k, cross = definition(counts, counts), definition(other, counts)
    noisy = np.linalg.inv(model.amplitude * k + model.noise * np.eye(len(y)))
    mean = model.mean + model.amplitude * cross @ noisy @ (y - model.mean)
    reduced = definition(other, other) - model.amplitude * cross @ noisy @ cross.T
    return mean, model.amplitude * reduced


# Kernel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_similarity_is_that_of_the_definition(dtype):
    a, b = random_counts(1100), random_counts(30, seed=1) * 3  # counts above those that are known
    a[5] = b[7] = 0
    given = Tanimoto(torch.tensor(a).to(dtype))
    found = given(torch.tensor(b).to(dtype))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, definition(b, a), rtol=1e-12)
    assert found[7, 5] == 1
    np.testing.assert_allclose(given(torch.tensor(a))[:30], definition(a[:30], a), rtol=1e-12)


def test_similarity_of_molecules_is_that_of_their_fingerprints():
    molecules = ["CCO", "CCCCCCCCCC", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "O=C(O)c1ccccc1O"]
    counts = morgan(molecules, counts=True)
    found = Tanimoto(torch.tensor(counts.astype(np.int32)))(torch.tensor(counts.astype(np.int32)))
    np.testing.assert_allclose(found, tanimoto(counts, counts), rtol=1e-6)


def test_kernel_refuses_what_is_no_fingerprint():
    good = torch.tensor(random_counts(3))
    with pytest.raises(ValueError, match="counts, from 0 up"):
        Tanimoto(good - 5)
    with pytest.raises(ValueError, match=r"shape \(40,\); expected \(n, S\)"):
        Tanimoto(good[0])
    with pytest.raises(ValueError, match="39 entries; expected 40"):
        Tanimoto(good)(good[:, 1:])


# Process ---------------------------------------------------------------------------------------


def test_posterior_is_the_closed_form(learnt):
    counts, y, model = learnt
    other = random_counts(1100, seed=3)
    mean, variance = model.posterior(torch.tensor(other))
    for rows in (slice(0, 20), slice(-20, None)):
        expected, covariance = dense(model, counts, y, other[rows])
        np.testing.assert_allclose(mean[rows], expected, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(variance[rows], np.diag(covariance), rtol=1e-7)
    far = torch.zeros(1, 40)  # similar to nothing
    mean, variance = model.posterior(far)
    assert float(mean) == pytest.approx(model.mean)
    assert float(variance) == pytest.approx(model.amplitude)


def test_hyper_parameters_are_those_of_the_highest_likelihood(learnt):
    counts, y, model = learnt
    k = torch.tensor(definition(counts, counts))

    def likelihood(mean, amplitude, noise):
        covariance = amplitude * k + noise * torch.eye(len(y), dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(
            torch.full((len(y),), mean, dtype=torch.float64), covariance
        )
        return float(normal.log_prob(torch.tensor(y)))

    best = likelihood(model.mean, model.amplitude, model.noise)
    assert best == pytest.approx(model.log_likelihood)
    assert 1.01e-4 < model.noise / model.amplitude < 9.9  # not at a bound, so all of it counts
    for factor in (0.9, 1.1):
        assert likelihood(model.mean * factor, model.amplitude, model.noise) < best
        assert likelihood(model.mean, model.amplitude * factor, model.noise) < best
        assert likelihood(model.mean, model.amplitude, model.noise * factor) < best
        both = model.amplitude * factor, model.noise * factor
        assert likelihood(model.mean, *both) < best


def test_noise_is_found_again():
    counts = random_counts(300, size=15, seed=5)
    k = definition(counts, counts)
    rng = np.random.default_rng(6)
    y = rng.multivariate_normal(np.full(300, 7.0), 4.0 * k) + rng.normal(0, 0.6, 300)
    model = TanimotoGP().fit(torch.tensor(counts), torch.tensor(y))
    assert model.noise == pytest.approx(0.36, rel=0.4)
    assert model.amplitude == pytest.approx(4.0, rel=0.6)


def test_scores_that_are_all_the_same():
    counts = torch.tensor(random_counts(5))
    for value in (0.0, -3.5):
        model = TanimotoGP().fit(counts, torch.full((5,), value))
        mean, variance = model.posterior(torch.tensor(random_counts(4, seed=9)))
        np.testing.assert_allclose(mean, value, atol=1e-9)
        assert bool((variance > 0).all())
        assert float(variance.max()) < 1e-6


def test_one_point_is_enough():
    counts = torch.tensor(random_counts(1))
    mean, _ = TanimotoGP().fit(counts, torch.tensor([2.5])).posterior(counts)
    assert float(mean) == pytest.approx(2.5)


def test_what_cannot_be_learnt_is_refused():
    counts = torch.tensor(random_counts(3))
    with pytest.raises(ValueError, match="a finite score for each"):
        TanimotoGP().fit(counts, torch.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="a finite score for each"):
        TanimotoGP().fit(counts, torch.tensor([1.0, 2.0, math.nan]))
    with pytest.raises(ValueError, match="of one or more"):
        TanimotoGP().fit(counts[:0], torch.zeros(0))
    with pytest.raises(ValueError, match="learnt nothing yet"):
        TanimotoGP().posterior(counts)
    with pytest.raises(ValueError, match="two ratios above 0"):
        TanimotoGP(noise=(0.0, 1.0))


def test_it_predicts_molecules_better_than_their_mean():
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        smiles = [line.split()[0] for line in islice(stream, 500)]
    counts = torch.tensor(morgan(smiles, counts=True).astype(np.int32))
    y = torch.tensor(score(smiles, ["plogp"])["plogp"])
    model = TanimotoGP().fit(counts[:400], y[:400])
    mean, variance = model.posterior(counts[400:])
    error = float((mean - y[400:]).square().mean().sqrt())
    trivial = float((y[:400].mean() - y[400:]).square().mean().sqrt())
    assert error < 0.75 * trivial
    off = (mean - y[400:]) / (variance + model.noise).sqrt()
    assert 0.7 < float(off.square().mean().sqrt()) < 1.4  # the errors are as large as it says


# Acquisition -----------------------------------------------------------------------------------


def test_a_batch_is_the_greedy_one_by_the_closed_form(learnt):
    counts, y, model = learnt
    other = random_counts(25, seed=11)
    other[3] = other[4]  # one candidate twice
    chosen = model.choose(
        torch.tensor(other), 6, lambda mean, variance: confidence_bound(mean, variance, 2.0)
    )
    mean, covariance = dense(model, counts, y, other)
    expected = []
    for _ in range(6):
        value = mean + 2.0 * np.sqrt(np.diag(covariance).clip(1e-12))
        value[expected] = -np.inf
        row = int(value.argmax())
        expected.append(row)
        gain = covariance[:, row] / np.sqrt(covariance[row, row] + model.noise)
        covariance = covariance - np.outer(gain, gain)
    assert chosen.tolist() == expected
    everything = model.choose(torch.tensor(other), 99, lambda mean, _: mean)
    assert sorted(everything.tolist()) == list(range(25))


def test_a_batch_is_spread():
    """Of two groups of near copies, the second choice is of the other group."""
    a, b = np.zeros(20, int), np.zeros(20, int)
    a[:8], b[10:18] = 1, 1
    group = np.stack([*(np.eye(20, dtype=int)[8] * k + a for k in range(3)), b])
    model = TanimotoGP().fit(torch.zeros(2, 20), torch.tensor([0.0, 1.0]))
    chosen = model.choose(torch.tensor(group), 2, lambda mean, variance: mean + variance)
    assert set(chosen.tolist()) > {3}


@pytest.mark.parametrize("u", [4.0, 0.3, -0.99, -1.01, -3.0, -8.0])
def test_expected_improvement_is_the_integral(u):
    deviation, best = 0.7, 1.5
    mean = best + u * deviation
    f = torch.linspace(best, best + 12 * deviation, 200_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), deviation)
    integral = torch.trapezoid((f - best) * normal.log_prob(f).exp(), f)
    found = log_expected_improvement(
        torch.tensor([mean], dtype=torch.float64), torch.tensor([deviation**2]).double(), best
    )
    assert float(found) == pytest.approx(float(integral.log()), abs=1e-6)


def test_expected_improvement_far_away_is_finite_and_ordered():
    mean = -torch.logspace(0, 8, 60, dtype=torch.float64)
    value = log_expected_improvement(mean, torch.ones_like(mean), 0.0)
    assert bool(value.isfinite().all())
    assert bool((value.diff() < 0).all())
    asymptote = -0.5 * mean.square() - 0.5 * math.log(2 * math.pi) - 2 * (-mean).log()
    np.testing.assert_allclose(value[mean < -1e3], asymptote[mean < -1e3], rtol=1e-9)
