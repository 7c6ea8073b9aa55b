"""The variance-constrained autoencoder: by hand, and on one number where its end is known."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from molae.nn.heads import ConstantNormalHead, DeltaHead
from molae.objectives import VCAE
from molae.objectives.variance import total_variance
from molae.types import Batch


def test_total_variance_is_the_trace_of_the_covariance():
    z = torch.randn(9, 3).double()
    torch.testing.assert_close(total_variance(z), z.T.cov().trace())
    twice = torch.tensor([1.0, 2.0, 0.0])
    rows = z[:3]
    share = twice / 3
    mean = (share[:, None] * rows).sum(0)
    biased = (share * (rows - mean).square().sum(1)).sum()
    wanted = biased / (1 - (1 / 9 + 4 / 9))
    torch.testing.assert_close(total_variance(rows, twice), wanted)
    assert total_variance(z[:1]) == 0


def test_terms_by_hand(lines):
    model, x = lines.linear(DeltaHead, 3, 2), torch.randn(7, 3)
    terms = VCAE(variance=2.0, weight=3.0).terms(model, Batch(x), 0)
    total = model.encode(x).T.cov().trace()
    torch.testing.assert_close(terms.parts["excess"], 3 * (total - 4).abs())
    torch.testing.assert_close(terms.logged["variance"], total / 2)


def test_one_number_is_coded_with_the_variance_that_is_allowed(lines):
    """x ~ N(0, 4), z = a x + 0.5 e with E z^2 = 1: the error is 4 * 0.25 / 1."""
    model = lines.linear(partial(ConstantNormalHead, scale=0.5), 1, 1)
    goal = VCAE(variance=1.0, weight=10.0)
    lines.learn(model, goal, lambda: Batch(2 * torch.randn(512, 1)), 400)
    x = 2 * torch.randn(20_000, 1)
    with torch.no_grad():
        z = model.posterior(x).rsample()
        error = (model.likelihood(z).mean - x).square().mean().item()
    assert z.var().item() == pytest.approx(1.0, rel=0.05)
    assert error == pytest.approx(1.0, rel=0.06)


def test_what_makes_no_sense_is_refused():
    for settings in ({"variance": 0.0}, {"weight": -1.0}):
        with pytest.raises(ValueError, match="expected above 0"):
            VCAE(**settings)
