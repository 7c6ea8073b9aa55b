"""Walking through the space of codes, and looking at grammars and runs."""

from __future__ import annotations

import pytest
import torch

import molae
from molae.chem.molecules import canonical
from molae.grammar.cfg import GrammarError
from molae.names import DENSITIES, OBJECTIVES
from molae.workflows import grammar
from molae.workflows.info import densities, info, objectives
from molae.workflows.interpolate import interpolate, way
from molae.workflows.neighbors import code_scale, neighbors


def test_neighbors(run, smiles):
    rows = neighbors(run, smiles[0], 12, radius=1.0)
    found = [row["smiles"] for row in rows]
    assert 0 < len(found) == len(set(found)) <= 12
    assert canonical(smiles[0]) not in found
    near = [row["similarity"] for row in rows]
    assert near == sorted(near, reverse=True)
    assert rows == neighbors(run, smiles[0], 12, radius=1.0)
    assert code_scale(run).shape == (run.size,)
    with pytest.raises(ValueError, match="radius"):
        neighbors(run, smiles[0], radius=0)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate(run, smiles, path):
    rows = interpolate(run, smiles[0], smiles[1], steps=5, path=path)
    assert [row["t"] for row in rows] == [0, 0.25, 0.5, 0.75, 1]
    ends = run.decode(run.encode(smiles[:2]))
    assert [rows[0]["smiles"], rows[-1]["smiles"]] == ends
    assert all(0 <= row["to_first"] <= 1 for row in rows)
    with pytest.raises(ValueError, match="steps"):
        interpolate(run, smiles[0], smiles[1], steps=1)


def test_ways():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    t = torch.linspace(0, 1, 3)
    assert torch.allclose(way(a, b, t), torch.tensor([[2.0, 0.0], [1.0, 2.0], [0.0, 4.0]]))
    turned = way(a, b, t, "spherical")
    assert torch.allclose(turned.norm(dim=1), torch.tensor([2.0, 3.0, 4.0]))
    assert torch.allclose(turned[1], torch.tensor([1.0, 1.0]) * 3 / 2**0.5, atol=1e-5)
    assert torch.equal(way(a, -a, t, "spherical"), way(a, -a, t))
    assert torch.isfinite(way(a * 0, b, t, "spherical")).all()
    with pytest.raises(ValueError, match="'spherical'"):
        way(a, b, t, "sperical")


def test_grammars(tmp_path):
    assert grammar.check("smiles").guaranteed
    assert not grammar.check("zinc").guaranteed
    assert not grammar.check("equation").guaranteed
    assert any("valid molecules" in line for line in grammar.check("zinc").lines())
    mine = tmp_path / "mine.cfg"
    mine.write_text("S -> 'a' S | 'b'\n")
    assert grammar.parse(mine, "aab") == ["S -> 'a' S", "S -> 'a' S", "S -> 'b'"]
    assert set("".join(grammar.sample(mine, 20, max_steps=9))) <= {"a", "b"}
    mine.write_text("S -> 'a' T\n")
    with pytest.raises(GrammarError, match="T"):
        grammar.check(mine)
    with pytest.raises(ValueError, match=r"no grammar 'smile'.*'smiles'"):
        grammar.check("smile")


def test_random_smiles_are_molecules():
    texts = grammar.sample("smiles", 64, max_steps=30)
    assert all(canonical(text) for text in texts)
    assert texts[:5] == grammar.sample("smiles", 5, max_steps=30)
    assert grammar.parse("smiles", "c1ccccc1")[0] == "MOLECULE -> 'C' TAIL"


def test_info(run):
    facts = info(run)
    assert facts["objective"].startswith("rae")
    assert "rules" in facts["vocabulary"]
    assert all(isinstance(value, str) for value in facts.values())
    assert [row["objective"] for row in objectives()] == list(OBJECTIVES)
    assert [row["density"] for row in densities()] == list(DENSITIES)


def test_transformer(run, smiles):
    encoder = molae.MoleculeEncoder(run.folder, device="cpu").fit(smiles)
    z = encoder.transform(smiles[:6])
    assert z.shape == (6, run.size)
    assert encoder.inverse_transform(z) == run.decode(run.encode(smiles[:6]))
    assert encoder.get_params()["latent_dim"] == 56


def test_public_names():
    for name in molae.__all__:
        assert getattr(molae, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        molae.nonsense  # noqa: B018
