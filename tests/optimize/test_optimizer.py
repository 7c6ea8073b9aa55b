"""Laws that the optimiser keeps under every surrogate, and where there is little to learn."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load, save

from molae.densities import Gaussian, GaussianMixture, NotFittedError, StandardNormal
from molae.names import ACQUISITIONS, SURROGATES
from molae.optimize import LatentOptimizer

D = 5
NAN = math.nan


def training_codes(n=600, size=D, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, size, generator=generator)
    return z @ torch.randn(size, size, generator=generator) + 3.0 * (z[:, :1] > 0)


CODES = training_codes()
DENSITY = GaussianMixture(components=2).fit(CODES)


def make(surrogate="trust_region", acquisition="logei", **settings):
    """A small one; the sparse process is one from the ninth code on."""
    settings = {"candidates": 150, "local": 16, "inducing": 8, "training_codes": CODES} | settings
    size = settings["training_codes"].shape[1]
    density = settings.pop("density", DENSITY)
    return LatentOptimizer(density, size, surrogate=surrogate, acquisition=acquisition, **settings)


def score(z):
    """Highest where codes are about nought."""
    return -z.double().square().sum(1)


def told(optimizer, z=None, y=None):
    z = CODES[:20] if z is None else z
    optimizer.tell(z, score(z) if y is None else y)
    return optimizer


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Fewer steps of every fit: the laws do not ask how well it fits."""
    monkeypatch.setattr("molae.optimize.surrogates._STEPS", 8)
    monkeypatch.setattr("molae.optimize.surrogates._FIRST_STEPS", 20)
    monkeypatch.setattr("molae.optimize.surrogates._MORE_STEPS", 10)
    monkeypatch.setattr("molae.optimize.acquisition._STEPS", 4)


@pytest.fixture(params=sorted(SURROGATES))
def surrogate(request):
    return request.param


@pytest.fixture(params=sorted(ACQUISITIONS))
def acquisition(request):
    return request.param


def test_the_surrogate_is_on_the_cpu_where_a_device_has_no_float64():
    assert make(device=torch.device("mps")).device == torch.device("cpu")


# What is asked -----------------------------------------------------------------------------------


def test_a_batch_is_plausible_new_and_of_different_codes(surrogate, acquisition):
    optimizer = told(make(surrogate, acquisition, plausible=0.2))
    limit = DENSITY.log_prob(CODES.double()).quantile(0.2)
    for _ in range(2):
        z = optimizer.ask(7)
        assert z.shape == (7, D)
        assert z.dtype == torch.float32
        assert (DENSITY.log_prob(z.double()) >= limit).all()
        assert len(torch.cat([CODES[:20], z]).unique(dim=0)) == 27
        optimizer.tell(z, score(z))


def test_before_anything_is_told_codes_are_drawn_from_the_density():
    optimizer = make(plausible=0.0, seed=4)
    drawn = DENSITY.sample_rows(4, torch.arange(8))
    assert torch.equal(torch.cat([optimizer.ask(5), optimizer.ask(3)]), drawn)


def test_first_draws_are_plausible():
    optimizer = make(plausible=0.4)
    limit = DENSITY.log_prob(CODES.double()).quantile(0.4)
    assert (DENSITY.log_prob(optimizer.ask(50).double()) >= limit).all()


def test_it_follows_from_the_seed(surrogate):
    asked = [told(make(surrogate, seed=seed)).ask(3) for seed in (1, 1, 2)]
    assert torch.equal(asked[0], asked[1])
    assert not torch.equal(asked[0], asked[2])


def test_asked_twice_it_suggests_others(surrogate):
    optimizer = told(make(surrogate, "thompson"))
    assert len(torch.cat([optimizer.ask(4), optimizer.ask(4)]).unique(dim=0)) == 8


def test_the_pieces_in_which_it_was_told_do_not_matter():
    whole, pieces = make(), make()
    told(whole)
    for k in range(20):
        told(pieces, CODES[k : k + 1])
    z = whole.ask(6)
    assert torch.equal(pieces.ask(6), z)
    told(whole, z)
    told(pieces, z[:2])
    told(pieces, z[2:])
    assert torch.equal(pieces.ask(6), whole.ask(6))


def test_what_is_told_again_changes_nothing(surrogate):
    once, twice = told(make(surrogate)), told(told(make(surrogate)))
    assert torch.equal(once.ask(3), twice.ask(3))


def test_only_the_order_of_scores_matters(surrogate):
    plain, other = make(surrogate), make(surrogate)
    told(plain)
    told(other, y=3.0 * (0.1 * score(CODES[:20])).exp() - 7.0)
    assert torch.equal(plain.ask(3), other.ask(3))


def test_codes_told_in_another_type_are_the_same():
    assert torch.equal(told(make()).ask(3), told(make(), CODES[:20].double()).ask(3))


def test_the_global_generator_is_left_alone(surrogate):
    torch.manual_seed(3)
    told(make(surrogate)).ask(2)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), after)


# State -------------------------------------------------------------------------------------------


def through_files(state):
    tensors, scalars = state
    return load(save(tensors)), json.loads(json.dumps(scalars))


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(surrogate):
    """After failures, restarts of nothing, and two asks; training codes are not given again."""
    first = told(make(surrogate, density=DENSITY), y=score(CODES[:20]).index_fill(0, AT, NAN))
    for _ in range(2):
        z = first.ask(4)
        first.tell(z, score(z))
    again = LatentOptimizer(DENSITY, D, surrogate=surrogate, candidates=150, local=16, inducing=8)
    again.load_state(*through_files(first.state()))
    for _ in range(2):
        z = first.ask(4)
        assert torch.equal(again.ask(4), z)
        first.tell(z, score(z))
        again.tell(z, score(z))
    assert again.best[1] == first.best[1]


AT = torch.tensor([3, 7])


def test_saved_before_anything_was_told():
    first = make()
    first.ask(3)
    again = make()
    again.load_state(*through_files(first.state()))
    assert torch.equal(again.ask(3), first.ask(3))


def test_saved_after_a_restart():
    first = told(make())
    for _ in range(8):
        z = first.ask(5)
        first.tell(z, torch.full((5,), -1e9))
    assert first.facts["restarts"] == 1
    again = make()
    again.load_state(*through_files(first.state()))
    assert again.facts == first.facts
    assert torch.equal(again.ask(5), first.ask(5))


def test_a_state_is_not_changed_by_going_on():
    first = told(make())
    tensors, _ = first.state()
    before = {name: value.clone() for name, value in tensors.items()}
    z = first.ask(4)
    first.tell(torch.cat([z, CODES[:1]]), torch.ones(5))
    assert all(torch.equal(before[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("other", [{"seed": 1}, {"acquisition": "ucb"}, {"plausible": 0.3}])
def test_a_state_of_other_settings_is_refused(other):
    (name,) = other
    with pytest.raises(ValueError, match=f"other settings .{name}: "):
        make(**other).load_state(*make().state())


# Little to learn ---------------------------------------------------------------------------------

LITTLE = {
    "one": (CODES[:1], torch.ones(1)),
    "equal": (CODES[:12], torch.full((12,), 2.5)),
    "failures": (CODES[:12], torch.full((12,), NAN)),
    "one and failures": (CODES[:12], torch.tensor([1.0] + 11 * [NAN])),
    "none": (CODES[:0], torch.ones(0)),
}


@pytest.mark.parametrize("kind", LITTLE)
def test_without_two_different_scores_codes_are_drawn(surrogate, kind):
    z, y = LITTLE[kind]
    optimizer = make(surrogate)
    optimizer.tell(z, y)
    assert torch.equal(optimizer.ask(4), make(surrogate).ask(4))
    assert (optimizer.best is None) == (kind in ("failures", "none"))


def test_two_scores_are_enough(surrogate):
    optimizer = told(make(surrogate), CODES[:2])
    assert len(optimizer.ask(4).unique(dim=0)) == 4


def test_failures_are_learnt_but_never_looked_around():
    """All around a good code failed: it stays the centre."""
    good, bad = torch.zeros(1, D), torch.randn(30, D, generator=torch.Generator().manual_seed(1))
    optimizer = make(training_codes=bad, density=None, plausible=0.0)
    optimizer.tell(torch.cat([bad, good, good + 2]), torch.tensor([NAN] * 30 + [-1.0, -2.0]))
    assert optimizer.best[1] == -1.0
    assert torch.equal(optimizer.best[0], good[0].double())
    z = optimizer.ask(5)
    assert z.isfinite().all()


@pytest.mark.parametrize("size", [1, 2])
def test_few_dimensions(surrogate, size):
    z = training_codes(200, size)
    optimizer = make(surrogate, density=None, training_codes=z)
    for _ in range(2):
        asked = optimizer.ask(12)
        assert len(asked.unique(dim=0)) == 12
        optimizer.tell(asked, score(asked))


def test_the_best_code_is_not_plausible():
    """Points are pulled back to the nearest training code, not to where it cannot be."""
    far = torch.full((1, D), 40.0)
    optimizer = told(told(make()), far, torch.ones(1))
    assert optimizer.best[1] == 1.0
    z = optimizer.ask(6)
    limit = DENSITY.log_prob(CODES.double()).quantile(0.01)
    assert (DENSITY.log_prob(z.double()) >= limit).all()
    assert len(z.unique(dim=0)) == 6


def test_too_few_plausible_codes():
    """A density that makes everything but two codes impossible."""
    two = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    optimizer = make(density=StandardNormal(2), training_codes=1e-30 * two, plausible=0.5)
    with pytest.raises(ValueError, match="codes asked for are new and plausible"):
        optimizer.ask(5)


def test_without_improvement_the_region_shrinks_and_moves_on():
    optimizer = told(make())
    lengths = []
    for _ in range(9):
        z = optimizer.ask(5)
        lengths.append(optimizer.facts["length"])
        optimizer.tell(z, torch.full((5,), -1e9))
    assert lengths[:7] == [0.8 / 2**k for k in range(7)]
    assert lengths[7] == 0.8
    assert optimizer.facts["restarts"] == 1


# Arguments ---------------------------------------------------------------------------------------


def test_what_is_used_where_no_density_is_given():
    z = training_codes()
    fitted = make(density=None, training_codes=z, plausible=0.0).ask(4)
    assert torch.equal(fitted, Gaussian().fit(z).sample_rows(0, torch.arange(4)))
    standard = LatentOptimizer(None, D, plausible=0.0).ask(4)
    assert torch.equal(standard, StandardNormal(D).sample_rows(0, torch.arange(4)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"surrogate": "turbo"}, "unknown surrogate 'turbo'"),
        ({"acquisition": "logie"}, "did you mean 'logei'"),
        ({"plausible": 1.5}, "0 to below 1, got 1.5"),
        ({"local": 1}, "2 or more"),
        ({"beta": 0.0}, "beta is above 0"),
        ({"density": StandardNormal(D + 1)}, f"codes have {D} dimensions"),
        ({"training_codes": torch.zeros(9), "density": None}, "are expected"),
    ],
)
def test_bad_arguments(settings, said):
    arguments = {"density": DENSITY, "training_codes": CODES} | settings
    with pytest.raises(ValueError, match=said):
        LatentOptimizer(arguments.pop("density"), D, **arguments)


def test_a_density_that_knows_nothing():
    with pytest.raises(NotFittedError):
        LatentOptimizer(Gaussian(), D)


def test_no_codes_cannot_be_asked():
    with pytest.raises(ValueError, match="1 or more"):
        make().ask(0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_asks_plausible_codes(surrogate, acquisition):
    optimizer = told(make(surrogate, acquisition, device="cuda"))
    assert len(optimizer.ask(5).unique(dim=0)) == 5
