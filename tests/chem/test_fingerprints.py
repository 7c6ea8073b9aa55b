import numpy as np
import pytest
from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molae.chem.fingerprints import morgan, nearest, tanimoto
from molae.chem.molecules import MoleculeError, read

MOLECULES = [
    "CCO", "CCN", "c1ccccc1", "Cc1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C1CCCCC1", "CCCCCCCC",
    "O=C(O)c1ccccc1O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
]  # fmt: skip


@pytest.mark.parametrize("counts", [False, True])
def test_similarities_are_those_of_rdkit(counts):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    make = generator.GetCountFingerprint if counts else generator.GetFingerprint
    prints = [make(read(text)) for text in MOLECULES]
    expected = [[DataStructs.TanimotoSimilarity(a, b) for b in prints] for a in prints]
    table = morgan(MOLECULES, counts=counts)
    np.testing.assert_allclose(tanimoto(table, table), expected, rtol=1e-6)


@pytest.mark.parametrize("counts", [False, True])
def test_laws(counts):
    table = morgan(MOLECULES, counts=counts)
    similarity = tanimoto(table, table)
    assert similarity.dtype == np.float32
    np.testing.assert_array_equal(similarity, similarity.T)
    np.testing.assert_array_equal(np.diag(similarity), 1)
    assert similarity.min() >= 0
    assert similarity.max() <= 1


def test_by_hand():
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    b = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], np.uint8)
    np.testing.assert_allclose(tanimoto(a, b), [[1 / 3, 0, 1], [0, 1, 0]])
    a = np.array([[3, 1, 0]], np.uint32)
    b = np.array([[1, 1, 2]], np.uint32)
    np.testing.assert_allclose(tanimoto(a, b), [[2 / 6]])


def test_shapes_and_kinds():
    bits, counts = morgan(MOLECULES, size=512), morgan(MOLECULES, size=512, counts=True)
    assert bits.shape == counts.shape == (len(MOLECULES), 512)
    np.testing.assert_array_equal(bits, counts > 0)
    assert counts.max() > 1
    assert morgan([]).shape == (0, 2048)
    assert tanimoto(bits[:0], bits).shape == (0, len(MOLECULES))
    assert tanimoto(counts[:0], counts).shape == (0, len(MOLECULES))


@pytest.mark.parametrize("block", [1, 2, 3, 100])
@pytest.mark.parametrize("counts", [False, True])
def test_nearest_is_the_maximum_whatever_the_block(block, counts):
    table = morgan(MOLECULES, counts=counts)
    queries, references = table[:4], table[4:]
    value, row = nearest(queries, references, block)
    full = tanimoto(queries, references)
    np.testing.assert_array_equal(value, full.max(-1))
    np.testing.assert_array_equal(row, full.argmax(-1))
    itself = nearest(table, table, block)
    np.testing.assert_array_equal(itself[0], 1)
    np.testing.assert_array_equal(itself[1], np.arange(len(table)))


def test_errors():
    with pytest.raises(MoleculeError):
        morgan(["C1CC"])
    with pytest.raises(ValueError, match="one size"):
        tanimoto(morgan(["C"], size=64), morgan(["C"], size=128))
    with pytest.raises(ValueError, match="no references"):
        nearest(morgan(["C"]), morgan([]))
