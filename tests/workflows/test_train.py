"""Training end to end: what is left behind, resuming, fine-tuning, refusals."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from molae.runs import Run, RunError, find
from molae.runs.folder import CARD, CONFIG, LOCK
from molae.runs.lock import exclusive
from molae.training import checkpoint
from molae.workflows.train import train


def test_a_run_is_complete(run, molecules):
    names = {path.name for path in run.folder.iterdir()}
    assert {CONFIG, CARD, "weights.safetensors", "grammar.cfg", "history.jsonl"} <= names
    assert {"densities", "checkpoint", "rejects.csv"} <= names
    counts = run.card["counts"]
    assert counts["training"] + counts["validation"] == 300
    assert counts["rejected"] == 1
    assert 0 <= run.card["metrics"]["reconstruction"] <= 1
    assert run.card["data"][0]["file"] == molecules.name


def test_rejects_are_named(run):
    with open(run.folder / "rejects.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["line"], row["text"]) == ("151", "C1CC(")
    assert "syntax" in row["reason"]


def test_same_seed_same_weights(small, molecules, tmp_path):
    first, second = (
        train(molecules, tmp_path / name, steps=3, **small).model.state_dict()
        for name in ("a", "b")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_interrupted_and_resumed(small, molecules, tmp_path, monkeypatch):
    whole = train(molecules, tmp_path / "whole", steps=8, **small)
    folder = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr("molae.workflows.train.fit_densities", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(molecules, folder, steps=4, **small)
    with pytest.raises(RunError, match="--resume"):
        Run.load(folder)
    with pytest.raises(RunError, match="--resume"):
        train(molecules, folder, steps=8, **small)
    with pytest.raises(RunError, match="model was"):
        train(molecules, folder, steps=8, resume=True, **(small | {"latent_dim": 8}))
    resumed = train(molecules, folder, steps=4, resume=True, **small)
    straight = train(molecules, tmp_path / "straight", steps=4, **small)
    assert find() == straight.folder.resolve()  # the last one made
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    assert whole.card["training"]["steps"] == 8


def _killed(*_arguments):
    raise KeyboardInterrupt


def test_a_full_disc_leaves_no_finished_run(small, molecules, tmp_path, monkeypatch):
    def full(*_arguments, **_settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("molae.runs.folder.save_file", full)
        with pytest.raises(ValueError, match=r"run: the disc is full"):
            train(molecules, tmp_path / "run", steps=2, **small)
    with pytest.raises(RunError, match="not finished"):
        Run.load(tmp_path / "run")
    train(molecules, tmp_path / "run", steps=2, resume=True, **small)
    assert Run.load(tmp_path / "run", "cpu").size == 16


@pytest.mark.parametrize(("good", "kept"), [(0, False), (1, True)])
def test_a_disc_that_fills_up_while_training(small, molecules, tmp_path, monkeypatch, good, kept):
    save, left = checkpoint.save_file, [good]

    def full(tensors, path):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        save(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ValueError, match=r"run: the disc is full; what was whole"):
        train(molecules, tmp_path / "run", steps=2, **small)
    assert (tmp_path / "run").exists() == kept
    if kept:
        monkeypatch.setattr(checkpoint, "save_file", save)
        assert train(molecules, tmp_path / "run", steps=2, resume=True, **small).size == 16


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_before_there_is_a_config(small, molecules, tmp_path):
    folder = tmp_path / "run"
    script = (
        "import json, os, signal, sys\n"
        "from molae.runs import folder\n"
        "from molae.workflows.train import train\n"
        "folder._put_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "train(sys.argv[1], sys.argv[2], steps=2, **json.loads(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", script, str(molecules), str(folder), json.dumps(small)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert {path.name for path in folder.iterdir()} == {"checkpoint", "grammar.cfg", "rejects.csv"}
    train(molecules, folder, steps=2, resume=True, **small)
    assert not (folder / LOCK).exists()
    with open(folder / "rejects.csv", newline="") as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == ["C1CC("]


def test_rejects_that_are_missing_are_written_by_the_one_that_goes_on(
    small, molecules, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("molae.workflows.train.fit_densities", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(molecules, tmp_path / "run", steps=2, **small)
    rejects = tmp_path / "run" / "rejects.csv"
    rejects.unlink()
    train(molecules, tmp_path / "run", steps=2, resume=True, **small)
    assert "C1CC(" in rejects.read_text()


def test_two_trainings_in_one_folder(small, molecules, tmp_path):
    with exclusive(tmp_path / "run"):
        with pytest.raises(RunError, match=rf"running already \(process {os.getpid()}\)"):
            train(molecules, tmp_path / "run", steps=2, **small)
        assert (tmp_path / "run" / LOCK).is_file()


def test_fine_tuning_keeps_what_is_known(run, small, tmp_path):
    new = tmp_path / "new.smi"
    new.write_text("C[Si](C)(C)CCO\nCC[Se]CC\n[2H]C(Cl)CCBr\nCCOCC\nCCNCC\n")
    tuned = train(new, tmp_path / "tuned", start_from=run.folder, steps=1, **small)
    assert tuned.codec.size > run.codec.size
    assert tuned.codec.max_steps >= run.codec.max_steps
    old = [run.codec.grammar.rule_text(i) for i in range(run.codec.size)]
    now = [tuned.codec.grammar.rule_text(i) for i in range(tuned.codec.size)]
    assert set(old) < set(now)
    # One small step away from where it came from, row by row.
    before = run.model.state_dict()["decoder.to_logits.weight"]
    after = tuned.model.state_dict()["decoder.to_logits.weight"]
    moved = (after[[now.index(text) for text in old]] - before).abs().max()
    assert moved < 0.01
    assert tuned.encode(["C[Si](C)(C)CCO"]).shape == (1, 16)


@pytest.mark.parametrize(
    ("told", "contradiction"),
    [
        ({"objective": "vae", "beta": 0.25}, {"objective": "rae"}),
        ({"regularizer": "sn", "encoder": "convolutional"}, {"regularizer": "l2"}),
    ],
)
def test_fine_tuning_keeps_the_objective(small, molecules, tmp_path, told, contradiction):
    settings = dict(small)
    if "encoder" in told:
        del settings["encoder_hidden"]
    first = train(molecules, tmp_path / "first", steps=2, **told, **settings)
    short = {name: small[name] for name in ("batch_size", "device", "progress", "workers")}
    tuned = train(molecules, tmp_path / "tuned", start_from=first.folder, steps=1, **short)
    loaded = Run.load(tmp_path / "tuned", "cpu")
    for run in (tuned, loaded):
        assert run.config["model"] == first.config["model"]
        assert run.config["objective"] == first.config["objective"]
        assert run.config["training"]["grammar"] == "smiles"
        assert run.config["densities"]["gmm"] == {"components": 2}
    ((option, value),) = contradiction.items()
    message = f"has {option} '{told[option]}', and '{value}' was asked for"
    with pytest.raises(RunError, match=message):
        train(
            molecules, tmp_path / "x", start_from=first.folder, steps=1, **contradiction, **short
        )


def test_fine_tuning_refuses_what_it_cannot_do(run, small, molecules, tmp_path):
    own = {"encoder_hidden", "decoder_hidden", "embedding", "latent_dim", "components"}
    short = {name: value for name, value in small.items() if name not in own}

    def tune(**options):
        return train(molecules, tmp_path / "x", start_from=run.folder, steps=1, **short, **options)

    for option, value, has in (
        ("latent_dim", 8, "16"),
        ("encoder_hidden", 25, "24"),
        ("decoder_hidden", 49, "48"),
        ("embedding", 17, "16"),
        ("decoder", "feedforward", "'autoregressive'"),
        ("encoder", "convolutional", "'recurrent'"),
        ("head", "normal", "'delta'"),
        ("grammar", "zinc", "'smiles'"),
        ("max_steps", 3, str(run.codec.max_steps)),
    ):
        with pytest.raises(RunError, match=f"has {option} {has}, and .*{value}"):
            tune(**{option: value})
    with pytest.raises(ValueError, match="'rae'"):
        tune(objective="rea")
    assert not (tmp_path / "x").exists()
    # What agrees may be said; strengths of the objective may be others.
    tuned = tune(objective="rae", latent_dim=16, grammar="smiles", noise=0.2)
    assert tuned.config["objective"] == run.config["objective"] | {"noise": 0.2}


def test_a_run_with_one_level_of_noise_can_go_on_with_a_range(small, molecules, tmp_path):
    old = train(molecules, tmp_path / "old", steps=2, noise=0.05, **small)
    new = train(molecules, tmp_path / "new", steps=2, start_from=old.folder, noise=[0.1, 1, 3])
    assert new.config["objective"]["noise"] == [0.1, 1.0, 3.0]
    assert new.config["model"]["decoder"]["noise"] == new.noise_range == [0.1, 1.0]
    assert new.noise == 1.0
    assert new.sample(5) == Run.load(new.folder, "cpu").sample(5) != new.sample(5, noise=0.0)


def test_fine_tuning_with_another_seed_holds_out_the_same_molecules(small, molecules, tmp_path):
    from molae.datasets.readers import read, smiles_of
    from molae.workflows.held_out import held_out

    old = train(molecules, tmp_path / "old", steps=1, seed=3, validation=0.2, **small)
    own = {"encoder_hidden", "decoder_hidden", "embedding", "latent_dim", "components"}
    short = {name: value for name, value in small.items() if name not in own}
    short |= {"start_from": old.folder, "seed": 4, "validation": 0.2}
    new = train(molecules, tmp_path / "new", steps=1, **short)
    texts = list(smiles_of(read(molecules)))
    assert held_out(new, None, texts).texts == held_out(old, None, texts).texts
    other = train(molecules, tmp_path / "other", steps=1, seed=4, validation=0.2, **small)
    assert held_out(other, None, texts).texts != held_out(old, None, texts).texts


def test_the_card_tells_of_the_weights_that_are_kept(small, molecules, tmp_path):
    from molae.workflows.closing import card

    run = train(molecules, tmp_path / "run", steps=3, patience=5, **small)
    facts = run.card["training"]
    lines = (run.folder / "history.jsonl").read_text().splitlines()
    losses = [
        (record["loss"], record["step"])
        for record in map(json.loads, lines)
        if record["kind"] == "validation"
    ]
    assert (facts["validation_loss"], facts["best_step"]) == min(losses)
    plain = train(molecules, tmp_path / "plain", steps=3, **small).card["training"]
    assert "best_step" not in plain
    assert plain["validation_loss"] is not None
    assert card.__kwdefaults__ == {"restored": False}


def test_a_density_that_cannot_be_fitted_costs_no_other(small, molecules, tmp_path, monkeypatch):
    from molae.densities import GaussianMixture

    def refuse(self, z):
        raise ValueError("too odd")

    monkeypatch.setattr(GaussianMixture, "fit", refuse)
    heard: list[str] = []
    run = train(molecules, tmp_path / "run", steps=1, say=heard.append, **small)
    assert list(run.densities) == list(run.config["densities"]) == ["gaussian"]
    assert any("'gmm'" in text and "too odd" in text for text in heard)
    assert all(Run.load(run.folder, "cpu").sample(3))


def test_refusals(small, molecules, run, tmp_path):
    with pytest.raises(RunError, match="finished run"):
        train(molecules, run.folder, steps=1, **small)
    with pytest.raises(ValueError, match="'rae'"):
        train(molecules, tmp_path / "a", steps=1, objective="rea", **small)
    with pytest.raises(ValueError, match="needs a head"):
        train(molecules, tmp_path / "a", steps=1, objective="vae", head="delta", **small)
    with pytest.raises(ValueError, match="has no noise"):
        train(molecules, tmp_path / "a", steps=1, objective="ae", noise=0.1, **small)
    with pytest.raises(ValueError, match="has no regularizer"):
        train(molecules, tmp_path / "a", steps=1, objective="vae", regularizer="gp", **small)
    with pytest.raises(ValueError, match="device 'gpu'"):
        train(molecules, tmp_path / "a", steps=1, **(small | {"device": "gpu"}))
    with pytest.raises(ValueError, match="one of epochs"):
        train(molecules, tmp_path / "a", steps=1, epochs=1, **small)
    with pytest.raises(ValueError, match="share"):
        train(molecules, tmp_path / "a", steps=1, validation=1.0, **small)
    with pytest.raises(ValueError, match="no such file"):
        train(tmp_path / "gone.smi", tmp_path / "a", steps=1, **small)
    nonsense = tmp_path / "nonsense.smi"
    nonsense.write_text("hello\nworld\n")
    with pytest.raises(ValueError, match="none of its 2 lines"):
        train(nonsense, tmp_path / "a", steps=1, **small)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="not a run"):
        train(molecules, other, steps=1, **small)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("objective", "decoder"), [("vae", "autoregressive"), ("ae", "feedforward")]
)
def test_other_members_of_the_family(small, molecules, tmp_path, objective, decoder):
    folder = tmp_path / "run"
    settings = small | {"decoder_hidden": 16}
    train(molecules, folder, steps=2, objective=objective, decoder=decoder, **settings)
    run = Run.load(folder, "cpu")
    assert all(run.sample(4))


def test_a_grammar_of_expressions(small, tmp_path):
    source = tmp_path / "expressions.txt"
    source.write_text("sin(x)\nx+1\nexp(x)*2\nx/3\nx*x\n")
    run = train(source, tmp_path / "run", steps=2, grammar="equation", **small)
    assert not run.molecules
    assert all(isinstance(text, str) for text in run.sample(5))


def test_a_handful_is_enough(small, tmp_path):
    source = tmp_path / "two.smi"
    source.write_text("CCO\nCCN\n")
    with pytest.warns(UserWarning, match="few|covariance"):
        run = train(source, tmp_path / "run", steps=2, **small)
    assert run.sample(3, density="prior")
    assert json.loads((tmp_path / "run" / CONFIG).read_text())["format"] == 1
