"""Laws that every density keeps, over the table of names."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
from safetensors.torch import load, save

from molae.densities import LatentDensity, NotFittedError, density
from molae.draws import uniforms
from molae.names import DENSITIES, FIXED_DENSITIES

D = 4
#: Small ones, which the laws need no more than.
SETTINGS = {
    "clusters": {"clusters": 1},  # as many as there are numbers in the smallest code here
    "gmm": {"components": 3},
    "bayesian": {"components": 3},
    "flow": {"transforms": 2, "hidden": 16, "bins": 6, "batch_size": 256, "epochs": 3},
    "two_stage": {"hidden": 24, "layers": 1, "samples": 16, "epochs": 3},
    "learned_mixture": {"components": 4, "epochs": 3},
    "autoregressive": {"components": 3, "hidden": 24, "epochs": 3},
}


def make(name, **settings) -> LatentDensity:
    return density(name, **SETTINGS.get(name, {}) | settings)


def codes(rows=600, seed=0, size=D):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, size, generator=generator)
    return z @ torch.randn(size, size, generator=generator) + 2.0 * (z[:, :1] > 0.3)


@cache
def fitted(name) -> LatentDensity:
    return make(name).fit(codes())


@cache
def well_fitted(name):
    """Codes, and a density that had the time to learn them."""
    if name in FIXED_DENSITIES:
        z = make(name, dim=D).sample(20_000, torch.Generator().manual_seed(7))
    else:
        z = codes(4000)
    if name == "centred":
        z = z - z.mean(0)
    trained = {"epochs": 25} if "epochs" in SETTINGS.get(name, {}) else {}
    return z, make(name, **trained).fit(z)


# That of quantised codes has masses, two need a model: they have tests of their own.
@pytest.fixture(params=sorted(DENSITIES.keys() - {"conditional", "indices", "vamp"}))
def name(request):
    return request.param


def test_fit_returns_itself_and_knows_the_size(name):
    made = make(name)
    assert made.fit(codes()) is made
    assert made.size == D


def test_fit_forgets(name):
    twice = make(name).fit(codes(seed=1, size=7)).fit(codes())
    once = make(name).fit(codes())
    assert twice.state_dict().keys() == once.state_dict().keys()
    for key, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[key])


def test_before_fit_a_sentence(name):
    made = make(name)
    with pytest.raises(NotFittedError, match="fit"):
        made.sample(3)
    with pytest.raises(NotFittedError, match="fit"):
        made.sample_rows(0, torch.arange(3))
    if name != "prior":
        with pytest.raises(NotFittedError, match="fit"):
            made.log_prob(torch.zeros(2, D))


def test_shapes_types_and_gradient(name):
    made = fitted(name)
    z = torch.randn(2, 5, D, requires_grad=True)
    value = made.log_prob(z)
    assert value.shape == (2, 5)
    assert value.dtype == torch.float32
    assert made.log_prob(z.double()).dtype == torch.float64
    assert made.log_prob(z.detach().bfloat16()).dtype == torch.float32
    assert made.log_prob(z[0, 0]).shape == ()
    assert torch.allclose(made.log_prob(z[1]), value[1])
    value.sum().backward()
    assert z.grad.isfinite().all()
    assert made.sample(6).shape == (6, D)
    assert made.sample(6).dtype == torch.float32


def test_density_integrates_to_one(name):
    made = make(name).fit(codes(size=1))
    grid = torch.linspace(-40, 40, 80_001, dtype=torch.float64)
    total = torch.trapezoid(made.log_prob(grid.unsqueeze(-1)).exp(), grid)
    # That of a second-stage VAE is a sum over samples, which is right in expectation only.
    assert total.item() == pytest.approx(1.0, abs=0.1 if name == "two_stage" else 1e-6)


def test_sample_follows_the_generator(name):
    made = fitted(name)
    first = made.sample(9, torch.Generator().manual_seed(4))
    again = made.sample(9, torch.Generator().manual_seed(4))
    other = made.sample(9, torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("rows", ["generator", "rows"])
def test_draws_have_the_moments_of_the_fitted_codes(name, rows):
    z, made = well_fitted(name)
    n = 20_000
    if rows == "rows":
        drawn = made.sample_rows(1, torch.arange(n))
    else:
        drawn = made.sample(n, torch.Generator().manual_seed(0))
    scale = z.std(0)
    assert ((drawn.mean(0) - z.mean(0)).abs() < 0.06 * scale).all()
    spread = torch.cov(drawn.T) - torch.cov(z.T)
    assert (spread.abs() < 0.08 * torch.outer(scale, scale)).all()


def test_draws_score_as_their_own_density(name):
    """E log p(z) over draws is minus the entropy: the same whichever way they are drawn."""
    made = fitted(name)
    one = made.log_prob(made.sample(8000, torch.Generator().manual_seed(0)))
    two = made.log_prob(made.sample_rows(3, torch.arange(8000)))
    assert abs(one.mean() - two.mean()) < 4 * (one.var() + two.var()).sqrt() / 8000**0.5


def test_rows_do_not_depend_on_the_batch(name):
    made = fitted(name)
    index = torch.arange(257)
    whole = made.sample_rows(7, index)
    for size in (1, 13, 64):
        assert torch.equal(torch.cat([made.sample_rows(7, i) for i in index.split(size)]), whole)
    back = made.sample_rows(7, index.flip(0)).flip(0)
    assert torch.equal(back, whole)
    assert not torch.equal(made.sample_rows(8, index), whole)
    assert len(whole.unique(dim=0)) == len(index)


def test_rows_share_no_random_number_with_decoding(name):
    """Choices of rules are keyed by the steps 0, 1, 2, ... of the same seed and index."""
    made = fitted(name)
    index = torch.arange(500)
    choice = uniforms(7, index, torch.zeros_like(index)).double()
    drawn = made.sample_rows(7, index).double()
    for column in drawn.T:
        assert torch.corrcoef(torch.stack([choice, column]))[0, 1].abs() < 0.2


def test_saved_as_bytes_and_loaded_into_a_fresh_object(name):
    made = fitted(name)
    settings = json.loads(json.dumps(made.settings()))
    fresh = density(name, **settings)
    fresh.load_state_dict(load(save(made.state_dict())))
    z = codes(20, seed=3)
    assert torch.equal(fresh.log_prob(z), made.log_prob(z))
    assert torch.equal(fresh.sample_rows(1, torch.arange(5)), made.sample_rows(1, torch.arange(5)))
    assert fresh.settings() == made.settings()


def test_loads_inside_a_model(name):
    slot = torch.nn.ModuleDict({"prior": fitted(name)})
    fresh = torch.nn.ModuleDict({"prior": make(name)})
    fresh.load_state_dict(slot.state_dict())
    assert fresh["prior"].size == D


def test_the_seed_decides_and_nothing_else(name):
    """Neither does a fit move torch's own generator."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = make(name).fit(codes())
    assert torch.equal(torch.get_rng_state(), before)
    index = torch.arange(7)
    assert torch.equal(again.sample_rows(1, index), fitted(name).sample_rows(1, index))
    if "seed" in again.settings():
        other = make(name, seed=3).fit(codes())
        assert not torch.equal(other.log_prob(codes(5)), fitted(name).log_prob(codes(5)))


def test_codes_that_do_not_fill_the_space(name):
    """In a plane, and in a direction of a millionth of the others' spread."""
    z = codes(600)
    flat = torch.cat([z, z[:, :1] + z[:, 2:3], torch.full((600, 1), 3.0)], 1)
    flat[:, 1] *= 1e-6
    made = make(name).fit(flat)
    assert made.log_prob(flat).isfinite().all()
    drawn = made.sample_rows(0, torch.arange(500))
    assert drawn.isfinite().all()
    if name not in ("centred", *FIXED_DENSITIES):
        assert (drawn[:, 5] - 3.0).abs().max() < 0.05
        assert (drawn[:, 4] - drawn[:, 0] - drawn[:, 2]).abs().max() < 0.05


def test_progress_is_told(name):
    told = []
    make(name).fit(codes(), told.append)
    assert told == sorted(told)
    assert all(0 < share <= 1 for share in told)
    if name in ("flow", "two_stage", "kde", "gmm", "bayesian"):
        assert told


def test_what_was_fitted_is_described(name):
    words = fitted(name).described()
    assert bool(words) == (name not in ("prior", "centred", "gaussian"))
    assert "\n" not in words


def test_bad_codes_are_refused(name):
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        make(name).fit(torch.zeros(5))
    if name == "prior":
        return
    with pytest.raises(ValueError, match="at least 2"):
        make(name).fit(torch.zeros(1, D))
    with pytest.raises(ValueError, match="same point"):
        make(name).fit(torch.ones(20, D))
    broken = codes()
    broken[3, 1] = float("nan")
    broken[5] = float("inf")
    with pytest.raises(ValueError, match="2 of 600"):
        make(name).fit(broken)


def test_names_are_answered():
    with pytest.raises(ValueError, match="did you mean 'gmm'"):
        density("gm")
    with pytest.raises(ValueError, match="did you mean 'components'"):
        density("gmm", componets=3)
