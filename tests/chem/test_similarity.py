import copy
import pickle

import pytest
from rdkit.Chem import rdFingerprintGenerator

from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.similarity import FINGERPRINTS, PAIR_LENGTH, Similarity

MOLECULES = [
    "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",
    "CC(=O)Oc1ccccc1C(=O)O",
    "OCCCCN",
]


def similarity(kind, one, other):
    return Similarity(one, kind)(Sheet(read(other)))


@pytest.mark.parametrize("kind", FINGERPRINTS)
def test_laws(kind):
    for one in MOLECULES:
        assert similarity(kind, one, one) == 1
        for other in MOLECULES:
            value = similarity(kind, one, other)
            assert 0 <= value <= 1
            assert value == similarity(kind, other, one)
    assert similarity(kind, MOLECULES[0], MOLECULES[1]) < 1


def counts(kind, smiles):
    return FINGERPRINTS[kind](read(smiles)).GetNonzeroElements()


@pytest.mark.parametrize("kind", ["ECFP4", "ECFP6", "FCFP4", "AP"])
def test_the_smaller_counts_over_the_larger(kind):
    a, b = counts(kind, MOLECULES[1]), counts(kind, MOLECULES[2])
    assert max(a.values()) > 1  # counts, not bits
    keys = a.keys() | b.keys()
    less = sum(min(a.get(key, 0), b.get(key, 0)) for key in keys)
    more = sum(max(a.get(key, 0), b.get(key, 0)) for key in keys)
    assert similarity(kind, MOLECULES[1], MOLECULES[2]) == pytest.approx(less / more, rel=1e-12)


def test_counts_by_hand():
    # Each atom, then each atom with its neighbours; the same set of bonds is counted once, and so
    # ethane, where both atoms see the same bond, has one of the latter. Methane has one atom.
    assert sorted(counts("ECFP4", "C").values()) == [1]
    assert sorted(counts("ECFP4", "CC").values()) == [1, 2]
    assert similarity("ECFP4", "C", "CC") == 0  # CH4 and CH3 are different atoms


@pytest.mark.parametrize("carbons", [2, 5, 11, 30])
def test_atom_pairs_up_to_ten_bonds(carbons):
    expected = sum(carbons - d for d in range(1, min(PAIR_LENGTH, carbons - 1) + 1))
    assert sum(counts("AP", "C" * carbons).values()) == expected


def test_features_do_not_tell_halogens_apart():
    assert similarity("FCFP4", "Clc1ccccc1", "Brc1ccccc1") == 1
    assert similarity("ECFP4", "Clc1ccccc1", "Brc1ccccc1") < 1


def test_radius_and_stereo():
    far = ("CCCCCCO", "CCCCCCN")
    assert similarity("ECFP6", *far) < similarity("ECFP4", *far)
    for kind in FINGERPRINTS:
        assert similarity(kind, "C[C@H](N)CCO", "C[C@@H](N)CCO") == 1
    default = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    theirs = default.GetSparseCountFingerprint(read(MOLECULES[1])).GetNonzeroElements()
    assert counts("ECFP4", MOLECULES[1]) == theirs


def test_fingerprints_are_made_once_for_each_molecule():
    sheet = Sheet(read(MOLECULES[0]))
    made = []
    first = sheet.once("thing", lambda mol: made.append(mol) or len(made))
    assert first == sheet.once("thing", lambda mol: made.append(mol) or len(made)) == 1
    assert made == [sheet.mol]
    assert dict(sheet) == {}  # it is no property


def test_can_be_sent_to_another_process():
    one = Similarity(MOLECULES[0], "PHCO")
    there = pickle.loads(pickle.dumps(one))
    assert there == one == copy.copy(one)
    assert there(Sheet(read(MOLECULES[1]))) == one(Sheet(read(MOLECULES[1])))


def test_errors():
    with pytest.raises(MoleculeError):
        Similarity("C1CC")
    with pytest.raises(ValueError, match="unknown fingerprint 'ECFP5': choose from ECFP4"):
        Similarity("CC", "ECFP5")
