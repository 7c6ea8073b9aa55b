"""``molae density``, as it is typed."""

from __future__ import annotations

import shutil

import pytest

from molae.chem.molecules import canonical
from molae.names import DENSITIES


@pytest.fixture
def mine(run_folder, tmp_path):
    """A copy of the tiny run; its command tells where its data is."""
    shutil.copytree(run_folder, tmp_path / "mine")
    return tmp_path / "mine"


def fit(molae, mine, molecules, *words):
    result = molae("density", "fit", "-m", mine, "--data", molecules, "--workers", 1, *words)
    assert result.exit_code == 0, result.output
    return result


def test_fit_list_and_generate(molae, mine, molecules):
    words = ["--density", "flow", "--set", "epochs=1", "--set", "transforms = 2"]
    result = fit(molae, mine, molecules, *words)
    head, *lines = result.stdout.splitlines()
    assert head.split("  ")[0] == "DENSITY"
    assert [line.split()[0] for line in lines] == ["prior", "gaussian", "gmm", "flow"]
    assert "2 couplings" in lines[-1]
    assert "flow: 2 couplings" in result.stderr
    listed = molae("density", "list", "-m", mine)
    assert listed.stdout == result.stdout
    drawn = molae("generate", "-n", 5, "-m", mine, "--density", "flow", "--temperature", 1, "-q")
    assert drawn.exit_code == 0, drawn.output
    assert all(canonical(line) == line for line in drawn.stdout.split())
    assert len(drawn.stdout.split()) == 5


def test_automatic_components(molae, mine, molecules):
    result = fit(molae, mine, molecules, "--components", "auto", "-q")
    tried, _, listed = result.stdout.partition("\n\n")
    assert tried.splitlines()[0].split() == ["COMPONENTS", "HELD-OUT", "NATS"]
    assert tried.splitlines()[1].split()[0] == "1"
    assert "gmm" in listed


def test_a_copy(molae, mine, molecules, tmp_path):
    before = (mine / "card.json").read_bytes()
    fit(molae, mine, molecules, "--density", "kde", "-o", tmp_path / "copy")
    assert (mine / "card.json").read_bytes() == before
    assert "kde" in molae("density", "list", "-m", tmp_path / "copy").stdout


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--density", "gmmm"], 2, "did you mean 'gmm'"),
        (["--density", "prior"], 1, "fitted to nothing"),
        (["--components", "many"], 2, "expected 1 up, or auto"),
        (["--components", "0"], 2, "expected 1 up, or auto"),
        (["--density", "kde", "--components", "3"], 1, "no components"),
        (["--set", "epochs"], 2, "expected KEY=VALUE"),
        (["--set", "epochs=3"], 1, "unknown setting of density 'gmm'"),
        (["--data", "no.smi"], 1, "no.smi: there is no such file"),
    ],
)
def test_what_makes_no_sense(molae, mine, words, status, message):
    result = molae("density", "fit", "-m", mine, *words)
    assert result.exit_code == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout


def test_data_that_has_moved(molae, mine, molecules, tmp_path):
    moved = tmp_path / "elsewhere" / molecules.name
    moved.parent.mkdir()
    shutil.copy(molecules, moved)
    result = molae("density", "fit", "-m", mine, "--density", "gaussian")
    assert result.exit_code == 1
    assert "--data FILE" in result.stderr
    fit(molae, mine, moved, "--density", "gaussian")


def test_all_are_listed(molae):
    words = molae("densities").stdout.split()
    assert set(DENSITIES) <= set(words)
