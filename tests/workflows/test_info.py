"""What is said of a model."""

from __future__ import annotations

import json
import shutil

import pytest

from molae.codecs import CharacterCodec, restricted_codec, shipped_codec
from molae.runs import Run
from molae.runs.folder import CARD
from molae.workflows.info import info, shipped

#: Of properties to those of the reference.
DISTANCES = {"w1_logp": 0.305942, "w1_sa": 0.06916, "w1_qed": 0.0110885, "w1_mw": 5.13704}


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


@pytest.mark.parametrize("older", [False, True])
def test_of_what_was_evaluated(run, older):
    card = dict(run.card)
    card["metrics"] = card["metrics"] | {
        "evaluation": {
            "n": 10_000,
            "numbers": {
                "reconstruction": 0.953,
                "refined_reconstruction": 0.998,
                "stochastic_reconstruction": None if older else 0.8572,
            },
            "measured_on": {"reconstruction": 4883},
            "densities": {"gmm": {"unique_10k": 0.9991, "fcd": 1.234567} | DISTANCES},
            "training_data": {"validity": 1.0, "novelty": None, "filters": 0.98},
        }
    }
    card |= {"notes": ["no salts"], "about": "molecules"}
    card["recipe"] = {"commands": ["molae train a", "molae generate", "molae train b"]}
    told = info(Run(run.codec, run.model, run.objective, run.config, card=card))
    assert told["reconstruction"] == (
        "95.3 % exact, on 4,883 held-out molecules; 99.8 % from corrected codes"
        + ("" if older else "; 85.7 % of random decodings")
    )
    assert told["trained"].startswith("last of 2 stages: ")
    assert told["from gmm"] == (
        "of 10,000: unique@10k 0.9991, FCD 1.235, "
        "W1 logP 0.3059, W1 SA 0.06916, W1 QED 0.01109, W1 weight 5.137"
    )
    assert told["training data"] == "of 10,000: valid 1, MOSES filters 0.98"
    assert (told["about"], told["note 1"]) == ("molecules", "no salts")


def test_of_shipped_images_it_says_how_near_samples_are():
    told = info(Run.load("mnist"))
    for name in ("from prior", "from gmm", "training data"):
        assert told[name].startswith("of 10,000: FD in features of the classifier ")
        assert "PRD F8 0.9" in told[name]


def test_what_ships_is_listed():
    rows = {row["model"]: row for row in shipped()}
    assert rows["tiny"]["size"].endswith("kB")
    assert "tests" in rows["tiny"]["about"]


def test_of_a_run_that_was_just_trained(run):
    told = info(run)
    assert told["folder"] == str(run.folder)
    assert told["reconstruction"].endswith("molecules of validation")
    assert not {"about", "machine", "from gmm", "training data"} & told.keys()


def test_of_a_run_whose_card_calls_everything_molecules(run, tmp_path):
    """Early cards did, those of images too."""
    shutil.copytree(run.folder, tmp_path / "run")
    path = tmp_path / "run" / CARD
    card = json.loads(path.read_text(encoding="utf-8"))
    del card["training"]["examples_per_second"]
    card["training"]["molecules_per_second"] = 1234
    path.write_text(json.dumps(card), encoding="utf-8")
    again = Run.load(path.parent, "cpu")
    assert again.card["training"]["examples_per_second"] == 1234
    assert "molecules_per_second" not in again.card["training"]
    assert " s, 1,234 molecules/s, " in info(again)["trained"]


def test_a_run_that_is_in_no_folder(run):
    told = info(Run(run.codec, run.model, run.objective, run.config))
    assert "folder" not in told
    assert "on disc" not in told
    assert "parameters" in told


def test_what_grammars_express():
    small = restricted_codec(["CCO", "C[C@H](N)Br", "C/C=C/C"], max_steps=30)
    assert small.expresses.startswith("C N O Br; stereocentres, cis and trans bonds; no charges")
    assert small.longest == "29 tokens of Kekulé SMILES"
    assert "rejected" in small.limits
    general = shipped_codec("smiles", 50)
    count = int(general.expresses.split(" elements")[0])
    assert count > 90
    assert "mixtures" in general.expresses
    assert "no " not in general.expresses
    published = shipped_codec("zinc")
    assert published.expresses.startswith("C N O S P F Cl Br I")
    assert published.longest.endswith("rules")
    assert "validity is not promised" in published.limits
    assert shipped_codec("equation").expresses == shipped_codec("equation").limits == ""


def test_what_characters_express():
    codec = CharacterCodec("CNO()", max_steps=20)
    assert codec.expresses == ""
    assert codec.longest == "19 characters"
    assert "whether it is a molecule or not" in codec.limits
