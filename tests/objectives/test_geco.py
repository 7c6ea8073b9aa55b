"""GECO against Algorithm 1 by hand, and against what is known of rate and distortion."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from molae.distributions import NoDensityError, rate
from molae.objectives import GECO, objective
from molae.training import CheckpointError, fit
from molae.types import Batch


def mean_square(model, batch, z):
    return (batch.x - model.likelihood(z).outputs(batch.x)).square().mean(1)


def test_parts_are_rate_and_constraint(model, batch):
    made = GECO(tolerance=0.4, initial=3.0).eval()
    torch.manual_seed(2)
    terms = made.terms(model, batch, 0)
    torch.manual_seed(2)
    posterior = model.posterior(batch.x)
    z = posterior.rsample()
    violation = mean_square(model, batch, z) - 0.16
    assert set(terms.parts) == {"rate", "constraint", "penalty"}
    torch.testing.assert_close(terms.parts["rate"], rate(posterior, model.prior, z))
    torch.testing.assert_close(terms.parts["constraint"], 3.0 * 6 * violation)
    torch.testing.assert_close(terms.logged["violation"], violation.mean())
    assert terms.logged["multiplier"].item() == pytest.approx(3.0)
    assert not any(value.requires_grad for value in terms.logged.values())


def test_path_of_the_multiplier_by_hand(model, batch):
    """decay 0.9, kappa^2 = 0.25: three batches whose violations are set, and a warm-up of one."""
    made = GECO(tolerance=0.5, step_size=0.02, decay=0.9, initial=2.0, warmup=1)
    assert math.isnan(made.average.item())
    found, violations = [], (0.1, -0.3, -0.3)
    for step, wanted in enumerate(violations):
        made.wanted.violation = _always(wanted)
        terms = made.terms(model, batch, step)
        found.append((terms.logged["multiplier"].item(), terms.parts["constraint"].mean().item()))
        assert terms.logged["violation"].item() == pytest.approx(wanted)
    averages = [0.1, 0.9 * 0.1 - 0.1 * 0.3, 0.9 * 0.06 - 0.1 * 0.3]
    # Of before the step: the first move is in the step after the warm-up.
    multipliers = [2.0, 2.0, 2.0 * math.exp(0.02 * averages[1] / 0.25)]
    for seen, average, multiplier in zip(found, averages, multipliers, strict=True):
        assert seen[0] == pytest.approx(multiplier)
        assert seen[1] == pytest.approx(multiplier * 6 * average)  # the value is that of the mean
    assert made.average.item() == pytest.approx(averages[2])
    last = math.log(multipliers[2]) + 0.02 * averages[2] / 0.25
    assert made.log_multiplier.item() == pytest.approx(last)


def _always(value):
    """A constraint whose violation is known, with a gradient of 1 by the reconstruction."""

    def violation(likelihood, batch):
        made = likelihood.outputs(batch.x).sum(1)
        each = torch.full_like(made, value) + made - made.detach()
        return each, torch.full_like(made, 6.0)

    return violation


def test_steps_are_cut_and_the_multiplier_is_bounded(model, batch):
    made = GECO(tolerance=0.1, step_size=0.5, decay=0.0, initial=9e5)
    made.wanted.violation = _always(100.0)
    seen = [made.terms(model, batch, step).logged["multiplier"].item() for step in range(3)]
    assert seen == pytest.approx([9e5, 1e6, 1e6])
    low = GECO(tolerance=0.1, step_size=0.5, initial=2.0, highest=3.0)
    low.wanted.violation = _always(100.0)
    assert [low.terms(model, batch, step).logged["multiplier"].item() for step in range(3)] == (
        pytest.approx([2.0, 3.0, 3.0])
    )
    made.wanted.violation = _always(-100.0)
    for step in range(60):
        made.terms(model, batch, step)
    assert made.log_multiplier.item() == pytest.approx(math.log(1e-6), rel=1e-5)


def test_gradient_is_that_of_the_last_batch_only(model, batch):
    """Averages before it change the value of the constraint and not its gradient."""
    slopes = []
    for before in (None, 5.0):
        made = GECO(decay=0.5)
        if before is not None:
            made.average.fill_(before)
        torch.manual_seed(1)
        loss = made.terms(model, batch, 0).parts["constraint"].mean()
        slopes.append(torch.autograd.grad(loss, model.decoder.weight)[0])
    torch.testing.assert_close(*slopes)


def test_weights_of_examples_reach_the_average(model, batch):
    made = GECO(decay=0.0)
    weight = torch.tensor([0.0, 1.0, 0.0, 3.0])
    torch.manual_seed(1)
    terms = made.terms(model, replace(batch, weight=weight), 0)
    torch.manual_seed(1)
    each = mean_square(model, batch, model.posterior(batch.x).rsample()) - 0.01
    wanted = ((each[1] + 3 * each[3]) / 4).item()
    assert made.average.item() == pytest.approx(wanted, rel=1e-5)
    constraint = (weight * terms.parts["constraint"]).sum() / 4
    assert constraint.item() == pytest.approx(6 * wanted, rel=1e-5)


def test_evaluation_moves_nothing(model, batch):
    made = GECO().eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    made.terms(model, batch, 0)
    after = made.state_dict()
    assert all(torch.equal(after[n].nan_to_num(), v.nan_to_num()) for n, v in before.items())


def test_a_batch_without_a_number_is_not_remembered(model, batch):
    made = GECO()
    made.terms(model, Batch(batch.x * math.nan), 0)
    assert math.isnan(made.average.item())
    assert made.log_multiplier.item() == 0.0
    made.terms(model, batch, 1)
    known = made.average.clone()
    made.terms(model, Batch(batch.x * math.nan), 2)
    assert torch.equal(made.average, known)


class Examples:
    """x = A s with s normal, so that the covariance has the eigenvalues 4, 1, 1/4 and zeros."""

    lengths = None

    def __init__(self, model, n=2048):
        torch.manual_seed(3)
        signal = torch.randn(n, 3, dtype=torch.float64)
        signal = (signal - signal.mean(0)) @ torch.linalg.inv(
            torch.linalg.cholesky(torch.cov(signal.T, correction=0)).T
        )
        columns = torch.linalg.qr(model.decoder.weight.detach())[0]
        self.x = signal * torch.tensor([2.0, 1.0, 0.5]) @ columns.T

    def __len__(self):
        return len(self.x)

    def batch(self, index):
        return Batch(self.x[torch.as_tensor(index)])


@pytest.fixture
def fresh(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
            parameter.normal_(std=0.3)
    return model


def trained(model, made, steps, **options):
    defaults = {"batch_size": 256, "schedule": "constant", "warmup_steps": 1, "progress": False}
    defaults |= {"learning_rate": 0.02, "device": "cpu", "precision": "fp32", "clip": None}
    return fit(model, made, options.pop("data"), steps=steps, **(defaults | options))


def test_it_reaches_its_tolerance_and_then_lowers_the_rate(fresh):
    """The least rate at a distortion, of a Gaussian: water-filling at theta = 2 kappa^2 = 0.1.

    Each of the three directions loses theta; the rate is the sum of log(variance / theta) / 2, and
    the multiplier of the summed squared error is 1 / (2 theta).
    """
    theta = 0.1
    made = GECO(tolerance=math.sqrt(3 * theta / 6), step_size=0.02, decay=0.9)
    data = Examples(fresh)
    result = trained(fresh, made, 1000, data=data, log_every=10)
    lines = [record["parts"] for record in result.history if record["kind"] == "train"]
    first = next(line for line in lines if line["violation"] < 0)
    assert max(line["rate"] for line in lines) > first["rate"]  # first at any price
    posterior = fresh.posterior(data.x)
    least = sum(0.5 * math.log(v / theta) for v in (4.0, 1.0, 0.25))
    with torch.no_grad():
        error = mean_square(fresh, data.batch(range(2048)), posterior.rsample()).mean().item()
    assert error == pytest.approx(0.05, rel=0.1)
    assert rate(posterior, fresh.prior).mean().item() == pytest.approx(least, rel=0.06)
    assert made.log_multiplier.exp().item() == pytest.approx(1 / (2 * theta), rel=0.25)


def test_a_checkpoint_holds_average_and_multiplier(fresh, tmp_path):
    """Stopped after 7 steps and gone on with, to the last bit."""
    start = {name: value.clone() for name, value in fresh.state_dict().items()}
    data, ends = Examples(fresh, 64), []
    for parts in ((15,), (7, 15)):
        fresh.load_state_dict(start)
        folder = tmp_path / str(len(parts))
        for number, steps in enumerate(parts):
            made = GECO(decay=0.9)
            trained(fresh, made, steps, data=data, batch_size=16, folder=folder, resume=number > 0)
        ends.append({**fresh.state_dict(), **made.state_dict()})
    assert made.average.isfinite()
    assert made.log_multiplier != 0
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())
    with pytest.raises(CheckpointError, match="another objective"):
        trained(fresh, objective("vae"), 20, data=data, batch_size=16, folder=folder, resume=True)


def test_settings_and_refusals(point_model, model, batch):
    made = GECO("fre", 0.2, window=3, step_size=0.1, decay=0.5, initial=2.0, warmup=5)
    again = objective("geco", **json.loads(json.dumps(made.settings())))
    assert again.settings() == made.settings()
    assert isinstance(again, GECO)
    with pytest.raises(NoDensityError):
        GECO().terms(point_model, batch, 0)
    for bad in ({"step_size": 0.0}, {"decay": 1.0}, {"initial": 0.0}, {"warmup": -1},
                {"initial": 2.0, "highest": 1.0}, {"highest": math.inf}):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            GECO(**bad)
