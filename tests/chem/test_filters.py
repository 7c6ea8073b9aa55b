import pytest

from molae.chem.filters import first_failure, why
from molae.chem.molecules import MoleculeError, read
from molae.names import FILTERS

ASPIRIN_LIKE = "COc1ccc(cc1)C(=O)NCc1ccncc1"


def test_a_plain_molecule_passes_all():
    assert first_failure(ASPIRIN_LIKE, FILTERS) is None
    assert first_failure(read(ASPIRIN_LIKE), FILTERS) is None


@pytest.mark.parametrize(
    ("name", "smiles"),
    [
        ("pains", "CN(C)c1ccc(cc1)N=Nc1ccccc1"),
        ("pains", "O=C1NC(=S)SC1=Cc1ccccc1"),
        ("brenk", "CCCBr"),
        ("brenk", "CC=O"),
        ("nih", "CC(=O)Cl"),
        ("zinc", "CC(=O)OC(C)=O"),
    ],
)
def test_catalogues_find_what_they_are_for(name, smiles):
    assert why(smiles, name)
    assert first_failure(smiles, ["rings", name]) == name


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CCCCCCCC1", "more than 8 atoms"),
        ("C1CCCCCCC1", None),
        ("C1CCC#CCCC1", "triple or cumulated"),
        ("C1CC=C=CCC1", "triple or cumulated"),
        ("C=C=C1CCCCC1", None),
        ("N#CC1CCCCC1", None),
        ("C1=C2CCC(C1)C2", "bridgehead"),
        ("C1=CC2CCC1C2", None),
        ("C=C1CC2CCC1C2", None),
        ("CC1(C)C2CCC1(C)C(=O)C2", None),
        ("c1ccc2c(c1)C1CCC2C1", None),
        ("CCO", None),
    ],
)
def test_rings(smiles, reason):
    found = why(smiles, "rings")
    assert found is None if reason is None else reason in found


def test_the_first_failing_filter_is_named():
    bad = "CC(=O)Cl.C1CCCCCCCC1"
    assert first_failure(bad, ["rings", "brenk"]) == "rings"
    assert first_failure(bad, ["brenk", "rings"]) == "brenk"
    assert first_failure(bad, []) is None


def test_errors(capfd):
    with pytest.raises(ValueError, match=r"unknown filter 'painz'.*'pains'"):
        first_failure("C", ["painz"])
    with pytest.raises(MoleculeError):
        first_failure("C1CC", ["rings"])
    assert capfd.readouterr().err == ""
