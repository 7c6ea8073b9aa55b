"""The density of quantised codes: masses, exact draws, and what is not quantised."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from safetensors.torch import load, save

from molae.densities import NotFittedError, density

BOOK = torch.tensor([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]])
QUICK = {"group": 2, "hidden": 24, "epochs": 12, "learning_rate": 1e-2}
#: p(second | first) of a chain of three groups that begins with (0.6, 0.3, 0.1).
FIRST = torch.tensor([0.6, 0.3, 0.1])
CHAIN = torch.tensor([[0.8, 0.1, 0.1], [0.05, 0.05, 0.9], [0.5, 0.5, 0.0]])


def quantised(rows=1600, seed=0):
    generator = torch.Generator().manual_seed(seed)
    steps = [torch.multinomial(FIRST, rows, replacement=True, generator=generator)]
    for _ in range(2):
        steps.append(torch.multinomial(CHAIN[steps[-1]], 1, generator=generator)[:, 0])
    return BOOK[torch.stack(steps, 1)].flatten(1)


def every():
    """All 27 codes, and their masses under the chain."""
    indices = torch.tensor(list(itertools.product(range(3), repeat=3)))
    a, b, c = indices.T
    return BOOK[indices].flatten(1), FIRST[a] * CHAIN[a, b] * CHAIN[b, c]


@pytest.fixture(scope="module")
def made():
    return density("indices", **QUICK).fit(quantised())


def test_masses_are_those_of_the_chain_and_add_up_to_one(made):
    z, expected = every()
    masses = made.log_prob(z.double()).exp()
    torch.testing.assert_close(masses.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert (masses - expected).abs().max() < 0.04
    assert made.log_prob(z.view(3, 9, 6)).shape == (3, 9)
    assert made.size == 6
    assert made.width == 3


def test_a_code_off_the_grid_has_the_mass_of_the_nearest(made):
    z, _ = every()
    near = z + 0.3 * torch.rand(z.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made.log_prob(near), made.log_prob(z))


def test_draws_follow_the_masses(made):
    z, _ = every()
    masses = made.log_prob(z).exp()
    for drawn in (made.sample(4000, torch.Generator().manual_seed(0)),
                  made.sample_rows(1, torch.arange(4000))):  # fmt: skip
        which = (drawn[:, None] == z).all(-1).float()
        assert which.sum() == 4000  # each draw is one of the codes
        assert (which.mean(0) - masses).abs().max() < 0.025


def test_rows_do_not_depend_on_the_batch(made):
    index = torch.arange(300)
    whole = made.sample_rows(7, index)
    for size in (1, 64):
        rows = torch.cat([made.sample_rows(7, part) for part in index[:130].split(size)])
        assert torch.equal(rows, whole[:130])
    assert not torch.equal(made.sample_rows(8, index), whole)


def test_saved_as_bytes_and_loaded_into_a_fresh_object(made):
    fresh = density("indices", **json.loads(json.dumps(made.settings())))
    fresh.load_state_dict(load(save(made.state_dict())))
    assert torch.equal(fresh.log_prob(every()[0]), made.log_prob(every()[0]))
    index = torch.arange(9)
    assert torch.equal(fresh.sample_rows(1, index), made.sample_rows(1, index))
    assert fresh.described() == made.described()
    assert made.described().startswith("3 groups of 3 entries")


def test_the_seed_decides_and_fit_forgets(made):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = density("indices", **QUICK).fit(quantised(400, 3)[:, :4]).fit(quantised())
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in made.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_training_begins_with_independent_groups():
    still = density("indices", **QUICK | {"epochs": 1, "learning_rate": 1e-12}).fit(quantised())
    z = quantised()
    share = (z[:, None, :2] == BOOK).all(-1).double().mean(0)
    found = [
        made.item()
        for made in (still.log_prob(BOOK[[k, 0, 0]].flatten().double()) for k in range(3))
    ]
    ratio = torch.tensor(found, dtype=torch.float64).softmax(0)
    torch.testing.assert_close(ratio, share, rtol=0, atol=1e-3)


def test_what_is_not_quantised_is_refused():
    with pytest.raises(ValueError, match="not quantised"):
        density("indices").fit(torch.randn(500, 4))
    with pytest.raises(ValueError, match="one of 1, 2, 3, 6"):
        density("indices", group=4).fit(quantised(50))
    with pytest.raises(NotFittedError, match="fit"):
        density("indices").sample(2)
    with pytest.raises(ValueError, match="1 or more"):
        density("indices", hidden=0)
