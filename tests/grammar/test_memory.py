"""What is remembered of masks is what the machine says."""

from __future__ import annotations

import copy

import torch

from molae.grammar.machine import GrammarConstraint
from molae.types import PAD


def test_memory_equals_the_machine(small_codec):
    codec = small_codec
    x = codec.parse(["CCO", "C1=CC=CC=C1", "CC(N)C(=O)O"], prepared=True).padded()
    fresh = GrammarConstraint(codec.grammar, codec.max_steps)
    for _ in range(2):  # learnt, then recalled
        assert torch.equal(fresh.mask(x), fresh._run(x))


def test_what_follows_an_unfinished_derivation(small_codec):
    x = small_codec.parse(["CCO"], prepared=True).padded()[:, :2]
    x = torch.nn.functional.pad(x, (0, 3), value=PAD)
    constraint = small_codec.constraint
    assert torch.equal(constraint.mask(x), constraint._run(x))


def test_blocks_and_copies(small_codec):
    x = small_codec.parse(["CCO", "CCN"], prepared=True).padded()
    constraint = GrammarConstraint(small_codec.grammar, small_codec.max_steps)
    constraint.remember([x])
    twin = copy.deepcopy(constraint)
    assert torch.equal(twin.mask(x), constraint.mask(x))
