"""The discrepancy against sums that can be written out, and what it makes of codes."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from molae.objectives import WAE
from molae.objectives.mmd import SCALES, kernel, squared_mmd
from molae.types import Batch

HERE, THERE = (0.0, 1.0, 3.0), (0.0, 2.0)


def by_hand(a, b):
    """The kernel of two numbers: D = 1 and sigma = 1, so C = 2 s."""
    return sum(2 * s / (2 * s + (a - b) ** 2) for s in SCALES)


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)


def discrepancy(here, there):
    """The squared discrepancy of two uniform distributions over points."""

    def mean(left, right):
        return sum(by_hand(a, b) for a in left for b in right) / len(left) / len(right)

    return mean(here, here) + mean(there, there) - 2 * mean(here, there)


def test_kernel_by_hand():
    found = kernel(column(*HERE), column(*THERE))
    assert found.shape == (3, 2)
    for i, j in product(range(3), range(2)):
        assert found[i, j].item() == pytest.approx(by_hand(HERE[i], THERE[j]))
    # In D dimensions C grows with D: at the mean distance of the prior, the scale 1 gives a half.
    a, b = torch.zeros(1, 8), torch.ones(1, 8) * 2**0.5
    assert kernel(a, b, (1.0,)).item() == pytest.approx(0.5)


def test_estimate_by_hand():
    found = squared_mmd(column(0.0, 1.0, 3.0), column(2.0, -1.0))
    within = 2 * (by_hand(0, 1) + by_hand(0, 3) + by_hand(1, 3)) / 6 + by_hand(2, -1)
    across = sum(by_hand(a, b) for a in (0, 1, 3) for b in (2, -1)) / 6
    assert found.item() == pytest.approx(within - 2 * across)


@pytest.mark.parametrize("weight", [None, (1.0, 3.0)])
@pytest.mark.parametrize("there", [HERE, THERE])
def test_estimate_is_without_bias(there, weight):
    """Its mean over all batches that could be drawn is the discrepancy itself."""
    weight = None if weight is None else torch.tensor(weight)
    values = [
        squared_mmd(column(*z), column(*drawn), weight=weight).item()
        for z in product(HERE, repeat=2)
        for drawn in product(there, repeat=2)
    ]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(discrepancy(HERE, there), abs=1e-9)
    assert min(values) < 0


def test_without_a_pair_there_is_nothing_to_estimate():
    z = torch.randn(1, 3, requires_grad=True)
    assert squared_mmd(z, torch.randn(1, 3)).item() == 0.0
    alone = squared_mmd(torch.randn(2, 3), torch.randn(2, 3), weight=torch.tensor([0.0, 1.0]))
    assert alone.isfinite()


def test_digits_survive_autocast():
    a, b = torch.randn(5, 8) + 10, torch.randn(4, 8) + 10
    exact = kernel(a, b)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kernel(a, b), exact)


def test_parts(point_model, batch):
    objective = WAE(weight=4.0)
    torch.manual_seed(3)
    terms = objective.terms(point_model, batch, 0)
    torch.manual_seed(3)
    z = point_model.encoder(batch.x)
    expected = squared_mmd(z, point_model.prior.sample(4).double())
    assert set(terms.parts) == {"distortion", "weighted_mmd", "penalty"}
    assert terms.parts["weighted_mmd"].item() == pytest.approx(4 * expected.item())
    missed = -point_model.likelihood(z).log_prob(batch.x)
    assert terms.loss().item() == pytest.approx((missed.mean() + 4 * expected).item())
    assert terms.logged["mmd"].item() == pytest.approx(expected.item())


def test_codes_of_a_density_are_drawn(model, batch):
    first, second = (WAE().terms(model, batch, 0).parts["distortion"] for _ in range(2))
    assert not torch.allclose(first, second)


def test_weights_of_examples_weigh_their_codes(point_model, batch):
    """An example without weight may as well not be there."""
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    rows = torch.tensor([0, 1, 3])
    torch.manual_seed(3)
    drawn = point_model.prior.sample(4).double()
    torch.manual_seed(3)
    weighted = WAE().terms(point_model, Batch(batch.x, weight=weight), 0).logged["mmd"]
    z = point_model.encoder(batch.x[rows])
    assert weighted.item() == pytest.approx(squared_mmd(z, drawn).item())


def test_codes_become_like_the_prior():
    """All but a few: the kernel's pull on what is far out is weak."""
    torch.manual_seed(0)
    z = torch.nn.Parameter(1 + 0.3 * torch.randn(128, 2))
    optimizer = torch.optim.SGD([z], 20.0)
    far = squared_mmd(z, torch.randn(1000, 2)).item()
    for _ in range(150):
        optimizer.zero_grad()
        squared_mmd(z, torch.randn(300, 2)).backward()
        optimizer.step()
    assert far > 0.5
    assert squared_mmd(z, torch.randn(1000, 2)).item() < 0.03 * far
    found = z.detach().quantile(torch.tensor([0.16, 0.5, 0.84]), 0)  # of a normal: -1, 0, 1
    assert (found - torch.tensor([[-1.0], [0.0], [1.0]])).abs().max() < 0.3


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="below 0"):
        WAE(weight=-1.0)
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(ValueError, match="above 0"):
            WAE(scales=scales)
