"""Workflows from file to file: prepare, encode, decode, reconstruct, score, outputs."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pytest
import torch

from molae.chem.molecules import canonical
from molae.runs.run import Run
from molae.workflows.encode import columns, decode_file, encode_file, read_codes
from molae.workflows.output import open_output
from molae.workflows.prepare import prepare_file
from molae.workflows.reconstruct import reconstruct
from molae.workflows.score import score_file

FAST = {"workers": 1}
#: The run is hardly trained: no number of steps corrects its codes.
ONCE = {**FAST, "refine": 1}


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("suffix", ["npy", "csv", "tsv", "tsv.gz", "parquet"])
def test_codes_there_and_back(run, molecules, smiles, tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"codes.{suffix}"
    rejects = tmp_path / "rejects.csv"
    done = encode_file(run, molecules, path, rejects=rejects, **ONCE)
    assert (done.written, done.rejected) == (300, 1)
    assert rows_of(rejects)[0]["line"] == "151"
    z = read_codes(path, run.size)
    assert z.shape == (300, run.size)
    np.testing.assert_allclose(z, run.encode(smiles, refine=1).numpy(), atol=1e-4)
    out = tmp_path / "back.smi"
    back = decode_file(run, path, out)
    assert (back.written, back.invalid) == (300, 0)
    lines = out.read_text().split()
    assert all(canonical(line) == line for line in lines)


def test_codes_of_another_size_are_refused(run, tmp_path):
    np.save(tmp_path / "z.npy", np.zeros((3, run.size + 1), np.float32))
    with pytest.raises(ValueError, match=f"expected \\(n, {run.size}\\)"):
        decode_file(run, tmp_path / "z.npy", tmp_path / "o.smi")
    np.save(tmp_path / "nan.npy", np.full((3, run.size), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        decode_file(run, tmp_path / "nan.npy", tmp_path / "o.smi")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=f"z1 to z{run.size}"):
        decode_file(run, tmp_path / "t.csv", tmp_path / "o.smi")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="codes"):
        decode_file(run, tmp_path / "objects.npy", tmp_path / "o.smi")
    assert not (tmp_path / "o.smi").exists()
    assert columns(2) == ["z1", "z2"]


def test_codes_through_a_pipe(run, molecules, smiles, tmp_path, monkeypatch, capfdbinary):
    encode_file(run, molecules, "-", **ONCE)
    sys.stdout.flush()
    table = capfdbinary.readouterr().out
    assert table.startswith(b"line\tsmiles\tz1\tz2\t")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table)))
    assert decode_file(run, "-", tmp_path / "back.smi").written == 300
    assert (tmp_path / "back.smi").read_text().split() == run.decode(run.encode(smiles, refine=1))


def test_codes_are_written_piece_by_piece(run, molecules, tmp_path, monkeypatch):
    monkeypatch.setattr("molae.workflows.reading.chunks.__defaults__", (64,))
    encode_file(run, molecules, tmp_path / "whole.npy", **ONCE)
    z = np.load(tmp_path / "whole.npy")
    assert (z.shape, z.dtype) == ((300, run.size), np.float32)


def test_decoding_with_a_temperature(run, molecules, tmp_path):
    encode_file(run, molecules, tmp_path / "z.npy", **ONCE)

    def texts(**options):
        decode_file(run, tmp_path / "z.npy", tmp_path / "o.smi", **options)
        return (tmp_path / "o.smi").read_text()

    assert texts(temperature=0) == texts(temperature=0, seed=5) == texts()
    assert texts(temperature=1.0) == texts(seed=0) != texts()


def test_nonsense_leaves_no_output_but_rejects(run, tmp_path):
    source, rejects = tmp_path / "in.smi", tmp_path / "rejects.csv"
    source.write_text("hello\nC1CC(\n")
    target = tmp_path / "out.csv"
    for work in (
        lambda: prepare_file(source, target, rejects=rejects, progress=False, **FAST),
        lambda: score_file(source, target, ["mw"], rejects=rejects, progress=False, **FAST),
        lambda: encode_file(run, source, target, rejects=rejects, **FAST),
    ):
        with pytest.raises(ValueError, match="none of its 2"):
            work()
        assert not target.exists()
        assert [row["line"] for row in rows_of(rejects)] == ["1", "2"]
        rejects.unlink()


def test_reconstruct(run, molecules):
    result = reconstruct(run, molecules, limit=200, **ONCE)
    assert result.tried + result.rejected == 200
    assert result.exact + len(result.misses) == result.tried
    assert result.rate == result.exact / result.tried
    miss = result.misses[0]
    assert miss.smiles != miss.decoded
    assert miss.similarity is None or 0 <= miss.similarity <= 1
    assert canonical(miss.smiles) == miss.smiles


def test_what_was_missed_is_not_encoded_again(run, molecules, monkeypatch):
    seen, encode = [], run.model.encode
    monkeypatch.setattr(run.model, "encode", lambda x, *c: seen.append(len(x)) or encode(x, *c))
    result = reconstruct(run, molecules, limit=40, refine=2, **FAST)
    assert result.direct < result.tried == sum(seen) == 40


def test_codes_that_were_corrected_in_vain_are_counted(smiles, tmp_path):
    tiny = Run.load("tiny", "cpu")
    source = tmp_path / "some.smi"
    source.write_text("\n".join(smiles[:50]))
    done = encode_file(tiny, source, tmp_path / "z.npy", refine=3, **FAST)
    back = tiny.decode(torch.from_numpy(np.load(tmp_path / "z.npy")))
    assert done.missed == sum(
        a != b for a, b in zip(tiny.spelling(smiles[:50]), back, strict=True)
    )
    result = reconstruct(tiny, source, refine=3, **FAST)
    assert (result.tried, len(result.misses)) == (50, done.missed)
    assert result.direct < result.exact < result.tried
    assert encode_file(tiny, source, tmp_path / "z.npy", refine=0, **FAST).missed == 0


def test_score(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("name,SMILES\nethanol,CCO\nbad,C1CC\nbenzene,c1ccccc1\n")
    target, rejects = tmp_path / "out.csv", tmp_path / "rejects.csv"
    done = score_file(source, target, ["mw", "rings"], rejects=rejects, progress=False, **FAST)
    assert (done.written, done.rejected) == (2, 1)
    found = rows_of(target)
    assert [row["name"] for row in found] == ["ethanol", "benzene"]
    assert float(found[0]["mw"]) == pytest.approx(46.07, abs=0.01)
    assert done.means["rings"] == pytest.approx(0.5)
    assert rows_of(rejects)[0]["reason"].startswith("syntax")
    with pytest.raises(ValueError, match="'logp'"):
        score_file(source, target, ["logq"])


def test_score_keeps_columns(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,Smiles,activity,mw\na,CCO,7.5,wrong\nb,CCN,,0\n")
    score_file(source, target, ["mw", "rings"], progress=False, **FAST)
    found = rows_of(target)
    assert list(found[0]) == ["id", "smiles", "activity", "mw", "rings"]
    assert [(row["id"], row["smiles"], row["activity"]) for row in found] == [
        ("a", "CCO", "7.5"),
        ("b", "CCN", ""),
    ]
    assert float(found[0]["mw"]) == pytest.approx(46.07, abs=0.01)
    # Another column is called smiles: both stay.
    source.write_text("raw,smiles\nCCO,x\n")
    score_file(source, target, ["rings"], column="raw", progress=False, **FAST)
    assert target.read_text() == "raw,smiles,rings\nCCO,x,0.0\n"
    # Lists have names or have none; fields of an SDF file stay.
    (tmp_path / "in.smi").write_text("CCO\nCCN\n")
    score_file(tmp_path / "in.smi", target, ["rings"], progress=False, **FAST)
    assert target.read_text().splitlines()[0] == "smiles,rings"
    (tmp_path / "in.smi").write_text("CCO\nCCN b\n")
    score_file(tmp_path / "in.smi", tmp_path / "a.sdf", ["rings"], progress=False, **FAST)
    score_file(tmp_path / "a.sdf", target, ["mw"], progress=False, **FAST)
    again = rows_of(target)
    assert [row["name"] for row in again] == ["", "b"]
    assert [row["rings"] for row in again] == ["0.0", "0.0"]


def test_score_keeps_numbers_of_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pandas.DataFrame({"smiles": ["CCO", "CCN"], "count": [3, 4]}).to_parquet(source)
    score_file(source, target, ["rings"], progress=False, **FAST)
    found = pandas.read_parquet(target)
    assert list(found.columns) == ["smiles", "count", "rings"]
    assert found["count"].tolist() == [3, 4]


def test_prepare(tmp_path):
    source = tmp_path / "raw.smi"
    source.write_text(
        f"OCC ethanol\nCCO again\nCC(=O)[O-].[Na+] salt\nC1CC bad\nC[Pt]C metal\n{'C' * 40} long\n"
    )
    target, rejects = tmp_path / "clean.smi", tmp_path / "rejects.csv"
    done = prepare_file(
        source,
        target,
        neutralise=True,
        elements=["C", "O"],
        max_length=30,
        rejects=rejects,
        progress=False,
        **FAST,
    )
    assert target.read_text() == "CCO\tethanol\nCC(=O)O\tsalt\n"
    assert (done.read, done.written, done.duplicates, done.rejected) == (6, 2, 1, 3)
    assert done.read == done.written + done.duplicates + done.rejected
    assert set(done.reasons) == {"syntax", "element", "long SMILES"}
    assert [row["line"] for row in rows_of(rejects)] == ["4", "5", "6"]
    everything = prepare_file(source, target, unique=False, fragment="all", progress=False, **FAST)
    assert everything.written == 5


def test_pictures(tmp_path):
    with open_output(tmp_path / "a.png", legend=lambda row: row["smiles"] or "?") as out:
        out.write({"smiles": "CCO"})
        out.write({"smiles": None})
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nothing to draw"), open_output(tmp_path / "b.svg"):
        pass
    with pytest.raises(ValueError, match="does not exist"):
        open_output(tmp_path / "nowhere" / "c.svg")
    with pytest.raises(ValueError, match="unexpected"), open_output(tmp_path / "d.smi") as out:
        out.write({"smiles": "C", "mw": 16.0})
    assert not (tmp_path / "d.smi").exists()
