"""What is found out about a set of molecules in one pass."""

from __future__ import annotations

import numpy as np
import pytest

from molae.chem.fingerprints import morgan
from molae.metrics import profile
from molae.metrics.profile import BITS, COMPARED, RING_SIZES

BIPHENYL = "c1ccc(-c2ccccc2)cc1"


def test_of_a_few():
    seen = []
    found = profile(["OCC", "C1CC", None, "CCO", BIPHENYL, ""], show=seen.append)
    assert found.drawn == ["CCO", None, None, "CCO", BIPHENYL, None]
    assert found.smiles == ["CCO", "CCO", BIPHENYL]
    assert len(found) == 3
    assert found.reasons == {"syntax": 1, "no SMILES": 1, "empty": 1}
    assert seen == [6]
    assert (found.bits == morgan(found.smiles, 2, BITS)).all()
    assert found.properties["mw"] == pytest.approx([46.07, 46.07, 154.21], abs=0.01)
    assert found.properties.keys() == set(COMPARED)
    assert found.scaffolds == {BIPHENYL: 1}
    assert found.passed.all()
    assert found.rings.sum(1).tolist() == [0, 0, 1]
    assert found.rings[2].tolist() == [size == 6 for size in RING_SIZES] + [False]


def test_fragments_are_counted_over_all():
    """Ethyl acetate is cut on both sides of its oxygen (1-3 and 3-4); propane nowhere."""
    found = profile(["CCOC(C)=O", "CCOC(C)=O", "CCC"])
    assert found.fragments == {"[1*]C(C)=O": 2, "[3*]O[3*]": 2, "[4*]CC": 2, "CCC": 1}


@pytest.mark.parametrize(
    ("smiles", "sizes", "strained"),
    [
        ("C1CC1C1CCCCCCCC1", [3, 9], False),
        ("C1CCCCCCC1", [8], False),
        ("C1CCC#CCC1", [7], True),
        ("C1=C2CCC(C1)C2", [5], True),
    ],
)
def test_rings(smiles, sizes, strained):
    found = profile([smiles])
    expected = [size in sizes for size in RING_SIZES] + [max(sizes) > 8]
    assert found.rings[0].tolist() == expected
    assert found.strained.tolist() == [strained]


def test_odd_molecules_do_no_harm():
    odd = ["[H][H]", "[Na+].[Cl-]", "C", "[U]", "*", "[2H]O", "[nH]1cccc1", "[Fe+2]"]
    found = profile(odd)
    assert len(found) == len(odd)
    assert all(np.isfinite(values).all() for values in found.properties.values())


def test_of_nothing():
    found = profile([None, "not a molecule", "C1CC"])
    assert len(found) == 0
    assert found.bits.shape == (0, BITS)
    assert found.rings.shape == (0, len(RING_SIZES) + 1)
    assert profile([]).drawn == []


def test_workers_change_nothing():
    smiles = [f"{'C' * (1 + i % 9)}c1ccccc1{'O' if i % 3 else 'N'}" for i in range(300)] + ["C1"]
    one, two = profile(smiles), profile(smiles, workers=2)
    assert one.drawn == two.drawn
    assert one.fragments == two.fragments
    assert one.scaffolds == two.scaffolds
    assert (one.packed == two.packed).all()
    assert all((one.properties[name] == two.properties[name]).all() for name in COMPARED)
