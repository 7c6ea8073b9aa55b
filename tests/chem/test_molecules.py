import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molae.chem import molecules
from molae.chem.molecules import (
    MAX_LENGTH,
    MoleculeError,
    canonical,
    kekule,
    kekule_many,
    radical_atoms,
    read,
)

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "C[C@H]1[C@H](O)[C@@H](OC(=O)/C=C/c2ccccc2)C[C@@H](O1)OC",
    "O=c1cc[nH]c(=O)[nH]1",
    "[O-][n+]1ccccc1",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "CN(C)CCCN1c2ccccc2Sc2ccc(Cl)cc21",
    "[Na+].[O-]C(=O)c1ccccc1O",
    "C[S@](=O)c1nc2cc(OC)ccc2[nH]1",
    "F/C=C/C=C\\Cl",
    "[13CH3]c1cc(C#N)ccc1[N+](=O)[O-]",
    "C[N+](C)(C)CC(=O)[O-]",
    "O=S(=O)(O)c1ccc(cc1)B(O)O",
    "OP(=O)(O)OC[C@H]1O[C@H](C[C@@H]1O)n1cnc2c1ncnc2N",
]
# Large, symmetric or charged aromatic systems, where kekulisation has most freedom.
AROMATICS = [
    "c1ccc2cc3ccccc3cc2c1",
    "c1ccc2c(c1)c1ccccc1c1ccccc21",
    "c1cc2cc3ccc(cc4ccc(cc5ccc(cc1n2)[nH]5)n4)[nH]3",
    "c1ccc2cccc2cc1",
    "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1",
    "c1cc[te]c1",
    "c1cc[se]c1",
    "O=c1cccccc1",
    "c1ccc(cc1)-c1ccccc1-c1ccccc1",
    "b1ccccc1",
]


def spellings(smiles, n=8):
    return Chem.MolToRandomSmilesVect(read(smiles), n, randomSeed=11)


@pytest.mark.parametrize("smiles", DRUGS + AROMATICS)
def test_kekule_keeps_the_molecule(smiles):
    assert canonical(kekule(smiles)) == canonical(smiles)


@pytest.mark.parametrize("smiles", DRUGS + AROMATICS)
def test_kekule_does_not_depend_on_spelling(smiles):
    assert {kekule(text) for text in spellings(smiles)} == {kekule(smiles)}
    assert kekule(kekule(smiles)) == kekule(smiles)


@pytest.mark.parametrize("smiles", DRUGS + AROMATICS)
def test_kekule_without_canonical_kekulisation(smiles, monkeypatch):
    """Older versions of RDKit kekulise by the order of the atoms."""
    monkeypatch.setattr(molecules, "_KEKULIZES_CANONICALLY", False)
    assert {canonical(kekule(text)) for text in spellings(smiles)} == {canonical(smiles)}
    assert {kekule(text) for text in spellings(smiles)} == {kekule(smiles)}


@pytest.mark.parametrize("smiles", DRUGS + AROMATICS)
def test_kekule_has_no_aromatic_atoms(smiles):
    outside = re.sub(r"\[\d*([A-Z][a-z]?)[^]]*\]|Cl|Br", "", kekule(smiles))
    assert not re.search("[a-z:]", outside)


def test_benzene():
    assert kekule("c1ccccc1") == "C1=CC=CC=C1"


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("C1CC", "syntax"),
        ("C((", "syntax"),
        ("hello world", "syntax"),
        ("CCO ethanol", "syntax"),
        ("CCO |^1:0|", "syntax"),
        ("C\N{LATIN SMALL LETTER E WITH ACUTE}C", "syntax"),
        ("C\udce9", "syntax"),
        ("[Xx]", "syntax"),
        ("C(C)(C)(C)(C)C", "valence"),
        ("C[N+](C)(C)(C)C", "valence"),
        ("CC1CCCCb(=O)CC1", "valence"),
        ("c1cccc1", "kekulisation"),
        ("cc", "kekulisation"),
        ("C" * (MAX_LENGTH + 1), "too long"),
    ],
)
def test_read_says_why(smiles, reason, capfd):
    with pytest.raises(MoleculeError) as error:
        read(smiles)
    assert error.value.reason == reason
    assert reason in str(error.value)
    assert canonical(smiles) is None
    with pytest.raises(MoleculeError):
        kekule(smiles)
    assert capfd.readouterr().err == ""


def test_the_longest_chain_is_read():
    assert len(kekule("C" * MAX_LENGTH)) == MAX_LENGTH


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("[CH3]", "radical"),
        ("C[CH]C", "radical"),
        ("O=[N]", "radical"),
        ("[H]", "radical"),
        ("C*", "dummy atom"),
        ("*c1ccccc1", "dummy atom"),
        ("N->[Cu]", "dative bond"),
        ("[Na]N(C)(C)C", "dative bond"),
        ("[Fe]$[Fe]", "quadruple bond"),
        ("C~C", "unspecified bond"),
        ("C[Pt@SP1](F)(Cl)N", "non-tetrahedral stereo"),
        ("C[Co@OH1](F)(Cl)(Br)(I)N", "non-tetrahedral stereo"),
        ("Cc1ccccc#1F", "kekulisation"),  # an aryne with aromatic atoms, its Kekulé form has C5
        ("CCb1nn[nH]c1", "kekulisation"),
    ],
)
def test_kekule_refuses_what_has_no_rule(smiles, reason):
    with pytest.raises(MoleculeError) as error:
        kekule(smiles)
    assert error.value.reason == reason
    assert error.value.smiles == smiles


@pytest.mark.parametrize("smiles", ["[CH3]", "C[CH]C", "O=[N]"])
def test_radicals_on_request(smiles):
    assert canonical(kekule(smiles, radicals=True)) == canonical(smiles)


@pytest.mark.parametrize("smiles", ["[Na]", "[Gd+3]", "[Fe+2].[Cl-].[Cl-]", "[Bi+3]"])
def test_lone_metals_are_no_radicals(smiles):
    assert radical_atoms(read(smiles)) == []
    assert canonical(kekule(smiles)) == canonical(smiles)


@pytest.mark.parametrize(
    ("smiles", "plain"),
    [
        ("[CH3:1][CH2:2][OH:3]", "CCO"),
        ("[CH3:7]C(F)=[CH:1]/C", "CC(F)=CC"),
        ("C0CC0", "C1CC1"),
        ("C%10CC%10", "C1CC1"),
        ("[H]O[H]", "O"),
        ("O[C@TH1](F)(Cl)Br", "O[C@](F)(Cl)Br"),
        ("c1:c:c:c:c:c1", "c1ccccc1"),
    ],
)
def test_kekule_normalises(smiles, plain):
    assert kekule(smiles) == kekule(plain)


def test_atom_maps_do_not_make_stereocentres():
    assert kekule("F[C@]([CH3:1])([CH3:2])Cl") == "CC(C)(F)Cl"


@given(st.text("CNOcn=#()12[]+-@H/\\.*:$%sPl", max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        form = kekule(text)
    except MoleculeError:
        return
    assert kekule(form) == form


def test_many_equals_one_at_a_time():
    items = [*DRUGS, "C1CC", "[CH3]", ""] * 70
    one = kekule_many(items)
    two = kekule_many(items, workers=2)
    assert len(one) == len(two) == len(items)
    for text, a, b in zip(items, one, two, strict=True):
        if isinstance(a, MoleculeError):
            assert isinstance(b, MoleculeError)
            assert (a.reason, a.smiles, str(a)) == (b.reason, b.smiles, str(b))
        else:
            assert a == b == kekule(text)
    assert isinstance(kekule_many(["[CH3]"])[0], MoleculeError)
    assert kekule_many(["[CH3]"], radicals=True) == ["[CH3]"]
    assert kekule_many([]) == []
    with pytest.raises(ValueError, match="workers"):
        kekule_many(["C"], workers=0)


def test_error_survives_a_process_boundary():
    error = MoleculeError("valence", "C" * 500, "carbon")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.smiles, copy.detail) == ("valence", "C" * 500, "carbon")
    assert str(copy) == str(error)
    assert len(str(error)) < 150
