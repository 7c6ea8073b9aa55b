"""Grammars, codecs and real molecules for the tests of the grammar machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from molae.codecs import restricted_codec, shipped_codec

#: What the restricted grammars of these tests are made of.
EXAMPLES = (
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "C/C=C/[C@H](Cl)[C@@](F)(Br)I.[Na+].[Cl-]",
    "O=S(=O)(O)C1=C[NH+]=CC=C1",
    "C[S+]([O-])C#CP(=O)(O)OB(O)O",
)


@pytest.fixture(scope="session")
def real_molecules():
    """About 250 real molecules of all kinds."""
    lines = Path(__file__).with_name("molecules.smi").read_text("utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def general_codec():
    return shipped_codec("smiles", 400)


@pytest.fixture(scope="session")
def small_codec():
    return restricted_codec(EXAMPLES, max_steps=60)
