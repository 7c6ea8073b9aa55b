"""The cost of an ask: small cells measured for real, resumed, and a table of cells by hand."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from molae.names import SURROGATES


@pytest.fixture(scope="module")
def bench():
    """The benchmark; its folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    yield importlib.import_module("benchmarks.optimize_cost")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def folder(bench, tmp_path_factory):
    """Cells of the quick table, one of them missing at first."""
    folder = tmp_path_factory.mktemp("cost")
    words = ["--quick", "--out", str(folder), "--told", "60"]
    assert bench.main(words) == 0
    (folder / "exact-4-60.json").unlink()
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    assert bench.main(words) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    return folder


def test_every_surrogate_has_a_cell(folder):
    names = {f"{name}-4-60" for name in SURROGATES}
    assert {path.stem for path in folder.iterdir()} == {*names, "decode-tiny"}
    for path in folder.glob("*-60.json"):
        content = json.loads(path.read_text("utf-8"))
        cell = content["values"]
        for clock in ("seconds", "processor"):
            assert set(cell[clock]) == {"made", "told", "first", "next"}
            assert min(cell[clock].values()) >= 0
            assert cell[clock]["next"] > 0
        assert content["machine"]["cores"] >= 1
        assert cell["best"][1] >= cell["best"][0]


def test_decoding_has_a_cell_of_its_own(folder):
    cell = json.loads((folder / "decode-tiny.json").read_text("utf-8"))["values"]
    for clock in ("seconds", "processor"):
        assert set(cell[clock]) == {"decode", "encode"}
        assert min(cell[clock].values()) > 0


def test_cells_measured_otherwise_are_not_mixed(bench, folder, capsys):
    words = ["--quick", "--out", str(folder), "--told", "60", "--acquisition", "ucb"]
    assert bench.main(words) == 1
    assert "acquisition was logei and is now ucb" in capsys.readouterr().err


def test_no_cells_are_no_table(bench, tmp_path, capsys):
    assert bench.main(["--table", "--out", str(tmp_path)]) == 1
    assert "there are no cells" in capsys.readouterr().err


def test_the_table_has_a_column_for_each_number_told(bench, tmp_path):
    shared = {"batch": 50, "device": "cpu", "acquisition": "logei", "threads": 2}
    for name, told, seconds in (("sparse", 1000, 7.25), ("trust_region", 100, 2.5)):
        clock = {"first": 2 * seconds, "next": seconds}
        cell = {"surrogate": name, "size": 56, "told": told, "protocol": shared}
        cell |= {"seconds": clock, "processor": clock}
        (tmp_path / f"{name}-56-{told}.json").write_text(json.dumps({"values": cell}), "utf-8")
    clock = {"decode": 0.5, "encode": 1.25}
    cell = {"decodes": "zinc", "protocol": shared, "seconds": clock, "processor": clock}
    (tmp_path / "decode-zinc.json").write_text(json.dumps({"values": cell}), "utf-8")
    screen = Console(file=io.StringIO(), width=150)
    assert bench.main(["--table", "--out", str(tmp_path)], screen) == 0
    text = screen.file.getvalue()
    assert text.index("trust_region") < text.index("sparse")
    assert "1,000 told" in text
    assert "5.0 / 2.5 (2.5)" in text
    assert "14.5 / 7.2 (7.2)" in text
    assert "1.25 (1.25)" in text


def test_the_table_goes_onto_a_page(bench, folder, tmp_path):
    page = tmp_path / "page.md"
    begin, end = importlib.import_module("benchmarks.cells").marks("optimize_cost")
    page.write_text(f"Before.\n{begin}\n{end}\nAfter.\n", "utf-8")
    assert bench.main(["--markdown", "--out", str(folder), "--page", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "| trust_region | 4 |" in text
    assert "| tiny |" in text


def test_too_few_rounds(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rounds", "1"])
    assert "expected 2 or more" in capsys.readouterr().err
