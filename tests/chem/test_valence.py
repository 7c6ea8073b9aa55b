"""The table of capacities is what RDKit says, and the machine reads it as it was written."""

from __future__ import annotations

import json

import pytest
from rdkit import Chem, rdBase

from molae.chem import valence
from molae.grammar.valences import bracket_classes, digest, organic_capacities
from molae.resources import valence_text

SAMPLE = ("H", "B", "C", "N", "O", "Si", "S", "Se", "Cl", "Na", "Fe", "Sn", "U")


@pytest.fixture(scope="module")
def table():
    return json.loads(valence_text())


def test_organic_capacities_are_rdkits():
    known = {"B": 3, "C": 4, "N": 3, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 1, "Br": 1, "I": 5}
    with rdBase.BlockLogs():
        assert {s: valence.organic_capacity(s) for s in valence.ORGANIC} == organic_capacities()
    assert organic_capacities() == known


def test_table_agrees_with_the_installed_rdkit(table):
    lines = valence.differences(table, SAMPLE)
    assert lines == [], f"table of RDKit {table['rdkit']}, installed {rdBase.rdkitVersion}"


def test_differences_are_found(table):
    wrong = json.loads(json.dumps(table))
    wrong["classes"][wrong["elements"]["C"]]["0,0"] = [3]
    lines = valence.differences(wrong, ["C"])
    assert lines == ["[C]: RDKit says [4], table says [3]"]


def test_all_elements_are_there_and_spelt_as_rdkit_spells_them(table):
    assert len(table["elements"]) == 118
    assert set(bracket_classes()) == set(valence.elements()) == set(table["elements"])


def test_the_machine_reads_what_was_written(table):
    for symbol, entry in bracket_classes().items():
        written = table["classes"][table["elements"][symbol]]
        assert {f"{h},{c}": sums for (h, c), sums in entry.items()} == written
    assert len(digest()) == 64


def test_every_entry_is_ascending_and_in_range():
    for entry in bracket_classes().values():
        for (hydrogens, charge), sums in entry.items():
            assert hydrogens in valence.HYDROGENS
            assert charge in valence.CHARGES
            assert sums == sorted(set(sums))
            assert sums
            assert 0 <= sums[0] <= sums[-1] <= valence.MAX_TOTAL


@pytest.mark.parametrize(
    ("symbol", "hydrogens", "charge", "sums"),
    [
        ("C", 0, 0, [4]),
        ("C", 3, -1, [0]),
        ("N", 1, 1, [3]),
        ("N", 4, 1, [0]),
        ("O", 0, -1, [1]),
        ("S", 0, 0, [2, 4, 6]),
        ("Na", 0, 1, [0]),
        ("H", 0, 1, [0]),
    ],
)
def test_entries_that_chemists_know(symbol, hydrogens, charge, sums):
    assert bracket_classes()[symbol][hydrogens, charge] == sums


def test_radicals_have_no_place():
    assert (3, 0) in bracket_classes()["C"]  # [CH3] carries one bond
    assert bracket_classes()["C"][3, 0] == [1]
    assert (1, 0) not in bracket_classes()["F"] or bracket_classes()["F"][1, 0] == [0]


def test_listed_sums_hold_beside_any_partner():
    """The sums were probed with single bonds to carbon; double bonds must do as well."""
    with rdBase.BlockLogs():
        for symbol in ("B", "C", "N", "O", "Si", "P", "S", "Se"):
            for (hydrogens, charge), sums in bracket_classes()[symbol].items():
                for total in sums:
                    text = valence.spell(symbol, hydrogens, charge)
                    text += "(=C)" * (total // 2) + "C" * (total % 2)
                    mol = Chem.MolFromSmiles(text)
                    assert mol is not None, text
                    assert not any(a.GetNumRadicalElectrons() for a in mol.GetAtoms()), text


@pytest.mark.parametrize(
    ("hydrogens", "charge", "text"),
    [(0, 0, "[N]"), (1, 0, "[NH]"), (3, 1, "[NH3+]"), (0, -2, "[N-2]"), (2, -1, "[NH2-]")],
)
def test_spelling_of_bracket_atoms(hydrogens, charge, text):
    assert valence.spell("N", hydrogens, charge) == text


def test_metals():
    assert valence.is_metal("Na")
    assert valence.is_metal("Sn")
    assert not valence.is_metal("Si")
    assert not valence.is_metal("H")


def test_a_table_of_another_version_is_compared():
    """With RDKit's own version nothing is asked; with another, every difference is named."""
    text = valence_text()
    table = json.loads(text)
    assert valence.disagreements(text) == ()
    table["rdkit"] = "2020.01.1"
    assert valence.disagreements(json.dumps(table)) == ()
    table["classes"][table["elements"]["N"]]["0,1"] = [5]
    lines = valence.disagreements(json.dumps(table))
    assert any(line.startswith("[N+]") for line in lines)
