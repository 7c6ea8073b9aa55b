"""Generation: a stream that depends on the seed only, and counts what it drops."""

from __future__ import annotations

import pytest

from molae.chem.molecules import canonical
from molae.workflows.generate import generate
from molae.workflows.summary import summarise

FAST = {"workers": 1}


def texts(generation):
    return [row["smiles"] for row in generation]


def test_canonical_and_complete(run):
    made = generate(run, 60, seed=1, **FAST)
    found = texts(made)
    assert len(found) == 60
    assert all(canonical(text) == text for text in found)
    assert (made.counts.drawn, made.counts.written, made.counts.invalid) == (60, 60, 0)
    assert made.counts.lines() == []


def test_does_not_depend_on_batch_or_number(run):
    whole = texts(generate(run, 50, seed=2, batch=50, temperature=1.0, **FAST))
    assert texts(generate(run, 50, seed=2, batch=7, temperature=1.0, **FAST)) == whole
    assert texts(generate(run, 20, seed=2, temperature=1.0, **FAST)) == whole[:20]
    assert texts(generate(run, 50, seed=3, temperature=1.0, **FAST)) != whole


def test_nothing_is_drawn_before_it_is_asked_for(run, monkeypatch):
    sizes, decode = [], run.decode
    monkeypatch.setattr(run, "decode", lambda z, **k: sizes.append(len(z)) or decode(z, **k))
    made = generate(run, 10_000_000, batch=16, **FAST)
    for _ in range(20):
        next(made)
    assert sizes == [16, 16]
    assert made.counts.drawn == made.counts.written == 20


def test_counts_add_up_and_do_not_depend_on_the_batch(run):
    wish = {
        "unique": True,
        "filters": ["rings"],
        "requirements": ["heavy_atoms>=4"],
        "temperature": 1.0,
        "seed": 7,
    }
    few, many = (generate(run, 8, batch=size, **wish, **FAST) for size in (5, 32))
    assert texts(few) == texts(many)
    assert few.counts == many.counts
    assert few.counts.lines()
    assert few.counts.drawn == 8 + sum(count for _, count in few.counts.lines())
    given_up = [generate(run, 999, batch=size, max_draws=30, **wish, **FAST) for size in (7, 64)]
    for made in given_up:
        written = len(texts(made))
        dropped = sum(count for _, count in made.counts.lines())
        assert made.counts.exhausted
        assert (made.counts.drawn, made.counts.written) == (30, written) == (30, 30 - dropped)
    assert given_up[0].counts == given_up[1].counts


def test_temperature_nought_is_greedy(run):
    greedy = texts(generate(run, 20, seed=1, **FAST))
    assert texts(generate(run, 20, seed=1, temperature=0.0, **FAST)) == greedy


def test_unique(run):
    made = generate(run, 40, seed=0, unique=True, temperature=2.0, batch=32, **FAST)
    found = texts(made)
    assert len(found) == len(set(found)) == 40
    again = generate(run, 40, seed=0, temperature=2.0, batch=32, **FAST)
    assert set(texts(again)) <= set(found)


def test_gives_up(run):
    made = generate(run, 5, requirements=["mw<0"], max_draws=60, batch=25, **FAST)
    assert texts(made) == []
    assert made.counts.exhausted
    assert made.counts.drawn == 60
    assert made.counts.unmet == {"mw<0": 60}
    assert made.counts.lines() == [("not mw<0", 60)]


def test_exclude(run, tmp_path):
    first = texts(generate(run, 30, seed=4, **FAST))
    path = tmp_path / "known.smi"
    path.write_text("".join(f"{text}\n" for text in [*first, "nonsense"]))
    made = generate(run, 30, seed=4, exclude=[path], temperature=None, **FAST)
    assert not set(texts(made)) & set(first)
    assert made.counts.excluded >= 30


def test_filters_requirements_and_properties(run):
    made = generate(
        run,
        15,
        seed=5,
        filters=["rings"],
        requirements=["mw<400", "heavy_atoms>=2"],
        properties=["mw", "qed"],
        temperature=1.0,
        batch=64,
        **FAST,
    )
    rows = list(made)
    assert list(rows[0]) == list(made.columns) == ["smiles", "mw", "qed"]
    assert all(row["mw"] < 400 for row in rows)
    dropped = sum(count for _, count in made.counts.lines())
    assert made.counts.written == 15
    assert made.counts.drawn == 15 + dropped


def test_scaffolds(run):
    """Only hits; what is drawn is what would be drawn without, as far as the last of them."""
    wish = {"seed": 6, "temperature": 1.0}
    few, many = (
        generate(run, 12, scaffolds=["[#7]", "O"], batch=size, **wish, **FAST) for size in (5, 512)
    )
    found = texts(few)
    assert found == texts(many)
    assert few.counts == many.counts
    drawn = texts(generate(run, few.counts.drawn, **wish, **FAST))
    nitrogen = [text for text in drawn if "n" in text.lower()]
    both = [text for text in nitrogen if "O" in text]
    assert [text for text in both if text in found] == found
    assert few.counts.missing["[#7]"] == len(drawn) - len(nitrogen) > 0
    assert few.counts.missing["O"] == len(nitrogen) - len(found)
    assert few.counts.drawn_for_each == len(drawn) / 12
    assert ("without [#7]", few.counts.missing["[#7]"]) in few.counts.lines()


def test_a_scaffold_that_does_not_come(run, monkeypatch):
    monkeypatch.setattr("molae.workflows.generate.FRUITLESS", 70)
    for number in (1, 500):
        made = generate(run, number, scaffolds=["[U]"], batch=40, **FAST)
        assert texts(made) == []
        assert made.counts.exhausted
        assert (made.counts.drawn, made.counts.missing) == (70, {"[U]": 70})
        assert made.counts.drawn_for_each is None
    made = generate(run, 1, scaffolds=["[U]"], max_draws=90, **FAST)
    assert texts(made) == []
    assert made.counts.drawn == 90


def test_draws_in_a_row_that_keep_nothing(run, monkeypatch):
    monkeypatch.setattr("molae.workflows.generate.FRUITLESS", 3)
    wish = {"seed": 8, "temperature": 1.0}
    drawn = texts(generate(run, 300, **wish, **FAST))
    hit = ["O" in text for text in drawn]
    stop = next(i for i in range(3, len(hit) + 1) if not any(hit[i - 3 : i]))
    for size in (4, 512):
        made = generate(run, 300, scaffolds=["O"], batch=size, **wish, **FAST)
        assert texts(made) == [text for text, kept in zip(drawn[:stop], hit, strict=False) if kept]
        assert (made.counts.drawn, made.counts.exhausted) == (stop, True)
    made = generate(run, 300, scaffolds=["O"], max_draws=stop + 5, **wish, **FAST)
    assert len(texts(made)) == sum(hit[: stop + 5])


def test_a_smiles_that_is_no_pattern_for_itself(run):
    with pytest.warns(UserWarning, match="lower case is aromatic"):
        generate(run, 1, scaffolds=["C1=CC=CC=C1"])


def test_refusals_come_at_once(run):
    with pytest.raises(ValueError, match=r"SMARTS(.|\n)*\^"):
        generate(run, 1, scaffolds=["C", "C[C"])
    with pytest.raises(ValueError, match="'qed'"):
        generate(run, 1, properties=["qedd"])
    with pytest.raises(ValueError, match="'pains'"):
        generate(run, 1, filters=["pain"])
    with pytest.raises(ValueError, match="mw"):
        generate(run, 1, requirements=["mw<<5"])
    with pytest.raises(ValueError, match="density"):
        generate(run, 1, density="flow")
    with pytest.raises(ValueError, match="at least"):
        generate(run, -1)
    with pytest.raises(ValueError, match="no such file"):
        generate(run, 1, exclude=["nowhere.smi"])


def test_summary():
    summary = summarise(["OCC", "CCO", "C1CC", None, "CCN"])
    assert summary.validity == pytest.approx(3 / 5)
    assert summary.uniqueness == pytest.approx(2 / 3)
    assert summary.novelty is None
    from molae.datasets.splits import text_key

    assert summarise(["OCC", "CCN"], {text_key("CCO")}).novelty == pytest.approx(1 / 2)
    with pytest.raises(ValueError, match="nothing"):
        summarise([])
