"""Runs: saved and loaded bit for bit, the verbs, and every reason to refuse a folder."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from molae.codecs import EncodeError, GrammarCodec
from molae.densities import density
from molae.grammar.restrict import restricted
from molae.names import DECODERS, HEADS
from molae.runs import Run, RunError, build, find, remember
from molae.runs.build import DECODERS as MADE_DECODERS
from molae.runs.build import HEADS as MADE_HEADS
from molae.runs.build import USUAL_HEAD
from molae.runs.folder import CARD, CONFIG, begin, digest
from molae.runs.grow import carry, identities

TOKENS = {"C", "N", "O", "=", "(", ")", "1", "2", "[C@@H]", "[C@H]"}
SMILES = ["CCO", "C1=CC=CC=C1", "CC(=O)N", "C[C@H](N)O", "OC1CC1"]


def config(**changes):
    model = {
        "latent_dim": 8,
        "encoder": {"name": "recurrent", "embedding": 8, "hidden": 12},
        "head": {"name": "delta"},
        "decoder": {"name": "autoregressive", "embedding": 8, "hidden": 16},
    }
    wanted = {"name": "rae", "regularizer": "l2"}
    return {"model": model | changes, "objective": wanted, "densities": {"gmm": {"components": 1}}}


def made(tokens=TOKENS, steps=30, **changes):
    torch.manual_seed(0)
    run = build(config(**changes), GrammarCodec(restricted(tokens), steps))
    z = torch.randn(40, 8)
    run.densities = {"gmm": density("gmm", components=1).fit(z)}
    return run


@pytest.fixture(scope="module")
def run():
    return made()


@pytest.fixture
def saved(run, tmp_path):
    return run.save(tmp_path / "run")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))


def test_every_name_has_a_class():
    assert MADE_HEADS.keys() == HEADS.keys()
    assert MADE_DECODERS.keys() == DECODERS.keys()
    assert set(USUAL_HEAD.values()) <= HEADS.keys()


def test_loaded_is_what_was_saved(run, saved):
    loaded = Run.load(saved, "cpu")
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name])
    assert loaded.codec.grammar.text == run.codec.grammar.text
    assert torch.equal(run.encode(SMILES), loaded.encode(SMILES))
    assert run.sample(20, seed=3) == loaded.sample(20, seed=3)
    z = run.encode(SMILES)
    assert torch.equal(run.log_density(z), loaded.log_density(z))


def test_saving_twice_replaces(run, saved):
    run.save(saved)
    assert Run.load(saved, "cpu").size == 8
    assert [path.name for path in saved.parent.iterdir() if path.name.startswith(".")] == []


def test_saving_does_not_bury_other_things(run, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="is not a run"):
        run.save(tmp_path)


def test_spectral_norm_survives(tmp_path):
    settings = config() | {"objective": {"name": "rae", "regularizer": "sn"}}
    run = build(settings | {"densities": {}}, GrammarCodec(restricted(TOKENS), 30))
    loaded = Run.load(run.save(tmp_path / "run"), "cpu")
    assert torch.equal(run.encode(SMILES), loaded.encode(SMILES))


def test_verbs(run):
    z = run.encode(SMILES)
    assert z.shape == (5, 8)
    assert run.encode([]).shape == (0, 8)
    texts = run.decode(z)
    assert len(texts) == 5
    assert None not in texts
    assert texts == run.spelling(run.decode(z, canonical=False))
    assert run.log_density(z).shape == (5,)
    assert run.log_density(z, "prior").shape == (5,)
    with pytest.raises(ValueError, match="expected"):
        run.decode(torch.zeros(3, 7))
    with pytest.raises(EncodeError, match=r"\[Si\]|Si"):
        run.encode(["C[SiH3]"])
    with pytest.raises(ValueError, match="'gmm'"):
        run.sample(1, density="gmn")


def test_a_molecule_depends_on_seed_and_number_only(run):
    whole = run.sample(30, seed=5, temperature=1.0)
    parts = run.sample(11, seed=5, temperature=1.0)
    parts += run.sample(19, seed=5, temperature=1.0, start=11)
    assert whole == parts
    assert whole != run.sample(30, seed=6, temperature=1.0)


def test_carried_rows_keep_their_rules(run):
    wider = made(TOKENS | {"S", "[N+]", "[O-]"}, 40)
    new = carry(run, wider)
    old_names, new_names = identities(run.codec), identities(wider.codec)
    assert new == len(new_names) - len(old_names) > 0
    at = [new_names.index(name) for name in old_names]
    for name, first in (
        ("encoder.embedding", 1),
        ("decoder.embedding", 1),
        ("decoder.to_logits", 0),
    ):
        before = run.model.state_dict()[name + ".weight"]
        after = wider.model.state_dict()[name + ".weight"]
        assert torch.equal(after[[first + i for i in at]], before[first:])
    # What it knows it says as before: the codes are the same.
    assert torch.allclose(wider.encode(SMILES), run.encode(SMILES), atol=1e-6)
    with pytest.raises(RunError, match="latent-dim"):
        carry(run, made(latent_dim=9, head={"name": "delta"}))


def test_refused_folders(run, saved, tmp_path):
    with pytest.raises(RunError, match="there is no run"):
        Run.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="did you mean 'run'"):
        Run.load(tmp_path / "runn")
    with pytest.raises(RunError, match="is a file"):
        Run.load(saved / CONFIG)
    with pytest.raises(RunError, match="not a run"):
        Run.load(saved / "densities")
    with pytest.raises(RunError, match="no model is named"):
        Run.load()


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda f: (f / CARD).unlink(), "--resume"),
        (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
        (lambda f: (f / "grammar.cfg").unlink(), "grammar.cfg"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"x" * 100), "not what was saved"),
        (lambda f: (f / "densities/gmm.safetensors").write_bytes(b"x"), "not what was saved"),
        (lambda f: (f / CONFIG).write_text("{"), "damaged"),
        (lambda f: (f / CONFIG).write_text("[1]"), "not of a run"),
        (lambda f: (f / CONFIG).write_text("{}"), "which format"),
        (lambda f: _edit(f / CONFIG, format=99), "newer molae"),
        (lambda f: _edit(f / CARD, format=99), "newer molae"),
        (lambda f: _edit(f / CARD, digests={}), "no digests"),
        (lambda f: _edit(f / CARD, digests={"../x": "0"}), "outside"),
        (lambda f: _edit(f / CONFIG, model={}), "not what was saved|damaged"),
    ],
)
def test_damaged_folders(saved, what, message):
    what(saved)
    with pytest.raises(RunError, match=message):
        Run.load(saved)


def test_a_grammar_that_was_changed(saved):
    path = saved / "grammar.cfg"
    path.write_text(path.read_text().replace("'N' TAIL", "'S' TAIL"))
    _edit(saved / CARD, digests={"grammar.cfg": digest(path)})
    with pytest.raises(RunError, match="digest"):
        Run.load(saved)


def test_unfinished_keeps_settings(run, tmp_path):
    begin(run, tmp_path / "half")
    half = Run.unfinished(tmp_path / "half")
    assert half.codec.grammar.text == run.codec.grammar.text
    with pytest.raises(RunError, match="not finished"):
        Run.load(tmp_path / "half")


def test_the_last_run_is_remembered(saved):
    remember(saved)
    assert find() == saved.resolve()
    assert Run.load(device="cpu").size == 8
    shutil.rmtree(saved)
    with pytest.raises(RunError, match="is gone"):
        find()


def test_a_device_that_is_not_there(saved):
    with pytest.raises(ValueError, match="device of this machine"):
        Run.load(saved, "cuda:77")


def test_unknown_settings_are_answered():
    with pytest.raises(ValueError, match="'hidden'"):
        made(encoder={"name": "recurrent", "hiden": 3})
    with pytest.raises(ValueError, match="'recurrent'"):
        made(encoder={"name": "recurent"})
