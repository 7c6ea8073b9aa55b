"""What is said of a model."""

from __future__ import annotations

import pytest

from molae.codecs import CharacterCodec, restricted_codec, shipped_codec
from molae.runs import Run
from molae.workflows.expressed import elements, expressed, limits, longest
from molae.workflows.info import info, shipped


def test_of_a_shipped_model():
    run = Run.load("tiny", "cpu")
    told = info(run)
    assert told["folder"] == "tiny (ships with molae)"
    assert told["command"].startswith("molae train demo.smi.gz -o tiny ")
    assert told["seed"] == "0"
    assert told["sha256"] == run.card["data"][0]["sha256"]
    assert told["machine"] == run.card["recipe"]["machine"]
    assert told["on disc"].endswith("kB, weights in fp16")
    assert told["expresses"].startswith("C N O S")
    assert told["longest"] == f"{run.codec.max_steps - 1} tokens of Kekulé SMILES"
    assert "exact, on 615" in told["reconstruction"]


def test_of_what_was_evaluated(run):
    card = dict(run.card)
    card["metrics"] = card["metrics"] | {
        "evaluation": {
            "n": 10_000,
            "numbers": {"reconstruction": 0.953, "refined_reconstruction": 0.998},
            "measured_on": {"reconstruction": 4883},
            "densities": {"gmm": {"validity": 1.0, "unique_10k": 0.9991, "fcd": 1.234567}},
            "training_data": {"validity": 1.0, "novelty": None, "filters": 0.98},
        }
    }
    card |= {"notes": ["no salts"], "about": "molecules"}
    card["recipe"] = {"commands": ["molae train a", "molae generate", "molae train b"]}
    told = info(Run(run.codec, run.model, run.objective, run.config, card=card))
    assert told["reconstruction"] == (
        "95.3 % exact, on 4,883 held-out molecules; 99.8 % from corrected codes"
    )
    assert told["trained"].startswith("last of 2 stages: ")
    assert told["from gmm"] == "of 10,000: valid 1, unique@10k 0.9991, FCD 1.235"
    assert told["training data"] == "of 10,000: valid 1, MOSES filters 0.98"
    assert (told["about"], told["note 1"]) == ("molecules", "no salts")


def test_what_ships_is_listed():
    rows = {row["model"]: row for row in shipped()}
    assert rows["tiny"]["size"].endswith("kB")
    assert "tests" in rows["tiny"]["about"]


def test_of_a_run_that_was_just_trained(run):
    told = info(run)
    assert told["folder"] == str(run.folder)
    assert told["reconstruction"].endswith("molecules of validation")
    assert not {"about", "machine", "from gmm", "training data"} & told.keys()


def test_a_run_that_is_in_no_folder(run):
    told = info(Run(run.codec, run.model, run.objective, run.config))
    assert "folder" not in told
    assert "on disc" not in told
    assert "parameters" in told


def test_what_grammars_express():
    small = restricted_codec(["CCO", "C[C@H](N)Br", "C/C=C/C"], max_steps=30)
    assert expressed(small).startswith("C N O Br; stereocentres, cis and trans bonds; no charges")
    assert longest(small) == "29 tokens of Kekulé SMILES"
    assert "rejected" in limits(small)
    general = shipped_codec("smiles", 50)
    count = int(expressed(general).split(" elements")[0])
    assert count > 90
    assert "mixtures" in expressed(general)
    assert "no " not in expressed(general)
    published = shipped_codec("zinc")
    assert expressed(published).startswith("C N O S P F Cl Br I")
    assert longest(published).endswith("rules")
    assert "validity is not promised" in limits(published)
    assert expressed(shipped_codec("equation")) == limits(shipped_codec("equation")) == ""


def test_what_characters_express():
    codec = CharacterCodec("CNO()", max_steps=20)
    assert expressed(codec) == ""
    assert longest(codec) == "19 characters"
    assert "whether it is a molecule or not" in limits(codec)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("[C@@H]", "Br", "[13C]", "(", "1", "[N+]"), ["C", "N", "Br"]),
        (("[nH]", "c", "[se]", "Cl", "H", "[H]"), ["C", "N", "Cl", "Se"]),
        (("=", "%1", "/"), []),
    ],
)
def test_elements_of_terminals(words, expected):
    assert elements(words) == expected
