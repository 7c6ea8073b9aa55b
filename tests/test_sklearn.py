"""The transformer: training in ``fit``, and rows that stay where they are."""

from __future__ import annotations

import gzip
from itertools import islice

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from molae import MoleculeEncoder
from molae.chem.molecules import canonical
from molae.resources import data_path


@pytest.fixture(scope="module")
def smiles():
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt") as stream:
        return [line.split()[0] for line in islice(stream, 24)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))


@pytest.mark.filterwarnings("ignore:.*(few|covariance|component)")
def test_fit_trains_and_leaves_out_what_cannot_be_used(smiles):
    given = [*smiles[:20], "C1CC(", "", "CCO CCN", None, *smiles[20:]]
    encoder = MoleculeEncoder(epochs=1, latent_dim=8, device="cpu")
    with pytest.raises(NotFittedError):
        encoder.transform(smiles)
    with pytest.warns(UserWarning, match="4 of 28 cannot be encoded.*number 20, 'C1CC\\('"):
        codes = encoder.fit_transform(given)
    assert codes.shape == (28, 8)
    assert np.flatnonzero(np.isnan(codes).any(1)).tolist() == [20, 21, 22, 23]
    good = np.delete(codes, [20, 21, 22, 23], 0)
    np.testing.assert_allclose(good, encoder.transform(smiles), atol=1e-5)
    back = encoder.inverse_transform(codes)
    assert [row for row, text in enumerate(back) if text is None] == [20, 21, 22, 23]
    assert all(canonical(text) == text for text in back if text is not None)
    assert encoder.run_.folder is None
    assert encoder.transform([]).shape == (0, 8)
    assert clone(encoder).get_params() == encoder.get_params()


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match=r"none of its|nothing"):
        MoleculeEncoder(epochs=1, device="cpu").fit(["hello", "C1CC("])
