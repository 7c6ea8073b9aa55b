"""All strings of up to five tokens: the machine accepts just what RDKit accepts."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def exhaustive():
    """The benchmark, which also does seven tokens; at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.exhaustive")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def molecules(exhaustive):
    """What RDKit takes without radicals, of 177,155 strings."""
    found, counts = exhaustive.accepted_by_rdkit(5)
    assert counts["strings"] == sum(11**n for n in range(1, 6))
    return found


@pytest.fixture(scope="module", params=["general", "restricted"])
def accepted(request, exhaustive):
    return exhaustive.Walk(exhaustive.grammars()[request.param]).accepted(5)


def test_no_string_of_the_machine_is_refused(accepted, molecules):
    assert accepted <= molecules
    assert len(accepted) > 1000


def test_what_the_machine_refuses_has_a_reason(accepted, molecules, exhaustive):
    refused = molecules - accepted
    assert [text for text in sorted(refused) if exhaustive.exclusion(text) is None] == []


def test_no_accepted_string_is_called_excluded(accepted, exhaustive):
    assert {exhaustive.exclusion(text) for text in accepted} == {None}


def test_both_grammars_accept_the_same(exhaustive):
    general, restricted = exhaustive.grammars().values()
    short = [exhaustive.Walk(grammar).accepted(4) for grammar in (general, restricted)]
    assert short[0] == short[1]


def test_budget_of_a_string_is_exact_for_chains(exhaustive):
    """A budget lets through no more than it can hold, and the shortest molecules with one step."""
    grammar = exhaustive.grammars()["restricted"]
    walk = exhaustive.Walk(grammar, max_steps=4)  # three tokens and the end
    assert walk.accepted(4) == walk.accepted(3)
    assert {"C", "CC", "CCC", "C=O", "C#N", "CCO"} <= walk.accepted(3)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CN#N=O", "nitrogen"),
        ("C#1CCCCC1", "opens"),
        ("[NH+]1CC=1", "brackets"),
        ("C=1CC#1", "different orders"),
        ("C1CC(C)1", "after a branch"),
        ("C1CC1", None),
    ],
)
def test_exclusions_are_structural(exhaustive, text, part):
    reason = exhaustive.exclusion(text)
    assert (reason is None) if part is None else part in reason
