"""Priors with a shape: where they lie, and that their density is that of their draws."""

from __future__ import annotations

import math

import pytest
import torch

from molae.densities import Clusters, RingMixture, SwissRoll, density


def drawn(made, n=20_000):
    return made.sample(n, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["mixture", "swiss_roll"])
def test_the_density_integrates_to_one_in_the_plane(name):
    made = density(name, dim=2)
    side = torch.linspace(-8, 8, 161, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    total = made.log_prob(grid).exp().sum() * 0.1**2
    assert total.item() == pytest.approx(1.0, abs=1e-4)


def test_a_petal_is_longer_outwards():
    made = RingMixture(2, components=3, radius=5.0, along=1.0, across=0.25)
    z = drawn(made)
    angle = torch.atan2(z[:, 1], z[:, 0])
    first = z[angle.abs() < math.pi / 3]  # the petal on the first axis
    assert len(first) / len(z) == pytest.approx(1 / 3, abs=0.02)
    torch.testing.assert_close(first.mean(0), torch.tensor([5.0, 0.0]), atol=0.06, rtol=0)
    torch.testing.assert_close(first.std(0), torch.tensor([1.0, 0.25]), atol=0.05, rtol=0)


def test_a_roll_has_points_along_all_of_its_length_and_gaps_between_its_turns():
    made = SwissRoll(2, turns=2.0, radius=4.0, thickness=0.05)
    z = drawn(made)
    radius, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0])
    turns = angle / (2 * math.pi)
    # How far outside of the spiral, in turns: a whole number, up to the noise.
    off = radius / 2.0 - turns
    outer = radius > 0.5
    assert ((off - off.round()).abs()[outer] < 0.12).all()
    # As many on each piece of the same length: half of the points lie beyond 1/sqrt(2).
    assert (radius > 4.0 / math.sqrt(2)).float().mean().item() == pytest.approx(0.5, abs=0.02)
    on_it = torch.tensor([4.0, 0.0])
    assert made.log_prob(on_it - torch.tensor([0.01, 0.0])) > made.log_prob(
        torch.tensor([3.0, 0.0])
    )


def test_clusters_are_corners_with_a_style():
    made = Clusters(5, clusters=3, blur=0.02)
    z = drawn(made)
    counts = torch.bincount(z[:, :3].argmax(1), minlength=3) / len(z)
    assert (counts - 1 / 3).abs().max() < 0.02
    assert (z[:, :3].round() == torch.nn.functional.one_hot(z[:, :3].argmax(1), 3)).all()
    torch.testing.assert_close(torch.cov(z[:, 3:].T), torch.eye(2), atol=0.05, rtol=0)
    corner = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    wanted = -math.log(3) - 3 * math.log(0.02) - 2.5 * math.log(2 * math.pi)
    assert made.log_prob(corner).item() == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(ValueError, match="latent-dim 3"):
        Clusters(2, clusters=3)


def test_other_dimensions_are_standard_normal():
    z = drawn(RingMixture(4))
    torch.testing.assert_close(torch.cov(z[:, 2:].T), torch.eye(2), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("mixture", {"across": 0}), ("mixture", {"components": 0}), ("swiss_roll", {"turns": -1.0}),
     ("clusters", {"blur": 0.0})],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(name, settings):
    with pytest.raises(ValueError, match="above 0"):
        density(name, **settings)
