"""Runs: saved and loaded bit for bit, the verbs, and every reason to refuse a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from molae.codecs import EncodeError, GrammarCodec
from molae.densities import density
from molae.grammar.restrict import restricted
from molae.names import DECODERS, HEADS, OBJECTIVES, WITHOUT_DENSITY
from molae.runs import Run, RunError, build
from molae.runs.build import DECODERS as MADE_DECODERS
from molae.runs.build import HEADS as MADE_HEADS
from molae.runs.compose import combinations, refusal
from molae.runs.folder import CARD, CONFIG, LOCK, begin, digest, is_free
from molae.runs.grow import carry
from molae.runs.lock import exclusive
from molae.workflows.usual import USUAL

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


def told():
    """A run whose decoder is told of noise, and cares."""
    torch.manual_seed(0)
    settings = config(
        decoder={"name": "autoregressive", "embedding": 8, "hidden": 16, "noise": [0.1, 2.0]}
    )
    settings["objective"] = {"name": "rae", "noise": [0.1, 2.0]}
    settings["generation"], settings["densities"] = {"noise": 0.7}, {}
    run = build(settings, GrammarCodec(restricted(TOKENS), 30))
    with torch.no_grad():
        run.model.decoder.noise.outer.weight.normal_()
        run.model.decoder.to_logits.weight.mul_(8)
    return run


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path / "cache"))


def test_every_name_has_a_class():
    assert MADE_HEADS.keys() == HEADS.keys()
    assert MADE_DECODERS.keys() == DECODERS.keys()
    assert set(WITHOUT_DENSITY) <= HEADS.keys()
    for one in combinations():
        assert one.objective in OBJECTIVES
        assert one.heads, one.objective
        assert set(one.heads) <= HEADS.keys()
        assert set(one.media) <= USUAL.keys()
    assert refusal("vae", head="normal", medium="images") is None


@pytest.mark.parametrize(
    ("goal", "head", "usual"),
    [("aae", "implicit", "prior"), ("avb", "implicit", "prior"), ("ae", "implicit", "gmm"),
     ("aae", "delta", "gmm")],
)  # fmt: skip
def test_local_noise_is_drawn_by_default(goal, head, usual):
    """Densities of centres have none; the prior has, where the objective holds draws to it."""
    name = {"name": head} | ({"local": 2} if head == "implicit" else {})
    settings = config(head=name) | {"objective": {"name": goal}}
    run = build(settings, GrammarCodec(restricted(TOKENS), 30))
    run.densities = {
        "gmm": density("gmm", components=1).fit(run.codes(run.codec.encode(SMILES * 4)))
    }
    assert run.density() is run.density(usual)
    if head == "implicit":
        local = [run.density(known).sample_rows(0, torch.arange(200))[:, -2:].std().item()
                 for known in ("gmm", "prior")]  # fmt: skip
        assert local[0] < 0.1 < 0.9 < local[1]


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


def _contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "name", ["letter.txt", "densities/notes.txt", "thesis/chapter.tex", "checkpoint/x", "my.part"]
)
def test_saving_refuses_a_run_with_anything_else_in_it(run, saved, name):
    (saved / name).parent.mkdir(exist_ok=True)
    (saved / name).write_text("dear")
    before = _contents(saved)
    with pytest.raises(RunError, match="would be lost"):
        run.save(saved)
    assert _contents(saved) == before


@pytest.mark.parametrize(
    "config", ['{"theme": "dark"}', "nonsense", '{"format": 1}', '{"format": 99}', "[]"]
)
def test_saving_refuses_a_foreign_config(run, tmp_path, config):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / CONFIG).write_text(config)
    (folder / CARD).write_text("{}")
    before = _contents(folder)
    with pytest.raises(RunError, match=r"not a run|newer"):
        run.save(folder)
    assert _contents(folder) == before


def test_saving_refuses_an_unfinished_training(run, tmp_path):
    begin(run, tmp_path / "half")
    before = _contents(tmp_path / "half")
    with pytest.raises(RunError, match="unfinished training"):
        run.save(tmp_path / "half")
    assert _contents(tmp_path / "half") == before


def test_saving_through_a_link_keeps_it(run, saved):
    link = saved.with_name("link")
    link.symlink_to(saved, target_is_directory=True)
    run.save(link)
    assert link.is_symlink()
    assert Run.load(link, "cpu").size == 8


def test_one_at_a_time(tmp_path):
    folder = tmp_path / "run"
    with exclusive(folder):
        assert is_free(folder)
        with (
            pytest.raises(RunError, match=rf"running already \(process {os.getpid()}\)"),
            exclusive(folder),
        ):
            pass
        assert (folder / LOCK).is_file()
        (folder / CONFIG).write_text("{}")
    assert {path.name for path in folder.iterdir()} == {CONFIG, "checkpoint"}
    with exclusive(tmp_path / "other"):
        pass
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_lock_ends_with_its_process(tmp_path):
    script = (
        "import os, signal, sys, pathlib\n"
        "from molae.runs.lock import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], check=False)
    assert (tmp_path / "run" / LOCK).is_file()
    with exclusive(tmp_path / "run"):
        pass


def test_what_counts_as_free(tmp_path):
    folder = tmp_path / "run"
    assert is_free(folder)
    folder.mkdir()
    assert is_free(folder)
    (folder / "grammar.cfg").write_text("S -> 'a'")
    assert not is_free(folder)  # it may be anybody's
    (folder / "checkpoint").mkdir()
    (folder / LOCK).write_text("1\n")
    (folder / "config.json.part").write_text("{")
    assert is_free(folder)
    (folder / "letter.txt").write_text("dear")
    assert not is_free(folder)


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
    with pytest.raises(EncodeError, match=r"'\[SiH3\]' at position 2.* FILE --from RUN"):
        run.encode(["C[SiH3]"])
    with pytest.raises(ValueError, match="'gmm'"):
        run.sample(1, density="gmn")


def test_a_molecule_depends_on_seed_and_number_only(run):
    whole = run.sample(30, seed=5, temperature=1.0)
    parts = run.sample(11, seed=5, temperature=1.0)
    parts += run.sample(19, seed=5, temperature=1.0, start=11)
    assert whole == parts
    assert whole != run.sample(30, seed=6, temperature=1.0)


def test_temperature_and_seed(run):
    z = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    greedy = run.decode(z)
    assert run.decode(z, temperature=0) == run.decode(z, seed=4, temperature=0.0) == greedy
    assert run.decode(z, seed=4) == run.decode(z, seed=4, temperature=1.0) != greedy
    assert run.decode(z, temperature=0.7) == run.decode(z, seed=0, temperature=0.7) != greedy
    assert run.sample(20, seed=3, temperature=0) == run.sample(20, seed=3)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature is"):
            run.decode(z, temperature=wrong)
        with pytest.raises(ValueError, match="temperature is"):
            run.sample(1, temperature=wrong)


def test_carried_rows_keep_their_rules(run):
    wider = made(TOKENS | {"S", "[N+]", "[O-]"}, 40)
    new = carry(run, wider)
    old_names, new_names = run.codec.entries, wider.codec.entries
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


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _digests(folder, **changes):
    found = json.loads((folder / CARD).read_text())["digests"] | changes
    _edit(folder / CARD, digests={name: value for name, value in found.items() if value})


def _vouched(folder, **changes):
    """Settings changed by somebody who knows about digests."""
    _edit(folder / CONFIG, **changes)
    _digests(folder, **{CONFIG: digest(folder / CONFIG)})


def _unvouched(folder, name):
    _digests(folder, **{name: None})


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
        (lambda f: _digests(f, **{"../x": "0"}), "outside"),
        (lambda f: _edit(f / CONFIG, model={}), "not what was saved|damaged"),
        (lambda f: (f / CONFIG).write_text("[" * 100_000), "damaged"),
        (lambda f: (f / CARD).write_text("[]"), "not of a run"),
        (lambda f: _edit(f / CONFIG, codec=[]), "not of a run"),
        (lambda f: _edit(f / CONFIG, codec={"grammar": "S"}), "not a table"),
        (lambda f: _edit(f / CONFIG, model="x"), "not of a run"),
        (lambda f: _edit(f / CONFIG, objective=None), "not of a run"),
        (lambda f: _edit(f / CONFIG, densities=["gmm"]), "not of a run"),
        (lambda f: _vouched(f, model={"latent_dim": 8}), "damaged"),
        (lambda f: _vouched(f, model={"latent_dim": 8, "head": [], "encoder": "x"}), "damaged"),
        (lambda f: _vouched(f, densities={"gmm": 3}), "damaged"),
        (lambda f: _vouched(f, densities={"../gmm": {}}), "damaged"),
        (lambda f: _unvouched(f, CONFIG), "no digest of config.json"),
        (lambda f: _unvouched(f, "weights.safetensors"), "no digest of weights"),
    ],
)
def test_damaged_folders(saved, what, message):
    what(saved)
    with pytest.raises(RunError, match=message):
        Run.load(saved)


def test_a_grammar_that_was_changed(saved):
    path = saved / "grammar.cfg"
    path.write_text(path.read_text().replace("'N' TAIL", "'S' TAIL"))
    _digests(saved, **{"grammar.cfg": digest(path)})
    with pytest.raises(RunError, match="digest"):
        Run.load(saved)


def test_unfinished_keeps_settings(run, tmp_path):
    begin(run, tmp_path / "half")
    half = Run.unfinished(tmp_path / "half")
    assert half.codec.grammar.text == run.codec.grammar.text
    with pytest.raises(RunError, match="not finished"):
        Run.load(tmp_path / "half")


def test_a_device_that_is_not_there(saved):
    with pytest.raises(ValueError, match="device of this machine"):
        Run.load(saved, "cuda:77")


def test_a_head_for_properties_is_saved_and_carried(run, tmp_path):
    table = {"names": ["mw", "qed"], "mean": [300.0, 0.7], "std": [50.0, 0.1]}
    settings = config() | {"densities": {}}
    settings["properties"] = table | {"weight": 2.0, "hidden": 4}
    made_of = build(settings, GrammarCodec(restricted(TOKENS), 30))
    loaded = Run.load(made_of.save(tmp_path / "run"), "cpu")
    z = torch.randn(3, 8)
    with torch.no_grad():
        expected = made_of.model.predictor(z) * torch.tensor([50.0, 0.1])
    torch.testing.assert_close(loaded.predict(z), expected + torch.tensor([300.0, 0.7]))
    assert loaded.properties == ["mw", "qed"]
    # It comes fresh to a model that was trained without, and cannot get lost.
    carry(run, loaded)
    assert torch.equal(loaded.predict(z), made_of.predict(z))
    assert torch.allclose(loaded.encode(SMILES), run.encode(SMILES), atol=1e-6)
    with pytest.raises(RunError, match=r"predictor\.hidden\.bias"):
        carry(loaded, made())


@pytest.mark.parametrize("properties", [[], {"names": ["mw"]}, {"names": 3, "weight": 1.0}])
def test_damaged_properties(saved, properties):
    _vouched(saved, properties=properties)
    with pytest.raises(RunError, match="damaged"):
        Run.load(saved)


def test_objectives_and_heads_that_do_not_go_together():
    codec = GrammarCodec(restricted(TOKENS), 30)
    for goal, head in (("vae", "delta"), ("cvvae", "delta"), ("cvvae", "normal")):
        settings = config(head={"name": head}) | {"objective": {"name": goal}}
        with pytest.raises(ValueError, match=f"'{goal}' .*head"):
            build(settings, codec)


def test_unknown_settings_are_answered():
    with pytest.raises(ValueError, match="'hidden'"):
        made(encoder={"name": "recurrent", "hiden": 3})
    with pytest.raises(ValueError, match="'recurrent'"):
        made(encoder={"name": "recurent"})


def test_noise_on_codes(run):
    blurring = told()
    assert (blurring.noise, blurring.noise_range) == (0.7, [0.1, 2.0])
    whole = blurring.sample(30, seed=5)
    assert whole == blurring.sample(11, seed=5) + blurring.sample(19, seed=5, start=11)
    assert whole == blurring.sample(30, seed=5, noise=0.7)
    assert whole != blurring.sample(30, seed=5, noise=0.0)
    z = torch.randn(2000, 8)
    assert blurring.decode(z[:30]) != blurring.decode(z[:30], noise=1.5)
    index = torch.arange(2000)
    moved = blurring.blurred(z, 0.5, 3, index) - z
    assert moved.std().item() == pytest.approx(0.5, rel=0.02)
    assert abs(moved.mean().item()) < 0.02
    torch.testing.assert_close(blurring.blurred(z[7:9], 0.5, 3, index[7:9]) - z[7:9], moved[7:9])
    assert blurring.blurred(z, 0.0, 3, index) is z
    assert (run.noise, run.noise_range) == (0.0, [])
    with pytest.raises(ValueError, match="cannot be told"):
        run.sample(2, noise=0.1)
    with pytest.raises(ValueError, match="noise is -1"):
        blurring.decode(z, noise=-1)


def test_a_range_of_noise_needs_a_decoder_that_is_told():
    settings = config(decoder={"name": "feedforward", "hidden": 16})
    settings["objective"] = {"name": "rae", "noise": [0.1, 2.0]}
    with pytest.raises(ValueError, match="needs a decoder that is told"):
        build(settings, GrammarCodec(restricted(TOKENS), 30))
