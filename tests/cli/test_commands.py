"""Each everyday command, as it is typed, on a run that was trained for a moment."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from molae.chem.molecules import canonical

PICTURES = {".png": b"\x89PNG", ".svg": b"<?xml"}


@pytest.fixture
def ask(molae, run_folder):
    """Type a command that uses the tiny run; it must succeed."""

    def run(command, *words, **named):
        result = molae(command, *words, "-m", run_folder, **named)
        assert result.exit_code == 0, result.output
        return result

    return run


def rows(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_info_names_what_was_done(molae, run_folder):
    result = molae("info", run_folder)
    assert result.exit_code == 0, result.output
    assert "rae" in result.stdout
    assert molae("info").stdout.startswith(result.stdout)  # the last run made


def test_generate_to_standard_output(ask):
    drawn = ("--temperature", 1)  # a model of a few steps has one favourite
    result = ask("generate", "-n", 40, "--seed", 3, *drawn)
    lines = result.stdout.splitlines()
    assert len(lines) == 40
    assert all(canonical(line) == line for line in lines)
    assert "40 molecules to standard output" in result.stderr
    again = ask("generate", "-n", 40, "--seed", 3, "--batch", 7, "-q", *drawn)
    assert again.stdout == result.stdout
    assert not again.stderr
    assert ask("generate", "-n", 40, "--seed", 4, *drawn).stdout != result.stdout


def test_temperature_nought_is_greedy(ask):
    greedy = ask("generate", "-n", 5).stdout
    assert ask("generate", "-n", 5, "--temperature", 0).stdout == greedy


def test_codes_through_a_pipe(ask, molae, run_folder, molecules, tmp_path):
    table = ask("encode", molecules, "--workers", 1).stdout
    result = molae("decode", "-", "-m", run_folder, "--temperature", 0, "-q", input=table)
    assert result.exit_code == 0, result.output
    ask("encode", molecules, "-o", tmp_path / "z.tsv", "--workers", 1)
    assert ask("decode", tmp_path / "z.tsv", "-q").stdout == result.stdout
    assert len(result.stdout.split()) == 64


def test_fine_tuning_says_what_contradicts(molae, run_folder, molecules, tmp_path):
    words = ["--from", run_folder, "-o", tmp_path / "x", "--objective", "vae"]
    result = molae("train", molecules, *words)
    assert result.exit_code == 1
    assert "has objective 'rae', and 'vae' was asked for" in result.stderr
    assert not (tmp_path / "x").exists()


def test_generate_with_everything(ask, tmp_path, molecules):
    words = ["-n", 12, "--temperature", 1, "--unique", "--filters", "-p", "qed,sa"]
    out = tmp_path / "new.csv"
    limits = ["--require", "mw<600,heavy_atoms>=2", "--exclude", molecules, "--workers", 1]
    words += ["--density", "prior"]
    result = ask("generate", *words, *limits, "-o", out)
    found = rows(out)
    assert list(found[0]) == ["smiles", "qed", "sa"]
    assert len({row["smiles"] for row in found}) == len(found) <= 12
    assert "dropped" in result.stderr
    assert not result.stdout


def test_generate_what_cannot_be(ask, molae, run_folder, tmp_path):
    words = ["-n", 3, "--require", "mw<1", "--max-draws", 50, "-o", tmp_path / "new.smi"]
    result = molae("generate", *words, "-m", run_folder, "--workers", 1)
    assert result.exit_code == 1
    assert "no molecules came through" in result.stderr
    assert "mw<1" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".smi.gz", ".sdf", ".parquet", ".tsv"])
def test_generate_by_suffix(ask, tmp_path, suffix):
    out = tmp_path / f"new{suffix}"
    ask("generate", "-n", 4, "-o", out, "--workers", 1)
    content = out.read_bytes()
    if suffix in PICTURES:
        assert content.startswith(PICTURES[suffix])
    else:
        assert len(content) > 10


def test_codes_there_and_back(ask, tmp_path, molecules):
    for name in ("z.npy", "z.csv", "z.parquet"):
        ask("encode", molecules, "-o", tmp_path / name, "--workers", 1)
    assert np.load(tmp_path / "z.npy", allow_pickle=False).shape == (64, 8)
    table = rows(tmp_path / "z.csv")
    assert list(table[0])[:3] == ["line", "smiles", "z1"]
    texts = [ask("decode", tmp_path / f"z.{s}", "-o", "-").stdout for s in ("npy", "parquet")]
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert len(lines) == 64
    assert all(canonical(line) == line for line in lines)


def test_encode_from_standard_input_to_standard_output(ask):
    result = ask("encode", "-", "-o", "-", "--workers", 1, input="CCO\nc1ccccc1\n")
    table = list(csv.DictReader(io.StringIO(result.stdout), delimiter="\t"))
    assert len(table) == 2
    assert list(table[0]) == ["line", "smiles", *(f"z{i}" for i in range(1, 9))]


def test_encode_says_what_does_not_come_back(ask, tmp_path, molecules):
    words = ("encode", molecules, "-o", tmp_path / "z.npy", "--workers", 1)
    told = ask(*words, "--refine", 1).stderr
    assert "of 64 molecules do not come back from their codes." in told
    for more in (("--refine", 0), ("--refine", 1, "--quiet")):
        assert "come back" not in ask(*words, *more).stderr


def test_reconstruct(ask, tmp_path, molecules):
    out = tmp_path / "misses.csv"
    result = ask("reconstruct", molecules, "--limit", 20, "-o", out, "--workers", 1)
    assert "20" in result.stdout
    assert "%" in result.stdout
    misses = rows(out)
    assert all(row["smiles"] != row["decoded"] for row in misses)
    shown = ask("reconstruct", molecules, "--limit", 20, "--workers", 1)
    assert "DECODED" in shown.stdout or not misses


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate(ask, path):
    result = ask("interpolate", "CCOC", "CC(=O)NC", "--steps", 5, "--path", path)
    head, *lines = result.stdout.splitlines()
    assert head.split("\t")[:2] == ["smiles", "t"]
    assert len(lines) == 5


def test_interpolate_as_a_picture(ask, tmp_path):
    ask("interpolate", "CCOC", "CC(=O)NC", "--steps", 3, "-o", tmp_path / "way.png")
    assert (tmp_path / "way.png").read_bytes().startswith(PICTURES[".png"])


def test_neighbors(ask, tmp_path):
    ask("neighbors", "CCOCC", "-n", 5, "--radius", 1, "-o", tmp_path / "near.csv")
    found = rows(tmp_path / "near.csv")
    similarities = [float(row["similarity"]) for row in found]
    assert similarities == sorted(similarities, reverse=True)
    assert "CCOCC" not in {row["smiles"] for row in found}


def test_score_keeps_names(molae, tmp_path):
    (tmp_path / "in.csv").write_text("Name,Smiles\nethanol,CCO\nbenzene,c1ccccc1\n")
    words = ["-p", "mw,rings", "-p", "logp", "--workers", 1]
    result = molae("score", tmp_path / "in.csv", "-o", tmp_path / "out.csv", *words)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path / "out.csv")
    assert list(found[0])[-3:] == ["mw", "rings", "logp"]
    assert [float(row["rings"]) for row in found] == [0, 1]
    assert "benzene" in found[1].values()
    assert "mw" in result.stdout


def test_score_to_standard_output_prints_nothing_else_there(molae):
    result = molae("score", "-", "-p", "mw", "--workers", 1, input="CCO\nCC\n")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 3
    assert "MEAN" in result.stderr


def test_prepare_counts(molae, tmp_path):
    (tmp_path / "raw.smi").write_text("OCC\nCCO\nCC(=O)[O-].[Na+]\nC1CC\nCC\n")
    words = ["-o", tmp_path / "clean.smi", "--neutralise", "--min-atoms", 3, "--workers", 1]
    result = molae("prepare", tmp_path / "raw.smi", *words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "clean.smi").read_text().split() == ["CCO", "CC(=O)O"]
    table = dict(line.rsplit(None, 1) for line in result.stdout.splitlines())
    assert table["read"] == "5"
    assert table["duplicates"] == "1"
    assert table["rejected"] == "2"
    assert not result.stderr.replace("\r", "").strip()


def test_fine_tune_and_take_more_files(molae, run_folder, tmp_path):
    (tmp_path / "a.smi").write_text("CC[Si](C)(C)C\n" * 3 + "CCO\nCCN\nCCCl\n")
    (tmp_path / "b.csv").write_text("smiles\nCCBr\nCCI\nc1ccccc1\n")
    words = ["--from", run_folder, "--steps", 2, "--batch-size", 4, "--workers", 1, "-q"]
    files = [tmp_path / "a.smi", tmp_path / "b.csv"]
    result = molae("train", *files, "-o", tmp_path / "tuned", *words)
    assert result.exit_code == 0, result.output
    assert not result.stdout
    shown = molae("generate", "-n", 3, "-m", tmp_path / "tuned", "--temperature", 1)
    assert len(shown.stdout.splitlines()) == 3


@pytest.mark.parametrize("command", ["objectives", "densities"])
def test_lists(molae, command):
    from molae import names

    result = molae(command)
    assert result.exit_code == 0, result.output
    for name in getattr(names, command.upper()):
        assert name in result.stdout.split()


def test_grammar(molae, tmp_path):
    assert "yes" in molae("grammar", "check", "smiles").stdout
    parsed = molae("grammar", "parse", "equation", "x*x+1")
    assert parsed.exit_code == 0, parsed.output
    assert "->" in parsed.stdout.splitlines()[0]
    drawn = molae("grammar", "sample", "smiles", "-n", 7, "--max-steps", 30)
    assert all(canonical(line) for line in drawn.stdout.splitlines())
    assert len(drawn.stdout.splitlines()) == 7
    (tmp_path / "bad.cfg").write_text("S -> 'a' S |\nS -> 'b\n")
    wrong = molae("grammar", "check", tmp_path / "bad.cfg")
    assert wrong.exit_code == 1
    assert "bad.cfg" in wrong.stderr
    assert "^" in wrong.stderr
    unknown = molae("grammar", "check", "smile")
    assert unknown.exit_code == 1
    assert "'smiles'" in unknown.stderr
    assert molae("grammar", "parse", "equation", "x**").exit_code == 1


def test_data(molae, tmp_path):
    assert "zinc250k" in molae("data", "list").stdout
    fetched = molae("data", "get", "demo", "--folder", tmp_path)
    assert fetched.exit_code == 0, fetched.output
    assert fetched.stdout.strip() == str(tmp_path / "demo.smi.gz")
    assert molae("data", "path", "demo", "--folder", tmp_path).stdout == fetched.stdout
    missing = molae("data", "path", "zinc250k")
    assert missing.exit_code == 1
    assert "molae data get zinc250k" in missing.stderr
