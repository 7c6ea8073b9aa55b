"""``molae train`` with what changes codec, objective and properties, as it is typed."""

from __future__ import annotations

import json

import pytest

SMALL = "--latent-dim 8 --encoder-hidden 16 --decoder-hidden 24 --embedding 8 --components 2"
FAST = f"--steps 3 --batch-size 32 --validation 0.1 --workers 1 {SMALL}".split()


@pytest.fixture
def trained(molae, molecules, tmp_path):
    """Train with some options; the settings of the run."""

    def run(*words):
        result = molae("train", molecules, "-o", tmp_path / "run", *FAST, *words)
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "run" / "config.json").read_text()), result

    return run


def test_characters_from_training_to_molecules(molae, trained, molecules, tmp_path):
    config, result = trained("--codec", "characters", "--objective", "vae", "--beta-warmup", 2)
    assert config["codec"]["kind"] == "characters"
    beta = {"schedule": "linear", "start": 0.0, "end": 1 / 8, "steps": 2}
    assert config["objective"] == {"name": "vae", "beta": beta, "noise_scale": 1.0}
    assert "no promise" in result.stdout
    run = tmp_path / "run"
    assert "characters" in molae("info", run).stdout
    done = molae("reconstruct", molecules, "-m", run, "--limit", 9, "--workers", 1)
    assert done.exit_code == 0, done.output
    # After three steps it writes no molecule, and says so.
    drawn = molae("generate", "-n", 2, "-m", run, "--max-draws", 30, "--workers", 1)
    assert drawn.exit_code in (0, 1)
    assert "not valid" in drawn.stderr
    assert "Traceback" not in drawn.output


def test_properties_and_published_noise(molae, trained, tmp_path):
    published = ("--objective", "vae", "--noise-scale", 0.01, "--beta", 1.36)
    config, result = trained(*published, "--property", "qed,logp", "--property-weight", 2)
    assert config["objective"] == {"name": "vae", "beta": 1.36, "noise_scale": 0.01}
    assert config["properties"]["names"] == ["qed", "logp"]
    assert config["properties"]["weight"] == 2.0
    assert "qed R2" in result.stdout
    assert "logp R2" in molae("info", tmp_path / "run").stdout


@pytest.mark.parametrize(
    ("words", "objective"),
    [
        ("--objective wae --weight 3", {"name": "wae", "weight": 3.0}),
        ("--objective ae --weight 1e-5", {"name": "ae", "weight": 1e-5}),
        ("--objective cvvae --noise 0.3", {"name": "cvvae", "beta": 1 / 8}),
    ],
)
def test_objectives(trained, words, objective):
    config, _ = trained(*words.split())
    assert config["objective"] == objective
    if objective["name"] == "cvvae":
        assert config["model"]["head"] == {"name": "constant", "scale": 0.3}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--codec letters", 2, "unknown codec 'letters'"),
        ("--property qedd", 2, "did you mean 'qed'"),
        ("--beta-warmup 0", 2, "--beta-warmup"),
        ("--codec characters --grammar zinc", 1, "has no grammar"),
        ("--objective cvvae --head normal", 1, "leave the head out"),
        ("--objective wae --beta 1", 1, "'wae' has no beta"),
        ("--property-weight 1", 1, "no properties to weigh"),
    ],
)
def test_what_makes_no_sense(molae, molecules, tmp_path, words, status, message):
    result = molae("train", molecules, "-o", tmp_path / "run", *FAST, *words.split())
    assert result.exit_code == status, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()
