import gzip
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from molae.chem import mutation
from molae.chem.crossover import cross_chain, cross_ring
from molae.chem.filters import ring_sizes, strained_bond
from molae.chem.genetic import crossed_over, mutated, offspring
from molae.chem.molecules import MoleculeError, canonical, radical_atoms, read, write
from molae.chem.surgery import ORDERS, Graph, Limits, finished, graph, turn
from molae.resources import data_path

ANY = Limits(atoms=(1, 80))
#: Kekulé graphs with all that is awkward: charges, hypervalent atoms, isotopes, metals, salts,
#: dummies, maps, radicals, single atoms, deuterium, stereo of both kinds, big rings, cages.
AWKWARD = [
    "C", "[Na+].[Cl-]", "CC(=O)[O-].[Na+]", "O=[N+]([O-])c1ccccc1", "CS(=O)(=O)N1CCOCC1", "[Fe]",
    "C[N+](C)(C)CC([O-])=O", "FS(F)(F)(F)(F)c1ccccc1", "[2H]C([2H])([2H])O", "C[Si](C)(C)C#CC",
    "*CC", "[CH3]", "C[CH2:7]O", "OB(O)c1ccccc1", "C/C=C/[C@H](N)C(=O)O", "C1CCCCCCCCCCC1",
    "C1C2CC3CC1CC(C2)C3", "[O-][n+]1ccccc1", "O=P(O)(O)OC", "c1ccc2[nH]ccc2c1", "C=C=C", "N#N",
    "[NH4+]", "OI(=O)=O", "[Se]1C=CC=C1", "C12C3C4C1C5C2C3C45",
]  # fmt: skip


@pytest.fixture(scope="module")
def smiles():
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        return [canonical(line.split()[0]) for line in islice(stream, 300)]


def couples(smiles, n, seed):
    rng = np.random.default_rng(seed)
    return [[smiles[row] for row in rng.integers(0, len(smiles), n)] for _ in range(2)]


def formula(text):
    """Heavy atoms by element."""
    return Counter(atom.GetSymbol() for atom in read(text).GetAtoms())


def cycles(mol):
    """Independent cycles: bonds - atoms + parts."""
    return mol.GetNumBonds() - mol.GetNumAtoms() + len(Chem.GetMolFrags(mol))


# Whole populations -----------------------------------------------------------------------------


def test_all_offspring_are_molecules_within_the_limits(smiles):
    mothers, fathers = couples(smiles, 2000, 0)
    limits = Limits(atoms=(8, 38), ring=6)
    children = offspring(mothers, fathers, np.random.default_rng(0), limits=limits)
    assert sum(child is None for child in children) < 0.05 * len(children)
    assert len(set(children)) > 0.95 * len(children)
    for mother, father, child in zip(mothers, fathers, children, strict=True):
        if child is None:
            continue
        mol = read(child)  # sanitised; raises if it is none
        assert write(mol) == child
        assert child not in (mother, father)
        assert 8 <= mol.GetNumHeavyAtoms() <= 38
        parents = [read(mother), read(father)]
        largest = max(6, *(max(ring_sizes(p), default=0) for p in parents))
        assert max(ring_sizes(mol), default=0) <= largest
        assert not radical_atoms(mol)
        assert Chem.GetFormalCharge(mol) in map(Chem.GetFormalCharge, parents)
        if not any(strained_bond(parent) for parent in parents):
            assert strained_bond(mol) is None


def test_the_same_generator_gives_the_same_offspring(smiles):
    mothers, fathers = couples(smiles, 60, 1)
    one = offspring(mothers, fathers, np.random.default_rng(5))
    graph.cache_clear()
    assert offspring(mothers, fathers, np.random.default_rng(5)) == one
    assert offspring(mothers, fathers, np.random.default_rng(6)) != one


def test_offspring_go_on_for_generations(smiles):
    rng, parents = np.random.default_rng(2), smiles[:40]
    for _ in range(12):
        children = offspring(parents, parents[::-1], rng, mutation=1.0)
        parents = [c or p for c, p in zip(children, parents, strict=True)]
    assert all(canonical(text) == text for text in parents)
    assert len(set(parents)) > 35


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_parents_have_readable_offspring_or_none(text):
    rng = np.random.default_rng(3)
    other = "CC(=O)Nc1ccc(O)cc1"
    text = canonical(text)
    charges = {Chem.GetFormalCharge(read(text)), 0}
    children = offspring([text, other] * 20, [other, text] * 20, rng, limits=ANY)
    for child in filter(None, children):
        assert canonical(child) == child
        assert Chem.GetFormalCharge(read(child)) in charges
        assert bool(radical_atoms(read(child))) <= bool(radical_atoms(read(text)))


def test_charged_groups_are_moved_whole():
    rng = np.random.default_rng(4)
    nitro = Chem.MolFromSmarts("*[N+](=*)[O-]")
    for text in ("Cc1ccc([N+](=O)[O-])cc1", "CC(C)[N+](=O)[O-]"):
        for _ in range(150):
            mol = read(mutated(text, rng, ANY) or text)
            charges = sum(atom.GetFormalCharge() != 0 for atom in mol.GetAtoms())
            assert charges == 2 * len(mol.GetSubstructMatches(nitro))


def test_what_cannot_be_bred_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(MoleculeError, match="syntax"):
        offspring(["C1CC("], ["CC"], rng)
    with pytest.raises(MoleculeError, match="no order from 1 to 3"):
        offspring(["C$C"], ["CC"], rng)
    with pytest.raises(ValueError, match=r"share of mutation is 1\.5"):
        offspring(["CC"], ["CC"], rng, mutation=1.5)
    with pytest.raises(ValueError, match="limits of heavy atoms are 9 to 3"):
        Limits(atoms=(9, 3))
    with pytest.raises(ValueError, match="largest ring has 2 atoms"):
        Limits(ring=2)
    assert offspring([], [], rng) == []
    assert offspring(["C"], ["N"], rng, limits=Limits(atoms=(30, 50))) == [None]


# Crossover -------------------------------------------------------------------------------------


def test_crossover_at_one_bond_each_gives_the_four_that_there_are():
    rng = np.random.default_rng(0)
    found = {crossed_over("CF", "CCl", rng, ANY) for _ in range(60)}
    assert found == {"CC", "CCl", "CF", "FCl"}


def test_crossover_keeps_a_part_of_each():
    rng = np.random.default_rng(1)
    for _ in range(60):
        child = crossed_over("CCCCCCCC", "[SiH3][SiH2][SiH2][SiH2][SiH3]", rng, ANY)
        assert set(formula(child)) == {"C", "Si"}
        assert 2 <= sum(formula(child).values()) <= 11


def test_crossover_in_rings():
    rng = np.random.default_rng(2)
    found = [crossed_over("C1CCCCC1", "N1NNNNN1", rng, Limits(atoms=(1, 80), ring=7))]
    found += [crossed_over("C1CCCCC1", "N1NNNNN1", rng, Limits(ring=6)) for _ in range(80)]
    sizes = Counter(ring_sizes(read(child))[0] for child in found)
    assert set(sizes) <= {3, 4, 5, 6, 7}
    assert sizes[5] + sizes[6] > 0.7 * len(found)
    assert all(set(formula(child)) == {"C", "N"} for child in found)


def test_aromatic_rings_survive_crossover(smiles):
    """Arcs are cut at bonds of like orders where they can be, so flat rings stay flat."""
    rng = np.random.default_rng(3)
    made = [crossed_over("Cc1ccccc1", "Nc1ccncc1", rng, ANY) for _ in range(200)]
    aromatic = sum(rdMolDescriptors.CalcNumAromaticRings(read(child)) > 0 for child in made)
    assert aromatic > 0.4 * len(made)


def test_a_molecule_crossed_with_itself_can_be_itself(smiles):
    rng = np.random.default_rng(4)
    chiral = [text for text in smiles if "@" in text][:20]
    again = sum(text in [crossed_over(text, text, rng, ANY) for _ in range(30)] for text in chiral)
    assert again > 5  # with its handedness


# Handedness ------------------------------------------------------------------------------------


def test_a_bond_that_is_replaced_by_itself_leaves_handedness(smiles):
    checked = 0
    for text in [text for text in smiles if "@" in text][:60]:
        found = Graph(text)
        for i, j in found.cuts:
            mol = Chem.RWMol(found.mol)
            turn(mol, i, [(j, j)])
            turn(mol, j, [(i, i)])
            mol.RemoveBond(i, j)
            mol.AddBond(i, j, ORDERS[1])
            assert finished(mol, [found], ANY).count("@") == text.count("@")
            if "/" not in text and "\\" not in text:  # a cut beside a double bond drops its stereo
                assert finished(mol, [found], ANY) == text
                checked += 1
    assert checked > 200


def test_two_bonds_of_one_atom_are_replaced_together():
    text = "C[C@H](F)Cl"
    found = Graph(text)
    for order in ([(2, 2), (3, 3)], [(3, 3), (2, 2)], [(0, 0), (3, 3)], [(3, 3), (0, 0)]):
        mol = Chem.RWMol(found.mol)
        turn(mol, 1, order)
        for old, _ in order:
            mol.RemoveBond(1, old)
        for _, new in order:
            mol.AddBond(1, new, ORDERS[1])
        assert finished(mol, [found], ANY) == text
    exchanged = Chem.RWMol(found.mol)  # chlorine and fluorine change places
    turn(exchanged, 1, [(2, 3), (3, 2)])
    for atom in (2, 3):
        exchanged.RemoveBond(1, atom)
    for atom in (3, 2):
        exchanged.AddBond(1, atom, ORDERS[1])
    assert finished(exchanged, [found], ANY) == "C[C@@H](F)Cl"


@pytest.mark.parametrize("text", ["C[C@H](N)C(=O)O", "C/C=C/CC(=O)O", "C[C@@H]1CC[C@H](O)CC1"])
def test_changes_elsewhere_leave_stereo(text):
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(100):
        made = mutation.append(Graph(text), rng)
        child = None if made is None else finished(made, [Graph(text)], ANY)
        kept += child is not None and sum(map(child.count, "@/\\")) >= sum(map(text.count, "@/\\"))
    assert kept > 50


# Mutations -------------------------------------------------------------------------------------

EFFECTS = {
    # atoms more, rings more, whether the bonds without their orders are those of before
    mutation.append: ({1}, {0}),
    mutation.insert: ({1}, {0}),
    mutation.delete: ({-1}, {-1, 0, 1}),
    mutation.replace: ({0}, {0}),
    mutation.reorder: ({0}, {0}),
    mutation.open_ring: ({0}, {-1}),
    mutation.close_ring: ({0}, {1}),
}


def test_every_mutation_has_its_effect_listed():
    assert [kind for kind, _ in mutation.MUTATIONS] == list(EFFECTS)
    assert sum(share for _, share in mutation.MUTATIONS) == pytest.approx(1)


@pytest.mark.parametrize("kind", EFFECTS, ids=lambda kind: kind.__name__)
def test_effect_of_a_mutation(kind, smiles):
    rng = np.random.default_rng(0)
    atoms, rings = EFFECTS[kind]
    done = 0
    for text in smiles[:120]:
        parent = Graph(text)
        made = kind(parent, rng)
        child = None if made is None else finished(made, [parent], Limits(ring=9, atoms=(1, 99)))
        if child is None:
            continue
        done += 1
        before, after = read(text), read(child)
        assert after.GetNumHeavyAtoms() - before.GetNumHeavyAtoms() in atoms
        more = cycles(after) - cycles(before)
        assert more in rings
        if kind in (mutation.reorder, mutation.open_ring, mutation.close_ring):
            assert formula(child) == formula(text)
        if kind is mutation.replace:
            assert (formula(child) - formula(text)).total() == 1
    assert done > 30


def test_a_parent_is_never_changed(smiles):
    rng = np.random.default_rng(1)
    for text in smiles[:40]:
        parent = Graph(text)
        before = Chem.MolToSmiles(parent.mol, kekuleSmiles=True)
        for kind in EFFECTS:
            kind(parent, rng)
        cross_chain(parent, parent, rng, ANY)
        if parent.rings:
            cross_ring(parent, parent, rng, ANY)
        assert Chem.MolToSmiles(parent.mol, kekuleSmiles=True) == before


def test_graph_of_a_molecule():
    found = Graph("CC(=O)N1CC1")
    assert found.size == 6
    assert found.free == [3, 0, 0, 0, 2, 2]
    assert sorted(found.bonds) == [
        (0, 1, 1),
        (1, 2, 2),
        (1, 3, 1),
        (3, 4, 1),
        (3, 5, 1),
        (4, 5, 1),
    ]
    assert sorted(found.cuts) == [(0, 1), (1, 0), (1, 3), (3, 1)]
    assert found.ring_bonds == {(3, 4), (4, 3), (4, 5), (5, 4), (3, 5), (5, 3)}
    assert found.reached(0, [(1, 3), (3, 1)]) == {0, 1, 2}
    assert found.distances(0) == [0, 1, 2, 2, 3, 3]
    assert found.loses(1, 1)
    nitro = Graph("C[N+](=O)[O-]")
    assert nitro.fixed == [False, True, False, True]
    assert nitro.free == [3, 0, 0, 0]
    assert not nitro.loses(1, 1)
    sulfone = Graph("CS(C)(=O)=O")
    assert sulfone.loses(1, 2)
    assert not sulfone.loses(1, 1)  # five bonds at sulphur
