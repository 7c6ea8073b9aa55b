import pytest

from molae.chem.fragments import brics_fragments, murcko_scaffold
from molae.chem.molecules import MoleculeError, read


def test_all_brics_bonds_are_cut_at_once():
    """Ethyl 4-phenylbenzoate: acyl to oxygen (1-3), oxygen to alkyl (3-4), acyl to ring (6-16) and
    ring to ring (16-16)."""
    found = brics_fragments("CCOC(=O)c1ccc(cc1)-c1ccccc1")
    assert sorted(found) == sorted(
        ["[4*]CC", "[3*]O[3*]", "[1*]C([6*])=O", "[16*]c1ccc([16*])cc1", "[16*]c1ccccc1"]
    )


def test_a_molecule_without_such_bonds_is_its_own_fragment():
    assert brics_fragments(read("OCC")) == ["CCO"]


@pytest.mark.parametrize(
    ("smiles", "scaffold"),
    [
        ("CCc1ccc(cc1)Cc1ccncc1", "c1ccc(Cc2ccncc2)cc1"),
        ("O=C1CCCC1c1ccccc1C", "O=C1CCCC1c1ccccc1"),  # what is bound double to it belongs to it
        ("Cc1ccccc1", None),  # one ring
        ("CCO", None),
    ],
)
def test_scaffold(smiles, scaffold):
    assert murcko_scaffold(smiles) == scaffold


def test_scaffold_of_one_ring_on_demand():
    assert murcko_scaffold("Cc1ccccc1", rings=1) == "c1ccccc1"


def test_bad_input():
    for function in (brics_fragments, murcko_scaffold):
        with pytest.raises(MoleculeError):
            function("C1CC")
