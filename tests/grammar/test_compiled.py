"""The compiled machine and the one in tensors say the same, whatever is switched off."""

from __future__ import annotations

import copy

import pytest
import torch

from molae.codecs import restricted_codec, shipped_codec
from molae.grammar.cfg import Grammar
from molae.grammar.compiled import SHARED
from molae.grammar.machine import GrammarConstraint

EXAMPLES = (
    "C/C=C/[C@H](Cl)C1=C[NH+]=CC=C1.[Na+].[Cl-]",
    "C[S+]([O-])C#CP(=O)(O)OB(O)Br",
    "C1CC2CCC3CC4CCC5CC6CCC7CC8CCC9CC%10CCC1CC%10CC9CC8CC7CC6CC5CC4CC3C2",
)
SWITCHES = (
    {},
    {"attributes": False},
    {"budget": False},
    {"attributes": False, "budget": False, "stack": False},
    {"attributes": False, "stack": False},
)
ROWS = 120


@pytest.fixture(scope="module")
def grammars():
    return {
        "general": shipped_codec("smiles").grammar,
        "restricted": restricted_codec(EXAMPLES).grammar,
        "zinc": shipped_codec("zinc").grammar,
        "scattered": Grammar.from_text("S -> 'a' B\nB -> 'b'\nS -> 'c' B S\nB -> 'd' B\n"),
    }


def both(grammar, steps, **switches):
    """The two machines of a grammar."""
    return [GrammarConstraint(grammar, steps, compiled=c, **switches) for c in (True, False)]


def rolled(machines, steps, seed=1):
    """Derivations drawn by both machines at once, which are held to each other at every step."""
    generator = torch.Generator().manual_seed(steps)
    states = [machine.start(ROWS) for machine in machines]
    index = torch.arange(ROWS)
    x = torch.full((ROWS, steps), -1)
    for step in range(steps):
        logits = 4 * torch.randn(ROWS, machines[0].size, generator=generator)
        here, there = (m.allowed(s) for m, s in zip(machines, states, strict=True))
        assert torch.equal(here, there)
        for how in ({"seed": None}, {"seed": seed, "temperature": 1.0 + step % 2}):
            how |= {"index": index, "step": torch.full_like(index, step)}
            rule, other = (
                m.choose(s, logits, **how) for m, s in zip(machines, states, strict=True)
            )
            # They round sums differently, so a draw at the very edge may differ; none here does.
            assert torch.equal(rule, other)
        x[:, step] = rule
        states = [m.advance(s, rule) for m, s in zip(machines, states, strict=True)]
        ended, too = (m.finished(s) for m, s in zip(machines, states, strict=True))
        assert torch.equal(ended, too)
    return x


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: ", ".join(s) or "all masks")
@pytest.mark.parametrize("steps", [8, 60])
@pytest.mark.parametrize("name", ["general", "restricted", "zinc", "scattered"])
def test_both_machines_agree(grammars, name, steps, switches):
    machines = both(grammars[name], steps, **switches)
    x = rolled(machines, steps)
    here, there = (machine.mask(x) for machine in machines)
    assert torch.equal(here, there)
    generator = torch.Generator().manual_seed(0)
    wrong = x.clone()
    wrong[:, 5] = torch.randint(machines[0].size, (ROWS,), generator=generator)
    found, other = (machine.first_illegal(wrong) for machine in machines)
    assert torch.equal(found, other)
    if name != "scattered" and "stack" not in switches:
        assert (found >= 0).any()


def test_threads_change_nothing(grammars):
    machine = GrammarConstraint(grammars["restricted"], 30)
    n = 3 * SHARED
    index, step = torch.arange(n), torch.zeros(n, dtype=torch.int64)
    logits = torch.zeros(n, machine.size)
    before = torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            state = machine.start(n)
            rule = machine.choose(state, logits, seed=0, index=index, step=step)
            seen.append((rule, machine.allowed(machine.advance(state, rule))))
    finally:
        torch.set_num_threads(before)
    (rule, allowed), (other, too) = seen
    assert torch.equal(rule, other)
    assert torch.equal(allowed, too)


def test_logits_that_are_no_numbers(grammars):
    machines = both(grammars["restricted"], 30)
    states = [machine.start(4) for machine in machines]
    logits = torch.full((4, machines[0].size), float("-inf"))
    logits[1] = float("nan")
    logits[2] = float("inf")
    index = torch.arange(4)
    for seed in (None, 3):
        rules = [
            machine.choose(state, logits, seed=seed, index=index, step=index)
            for machine, state in zip(machines, states, strict=True)
        ]
        assert torch.equal(*rules)
        assert (rules[0] >= 0).all()


def test_half_precision_and_strided_logits(grammars):
    machine = GrammarConstraint(grammars["restricted"], 30)
    wide = torch.randn(2 * machine.size, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    state, index = machine.start(6), torch.arange(6)
    part = wide.t()[:, : machine.size]
    rule = machine.choose(state, part, seed=None, index=index, step=index)
    plain = part.float().contiguous()
    assert torch.equal(rule, machine.choose(state, plain, seed=None, index=index, step=index))


def test_no_stack_outgrows_its_room():
    text = "S -> 'a' S\nS -> 'l' L\nL -> 'x' A A A A\nA -> 'a'\n"
    machines = both(Grammar.from_text(text), 60, stack=False, attributes=False)
    rolled(machines, 60)


def test_what_does_not_fit_is_an_error(grammars):
    machine = GrammarConstraint(grammars["restricted"], 30)
    state, index = machine.start(4), torch.arange(4)
    logits = torch.zeros(4, machine.size)
    with pytest.raises(IndexError, match="no rule"):
        machine.mask(torch.full((2, 5), machine.size))
    with pytest.raises(IndexError, match="shape"):
        machine.mask(torch.zeros(2, 31, dtype=torch.int64))
    with pytest.raises(IndexError, match="shape"):
        machine.advance(state, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="logits"):
        machine.choose(state, logits[:, 1:], seed=0, index=index, step=index)
    with pytest.raises(ValueError, match="temperature"):
        machine.choose(state, logits, seed=0, index=index, step=index, temperature=-1.0)


def test_a_copy_makes_its_own_tables(grammars):
    machine = GrammarConstraint(grammars["restricted"], 30)
    x = torch.zeros(2, 3, dtype=torch.int64)
    mask = machine.mask(x)
    assert torch.equal(copy.deepcopy(machine).mask(x), mask)
