"""The demo, in miniature."""

from __future__ import annotations

import pytest

from molae.workflows import demo as module


@pytest.mark.slow
def test_demo(tmp_path, monkeypatch, small, molecules):
    from contextlib import nullcontext

    train = module.train

    def quick(data, folder, *, seconds, say, cache, command, seed, **rest):
        return train(data, folder, steps=5, seed=seed, say=say, cache=cache, **small)

    monkeypatch.setattr(module, "train", quick)
    monkeypatch.setattr(module, "data_path", lambda _name: nullcontext(molecules))
    monkeypatch.setattr(module, "COMPARED", 10)
    heard: list[str] = []
    for _ in range(2):  # safe to run twice
        result = module.demo(tmp_path / "demo", n=20, workers=1, say=heard.append)
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {module.MARKER, "run", "molecules.smi", "molecules.csv", "molecules.png"}
    assert len((tmp_path / "demo" / "molecules.smi").read_text().split()) == 20
    assert result.numbers["validity"] == 1.0
    assert result.numbers["trained_on"] < 300
    assert ("valid (RDKit)", "100.0 %") in result.rows
    assert any("training" in text for text in heard)
    with pytest.raises(ValueError, match="n is 0"):
        module.demo(tmp_path / "x", n=0)


def test_a_demo_replaces_nothing_but_a_demo(tmp_path):
    others = tmp_path / "run"
    others.mkdir()
    (others / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds other things"):
        module.demo(tmp_path, n=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    (tmp_path / module.MARKER).write_text("")
    (others / "thesis.tex").write_text("years")
    with pytest.raises(ValueError, match=r"such as thesis\.tex"):
        module.demo(tmp_path, n=1)
    assert (others / "thesis.tex").read_text() == "years"
