"""The rules of MOSES, each with a molecule that breaks it and a near one that does not."""

import pytest

from molae.chem.filters import why
from molae.chem.molecules import read
from molae.chem.moses import PATTERNS, broken_rule

CASES = [
    ("alkene next to a nitrile", "CC=C(C)C#N", "CCC(C)C#N"),
    ("alkene next to a sulfonyl", "C=CS(C)(=O)=O", "CCS(C)(=O)=O"),
    ("alkene next to an amide", "CC=CC(=O)NC", "CC=C(C)C(=O)NC"),  # a hydrogen between them
    ("primary alkyl halide", "CCCCl", "CC(C)Cl"),
    ("epoxide", "CC1CO1", "CC1COC1"),
    ("isocyanate", "CN=C=O", "CNC(C)=O"),
    ("aldehyde", "CC=O", "CC(C)=O"),
    ("imine with hydrogen", "CC(=N)N", "CC(N)=NC"),
    ("aziridine", "CC1CN1", "CC1CNC1"),
    ("nitrogen-nitrogen bond in a chain", "CNNC", "C1CCNNC1"),
    ("azo or diazo", "CN=NC", "c1ccnnc1"),
    ("thiophene, not aromatic", "CC1=CC=CS1(=O)=O", "Cc1cccs1"),
    ("halogen beside an aromatic heteroatom", "Clc1ccccn1", "Clc1cccnc1"),
    ("sulfur-sulfur bond", "CSSC", "CSCSC"),
    ("three nitrogens in a chain", "CNN(N)C", "c1c[nH]nn1"),
    ("aminal", "CNCNC", "CNCCNC"),
    ("acetal", "CC(OC)OC", "CC(C)(OC)OC"),
    ("3 or more Br", "Brc1cc(Br)cc(Br)c1", "Brc1cccc(Br)c1"),
    ("4 or more Cl", "Clc1cc(Cl)c(Cl)cc1Cl", "Clc1ccc(Cl)c(Cl)c1"),
    ("7 or more F", "FC(F)(F)C(F)(F)C(F)(F)C", "FC(F)(F)C(F)(F)C(F)C"),
    ("charged atom", "CC(=O)[O-]", "CC(=O)O"),
    ("charged atom", "C[N+](=O)[O-]", "CN"),  # charges that cancel are charges
    ("element P", "CP", "CN"),
    ("element I", "Ic1ccccc1", "Brc1ccccc1"),
    ("ring of 8 atoms or more", "C1CCCCCCC1", "C1CCCCCC1"),
]


@pytest.mark.parametrize(("rule", "broken", "kept"), CASES)
def test_rule(rule, broken, kept):
    found = broken_rule(read(broken))
    names = list(PATTERNS)
    assert found == rule or (
        # An earlier pattern may hit the same atoms: then this one must hit too.
        rule in names and found in names[: names.index(rule)] and _hits(broken, rule)
    )
    assert broken_rule(read(kept)) is None


def _hits(smiles, rule):
    from rdkit import Chem

    return read(smiles).HasSubstructMatch(Chem.MolFromSmarts(PATTERNS[rule]))


def test_what_rdkit_sees_as_aromatic_passes():
    for smiles in ("Cc1ccco1", "Cc1cccs1", "Nc1ccccc1"):
        assert broken_rule(read(smiles)) is None


def test_pains_belong_to_them():
    rhodanine = "O=C1NC(=S)SC1=Cc1ccccc1"
    assert broken_rule(read(rhodanine)) is None
    assert why(rhodanine, "moses") == why(rhodanine, "pains")
    assert why("CC=O", "moses") == "aldehyde"
    assert why("COc1ccc(cc1)C(=O)NCc1ccncc1", "moses") is None
