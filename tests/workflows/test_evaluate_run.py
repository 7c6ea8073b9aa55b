"""A run on the test bench: small trained and untrained models, counted by hand where they can."""

from __future__ import annotations

import json
import math

import pytest
import torch

from molae.chem.molecules import canonical
from molae.codecs import CharacterCodec, shipped_codec
from molae.names import METRICS
from molae.runs import build
from molae.workflows import measures
from molae.workflows.data import load_data
from molae.workflows.evaluate_run import evaluate_run
from molae.workflows.evaluation import DATA, OF_DENSITY, OF_RUN, REFERENCE
from molae.workflows.held_out import ENOUGH, held_out
from molae.workflows.page import page
from molae.workflows.train import hold_out

QUIET = {"workers": 1, "progress": False}


def untrained(codec, head="delta", noise=None):
    """A model with random weights, and a usual noise if one is given."""
    torch.manual_seed(3)
    config = {
        "model": {
            "latent_dim": 4,
            "encoder": {"name": "recurrent", "embedding": 8, "hidden": 8},
            "head": {"name": head},
            "decoder": {"name": "autoregressive", "embedding": 8, "hidden": 8},
        },
        "objective": {"name": "rae", "regularizer": "none"},
    }
    if noise is None:
        return build(config, codec)
    config["model"]["decoder"]["noise"] = config["objective"]["noise"] = [0.1, 2.0]
    made = build(config | {"generation": {"noise": noise}}, codec)
    with torch.no_grad():  # random weights make next to the same of every code
        made.model.decoder.to_logits.weight.mul_(8)
    return made


@pytest.fixture(scope="module")
def done(run, smiles):
    return evaluate_run(run, reference=None, train=smiles, n=40, **QUIET)


# What was held out -------------------------------------------------------------------------------


def test_held_out_molecules_are_found_again(run, smiles, molecules):
    found = held_out(run, None, smiles)
    data = load_data([molecules], codec=run.codec)
    settings = run.config["training"]
    learnt, held = hold_out(data.data, settings["validation"], settings["seed"])
    texts = run.codec.decode(torch.from_numpy(held.array(range(len(held)))))
    assert sorted(map(canonical, found.texts)) == sorted(map(canonical, texts))
    assert len(found.texts) == run.card["counts"]["validation"] == len(held) > 0
    assert len(found.learnt) == len(learnt)
    assert not found.notes
    assert held_out(run, None, smiles[::-1]).texts == found.texts[::-1]


def test_another_training_file_is_noticed(run, smiles):
    assert "other file" not in str(held_out(run, None, smiles).notes)
    (note,) = held_out(run, None, smiles[:200]).notes
    assert "200" in note
    assert "300" in note


def test_a_reference_that_was_learnt_from_is_noticed(run, smiles):
    found = held_out(run, smiles, smiles)
    assert str(len(found.learnt)) in found.notes[0]
    assert not held_out(run, found.texts, smiles).notes


def test_without_a_training_file(run, smiles):
    few = held_out(run, smiles, None)
    assert few.texts == smiles
    assert few.learnt is None
    assert "training file" in few.notes[0]
    many = [f"{'C' * (i % 60 + 1)}{'O' * (i // 60)}" for i in range(60 * ENOUGH)]
    safe = held_out(run, many, None)
    assert ENOUGH <= len(safe.texts) < 0.05 * len(many)
    assert not safe.notes
    nothing = held_out(run, None, None)
    assert (nothing.texts, nothing.learnt) == ([], None)
    assert nothing.notes


def test_where_nothing_was_held_out():
    whole = untrained(shipped_codec("smiles", 40))  # its settings say nothing of a split
    found = held_out(whole, ["OCC", "CCN", "C1CC"], ["CCO", "CC"])
    assert found.texts == ["CCN", "C1CC"]  # ethanol was learnt from, however it is spelt
    assert found.learnt == ["CCO", "CC"]
    assert held_out(whole, ["OCC"], ["CCO"]).texts == []
    assert held_out(whole, None, ["CCO"]).notes


# Single measurements -----------------------------------------------------------------------------


def test_reconstruction_counts_what_cannot_be_encoded(run, smiles):
    texts = [*smiles[:6], "C1CC", "[Au]"]
    data = measures.sequences(run, texts)
    assert [reject.text for reject in data.rejects] == ["C1CC", "[Au]"]
    back = run.decode(run.encode(smiles[:6]))
    exact = sum(canonical(a) == b for a, b in zip(smiles, back, strict=False))
    assert measures.greedy_share(run, data) == exact / 8
    # What codes decode to is given back by a model that decodes all codes alike.
    alike = untrained(shipped_codec("equation", 30))
    with torch.no_grad():
        for weight in (alike.model.decoder.to_state.weight, alike.model.decoder.to_input.weight):
            weight.zero_()
    (own,) = set(alike.decode(torch.randn(3, 4)))
    assert measures.greedy_share(alike, measures.sequences(alike, [own, "y+1"])) == 0.5
    nothing = measures.sequences(run, ["C1CC"])
    assert measures.greedy_share(run, nothing) == measures.stochastic_share(run, nothing, 0) == 0


def test_distortion_is_nats_of_the_text_at_its_code(run, smiles):
    data = measures.sequences(run, smiles[:5])
    each = [-run.model.likelihood(run.codes(x[None])).log_prob(x[None]).item() for x in data.x]
    assert measures.distortion(run, data) == pytest.approx(sum(each) / 5, rel=1e-5)
    assert measures.distortion(run, measures.sequences(run, ["C1CC"])) is None


def test_decoding_in_pieces_changes_nothing(run, monkeypatch):
    monkeypatch.setattr(measures, "_DECODED", 4)
    z, shares = run.density("prior").sample_rows(0, torch.arange(10)), []
    assert measures.decoded(run, z, shares.append, seed=3) == run.decode(z, seed=3)
    assert shares == [0.4, 0.8, 1.0]
    assert measures.decoded(run, z[:0], shares.append) == []
    told = []
    measures.validities(run, z, 0, show=told.append)
    assert told == sorted(told)
    assert len(told) == 9
    assert told[-1] == 1.0


def test_published_protocol(run, smiles):
    data = measures.sequences(run, smiles[:3])
    share = measures.stochastic_share(run, data, 5)
    assert share == measures.stochastic_share(run, data, 5)
    tries = 3 * measures.ENCODINGS * measures.DECODINGS
    assert share * tries == pytest.approx(round(share * tries))


def test_posterior_draws(run, smiles):
    x = measures.sequences(run, smiles[:4]).x
    noisy = untrained(run.codec, "normal")
    state = torch.get_rng_state()
    points = measures.posterior_draws(run, x, 3, 0)  # of a head without noise
    assert points.shape == (4, 3, run.size)
    assert torch.allclose(points, run.codes(x)[:, None].expand(-1, 3, -1), atol=1e-5)
    draws = measures.posterior_draws(noisy, x, 400, 0)
    assert torch.equal(draws, measures.posterior_draws(noisy, x, 400, 0))
    assert not torch.equal(draws, measures.posterior_draws(noisy, x, 400, 1))
    width = noisy.model.posterior(x).scale.detach()
    assert torch.allclose(draws.std(1), width, rtol=0.2)
    assert torch.equal(torch.get_rng_state(), state)


def test_masks_are_put_back(run):
    before, codec = run.model.decoder.constraint, run.codec.constraint
    with measures.masks(run, **measures.MASKS["validity_no_masks"]):
        inside = run.model.decoder.constraint
        assert inside is run.codec.constraint is not before
        assert [inside.stack, inside.budget, inside.attributes] == [False] * 3
    assert (run.model.decoder.constraint, run.codec.constraint) == (before, codec)
    with (
        pytest.raises(RuntimeError, match="in between"),
        measures.masks(run, **measures.MASKS["validity_grammar_masks"]),
    ):
        raise RuntimeError("in between")
    assert run.model.decoder.constraint is before


def test_masks_make_validity(run):
    wild = untrained(run.codec)
    z = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    found = measures.validities(wild, z, 0)
    assert list(found) == list(measures.MASKS)
    assert found["validity_all_masks"] == 1.0
    assert found["validity_no_masks"] < found["validity_grammar_masks"] < 1.0
    assert measures.validity(wild, z, 0, each=2) == 1.0


def test_characters_have_no_masks():
    run = untrained(CharacterCodec("CNO=()", 12, "aromatic"))
    found = measures.validities(run, torch.randn(30, 4), 0)
    assert found["validity_all_masks"] is found["validity_grammar_masks"] is None
    assert 0 <= found["validity_no_masks"] < 1


def test_drift(run):
    z = run.density("gaussian").sample_rows(0, torch.arange(12))
    texts = run.decode(z)
    found = measures.drift(run, z, texts)
    again = run.encode(texts)
    unit = torch.pdist(z).mean()
    assert found["drift"] == pytest.approx(float((again - z).norm(dim=1).mean() / unit), rel=1e-4)
    same = [a == b for a, b in zip(texts, run.decode(again), strict=True)]
    assert found["fix_points"] == sum(same) / 12
    halved = measures.drift(run, z, [*texts[:6], *[None] * 6])
    assert halved["fix_points"] == sum(same[:6]) / 12
    assert measures.drift(run, z, [None] * 12) == {"drift": None, "fix_points": 0.0}


def test_ways(run, smiles):
    codes = run.encode(smiles[:5])
    found = measures.ways(run, codes, 2, points=4)
    ends = run.decode(codes)
    assert [(w[0], w[-1]) for w in found] == [(ends[0], ends[1]), (ends[2], ends[3])]
    assert all(len(way) == 4 for way in found)
    assert measures.ways(run, codes[:1], 2) == []


# The whole ---------------------------------------------------------------------------------------


def test_everything_is_measured(done, run):
    assert list(done.densities) == ["prior", *run.densities]
    for numbers in done.densities.values():
        assert numbers.keys() == METRICS.keys() | OF_DENSITY.keys()
        assert numbers["validity"] == numbers["validity_all_masks"] == 1.0
        assert numbers["molecules_per_second"] > 0
        assert numbers["novelty"] is not None
        assert numbers["snn"] is not None
    assert list(done.numbers) == list(OF_RUN)
    assert not [name for name, value in done.numbers.items() if value is None]
    assert done.numbers["prior_validity"] == 1.0
    assert done.numbers["dimensions"] == run.size
    assert done.reference["validity"] == 1.0
    assert done.data["snn"] > 0
    assert "novelty" not in done.data
    assert done.definitions.keys() >= {*done.columns(), *done.numbers}
    assert all(text[0].isupper() and text[-1] == "." for text in done.definitions.values())


def first_different(texts):
    return list(dict.fromkeys(text for text in texts if text is not None))[:15]


def test_what_is_judged_is_what_generate_writes(done, run):
    for name in done.densities:
        drawn = run.sample(40, density=name)
        assert done.pictures.molecules[name] == first_different(drawn)
        assert done.about["fitted"][name] == run.density(name).described()


def test_noise_of_the_run_is_on_the_codes(smiles):
    """A run with a usual noise is judged by what it writes with it."""
    noisy = untrained(shipped_codec("smiles", 30), noise=0.7)
    words = {"reference": smiles[:8], "train": None, "densities": ["prior"]}
    found = evaluate_run(noisy, n=20, **words, **QUIET)
    assert found.about["noise"] == 0.7
    drawn = found.pictures.molecules["prior"]
    assert drawn == first_different(noisy.sample(20, density="prior"))
    assert drawn != first_different(noisy.sample(20, density="prior", noise=0.0))


def test_densities_that_are_not_there_are_named(done, run, smiles):
    (note,) = [note for note in done.notes if note.startswith("Not fitted")]
    assert "evaluated: flow. molae density fit" in note
    some = evaluate_run(run, reference=None, train=None, n=2, densities=["prior"], **QUIET)
    assert not [note for note in some.notes if note.startswith("Not fitted")]


def test_what_few_molecules_cannot_say_is_said(done):
    for numbers in done.densities.values():
        assert numbers["unique_1k"] is None
    assert any(note.startswith("unique_1k: needs") for note in done.notes)
    assert any("few to judge" in note for note in done.notes)
    assert len(done.notes) == len(set(done.notes))


def test_same_arguments_same_numbers(done, run, smiles):
    again = evaluate_run(run, reference=None, train=smiles, n=40, densities=["gmm"], **QUIET)
    assert list(again.densities) == ["gmm"]
    timed = "molecules_per_second"
    mine = {name: v for name, v in done.densities["gmm"].items() if name != timed}
    assert {name: v for name, v in again.densities["gmm"].items() if name != timed} == mine
    assert again.numbers == done.numbers


def test_as_values(done):
    values = json.loads(json.dumps(done.to_dict(), allow_nan=False))
    assert values["densities"]["gmm"]["validity"] == 1.0
    assert values["seed"] == 0
    assert {"molae", "torch", "rdkit"} <= values["versions"].keys()
    low, high = values["intervals_95"]["reconstruction"]
    assert 0 <= low <= values["numbers"]["reconstruction"] <= high <= 1
    rows = done.rows()
    assert [row["density"] for row in rows] == [*done.densities, DATA, REFERENCE]
    assert rows[0]["reconstruction"] == done.numbers["reconstruction"]
    assert "reconstruction" not in rows[-1]
    assert values["fitted"].keys() == done.densities.keys()
    names = done.columns()
    assert sorted(names) == sorted({name for numbers in done.sets().values() for name in numbers})
    assert "Other" not in done.groups()
    assert names[:2] == ["validity", "validity_all_masks"]
    head, table = done.table()
    assert head[1:] == [row["density"] for row in rows]
    assert {len(row) for row in table} == {len(head)}


def test_a_reference_of_its_own(run, smiles):
    given = [*smiles[:10], "C1CC"]
    found = evaluate_run(run, reference=given, train=None, n=20, densities=["prior"], **QUIET)
    numbers = found.densities["prior"]
    assert numbers["novelty"] is None
    assert numbers["w1_qed"] is None
    assert numbers["snn"] is not None
    assert found.reference["validity"] == pytest.approx(10 / 11)
    assert found.numbers["not_encoded"] == 0.0  # what is no molecule cannot be asked back
    assert not found.data
    assert any("learnt from was not given" in note for note in found.notes)


def test_with_nothing_to_compare_with(run):
    found = evaluate_run(run, reference=None, train=None, n=20, densities=["prior"], **QUIET)
    assert found.numbers["reconstruction"] is None
    assert found.numbers["prior_validity"] == 1.0
    assert found.densities["prior"]["validity"] == 1.0
    assert "snn" not in found.densities["prior"]
    assert found.densities["prior"]["filters"] is not None  # which needs no other set
    assert not found.reference
    assert any("compare with" in note for note in found.notes)
    none = evaluate_run(run, reference=["C1CC"], train=None, n=4, densities=["prior"], **QUIET)
    assert none.numbers["reconstruction"] is None
    assert any("1 of 1 held-out lines" in note for note in none.notes)
    assert any("records is a molecule" in note for note in none.notes)


def test_grammars_that_promise_nothing(smiles):
    zinc = untrained(shipped_codec("zinc", 277))
    found = evaluate_run(zinc, reference=smiles[:8], train=None, n=12, **QUIET)
    assert any("does not promise" in note for note in found.notes)
    assert any("valences cannot be tracked" in note for note in found.notes)
    numbers = found.densities["prior"]
    assert numbers["validity_all_masks"] == numbers["validity_grammar_masks"]
    assert all(value is None or math.isfinite(value) for value in numbers.values())


def test_texts_that_are_no_molecules():
    equation = untrained(shipped_codec("equation", 30))
    known = ["x+1", "sin(x)", "exp(x)/2", "x*x", "3+x"]
    found = evaluate_run(equation, reference=known, train=None, n=20, **QUIET)
    assert found.numbers["reconstruction"] is not None
    assert found.numbers["not_encoded"] == 0.0
    assert found.numbers["smoothness"] is None
    assert found.densities["prior"].keys() == OF_DENSITY.keys()
    assert found.densities["prior"]["validity_grammar_masks"] == 1.0
    assert any("no molecules" in note for note in found.notes)
    text = page(found)
    assert "What the numbers mean" in text
    assert not [
        head for head in ("Molecules", "Properties", "Map", "Inter") if f"<h2>{head}" in text
    ]


def test_refusals(run):
    with pytest.raises(ValueError, match="at least 2"):
        evaluate_run(run, reference=None, train=None, n=1)
    with pytest.raises(ValueError, match="'gaussian'"):
        evaluate_run(run, reference=None, train=None, densities=["gausian"])
