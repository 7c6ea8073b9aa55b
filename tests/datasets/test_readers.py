"""Reading molecules: every format and encoding, and all that can be wrong with a file."""

import gzip
import io
import sys
import warnings

import pytest

from molae.datasets.files import DataError
from molae.datasets.readers import BadLine, read
from molae.datasets.writers import open_writer

MOLECULES = [("CCO", "ethanol"), ("c1ccccc1", "benzene"), ("C[C@H](N)C(=O)O", "L-alanine")]


def put(folder, name, content):
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def smiles(path, **options):
    return [record.smiles for record in read(path, **options)]


@pytest.mark.parametrize(
    "suffix",
    [
        ".smi",
        ".txt",
        ".csv",
        ".tsv",
        ".sdf",
        ".smi.gz",
        ".csv.gz",
        ".tsv.gz",
        ".sdf.gz",
        ".parquet",
    ],
)
def test_what_is_written_is_read_back(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out{suffix}"
    with open_writer(path, ["smiles", "name", "mass"]) as writer:
        for i, (text, name) in enumerate(MOLECULES):
            writer.write({"smiles": text, "name": name, "mass": 1.5 * i})
    assert writer.count == 3
    with read(path) as reader:
        records = list(reader)
    assert [(r.smiles, r.name) for r in records] == MOLECULES
    assert [float(r.row["mass"]) for r in records] == [0.0, 1.5, 3.0]
    assert reader.count == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_parquet_in_gzip_and_in_a_pipe(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    plain = tmp_path / "a.parquet"
    with open_writer(plain, ["Structure", "id"]) as writer:
        writer.write_all({"Structure": s, "id": i} for i, (s, _) in enumerate(MOLECULES))
    packed = put(tmp_path, "b.parquet.gz", plain.read_bytes())
    assert smiles(packed) == smiles(plain) == [s for s, _ in MOLECULES]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(plain.read_bytes())))
    assert len(smiles("-")) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"CCO ethanol\nCCN\tamine one\n",
        b"CCO ethanol\r\nCCN\tamine one\r\n",
        b"CCO ethanol\rCCN\tamine one\r",
        b"\xef\xbb\xbfCCO ethanol\nCCN\tamine one",
        b"SMILES name\nCCO ethanol\nCCN\tamine one\n",
        b"\n# a comment\n  \nCCO ethanol\n\n#CCC\nCCN\tamine one  \n\n",
        "CCO ethanol\nCCN\tamine one\n".encode("utf-16"),
    ],
    ids=["plain", "crlf", "cr", "bom", "header", "comments", "utf16"],
)
def test_lists_in_any_dress(tmp_path, content):
    records = list(read(put(tmp_path, "x.smi", content)))
    assert [(r.smiles, r.name) for r in records] == [("CCO", "ethanol"), ("CCN", "amine one")]
    assert all(r.row is None for r in records)


def test_latin_1_bytes_do_not_stop_the_rest(tmp_path):
    path = put(tmp_path, "x.smi", b"CCO \xe9thanol\nCCN \xc3\xa9\n\xff\xfeC\n")
    records = list(read(path))
    assert [r.name for r in records[:2]] == ["éthanol", "é"]
    assert records[2].smiles == "ÿþC"


def test_lines_are_numbered_as_in_the_file(tmp_path):
    path = put(tmp_path, "x.smi", "# one\n\nC\n\nCC\n")
    assert [r.line for r in read(path)] == [3, 5]
    table = put(tmp_path, "x.csv", 'smiles,note\nC,"two\nlines"\n\nCC,x\n')
    assert [r.line for r in read(table)] == [3, 5]


def test_a_very_long_smiles_is_only_text(tmp_path):
    path = put(tmp_path, "x.smi", "C" * 10_000 + "\nCC\n")
    assert [len(s) for s in smiles(path)] == [10_000, 2]
    path = put(tmp_path, "x.csv", "smiles,id\n" + "C" * 10_000 + ",1\n")
    assert len(smiles(path)[0]) == 10_000


def test_whole_lines_are_items_as_they_stand(tmp_path):
    path = put(tmp_path, "eq.txt.gz", "x + 1\n# not a comment\n\nsmiles\n")
    assert smiles(path, whole_lines=True) == ["x + 1", "# not a comment", "smiles"]


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("id,smiles,x", {}),
        ("id,SMILES,x", {}),
        ("id,Canonical_Smiles,x", {}),
        ("id,rdkit smiles,x", {}),
        ("id,what,x", {}),
        ("id,what,x", {"column": "what"}),
        ("id,what,x", {"column": "What"}),
        ("smiles,what,x", {"column": "2"}),
    ],
)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_column_is_named_or_guessed(tmp_path, header, options, mark):
    text = f"{header}\n1,CCO,0.5\n2,c1ccccc1,\n".replace(",", mark)
    path = put(tmp_path, "t.csv", text)
    with read(path, **options) as reader:
        assert [r.smiles for r in reader] == ["CCO", "c1ccccc1"]
    assert reader.column == header.split(",")[1]


def test_a_table_without_a_header(tmp_path):
    path = put(tmp_path, "t.csv", "1,CCO\n2,CCN\n")
    records = list(read(path))
    assert [r.smiles for r in records] == ["CCO", "CCN"]
    assert records[0].row == {"1": "1", "2": "CCO"}
    assert smiles(path, column="2") == ["CCO", "CCN"]
    assert smiles(put(tmp_path, "one.csv", "CCO\nCCN\n")) == ["CCO", "CCN"]


def test_a_table_under_another_name(tmp_path, monkeypatch):
    text = "id,smiles\n1,CCO\n"
    assert smiles(put(tmp_path, "t.txt", text)) == ["CCO"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(text.encode()))))
    assert smiles("-") == ["CCO"]
    assert not sys.stdin.buffer.closed


def test_names_of_table_rows(tmp_path):
    path = put(tmp_path, "t.tsv", 'smiles\tName\nC\t"a ""b"""\n')
    assert next(read(path)).name == 'a "b"'


def test_one_bad_line_among_many(tmp_path):
    lines = [f"{i},CCO" for i in range(5000)]
    lines[1234] = "1234"
    lines[2345] = "2345,"
    path = put(tmp_path, "t.csv", "id,smiles\n" + "\n".join(lines) + "\n")
    bad = []
    with read(path, reject=bad.append) as reader:
        assert sum(1 for _ in reader) == 4998
    assert [b.line for b in bad] == [1236, 2347]
    assert reader.bad == 2
    assert isinstance(bad[0], BadLine)
    with pytest.warns(UserWarning, match=r"2 records could not be read; the first is number 1236"):
        list(read(path))


def test_sdf_says_what_is_wrong_with_a_record(tmp_path):
    path = tmp_path / "x.sdf"
    with open_writer(path, ["smiles", "name", "note"]) as writer:
        for text, name in MOLECULES:
            writer.write({"smiles": text, "name": name, "note": "two\n\nlines"})
    good = path.read_text()
    records = good.split("$$$$\n")
    strange = records[0].replace(" C   0", " Xx  0", 1)
    overfull = "over\n\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
    overfull += "    0.0000    0.0000    0.0000 F   0  0\n" * 2 + "  1  2  3  0\nM  END\n"
    parts = [
        strange,
        "rubbish\n",
        overfull,
        "empty\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n",
    ]
    path.write_text("$$$$\n".join([*parts, good]))
    bad = []
    assert [r.name for r in read(path, reject=bad.append)] == [n for _, n in MOLECULES]
    assert [b.line for b in bad] == [1, 2, 3, 4]
    assert "M  END" in bad[1].reason
    assert "valence" in bad[2].reason
    assert bad[3].reason == "no atoms"
    assert next(read(path, reject=bad.append)).row["note"] == "two\nlines"


def test_sdf_without_the_last_end_mark_and_by_field(tmp_path):
    path = tmp_path / "x.sdf"
    with open_writer(path, ["smiles", "name"]) as writer:
        writer.write({"smiles": "CCO", "name": "a"})
    path.write_text(path.read_text().replace("$$$$\n", "\n> <other>\nCCN\n").replace("\n", "\r\n"))
    assert smiles(path) == ["CCO"]
    assert smiles(path, column="other") == ["CCN"]
    with pytest.warns(UserWarning, match="no field 'nothing'"):
        assert smiles(path, column="nothing") == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("e.smi", b"", "is empty"),
        ("e.smi.gz", b"", "is empty"),
        ("e.csv", b"", "is empty"),
        ("c.smi", b"\n \n# only this\n", "nothing in it"),
        ("b.smi", b"\x00\x01\x02" * 50, "not a text file"),
        ("b.xlsx", b"PK\x03\x04rest", "save it as CSV"),
        ("b.parquet", b"smiles\nC\n", "not a parquet file"),
        ("d.parquet", b"PAR1 and then nothing", "damaged parquet"),
        ("n.csv", b"a,b\n1,2\n3,4\n", "no column looks like SMILES"),
        ("q.csv", b'smiles,b\nC,"' + b"x" * 200_000, "quotation mark"),
    ],
)
def test_bad_files_are_refused_with_their_name(tmp_path, name, content, expected):
    path = put(tmp_path, name, content)
    with pytest.raises(DataError, match=expected) as caught:
        list(read(path))
    assert name in str(caught.value)


def test_wrong_column_lists_the_columns_and_suggests(tmp_path):
    path = put(tmp_path, "t.csv", "molecule_smiles,mass\nC,1\n")
    with pytest.raises(DataError, match="Did you mean 'molecule_smiles'") as caught:
        read(path, column="molecule_smile")
    assert "'mass'" in str(caught.value)
    with pytest.raises(DataError, match="columns are"):
        read(path, column="7")
    with pytest.raises(DataError, match="plain list"):
        read(put(tmp_path, "t.smi", "C\n"), column="mass")


def test_missing_file_and_folder(tmp_path):
    put(tmp_path, "zinc_train.smi", "C")
    with pytest.raises(DataError, match=r"Did you mean .*zinc_train\.smi"):
        read(tmp_path / "zinc_trian.smi")
    with pytest.raises(DataError, match="does not exist either"):
        read(tmp_path / "no" / "x.smi")
    with pytest.raises(DataError, match="this is a folder"):
        read(tmp_path)


def test_cut_off_gzip_says_where(tmp_path):
    whole = gzip.compress("".join(f"{'C' * (i % 97)}N {i}\n" for i in range(20_000)).encode())
    path = tmp_path / "x.smi.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"after record \d+: the file is damaged or cut off"):
        list(read(path))
    path.write_bytes(whole[:5])
    with pytest.raises(DataError, match="damaged gzip"):
        read(path)


def test_parquet_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"molae\[parquet\]"):
        read(put(tmp_path, "x.parquet", b"PAR1"))
    with pytest.raises(DataError, match=r"molae\[parquet\]"):
        open_writer(tmp_path / "y.parquet", ["smiles"])
    assert not (tmp_path / "y.parquet").exists()


def test_reading_streams_and_tells_how_far_it_is(tmp_path):
    path = put(tmp_path, "x.smi", "CCO\n" * 300_000)
    with read(path) as reader:
        assert next(reader).smiles == "CCO"
        early = reader.fraction
        for _ in range(200_000):
            next(reader)
        assert early < 0.1 < reader.fraction <= 1.0


def test_no_warning_when_nothing_is_wrong(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert smiles(put(tmp_path, "x.smi", "C\n")) == ["C"]
