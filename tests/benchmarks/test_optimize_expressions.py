"""The table on expressions: small cells made for real, a table of cells written by hand."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from molae.codecs import shipped_codec
from molae.names import STRATEGIES
from molae.workflows.campaign.retrain import parse_retrain

#: Options of a table that is made in seconds, but for places and methods.
TINY = "--quick --device cpu --start 40 --calls 15 --batch 5"


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules; their folder is at the end of the path, so it hides nothing."""
    root = str(Path(__file__).parents[2])
    sys.path.append(root)
    names = ("optimize_expressions", "optimize_expressions_cell")
    yield [importlib.import_module(f"benchmarks.{name}") for name in names]
    sys.path.remove(root)


@pytest.fixture(scope="module")
def main(bench):
    return bench[0].main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("expressions")


@pytest.fixture(scope="module")
def words(place):
    """The command line, whose methods are to be named."""
    return [
        *("--out", str(place / "cells"), "--work", str(place / "work")),
        *TINY.split(),
        "--methods",
    ]


@pytest.fixture(scope="module")
def made(main, words, place):
    """The values of some cells."""
    assert main([*words, "retrained", "screening", "--seeds", "0", "1"]) == 0
    cells = {p.stem: json.loads(p.read_text()) for p in (place / "cells").iterdir()}
    return {name: cell["values"] for name, cell in cells.items()}


# Cells -------------------------------------------------------------------------------------------


def test_a_cell_says_all_that_was_measured(made):
    assert set(made) == {"retrained-0", "retrained-1", "screening-0", "screening-1"}
    for values in made.values():
        assert values["counts"]["calls"] == 15
        assert [call for call, _ in values["trace"]] == [10, 15]
        assert values["trace"][0][1] >= values["trace"][1][1]
        assert values["best"] == pytest.approx(values["trace"][1][1], abs=1e-5)
        assert values["best"] == values["expressions"][0][0]
        assert values["protocol"]["start"] == 40
    ours = made["retrained-0"]
    assert {"ask", "decode", "oracle", "retrain"} <= ours["seconds"].keys()
    assert ours["seconds"]["retrain"] > 0
    assert ours["counts"]["invalid"] == 0
    assert made["retrained-0"]["trace"] != made["retrained-1"]["trace"]


def test_the_best_expressions_have_the_score_that_is_told(bench, made):
    for values in made.values():
        scores, texts = zip(*values["expressions"], strict=True)
        assert list(bench[1].published_scores(texts)) == pytest.approx(list(scores))
        assert list(scores) == sorted(scores)


def test_only_the_worse_half_is_known(bench, place):
    texts = bench[1].written_expressions(400, 0)
    scores = bench[1].published_scores(texts)
    (file,) = (place / "work").glob("worse-*.txt")
    kept = file.read_text().split()
    assert 200 <= len(kept) < 300
    known = dict(zip(texts, scores, strict=True))
    assert min(known[t] for t in kept) >= max(known[t] for t in set(texts) - set(kept))


def test_a_cell_that_is_there_is_not_made_again(made, main, words, place, capsys):
    before = {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()}
    assert main([*words, "screening", "retrained", "--seeds", "1"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (place / "cells").iterdir()} == before
    assert "screening" in capsys.readouterr().out


def test_cells_of_another_protocol_are_not_mixed(made, main, words, capsys):
    assert main([*words, "screening", "--seeds", "0", "--calls", "21"]) == 1
    assert "was made otherwise: calls was" in capsys.readouterr().err


def test_an_interrupted_campaign_goes_on(made, main, words, place, capsys):
    """Ctrl-C after the first batches; the same command ends with the same cell."""
    (place / "cells" / "retrained-0.json").unlink()
    folder = next((place / "work").glob("retrained-0-*"))
    folder.rename(place / "work" / "aside")
    over = threading.Event()

    def press() -> None:
        while not over.wait(0.005):
            rows = folder / "evaluations.csv"
            if rows.is_file() and len(rows.read_text().splitlines()) > 5:
                os.kill(os.getpid(), signal.SIGINT)
                return

    presser = threading.Thread(target=press)
    presser.start()
    assert main([*words, "retrained", "--seeds", "0"]) == 130
    over.set()
    presser.join()
    assert "the same command goes on" in capsys.readouterr().err
    assert not (place / "cells" / "retrained-0.json").exists()
    assert main([*words, "retrained", "--seeds", "0"]) == 0
    again = json.loads((place / "cells" / "retrained-0.json").read_text())["values"]
    assert again["trace"] == made["retrained-0"]["trace"]
    assert again["expressions"] == made["retrained-0"]["expressions"]
    assert again["counts"] == made["retrained-0"]["counts"]


def test_every_method_can_be_asked_for(bench):
    for settings in bench[1].METHODS.values():
        assert settings.get("strategy", "latent") in STRATEGIES
        if "retrain" in settings:
            assert parse_retrain(settings["retrain"])["every"] == 50


# Data --------------------------------------------------------------------------------------------


def test_expressions_of_a_file(bench, tmp_path):
    with gzip.open(tmp_path / "equations.txt.gz", "wt") as stream:
        stream.write("x + sin( x * x )\n\n1 / 3 + x\nx + sin(x*x)\n")
    assert bench[1].read_expressions(tmp_path / "equations.txt.gz") == ["x+sin(x*x)", "1/3+x"]


def test_written_expressions_are_of_the_grammar(bench):
    texts = bench[1].written_expressions(60, 1)
    assert len(set(texts)) == 60
    assert not shipped_codec("equation", 60).parse(texts).rejects


def test_published_scores(bench):
    """The optimum, what the Grammar VAE found, x alone, and what has no value."""
    texts = ["1/3+x+sin(x*x)", "x/1+sin(3)+sin(x*x)", "x", "("]
    scores = bench[1].published_scores(texts)
    assert list(scores) == pytest.approx([0, 0.036, 0.488, 6.909], abs=1e-3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["{empty}/none.txt"], "there is no such file"),
        (["{empty}/blank.txt"], "there is nothing in it"),
        (["--quick", "--start", "300", "--work", "{empty}"], "expected at least 300 to start"),
        (["--table", "--out", "{empty}"], "there are no cells"),
    ],
)
def test_what_is_wrong_is_said(given, told, main, tmp_path, capsys):
    (tmp_path / "blank.txt").write_text("\n")
    assert main([word.format(empty=tmp_path) for word in given]) == 1
    assert told in capsys.readouterr().err


# The table ---------------------------------------------------------------------------------------


def by_hand(folder, method, seed, trace, **counts):
    """A cell with numbers of our own."""
    none = dict.fromkeys(("invalid", "duplicates", "known"), 0)
    values = {
        "method": method,
        "seed": seed,
        "protocol": {"data": ["equations.txt", "0"], "start": 10, "calls": len(trace)},
        "best": trace[-1],
        "expressions": [[trace[-1], f"x+{seed}"]],
        "reached_at": next((i for i, y in enumerate(trace, 1) if y < 0.05), None),
        "trace": [[call, trace[call - 1]] for call in range(10, len(trace) + 1, 10)],
        "counts": {"calls": len(trace), **none, **counts},
        "seconds": {"ask": 2.0 + seed, "retrain": 1.0},
    }
    (folder / f"{method}-{seed}.json").write_text(json.dumps({"values": values}))


@pytest.fixture
def cells(tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    by_hand(folder, "latent", 0, [3.0] * 50 + [0.5] * 10, duplicates=20)
    by_hand(folder, "latent", 1, [1.0] * 50 + [0.04] * 10, invalid=20)
    by_hand(folder, "screening", 0, [4.0] * 60)
    return folder


def test_mean_and_deviation_over_seeds(bench, cells):
    head, lines = bench[0].rows(bench[0].read_cells(cells))
    found = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert list(found) == ["latent", "screening"]
    ours = found["latent"]
    assert ours["seeds"] == "0, 1"
    assert ours["best of 50"] == "2.000 ± 1.414"
    assert ours["best of 60"] == "0.270 ± 0.325"
    assert (ours["below 0.05"], ours["at call"]) == ("1 of 2", "51")
    assert (ours["invalid %"], ours["repeated %"]) == ("12.5", "12.5")
    assert (ours["ask, s"], ours["decode, s"]) == ("2.5", "0.0")
    assert found["screening"]["below 0.05"] == "0 of 1"
    assert found["screening"]["at call"] == "-"


def test_the_screen_shows_what_there_is_to_beat(bench, cells):
    console = Console(width=350, record=True, file=io.StringIO())
    bench[0].show(bench[0].arguments(["--table", "--out", str(cells)]), console)
    text = console.export_text()
    for part in ("0.270 ± 0.325", "weighted retraining 0.48 ± 0.12", "0.0400, x+1 (latent, seed"):
        assert part in text


def test_the_table_is_written_into_a_page(bench, main, cells, tmp_path):
    begin, end = importlib.import_module("benchmarks.cells").marks(bench[0].NAME)
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{begin}\nold\n{end}\n")
    assert main(["--markdown", "--out", str(cells), "--page", str(page)]) == 0
    text = page.read_text()
    assert "\nold\n" not in text
    assert "| latent | 0, 1 | 2.000 ± 1.414 |" in text


def test_cells_that_were_made_in_several_ways_are_no_table(bench, cells):
    by_hand(cells, "screening", 1, [4.0] * 70)
    with pytest.raises(ValueError, match="made in several ways"):
        bench[0].read_cells(cells)
