"""All metrics together: which are there, what they are worth, and why one is missing."""

from __future__ import annotations

import pytest

from molae.metrics import compare, profile
from molae.metrics.comparison import BETWEEN, LEAST, LEAST_FCD
from molae.metrics.frechet import has_chemnet
from molae.names import METRICS

#: 30 alcohols, and 30 phenyl alcohols: nothing of the second is in the first.
CHAINS = [f"{'C' * n}O" for n in range(1, 31)]
RINGS = [f"c1ccccc1{'C' * n}O" for n in range(1, 31)]


@pytest.fixture(scope="module")
def chains():
    return profile(CHAINS)


@pytest.fixture(scope="module")
def rings():
    return profile(RINGS)


def test_every_metric_is_there(chains, rings):
    found = compare(chains, rings, set(chains.smiles[:10]))
    assert found.values.keys() == METRICS.keys()
    assert found.reference.keys() <= METRICS.keys()
    missing = {name for name, value in found.values.items() if value is None}
    assert missing == {"unique_1k", "unique_10k", "scaf", "fcd"}
    assert missing <= found.notes.keys()
    flat = found.flat()
    assert flat["novelty"] == pytest.approx(2 / 3)
    assert flat["validity"] == flat["uniqueness"] == flat["reference_validity"] == 1
    assert (flat["ring6"], flat["reference_ring6"], flat["ring5"]) == (0, 1, 0)
    # Each differs from its partner by phenyl for hydrogen, C6H4.
    assert flat["w1_mw"] == pytest.approx(76.098, abs=0.01)
    assert flat["mean_mw"] + flat["w1_mw"] == pytest.approx(flat["reference_mean_mw"])
    assert flat["snn"] < 1


def test_a_set_beside_itself(rings):
    found = compare(rings, rings, set(rings.smiles))
    for name in ("snn", "frag"):
        assert found.values[name] == pytest.approx(1)
    for name in METRICS:
        if name.startswith("w1_"):
            assert found.values[name] == 0
    assert found.values["novelty"] == 0
    for name, value in found.reference.items():
        assert found.values[name] == value


def test_a_reference_of_ten(chains):
    found = compare(chains, profile(RINGS[:10]))
    for name in ("frag", "scaf", "w1_qed"):
        assert found.values[name] is None
        assert found.notes[name] == (
            f"needs at least {LEAST} valid molecules; 10 are in the reference"
        )
    assert str(LEAST_FCD) in found.notes["fcd"]
    assert found.values["snn"] is not None
    assert found.values["novelty"] is None
    assert found.notes["novelty"] == "needs the training set"


def test_without_a_reference(rings):
    """What is said of one set is the same as beside another."""
    found, beside = compare(rings, None, {"CC"}), compare(rings, rings, {"CC"})
    assert not found.reference
    assert found.values == {name: beside.values[name] for name in found.values}
    assert beside.values.keys() - found.values.keys() == BETWEEN.keys()


def test_nothing_valid_was_generated(rings):
    found = compare(profile(["C1CC", None]), rings, {"CC"})
    assert found.values["validity"] == 0
    rest = {name: value for name, value in found.values.items() if name != "validity"}
    assert set(rest.values()) == {None}
    assert rest.keys() <= found.notes.keys()
    assert found.reference["ring6"] == 1


def test_scaffolds_need_two_rings(chains):
    two = profile(["c1ccc(-c2ccccc2)cc1"] * LEAST)
    assert compare(two, two).values["scaf"] == pytest.approx(1)
    found = compare(two, chains)
    assert found.values["scaf"] is None
    assert "two rings" in found.notes["scaf"]


def test_fcd_of_few_or_without_chemnet():
    many = profile([f"{'C' * n}O{'C' * m}" for n in range(1, 12) for m in range(1, 12)])
    found = compare(many, many)
    if has_chemnet():
        assert found.values["fcd"] == pytest.approx(0, abs=1e-3)
        assert "121" in found.notes["fcd"]
    else:
        assert found.values["fcd"] is None
        assert "pip install 'molae[fcd]'" in found.notes["fcd"]


def test_unique_1k_of_nearly_as_many(rings):
    """465 ethers, each drawn twice."""
    ethers = [f"{'C' * n}O{'C' * m}" for n in range(1, 31) for m in range(n, 31)]
    found = compare(profile([*ethers, *ethers, "C1CC"]), rings)
    assert found.values["unique_1k"] == pytest.approx(1 / 2)
    assert found.notes["unique_1k"] == "there are only 930"
    assert "at least 9,000" in found.notes["unique_10k"]


def test_bad_input(rings):
    with pytest.raises(ValueError, match="reference holds no molecule"):
        compare(rings, profile([None]))
    with pytest.raises(ValueError, match="no draw"):
        compare(profile([]), rings)
