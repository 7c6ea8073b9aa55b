"""Inception-v3 through torch-fidelity, with random weights: the published ones do not ship."""

from __future__ import annotations

import builtins
import hashlib
import os

import numpy as np
import pytest
import torch

from molae.metrics.features import feature_net
from molae.metrics.inception import URL, InceptionFeatures


class Program:
    """What a file of weights must not be able to run."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MOLAE_TEST_TRAP"],)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as torch-fidelity wants it."""
    inception = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Bare(inception.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_args, **_kwargs):
            return None

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    made = Bare("bare", ["2048"], feature_extractor_weights_path=str(folder / "empty.pth"))
    torch.save(made.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def test_features_of_a_real_file(weights):
    net = feature_net(f"inception={weights}", np.zeros((2, 8, 8, 1), np.uint8))
    assert net.fd == "fid"
    assert net.digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "not the published ones" in net.about
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    found = net.features(grey)
    assert found.shape == (2, 2048)
    assert np.isfinite(found).all()
    assert np.array_equal(net.features(np.repeat(grey, 3, 3)), found)
    assert net.features(grey[:0]).shape == (0, 2048)


def test_no_program_in_a_file_is_run(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    trap = tmp_path / "trap"
    monkeypatch.setenv("MOLAE_TEST_TRAP", str(trap))
    torch.save({"fc.bias": Program()}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="does not hold the weights"):
        InceptionFeatures(tmp_path / "bad.pth")
    assert not trap.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_without_the_extra_a_sentence(tmp_path, monkeypatch):
    """As where torch-fidelity is not installed, whether it is or not."""
    (tmp_path / "some.pth").write_bytes(b"x")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("torch_fidelity"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'molae\[fid\]'"):
        InceptionFeatures(tmp_path / "some.pth")


def test_without_weights_a_sentence():
    with pytest.raises(ValueError, match="do not ship with molae") as told:
        InceptionFeatures(None)
    assert URL in str(told.value)
