"""The arrays give the bits of RDKit's loops, under other numbers."""

import itertools

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from molae.chem.guacamol_targets import MOLECULES
from molae.chem.molecules import read
from molae.chem.pharmacophores import BINS, _kinds, pharmacophores

SMILES = [
    MOLECULES["hop"],
    MOLECULES["celecoxib"],
    MOLECULES["albuterol"],
    MOLECULES["mestranol"],
    "OC(=O)CC(O)(CC(=O)O)C(=O)O",
    "NCC(O)CN.OCCO.[Na+]",
    "C1CC2CCC1C2",
    "B(O)(O)c1ccncc1",
    "NCCCCCCCCCCCCO",
    "CCO",
    "C",
]


def test_similarities_are_those_of_rdkit():
    mols = [read(text) for text in SMILES]
    theirs = [Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory) for mol in mols]
    ours = [pharmacophores(mol) for mol in mols]
    assert [bits.GetNumOnBits() for bits in ours] == [bits.GetNumOnBits() for bits in theirs]
    for i, j in itertools.combinations(range(len(mols)), 2):
        shared = DataStructs.OnBitsInCommon(ours[i], ours[j])
        assert len(shared) == len(DataStructs.OnBitsInCommon(theirs[i], theirs[j])), (i, j)
    assert ours[0].GetNumOnBits() > 200
    assert ours[-1].GetNumOnBits() == 0


def test_each_pattern_is_of_one_atom():
    assert len(_kinds()) == len(Gobbi_Pharm2D.factory.GetFeatFamilies())
    assert all(p.GetNumAtoms() == 1 for patterns in _kinds() for p in patterns)


def test_bins_are_those_of_rdkit():
    assert len(Gobbi_Pharm2D.factory.GetBins()) == BINS
    assert Gobbi_Pharm2D.factory.GetBins()[-1] == (8, 100)


@pytest.mark.parametrize("smiles", SMILES[:4])
def test_the_order_of_atoms_does_not_matter(smiles):
    mol = read(smiles)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    shuffled = Chem.RenumberAtoms(mol, order)
    assert pharmacophores(shuffled) == pharmacophores(mol)


def test_pairs_by_hand():
    """Two donors that are acceptors too, n bonds apart: one pair for each of DD, DA, AA."""
    for length in range(2, 12):
        bits = pharmacophores(read("O" + "C" * (length - 1) + "O"))
        pairs = len(_kinds()) ** 2 * BINS
        of_kinds = [bit // BINS for bit in bits.GetOnBits() if bit < pairs]
        bins = [bit % BINS for bit in bits.GetOnBits() if bit < pairs]
        hydrophobic = len(set(of_kinds)) > 3
        assert hydrophobic == (length > 4)
        if not hydrophobic:
            assert len(of_kinds) == 3
            assert set(bins) == {length - 2}
        else:
            assert min(length, 8) - 2 in bins
