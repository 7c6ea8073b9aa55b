"""Codecs: molecules to rules and back, and what cannot be encoded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from molae.chem.molecules import canonical, kekule
from molae.codecs import (
    CharacterCodec,
    CharacterConstraint,
    EncodeError,
    GrammarCodec,
    codec_from_dict,
    restricted_codec,
    shipped_codec,
)
from molae.grammar.cfg import Grammar, GrammarError
from molae.types import PAD


@pytest.fixture(scope="module")
def real_molecules():
    path = Path(__file__).parent / "grammar" / "molecules.smi"
    lines = path.read_text("utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def general():
    return shipped_codec("smiles")


@pytest.fixture(scope="module")
def fused(real_molecules):
    return restricted_codec([kekule(text) for text in real_molecules])


@pytest.fixture(params=["general", "fused"])
def codec(request):
    return request.getfixturevalue(request.param)


def test_round_trip_of_real_molecules(codec, real_molecules):
    encoding = codec.parse(real_molecules)
    assert encoding.rejects == []
    assert encoding.kept.tolist() == list(range(len(real_molecules)))
    for text, back in zip(real_molecules, codec.decode(encoding.padded()), strict=True):
        assert canonical(back) == canonical(text)
        assert back == kekule(text)


def test_restricted_is_smaller_and_shorter(general, fused, real_molecules):
    long, short = (c.parse(real_molecules) for c in (general, fused))
    assert len(short.rules) < len(long.rules)
    assert fused.max_steps >= np.diff(short.offsets).max()


def test_arrays_of_an_encoding(general):
    encoding = general.parse(["CO", "nonsense", "CCO"])
    assert encoding.rules.dtype == np.uint16
    assert encoding.offsets.tolist() == [0, 3, 7]
    assert encoding.kept.tolist() == [0, 2]
    x = encoding.padded()
    assert x.dtype == torch.int64
    assert x.shape == (2, 4)
    assert x[0, 3] == PAD
    assert torch.equal(general.encode(["CO", "CCO"]), x)


@pytest.mark.parametrize(
    ("text", "token", "reason"),
    [
        ("C1CC", "", "syntax"),
        ("CC(", "", "syntax"),
        ("", "", "empty"),
        ("C(C)(C)(C)(C)C", "", "valence"),
        ("c1cccc1", "", "kekulisation"),
        ("C[CH2]", "", "radical"),
        ("C*", "", "dummy atom"),
        ("N->[Pt]", "", "dative bond"),
        ("Br[P@SP1](C)(F)Cl", "", ""),
        ("C" * 450, "", "too long"),
    ],
)
def test_rejects_say_why(general, text, token, reason):
    encoding = general.parse(["CC", text, "CO"])
    assert encoding.kept.tolist() == [0, 2]
    assert len(encoding.rejects) == 1
    reject = encoding.rejects[0]
    assert (reject.index, reject.text, reject.token) == (1, text, token)
    assert reject.reason.startswith(reason)
    assert "item 2" in str(reject)
    assert len(str(reject)) < 200
    with pytest.raises(EncodeError, match="cannot encode 1 of the items") as error:
        general.encode(["CC", text, "CO"])
    assert error.value.rejects == encoding.rejects


def test_tokens_that_a_restricted_grammar_lacks_are_named():
    small = restricted_codec(["CCO", "C1CC1"])
    encoding = small.parse(["CCO", "CCN", "C[Si](C)(C)C", "C1CCC1"])
    assert encoding.kept.tolist() == [0, 3]
    assert [(r.index, r.token) for r in encoding.rejects] == [(1, "N"), (2, "[Si]")]
    assert all(r.reason.startswith("not in the grammar") for r in encoding.rejects)


def test_what_the_masks_forbid_is_rejected(general):
    """Prepared texts are believed to be molecules; the machine looks at them all the same."""
    texts = ["CC", "C(C)(C)(C)(C)C", "C1CC", "C1C1", "N=N#N", "CO"]
    encoding = general.parse(texts, prepared=True)
    assert encoding.kept.tolist() == [0, 5]
    assert [r.index for r in encoding.rejects] == [1, 2, 3, 4]
    assert all("valence or ring bond" in r.reason for r in encoding.rejects)


def test_workers_change_nothing(general, real_molecules, monkeypatch):
    items = [*real_molecules[:25], "nonsense", *real_molecules[25:50]]
    alone = general.parse(items)
    # Chunks of 4000 would leave nothing to share.
    monkeypatch.setattr("molae.codecs.base.CHUNK", 30)
    shared = general.parse(items, workers=2)
    for name in ("rules", "offsets", "kept"):
        assert np.array_equal(getattr(alone, name), getattr(shared, name))
    assert alone.rejects == shared.rejects


def test_no_items(general):
    encoding = general.parse([])
    assert encoding.offsets.tolist() == [0]
    assert encoding.padded().shape == (0, 0)
    assert general.decode(encoding.padded()) == []


def test_unfinished_sequences_decode_to_none(codec):
    x = codec.encode(["CC(=O)N"])
    for stop in range(x.shape[1]):
        assert codec.decode(x[:, :stop]) == [None]
    assert codec.decode(x) == ["CC(N)=O"]


def test_padding_at_the_end_is_ignored(codec):
    x = codec.encode(["CCO"])
    padded = torch.cat([x, torch.full((1, 5), PAD)], 1)
    assert codec.decode(padded) == ["CCO"]


@pytest.mark.parametrize("name", ["zinc", "equation"])
def test_grammars_that_are_no_kekule_smiles(name):
    codec = shipped_codec(name)
    items = {"zinc": ["c1ccccc1C(=O)O", "CCO"], "equation": ["x+1", "sin(x*2)/3"]}[name]
    encoding = codec.parse([*items, "?"])
    assert encoding.kept.tolist() == [0, 1]
    assert len(encoding.rejects) == 1
    expected = [codec.prepare(item) for item in items]
    assert codec.decode(encoding.padded()) == expected
    assert codec.decode(encoding.padded()[:, :3]) == [None, None]
    assert (codec.constraint.first_illegal(encoding.padded()) == -1).all()


def test_a_codec_is_saved_as_json(codec):
    saved = json.loads(json.dumps(codec.to_dict()))
    again = codec_from_dict(saved)
    assert again.digest == codec.digest
    assert again.max_steps == codec.max_steps
    assert torch.equal(again.encode(["CCO"]), codec.encode(["CCO"]))


def test_switches_are_saved():
    grammar = shipped_codec("smiles").grammar
    codec = GrammarCodec(grammar, 50, budget=False, attributes=False, stack=False)
    again = codec_from_dict(codec.to_dict())
    machine = again.constraint
    assert (machine.stack, machine.budget, machine.attributes) == (False, False, False)
    assert again.digest == codec.digest != GrammarCodec(grammar, 50).digest


def test_digest_changes_with_whatever_decides_the_encoding(general, monkeypatch):
    digests = {
        general.digest,
        shipped_codec("smiles", 401).digest,
        shipped_codec("equation").digest,
        restricted_codec(["CCO"]).digest,
        restricted_codec(["CCN"], max_steps=14).digest,
        CharacterCodec("abc").digest,
        CharacterCodec("abd").digest,
    }
    assert len(digests) == 7
    before = general.digest
    monkeypatch.setattr("molae.codecs.base.valence_digest", lambda: "another table")
    assert general.digest != before


def test_a_grammar_that_was_changed_is_refused(general):
    saved = general.to_dict()
    saved["grammar"] = {**saved["grammar"], "text": saved["grammar"]["text"] + "\n# more\n"}
    with pytest.raises(GrammarError, match="digest"):
        codec_from_dict(saved)
    with pytest.raises(ValueError, match="'grammar', 'characters' or 'images'"):
        codec_from_dict({"kind": "pictures"})


def test_the_longest_item_decides_the_budget():
    codec = restricted_codec(["C" * 50])
    assert 51 <= codec.max_steps <= 70
    assert codec.parse(["C" * 50]).rejects == []
    assert "too long" in codec.parse(["C" * 90]).rejects[0].reason


def test_a_molecule_that_just_fits(general):
    for text in ("CCO", "C1CC1", "c1ccc2ccccc2c1", "C[N+](C)(C)C"):
        steps = general.encode([text]).shape[1]
        exact = GrammarCodec(general.grammar, steps + 8)
        assert exact.parse([text]).rejects == []


# characters


def test_characters_round_trip():
    codec = CharacterCodec("CNO=()1", 12)
    texts = ["CC(=O)N", "C", "O=C1CC1N"]
    x = codec.encode(texts)
    assert codec.size == 8
    assert codec.decode(x) == texts
    assert codec.decode(x[:, :7]) == [None, "C", None]


def test_characters_reject_with_a_reason():
    codec = CharacterCodec("CO", 5)
    encoding = codec.parse(["CO", "CN", "CCCCC", "CCCC"])
    assert encoding.kept.tolist() == [0, 3]
    assert [(r.index, r.token) for r in encoding.rejects] == [(1, "N"), (2, "")]
    assert "unknown character" in encoding.rejects[0].reason
    assert "too long" in encoding.rejects[1].reason
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict()))).digest == codec.digest


def test_characters_of_molecules_are_canonical():
    codec = CharacterCodec("CNOc1=()", 20, spelling="aromatic")
    encoding = codec.parse([" C1=CC=CC=C1", "OC(C)=O", "C1CC(", "F", "CN(C)(C)(C)C", ""])
    assert encoding.kept.tolist() == [0, 1]
    assert codec.decode(encoding.padded()) == ["c1ccccc1", "CC(=O)O"]
    reasons = [(reject.index, reject.reason.split(":")[0]) for reject in encoding.rejects]
    expected = [(2, "syntax"), (3, "unknown character"), (4, "valence"), (5, "empty")]
    assert reasons == expected
    as_given = codec.parse(["C1=CC=CC=C1"], prepared=True)
    assert codec.decode(as_given.padded()) == ["C1=CC=CC=C1"]
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again.spelling == "aromatic"
    assert again.digest == codec.digest != CharacterCodec("CNOc1=()", 20).digest


def test_characters_end_in_time():
    constraint = CharacterConstraint(4, 6)
    state = constraint.start(3)
    plan = torch.tensor([[0, 3, PAD, PAD, PAD, PAD], [1, 1, 1, 1, 1, 3], [3, -1, -1, -1, -1, -1]])
    mask = constraint.mask(plan)
    for step in range(6):
        allowed = constraint.allowed(state)
        assert torch.equal(allowed[plan[:, step] >= 0], mask[:, step][plan[:, step] >= 0])
        rule = plan[:, step]
        assert allowed.gather(1, rule.clamp(min=0)[:, None])[rule >= 0].all()
        state = constraint.advance(state, rule)
        if step == 4:
            last = constraint.allowed(state)
            assert last[1].tolist() == [False, False, False, True]
            assert not last[0].any()
    assert constraint.finished(state).all()


def test_character_states_are_taken_and_put():
    constraint = CharacterConstraint(3, 4)
    state = constraint.advance(constraint.start(2), torch.tensor([2, 0]))
    piece = constraint.take(state, torch.tensor([0]))
    assert constraint.finished(piece).tolist() == [True]
    fresh = constraint.start(3)
    constraint.put(fresh, torch.tensor([1]), piece)
    assert constraint.finished(fresh).tolist() == [False, True, False]


def test_grammars_of_a_users_own():
    codec = GrammarCodec(Grammar.from_text("S -> 'a' S 'b' | 'a' 'b'\n"), 6)
    encoding = codec.parse(["ab", "aaabbb", "abab"])
    assert encoding.kept.tolist() == [0, 1]
    assert codec.decode(encoding.padded()) == ["ab", "aaabbb"]
