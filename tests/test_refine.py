"""Codes that are corrected until the decoder gives back what was encoded."""

from __future__ import annotations

import gzip
from contextlib import nullcontext
from itertools import islice

import pytest
import torch

from molae.nn import fused_gru
from molae.resources import data_path
from molae.runs.refine import refined
from molae.runs.run import Run


@pytest.fixture(scope="module")
def run():
    return Run.load("tiny", "cpu")


@pytest.fixture(scope="module")
def texts(run):
    with data_path("demo.smi.gz") as path, gzip.open(path, "rt", encoding="utf-8") as lines:
        return run.spelling([line.split()[0] for line in islice(lines, 60)])


@pytest.fixture(scope="module")
def direct(run, texts):
    return run.encode(texts, refine=0)


def came_back(run, texts, z):
    return [text == found for text, found in zip(texts, run.decode(z), strict=True)]


def test_more_comes_back_and_what_did_is_left_alone(run, texts, direct):
    z = run.encode(texts)
    before, after = came_back(run, texts, direct), came_back(run, texts, z)
    assert sum(after) > sum(before)
    moved = (z != direct).any(1).tolist()
    # A code is either the encoder's, or another that gives the molecule back.
    assert moved == [now and not then for then, now in zip(before, after, strict=True)]


def test_the_decoder_fed_with_x_knows_whether_it_comes_back(run, texts, direct):
    x = run.codec.encode(texts)
    with torch.no_grad():
        known = run.model.likelihood(torch.stack([direct, direct])).recovers(x)
    assert known.tolist() == [came_back(run, texts, direct)] * 2


def test_a_molecule_has_its_code_whatever_stands_beside_it(run, texts):
    together = run.encode(texts)
    alone = torch.cat([run.encode([text]) for text in texts[:8]])
    torch.testing.assert_close(alone, together[:8], rtol=0, atol=1e-3)


def test_no_steps_change_nothing_and_weights_stay(run, texts, direct):
    x = run.codec.encode(texts)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert torch.equal(refined(run.model, x, direct, 0)[0], direct)
    refined(run.model, x, direct, 2)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert all(weight.grad is None for weight in run.model.parameters())
    assert all(weight.requires_grad for weight in run.model.parameters())
    assert refined(run.model, x[:0], direct[:0], 3)[0].shape == (0, run.size)


def test_one_sweep_tells_what_fewer_steps_would_have_done(run, texts, direct):
    x = run.codec.encode(texts)
    z, taken = run.corrected(x, direct, 6)
    assert (taken == 0).tolist() == came_back(run, texts, direct)
    assert (taken <= 6).tolist() == came_back(run, texts, z)
    assert len(set(taken.tolist())) > 3
    for steps in (0, 1, 3):
        there = (taken <= steps)[:, None]
        few, soon = run.corrected(x, direct, steps)
        torch.testing.assert_close(few, torch.where(there, z, direct), rtol=0, atol=1e-3)
        assert torch.equal(soon, taken.clamp(max=steps + 1))


def test_only_the_gradient_of_codes_is_computed(run, texts, direct, monkeypatch):
    x = run.codec.encode(texts[:40])
    asked = []
    outer = fused_gru._outer
    monkeypatch.setattr(fused_gru, "_outer", lambda *given: asked.append(given) or outer(*given))
    z, taken = refined(run.model, x, direct[:40], 4)
    assert not asked
    monkeypatch.setattr("molae.runs.refine._held", lambda _: nullcontext())
    same = refined(run.model, x, direct[:40], 4)
    assert asked
    assert torch.equal(same[0], z)
    assert torch.equal(same[1], taken)
