"""More like these: what is fitted to the codes of a handful of molecules, or of many."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch

from molae.datasets.files import DataError
from molae.densities import Gaussian, GaussianMixture
from molae.runs.build import build
from molae.workflows.generate import generate
from molae.workflows.like import density_like, read_examples, shrunken
from molae.workflows.neighbors import around, code_scale

D = 6


def factor(seed, size=D):
    """Some lower triangular matrix, well away from singular."""
    drawn = torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).double()
    return torch.linalg.cholesky(drawn @ drawn.T / size + 0.1 * torch.eye(size).double())


def covariance(made):
    return made.scale_tril @ made.scale_tril.T


def normals(n, seed, size=D):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed)).double()


# The Gaussian of a handful of codes --------------------------------------------------------------


def test_two_codes_by_hand():
    # S has one direction, in which the square of the distance is 2^2 / 2 = 2; rho is 1.
    z = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]])
    made = shrunken(z)
    assert torch.equal(made.mean, torch.tensor([1.0, 1.0, 0.0, 0.0]).double())
    assert torch.allclose(covariance(made), torch.eye(4).double() * 2 / 4)


def test_three_codes_by_hand():
    # Deviations (2, 0), (-1, 0), (-1, 0): S = diag(3, 0), tr S = tr S^2 / 3 = 3, mu = 3 / 2, and
    # by equation 23 with D = 2 and n = 2: rho = (0 * 9 + 9) / ((2 + 1 - 1) * (9 - 9 / 2)) = 1.
    z = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    assert torch.allclose(covariance(shrunken(z)), torch.eye(2).double() * 1.5)
    # Twice as many deviations: S = diag(12 / 5, 0), rho = 1 / ((5 + 1 - 1) / 2) = 2 / 5.
    twice = covariance(shrunken(torch.cat([z, z])))
    expected = torch.tensor([12 / 5 * 3 / 5 + 6 / 5 * 2 / 5, 6 / 5 * 2 / 5]).double()
    assert torch.allclose(twice, torch.diag(expected))


def test_what_a_handful_does_not_tell_is_as_in_the_training_codes():
    training = factor(0)
    z = torch.zeros(2, D).double()
    z[1] = 0.2 * training[:, 0]  # one fifth of a standard deviation
    made = shrunken(z, training)
    assert torch.allclose(covariance(made), training @ training.T * 0.2**2 / 2 / D)


@pytest.mark.parametrize("rows", [2, 3, D, D + 1, 40])
def test_it_does_not_depend_on_the_coordinates(rows):
    training, turn = factor(1), factor(2)
    z, shift = normals(rows, 3) @ factor(4).T, normals(1, 5)
    made = shrunken(z, training)
    other = shrunken(z @ turn.T + shift, turn @ training)
    assert torch.allclose(other.mean, made.mean @ turn.T + shift[0])
    assert torch.allclose(covariance(other), turn @ covariance(made) @ turn.T)
    assert torch.isfinite(made.log_prob(z)).all()


def test_many_codes_get_their_own_covariance():
    z = normals(20_000, 6) @ factor(7).T
    made = shrunken(z, factor(8))
    assert torch.allclose(covariance(made), z.T.cov(), rtol=0.01, atol=0.002)
    assert torch.allclose(made.mean, z.mean(0))


@pytest.mark.parametrize("rows", [2, 3, 5, 12, 60])
def test_nearer_the_truth_than_the_sample_covariance(rows):
    truth = factor(9) @ factor(9).T
    shrunk = plain = 0.0
    for seed in range(200):
        z = normals(rows, seed) @ factor(9).T
        shrunk += float((covariance(shrunken(z)) - truth).square().sum())
        plain += float((z.T.cov() - truth).square().sum())
    assert shrunk < plain


def test_the_weight_of_scikit_learn():
    from sklearn.covariance import oas

    # It leaves 2 / D out of the equation, which is little for many dimensions.
    z = normals(30, 10, 80) @ factor(11, 80).T
    z = torch.cat([z, -z])  # so that the mean is 0, and deviations are what was given
    expected, _ = oas(z.numpy(), assume_centered=True)
    found = covariance(shrunken(z)).numpy() * (len(z) - 1) / len(z)
    assert abs(found - expected).max() < 0.02 * abs(expected).max()


def test_codes_that_tell_nothing():
    with pytest.raises(ValueError, match="same point"):
        shrunken(torch.ones(5, D))
    with pytest.raises(ValueError, match="nan"):
        shrunken(torch.tensor([[0.0, 1.0], [torch.nan, 1.0]]))


# Examples ----------------------------------------------------------------------------------------


def test_files_and_smiles_together(run, smiles, tmp_path):
    (tmp_path / "a.smi").write_text(f"{smiles[0]}\n{smiles[1]} name\nC1CC(\n")
    (tmp_path / "b.csv").write_text(f"id,smiles\n1,{smiles[2]}\n2,{smiles[0]}\n")
    found = read_examples(
        run,
        [tmp_path / "a.smi", smiles[3], "c1cc", tmp_path / "b.csv", smiles[2]],
        rejects=tmp_path / "bad.csv",
        workers=1,
    )
    assert torch.allclose(found.z, run.encode(smiles[:4]), atol=1e-5)
    assert (found.duplicates, found.rejected) == (2, 2)
    assert sum(found.reasons.values()) == 2
    lines = (tmp_path / "bad.csv").read_text().splitlines()
    assert [line.split(",")[1:3] for line in lines[1:]] == [["3", "C1CC("], ["2", "c1cc"]]


def test_other_spellings_are_the_same_molecule(run, smiles):
    from molae.chem.molecules import kekule

    found = read_examples(run, [smiles[0], kekule(smiles[0]), smiles[0]], workers=1)
    assert found.z.shape == (1, run.size)
    assert found.duplicates == 2


def test_columns_of_tables(run, smiles, tmp_path):
    (tmp_path / "two.csv").write_text(f"smiles,product\n{smiles[0]},{smiles[1]}\n")
    found = read_examples(run, [tmp_path / "two.csv"], column="product", workers=1)
    assert torch.allclose(found.z, run.encode([smiles[1]]), atol=1e-5)


def test_nothing_to_be_like(run, tmp_path):
    (tmp_path / "bad.smi").write_text("C1CC(\n")
    rejects = tmp_path / "rejects.csv"
    with pytest.raises(DataError, match=r"none of the 2 examples .*'C1CC\('.*given, 1: 'c1cc'"):
        read_examples(run, [tmp_path / "bad.smi", "c1cc"], rejects=rejects, workers=1)
    assert len(rejects.read_text().splitlines()) == 3
    with pytest.raises(DataError, match=r"there is no such file. Did you mean .*bad\.smi"):
        read_examples(run, [tmp_path / "bat.smi"], workers=1)


# The density to draw from ------------------------------------------------------------------------


def replace_noise(run):
    """The run, with a decoder that cannot be told of noise."""
    config = deepcopy(run.config)
    del config["model"]["decoder"]["noise"], config["generation"]
    config["objective"]["noise"] = 0.05
    other = build(config, run.codec)
    other.densities = run.densities
    return other


def test_draws_come_from_around_the_molecules(run, smiles):
    z = run.encode(smiles[:3])
    made = around(run, z, 0.3)
    drawn = made.sample_rows(0, torch.arange(6000))
    off = (drawn[:, None] - z) / (0.3 * code_scale(run))  # (n, 3, D)
    nearest = off.square().sum(2).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / len(drawn)
    assert torch.allclose(shares, torch.full((3,), 1 / 3), atol=0.03)
    noise = off[torch.arange(len(off)), nearest]
    assert noise.mean().abs() < 0.01
    assert abs(noise.std() - 1) < 0.01
    normal = torch.distributions.Independent(
        torch.distributions.Normal(z, 0.3 * code_scale(run)), 1
    )
    mixed = normal.log_prob(drawn[:9, None]).logsumexp(1) - math.log(3)
    assert torch.allclose(made.log_prob(drawn[:9]), mixed, atol=1e-3)
    # The decoder is told of the radius, so the noise is put on by the run.
    still, noise = density_like(run, z[:1], radius=0.3)
    assert noise == pytest.approx(0.3 * code_scale(run).square().mean().sqrt().item())
    assert torch.allclose(still.sample_rows(1, torch.arange(5)), z[:1].expand(5, -1), atol=1e-4)
    untold = replace_noise(run)
    made, noise = density_like(untold, z[:1])
    assert noise == 0.0
    assert torch.equal(
        made.sample_rows(1, torch.arange(5)),
        around(run, z[:1], 0.5).sample_rows(1, torch.arange(5)),
    )
    near = run.decode(around(run, z, 1e-6).sample_rows(0, torch.arange(30)))
    assert set(near) == set(run.decode(z))


def test_one_gaussian_for_several_molecules(run, smiles):
    z = run.encode(smiles[:5])
    made, noise = density_like(run, z, density="gaussian")
    assert noise is None
    assert isinstance(made, Gaussian)
    assert torch.allclose(made.mean.float(), z.mean(0), atol=1e-5)
    # One per cent of the mean variance is added to what the training codes have.
    cov = covariance(run.density("gaussian"))
    cov += 0.01 * cov.trace() / len(cov) * torch.eye(len(cov))
    expected = covariance(shrunken(z, torch.linalg.cholesky(cov)))
    assert torch.allclose(covariance(made), expected)
    # Molecules that are alike: what is drawn is nearer to them than what the run draws.
    z = z[:1] + 0.1 * (z - z[:1])
    drawn = density_like(run, z, density="gaussian")[0].sample_rows(0, torch.arange(200))
    usual = run.density("gaussian").sample_rows(0, torch.arange(200))
    assert torch.cdist(drawn, z).mean() < 0.5 * torch.cdist(usual, z).mean()


def test_another_kind_of_density(run, smiles):
    z = run.encode(smiles[:60])
    made, _ = density_like(run, z, density="gmm")
    assert isinstance(made, GaussianMixture)
    assert made.components == run.density("gmm").components
    assert not torch.equal(made.means, run.density("gmm").means)


def test_what_does_not_go_together(run, smiles):
    z = run.encode(smiles[:3])
    for codes, named, words in [
        (z, {"radius": 0.0}, "radius is 0"),
        (z, {"radius": float("nan")}, "radius is nan"),
        (z, {"radius": 0.3, "density": "gaussian"}, "leave out the one or the other"),
        (z[:1], {"density": "gaussian"}, "'gaussian' cannot be fitted to one"),
        (z, {"density": "prior"}, "leave the density out"),
        (z, {"density": "gm"}, "'gmm'"),
        (z[:0], {}, "at least one"),
    ]:
        with pytest.raises(ValueError, match=words):
            density_like(run, codes, **named)


def test_the_stream_depends_on_the_seed_only(run, smiles):
    def texts(seed, batch, temperature=None):
        made, noise = density_like(run, run.encode(smiles[:4]))
        wish = {"seed": seed, "batch": batch, "temperature": temperature, "unique": True}
        drawn = generate(run, 9, density=made, noise=noise, workers=1, **wish)
        return [row["smiles"] for row in drawn]

    assert texts(1, 9, 1.0) == texts(1, 4, 1.0) == texts(1, 64, 1.0) != texts(2, 9, 1.0)
    with pytest.raises(ValueError, match=f"codes of {D} numbers; this run has {run.size}"):
        generate(run, 1, density=shrunken(normals(5, 0)))


def test_expressions(small, tmp_path):
    from molae.workflows.train import train

    source = tmp_path / "expressions.txt"
    source.write_text("sin(x)\nx+1\nexp(x)*2\nx/3\nx*x\n")
    with pytest.warns(UserWarning, match="few|covariance"):
        run = train(source, tmp_path / "run", steps=2, grammar="equation", **small)
    found = read_examples(run, [source, "x*2", "x**"], workers=1)
    assert len(found.z) == 6
    assert found.rejected == 1
    made = generate(run, 5, density=density_like(run, found.z)[0], temperature=1.0, workers=1)
    assert len([row["smiles"] for row in made]) == 5
    with pytest.raises(ValueError, match="writes no molecules"):
        generate(run, 1, scaffolds=["C"])
