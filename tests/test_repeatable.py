"""Seeds leave torch as it was, tiles give every row the same numbers."""

from functools import partial

import torch
from torch import nn

from molae.repeatable import in_tiles, measuring, seeded

TILE = 256


def test_seeded_leaves_torch_alone():
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(2)
    with seeded(3):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_measured_is_drawn_with_other_numbers_than_a_training_had():
    torch.manual_seed(3)
    learnt = torch.randn(1000)
    before = torch.get_rng_state()
    with measuring(3):
        drawn = torch.randn(1000)
    with measuring(3):
        assert torch.equal(torch.randn(1000), drawn)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.isin(drawn, learnt).any()


def test_rows_come_out_the_same_in_any_tile():
    network = nn.Sequential(nn.Linear(30, 100), nn.Tanh(), nn.Linear(100, 5)).double()
    x = torch.randn(2 * TILE + 17, 30, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        tiled = partial(in_tiles, network, tile=TILE)
        whole = tiled(x)
        assert torch.allclose(whole, network(x))
        for size in (1, 7, 100):
            assert torch.equal(
                torch.cat([in_tiles(network, p, TILE) for p in x.split(size)]), whole
            )
        assert torch.equal(tiled(x.flip(0)).flip(0), whole)
        assert tiled(x[:0]).shape == (0, 5)
