"""Use and behaviour of a space of codes, against closed forms and cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molae.metrics.latent import (
    active_dimensions,
    effective_rank,
    midpoints,
    principal_axes,
    relative_drift,
    smoothness,
    ways,
)


def spread(*deviations):
    """Codes of mean 0 whose covariance (divided by N) is diagonal with these deviations."""
    rows = []
    for axis, deviation in enumerate(deviations):
        row = torch.zeros(len(deviations), dtype=torch.float64)
        row[axis] = deviation * math.sqrt(len(deviations))
        rows += [row, -row]
    return torch.stack(rows)


def test_active_dimensions_are_those_above_the_threshold():
    z = spread(1.0, 0.11, 0.09, 0.0)  # variances 1, 0.0121, 0.0081, 0
    assert active_dimensions(z) == 2
    assert active_dimensions(z + 7.0) == 2
    assert active_dimensions(z, threshold=0.001) == 3
    assert active_dimensions(torch.ones(5, 3)) == 0


def test_variance_is_divided_by_n():
    z = torch.tensor([[0.0], [0.19]])  # 0.009025 by N = 2, and 0.01805 by N - 1
    assert active_dimensions(z) == 0


@pytest.mark.parametrize(
    ("deviations", "rank"),
    [
        ((1.0, 1.0, 1.0), 3.0),
        ((5.0, 0.0, 0.0), 1.0),
        ((2.0, 2.0, 0.0, 0.0), 2.0),
        # Variances 3 to 1: exp(-3/4 ln 3/4 - 1/4 ln 1/4) = 4 / 27^(1/4).
        ((math.sqrt(3.0), 1.0), 4 / 27**0.25),
    ],
)
def test_effective_rank(deviations, rank):
    z = spread(*deviations)
    assert effective_rank(z) == pytest.approx(rank, abs=1e-9)
    assert effective_rank(1e-3 * z + 4.0) == pytest.approx(rank, abs=1e-6)


def test_effective_rank_does_not_depend_on_directions():
    z = spread(3.0, 2.0, 0.5)
    turn, _ = torch.linalg.qr(
        torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert effective_rank(z @ turn) == pytest.approx(effective_rank(z), abs=1e-9)
    assert effective_rank(torch.ones(4, 3)) == 0.0
    assert effective_rank(torch.randn(3, 10, generator=torch.Generator().manual_seed(1))) <= 2.0


@pytest.mark.parametrize("function", [active_dimensions, effective_rank, principal_axes])
@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (5,)])
def test_too_few_codes(function, shape):
    with pytest.raises(ValueError, match="at least 2"):
        function(torch.zeros(shape))


def test_drift_is_in_units_of_the_distance_between_codes():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert relative_drift(z, z, z) == 0.0
    assert relative_drift(z, z + torch.tensor([0.0, 1.0]), z) == pytest.approx(0.2)
    assert relative_drift(z, z.flip(0), z) == pytest.approx(1.0)
    assert relative_drift(10 * z, 10 * z.flip(0), 10 * z) == pytest.approx(1.0)
    # Three codes on a line: distances 1, 1 and 2, their mean 4/3.
    line = torch.tensor([[0.0], [1.0], [2.0]])
    assert relative_drift(line[:1], line[1:2], line) == pytest.approx(0.75)


def test_drift_without_a_unit():
    z = torch.ones(3, 2)
    assert relative_drift(z, z + 1, z) is None
    assert relative_drift(z[:0], z[:0], torch.eye(2)) is None
    assert relative_drift(z[:1], z[:1], z[:1]) is None
    with pytest.raises(ValueError, match="moved"):
        relative_drift(z, z[:2], z)


def test_principal_axes():
    z = spread(3.0, 1.0, 0.0) + torch.tensor([5.0, 6.0, 7.0])
    mean, axes, share = principal_axes(z)
    assert mean.tolist() == pytest.approx([5.0, 6.0, 7.0])
    assert torch.allclose(axes, torch.eye(3, dtype=torch.float64)[:, :2], atol=1e-9)
    assert share.tolist() == pytest.approx([0.9, 0.1])
    assert torch.allclose(principal_axes(-z)[1], axes, atol=1e-9)  # not mirrored by chance
    assert principal_axes(torch.ones(3, 2))[2].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="no 2 principal"):
        principal_axes(torch.zeros(4, 1))


def test_smoothness():
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    one, two = (generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in ("CCO", "CCN"))
    alike = DataStructs.TanimotoSimilarity(one, two)
    assert 0 < alike < 1
    assert smoothness([["CCO", "CCO", "CCO"]]) == 1.0
    assert smoothness([["CCO", "CCN"]]) == pytest.approx(alike)
    assert smoothness([["CCO", "CCO", "CCN"]]) == pytest.approx((1 + alike) / 2)
    assert smoothness([["CCO", "CCO"], ["CCO", "CCN"]]) == pytest.approx((1 + alike) / 2)


def test_nothing_is_alike_in_what_is_no_molecule():
    assert smoothness([["CCO", None, "CCO"]]) == 0.0
    assert smoothness([["CCO", "CCO", None]]) == 0.5
    assert smoothness([[None, None]]) == 0.0
    assert smoothness([]) is None
    assert smoothness([["CCO"]]) is None


def test_midpoints_by_hand():
    """Codes of length 3 along one axis and of length 1 along the other."""
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(midpoints(a, b, "linear"), torch.tensor([[1.5, 0.5]]))
    rescaled = midpoints(a, b, "rescaled")
    assert rescaled.norm() == pytest.approx(2)
    assert torch.allclose(rescaled[0, 0], 3 * rescaled[0, 1])
    assert torch.allclose(midpoints(a, b, "spherical"), torch.full((1, 2), 2**0.5))


def test_midpoints_keep_the_length_of_codes_on_a_sphere():
    z = torch.randn(2, 50, 16, generator=torch.Generator().manual_seed(0))
    z = 4 * z / z.norm(dim=2, keepdim=True)
    for kind in ("rescaled", "spherical"):
        middle = midpoints(z[0], z[1], kind)
        assert torch.allclose(middle.norm(dim=1), torch.full((50,), 4.0), atol=1e-5)
    assert midpoints(z[0], z[1], "linear").norm(dim=1).mean() < 3


def test_the_spherical_midpoint_is_on_the_spherical_way():
    from molae.workflows.interpolate import way

    a, b = torch.randn(2, 1, 5, generator=torch.Generator().manual_seed(1)) * 2
    middle = way(a[0], b[0], torch.tensor([0.5]), "spherical")
    assert torch.allclose(midpoints(a, b, "spherical"), middle, atol=1e-5)


def test_ways_at_the_mean_length():
    """A pair alone keeps its ends; of many the length goes from the mean of the first ones on."""
    a, b = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [5.0, 0.0]])
    t = torch.tensor([0.0, 0.5, 1.0])
    alone = ways(a[:1], b[:1], t, "rescaled")
    assert torch.equal(alone[0, ::2], torch.stack([a[0], b[0]]))
    assert alone[0, 1].norm() == pytest.approx(2)
    lengths = ways(a, b, t, "rescaled").norm(dim=2)
    assert torch.allclose(lengths, torch.tensor([2.0, 2.5, 3.0]).expand(2, 3))


def test_midpoints_without_a_direction():
    a = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[-1.0, 0.0], [2.0, 0.0]])
    for kind in ("rescaled", "spherical"):
        assert midpoints(a, b, kind).isfinite().all()
    assert torch.equal(midpoints(a, b, "spherical"), (a + b) / 2)
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        midpoints(a, b, "liner")
    with pytest.raises(ValueError, match="twice"):
        midpoints(a, b[:1], "linear")
