"""Runs of plain characters: trained, resumed, grown, used; what is not valid is counted."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from molae.chem.molecules import canonical
from molae.codecs import CharacterCodec
from molae.datasets.arrays import SequenceData
from molae.runs import Run, RunError
from molae.workflows.characters import needed, recoded, whole
from molae.workflows.data import load_data
from molae.workflows.encode import decode_file, encode_file, read_codes
from molae.workflows.generate import generate
from molae.workflows.info import info
from molae.workflows.interpolate import interpolate
from molae.workflows.reconstruct import reconstruct
from molae.workflows.train import train


def options(small, **changes):
    return small | {"codec": "characters", "objective": "vae", "beta": 0.01} | changes


@pytest.fixture(scope="module")
def letters(tmp_path_factory, small, molecules, cache):
    """A run of characters that has learnt enough to write some molecules."""
    folder = tmp_path_factory.mktemp("letters") / "run"
    settings = options(small, learning_rate=1e-2, decoder_hidden=64)
    return train(molecules, folder, steps=150, **settings)


def test_data_is_encoded_with_what_it_needs(molecules, smiles):
    data = load_data([molecules], grammar=None)
    texts = [canonical(text) for text in smiles]
    assert isinstance(data.codec, CharacterCodec)
    assert data.codec.alphabet == "".join(sorted(set("".join(texts))))
    assert data.codec.spelling == "aromatic"
    longest = max(map(len, texts))
    assert longest + 1 < data.codec.max_steps <= 1.25 * (longest + 1) + 10
    x = torch.from_numpy(data.data.array(range(len(data.data))))
    assert data.codec.decode(x) == texts
    again = load_data([molecules], grammar=None)
    assert not again.encoded[0].fresh
    assert again.encoded[0].digest == data.encoded[0].digest


def test_what_is_too_long_is_told(molecules, smiles, tmp_path):
    data = load_data([molecules], grammar=None, max_steps=31)
    long = sum(len(canonical(text)) > 30 for text in smiles)
    assert 0 < long == len(data.long)
    data.write_rejects(tmp_path / "rejects.csv")
    with open(tmp_path / "rejects.csv", newline="") as stream:
        reasons = [row["reason"] for row in csv.DictReader(stream)]
    assert reasons.count("too long: more than 30 characters") == long
    assert len(reasons) == long + 1  # and one line that is no molecule
    with pytest.raises(ValueError, match="longer than 1 characters"):
        load_data([molecules], grammar=None, max_steps=2)


def test_a_run_is_loaded_as_it_was_saved(letters, smiles):
    loaded = Run.load(letters.folder, "cpu")
    assert loaded.molecules
    assert loaded.codec.to_dict() == letters.codec.to_dict()
    assert torch.equal(loaded.encode(smiles[:20]), letters.encode(smiles[:20]))
    facts = info(loaded)
    assert facts["vocabulary"].startswith(f"{len(letters.codec.alphabet)} characters, at most ")
    assert facts["vocabulary"].endswith("no promise")
    assert letters.config["training"]["grammar"] is None
    assert not (letters.folder / "grammar.cfg").exists()
    assert letters.card["counts"]["rejected"] == 1


def test_spellings_of_a_molecule_have_one_code(letters):
    z = letters.encode(["OC(C)=O", "CC(=O)O", " CC(O)=O"])
    torch.testing.assert_close(z[0], z[1])
    torch.testing.assert_close(z[0], z[2])


def test_invalid_texts_are_counted(letters):
    raw = letters.sample(400, seed=1, temperature=1.0, canonical=False)
    spelt = letters.spelling(raw)
    good = [text for text in spelt if text is not None]
    assert 0 < len(good) < 400
    assert all(canonical(text) == text for text in good)
    drawn = generate(letters, len(good), seed=1, temperature=1.0, workers=1, batch=64)
    assert [row["smiles"] for row in drawn] == good
    counts = drawn.counts
    last = max(row for row, text in enumerate(spelt) if text is not None)
    assert counts.drawn == last + 1
    assert counts.invalid == counts.drawn - counts.written
    assert ("not valid", counts.invalid) in counts.lines()


def test_workflows_live_with_invalid_texts(letters, molecules, tmp_path):
    done = reconstruct(letters, molecules, workers=1)
    assert (done.tried, done.rejected) == (300, 1)
    assert done.exact + len(done.misses) == 300
    lost = [miss for miss in done.misses if miss.decoded is None]
    assert lost
    assert all(miss.similarity is None for miss in lost)
    encode_file(letters, molecules, tmp_path / "z.npy", workers=1)
    z = read_codes(tmp_path / "z.npy", letters.size)
    np.save(tmp_path / "far.npy", 50 * np.concatenate([z, -z]))
    for name, count in (("z.npy", 300), ("far.npy", 600)):
        back = decode_file(letters, tmp_path / name, tmp_path / "back.csv")
        assert back.written == count
        with open(tmp_path / "back.csv", newline="") as stream:
            texts = [row["smiles"] for row in csv.DictReader(stream)]
        assert texts.count("") == back.invalid
    assert len(interpolate(letters, "CCOC", "CC(=O)NC", steps=4)) == 4


def test_interrupted_and_resumed(small, molecules, tmp_path, monkeypatch):
    def killed(*_arguments):
        raise KeyboardInterrupt

    settings = options(small)
    with monkeypatch.context() as patch:
        patch.setattr("molae.workflows.train.fit_densities", killed)
        with pytest.raises(KeyboardInterrupt):
            train(molecules, tmp_path / "run", steps=3, **settings)
    with pytest.raises(RunError, match="training was"):
        train(molecules, tmp_path / "run", steps=3, resume=True, **(settings | {"codec": None}))
    resumed = train(molecules, tmp_path / "run", steps=3, resume=True, **settings)
    straight = train(molecules, tmp_path / "straight", steps=3, **settings)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])


def test_fine_tuning_learns_new_characters(letters, small, tmp_path):
    new = tmp_path / "new.smi"
    new.write_text("C[Si](C)(C)CCO\nCC[Se]CC\n[2H]C(Cl)CCBr\nCCOCC\nCCNCC\n")
    assert not set("ie2") <= set(letters.codec.alphabet)
    short = {name: small[name] for name in ("batch_size", "device", "progress", "workers")}
    heard: list[str] = []
    tuned = train(
        new, tmp_path / "tuned", start_from=letters.folder, steps=1, say=heard.append, **short
    )
    assert any("characters are new" in text for text in heard)
    assert tuned.codec.alphabet.startswith(letters.codec.alphabet)
    assert set("[Si]Se") <= set(tuned.codec.alphabet)
    assert tuned.encode(["C[Si](C)(C)CCO"]).shape == (1, 16)
    before = letters.model.state_dict()["decoder.to_logits.weight"]
    after = tuned.model.state_dict()["decoder.to_logits.weight"]
    # The end mark, the last one, has moved behind what is new.
    kept = torch.cat([after[: len(before) - 1], after[-1:]])
    assert (kept - before).abs().max() < 0.05


def test_codecs_are_not_mixed(letters, run, molecules, small, tmp_path):
    short = {name: small[name] for name in ("batch_size", "device", "progress", "workers")}

    def tune(base, **told):
        train(molecules, tmp_path / "x", start_from=base.folder, steps=1, **short, **told)

    with pytest.raises(RunError, match="has codec 'characters', and 'grammar' was asked for"):
        tune(letters, codec="grammar")
    with pytest.raises(RunError, match="has no grammar, and 'smiles' was asked for"):
        tune(letters, grammar="smiles")
    with pytest.raises(RunError, match="has codec 'grammar', and 'characters' was asked for"):
        tune(run, codec="characters")
    assert not (tmp_path / "x").exists()


def test_the_published_networks_read_characters(small, molecules, tmp_path):
    """Three convolutions and three GRUs without a teacher: the character VAE as published."""
    settings = options(small, decoder="feedforward", encoder="convolutional", decoder_hidden=16)
    for name in ("encoder_hidden", "embedding"):
        del settings[name]
    run = train(molecules, tmp_path / "run", steps=2, noise_scale=0.01, **settings)
    assert len(run.sample(4)) == 4
    assert run.config["objective"]["noise_scale"] == 0.01


def test_characters_that_a_codec_has_not():
    general = whole("text")
    encoding = general.parse(["CCO", "C=N"])
    data = SequenceData(encoding.rules, encoding.offsets)
    codec = needed(general, data)
    assert codec.alphabet == "=CNO"
    back = recoded(general, data, codec)
    assert codec.decode(torch.from_numpy(back.array([0, 1]))) == ["CCO", "C=N"]
    grown = needed(general, data, CharacterCodec("SO", 99, "text"))
    assert (grown.alphabet, grown.max_steps) == ("SO=CN", 99)
    with pytest.raises(ValueError, match="not begun with: = N"):
        recoded(general, data, CharacterCodec("CO", 20))
