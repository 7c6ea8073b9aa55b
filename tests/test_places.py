"""Which run is meant: what is named, else the last one made here, else the shipped one."""

from __future__ import annotations

import shutil

import pytest
import torch

from molae.resources import DEFAULT_MODEL, weights_names
from molae.runs import Run, RunError, find, places, remember

TINY = "tiny"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder, and a cache in which no run is noted."""
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def saved(here):
    """A run in a folder of its own."""
    return Run.load(TINY, "cpu").save(here / "run")


def _default(monkeypatch, name):
    monkeypatch.setattr(places, "DEFAULT_MODEL", name)


def test_the_last_run_comes_first(saved, monkeypatch):
    _default(monkeypatch, TINY)
    remember(saved)
    assert find() == saved.resolve() == places.last_run()
    assert places.fallback() == ""


def test_without_one_the_shipped_model_is_meant(monkeypatch):
    _default(monkeypatch, TINY)
    assert places.shipped_as(find()) == TINY
    assert places.shipped_as(Run.load(device="cpu").folder) == TINY
    assert places.fallback().startswith(f"No model was trained here yet: using {TINY}")


def test_a_last_run_that_is_gone(saved, monkeypatch):
    remember(saved)
    shutil.rmtree(saved)
    _default(monkeypatch, "nothing")
    with pytest.raises(RunError, match="is gone"):
        find()
    _default(monkeypatch, TINY)
    assert places.shipped_as(find()) == TINY
    assert f"{saved.resolve()}, is gone: using {TINY}" in places.fallback()


def test_nothing_at_all(monkeypatch):
    _default(monkeypatch, "nothing")
    with pytest.raises(RunError, match=r"no model is named .*molae train.*shipped models: .*tiny"):
        Run.load()
    assert places.fallback() == ""


def test_a_run_here_hides_a_shipped_model_and_any_other_folder_does_not(here, saved):
    shutil.copytree(saved, here / TINY)
    assert places.shipped_as(find(TINY)) is None
    shutil.rmtree(here / TINY)
    (here / TINY).mkdir()  # a folder of data, for instance
    assert places.shipped_as(find(TINY)) == TINY


def test_unknown_names_are_answered_with_the_shipped_ones():
    with pytest.raises(RunError, match=r"there is no run zinck: .*shipped model \(.*tiny"):
        find("zinck")


def test_the_default_ships():
    assert len(set(Run.load(DEFAULT_MODEL, "cpu").sample(20))) == 20


@pytest.mark.parametrize("name", weights_names())
def test_shipped_models(name):
    run = Run.load(name, "cpu")
    assert all(value.dtype == torch.float32 for value in run.model.parameters())
    for fitted in run.densities.values():
        assert {v.dtype for v in fitted.buffers() if v.is_floating_point()} <= {torch.float64}
        whole = fitted.sample_rows(3, torch.arange(40))
        assert torch.equal(fitted.sample_rows(3, torch.arange(25, 40)), whole[25:])
    drawn = run.sample(40, seed=5)
    assert None not in drawn
    assert drawn == Run.load(name, "cpu").sample(25, seed=5) + run.sample(15, seed=5, start=25)
    assert {"recipe", "stored", "about"} <= run.card.keys()
