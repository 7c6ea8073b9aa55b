import pytest

from molae.chem.molecules import MoleculeError, canonical, kekule
from molae.chem.prepare import Preparation, prepare, prepare_many


@pytest.mark.parametrize(
    ("options", "raw", "clean"),
    [
        ({}, "OCC", "CCO"),
        ({}, "[Na+].CC(=O)[O-]", "CC(=O)[O-]"),
        ({"neutralise": True}, "[Na+].CC(=O)[O-]", "CC(=O)O"),
        ({"fragment": "all"}, "[Na+].CC(=O)[O-]", "CC(=O)[O-].[Na+]"),
        ({"neutralise": True}, "C[NH2+]CC(=O)[O-]", "CNCC(=O)O"),
        ({"neutralise": True}, "C[N+](C)(C)C", "C[N+](C)(C)C"),
        ({"neutralise": True}, "C[N+](=O)[O-]", "C[N+](=O)[O-]"),
        ({"stereo": False}, "C[C@H](F)/C=C/C", "CC=CC(C)F"),
        ({}, "C[C@H](F)/C=C/C", "F[C@@H](C)/C=C/C"),
        ({}, "[CH3:1][OH:2]", "CO"),
        ({"elements": ["C", "O"]}, "[2H]OC", "[2H]OC"),
        ({}, "[Pt+2].Cl.CN", "CN"),
    ],
)
def test_what_is_kept(options, raw, clean):
    assert prepare(raw, **options) == canonical(clean)


@pytest.mark.parametrize(
    ("options", "raw", "reason"),
    [
        ({}, "C1CC", "syntax"),
        ({}, "", "empty"),
        ({"min_atoms": 4}, "CCO", "too few atoms"),
        ({"max_atoms": 2}, "CCO", "too many atoms"),
        ({"elements": {"C", "O"}}, "CC[Si](C)(C)C", "element"),
        ({}, "C*", "dummy atom"),
        ({}, "[CH3]", "radical"),
        ({"fragment": "all"}, "CCO.N->[Cu]", "dative bond"),
    ],
)
def test_what_is_refused(options, raw, reason):
    with pytest.raises(MoleculeError) as error:
        prepare(raw, **options)
    assert error.value.reason == reason
    assert error.value.smiles == raw


def test_the_salt_does_not_count():
    assert prepare("[Na+].CC(=O)[O-]", max_atoms=4, elements=["C", "O"]) == "CC(=O)[O-]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fragment": "bigest"}, "did you mean 'largest'"),
        ({"elements": ["C", "Xx"]}, "Xx"),
        ({"min_atoms": 5, "max_atoms": 2}, "nothing is left"),
    ],
)
def test_senseless_options(options, message):
    with pytest.raises(ValueError, match=message):
        Preparation(**options)


@pytest.mark.parametrize("raw", ["C[NH2+]CC(=O)[O-].Cl", "OC(=O)c1ccccc1.[K+]", "F/C=C/[C@H](C)N"])
@pytest.mark.parametrize("neutralise", [False, True])
@pytest.mark.parametrize("stereo", [False, True])
def test_preparing_twice_changes_nothing_and_can_be_trained_on(raw, neutralise, stereo):
    preparation = Preparation(neutralise=neutralise, stereo=stereo)
    once = preparation(raw)
    assert preparation(once) == once == canonical(once)
    assert kekule(once)


def test_many():
    raw = ["OCC", "C1CC", "CC(=O)[O-].[Na+]"] * 500
    preparation = Preparation(neutralise=True)
    for workers in (1, 2):
        results = list(prepare_many(raw, preparation, workers))
        assert results[0::3] == ["CCO"] * 500
        assert {error.reason for error in results[1::3]} == {"syntax"}
        assert results[2::3] == ["CC(=O)O"] * 500
