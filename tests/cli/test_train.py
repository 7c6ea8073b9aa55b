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
        ("--objective cvvae --head normal", 1, "use the head 'constant'"),
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


# Images ------------------------------------------------------------------------------------------

PICTURES = "--steps 3 --latent-dim 4 --width 0.25 --components 2 --workers 1 --device cpu"
IMAGES = PICTURES.split()
SLOPE = "--regularizer gp --gradient jacobian --likelihood gaussian --sigma 0.5"


def test_images_as_they_are_typed(molae, tmp_path):
    run = tmp_path / "run"
    result = molae("train", "digits", "-o", run, *IMAGES, *SLOPE.split(), "--image-size", "8x12")
    assert result.exit_code == 0, result.output
    config = json.loads((run / "config.json").read_text())
    assert (config["codec"]["height"], config["codec"]["width"]) == (8, 12)
    assert config["model"]["decoder"] == {
        "name": "image", "multiplier": 0.25, "likelihood": "gaussian", "sigma": 0.5
    }  # fmt: skip
    assert config["objective"]["gradient"] == "jacobian"
    assert "squared error" in result.stdout
    assert "in the units of the RAE paper" in result.stdout
    told = molae("info", run).stdout
    assert "grey images, 8 x 12 pixels" in told
    assert "molecules" not in told


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--likelihood normal", 2, "unknown likelihood 'normal'"),
        ("--image-size 32by32", 2, "'32by32' is no size of images"),
        ("--image-size 0", 2, "'0' is no size of images"),
        ("--crop celebb", 2, "did you mean 'celeba'"),
        ("--encoder recurent", 2, "did you mean 'recurrent'"),
        ("--grammar zinc", 1, "grammar: this is for texts, and the data are images"),
        ("--decoder autoregressive", 1, "not for images: choose from image, image_mnist"),
        ("--encoder image_mnist", 1, "--image-size 32"),
        ("--gradient squared", 1, "form of the regularizer 'gp'"),
        ("--likelihood optimal --sigma 1", 1, "has no sigma to be given"),
        ("--property qed", 1, "properties: this is for texts"),
    ],
)
def test_what_makes_no_sense_with_images(molae, tmp_path, words, status, message):
    result = molae("train", "digits", "-o", tmp_path / "run", *IMAGES, *words.split())
    assert result.exit_code == status, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_objectives_tell_how_weights_compare(molae):
    result = molae("objectives")
    assert "weight / N" in result.stderr
    assert "gradient" in result.stdout
