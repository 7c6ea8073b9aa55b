"""Bad input as people type it: a sentence that says what and where, a status, no debris."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time

import pytest

#: Commands that read molecules and need no model.
READERS = ("prepare {} -o out.smi --workers 1", "score {} -p mw -o out.csv --workers 1")
TRAIN = "train {} -o run --steps 2 --workers 1"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(result, *words, status=1):
    """Nothing on standard output, and one sentence on standard error with these words."""
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert not result.stdout
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("line", [*READERS, TRAIN])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.smi", b"", ("empty.smi", "empty")),
        ("blank.smi", b"\n\n\n", ("blank.smi", "nothing in it")),
        ("binary.smi", bytes(range(256)) * 4, ("binary.smi", "not a text file")),
        ("sheet.csv", b"PK\x03\x04" + bytes(60), ("sheet.csv", "zip archive or a spreadsheet")),
        ("cut.smi.gz", b"\x1f\x8b\x08\x00abc", ("cut.smi.gz", "damaged")),
    ],
)
def test_files_that_hold_no_molecules(molae, here, line, name, content, words):
    (here / name).write_bytes(content)
    failed(molae(*line.format(name).split()), *words)
    assert sorted(path.name for path in here.iterdir() if "cache" not in path.name) == [name]


@pytest.mark.parametrize("line", [*READERS, TRAIN])
def test_nonsense(molae, here, line):
    (here / "prose.txt").write_text("Call me Ishmael.\nSome years ago\nnever mind how long\n")
    result = molae(*line.format("prose.txt").split())
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert "3" in result.output  # all lines are accounted for
    assert not (here / "run").exists()


@pytest.mark.parametrize("line", [*READERS, TRAIN])
def test_missing_file(molae, here, line):
    (here / "molecules.smi").write_text("CCO\n")
    failed(molae(*line.format("molecule.smi").split()), "molecule.smi", "no such file",
           "Did you mean molecules.smi?")  # fmt: skip


@pytest.mark.parametrize("line", [*READERS, TRAIN])
def test_wrong_column(molae, here, line):
    (here / "table.csv").write_text("id,Smiles\n1,CCO\n2,CCC\n")
    result = molae(*line.format("table.csv").split(), "--column", "smile")
    failed(result, "table.csv", "no column 'smile'", "Did you mean 'Smiles'?")


def test_one_bad_line_among_many(molae, here, molecules):
    lines = molecules.read_text().splitlines()
    lines[41] = "C1CC(C"
    (here / "library.smi").write_text("\n".join(lines) + "\n")
    result = molae("prepare", "library.smi", "-o", "out.smi", "--rejects", "bad.csv")
    assert result.exit_code == 0, result.output
    assert len((here / "out.smi").read_text().split()) == len(lines) - 1
    (head, bad) = (here / "bad.csv").read_text().splitlines()
    assert head.split(",")[:3] == ["file", "line", "text"]
    assert bad.split(",")[:3] == ["library.smi", "42", "C1CC(C"]


@pytest.mark.parametrize(
    "content",
    [
        b"CCO\r\nCCC\r\nC1CC1\r\n",
        "CCO caf\u00e9\nCCC na\u00efve\nC1CC1 \u00fcber\n".encode("latin-1"),
        b"\xef\xbb\xbfCCO\nCCC\nC1CC1",
        "CCO\nCCC\nC1CC1\n".encode("utf-16"),
    ],
    ids=["windows", "latin-1", "byte order mark", "utf-16"],
)
def test_files_from_other_machines(molae, here, content):
    (here / "foreign.smi").write_bytes(content)
    result = molae("prepare", "foreign.smi", "-o", "-", "--workers", 1)
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["CCO", "CCC", "C1CC1"]
    if b"caf" in content:
        assert lines[0][1] == "caf\u00e9"


def test_very_long_smiles(molae, here):
    (here / "long.smi").write_text("CCO\n" + "C" * 10_000 + "\nCCC\n")
    result = molae("prepare", "long.smi", "--rejects", "bad.csv", "-o", "-", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.split()[0] == "CCO"
    assert result.stdout.split()[-1] == "CCC"


def test_very_long_smiles_is_encoded_or_rejected(molae, here, run_folder):
    (here / "long.smi").write_text("CCO\n" + "C" * 10_000 + "\nCCC\n")
    words = ["-m", run_folder, "-o", "codes.csv", "--rejects", "bad.csv", "--workers", 1]
    result = molae("encode", "long.smi", *words)
    assert result.exit_code == 0, result.output
    assert len((here / "codes.csv").read_text().splitlines()) == 3
    bad = (here / "bad.csv").read_text().splitlines()
    assert bad[1].startswith("long.smi,2,CCCC")
    assert "1 not encoded" in result.stderr


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("no/such/folder/out.csv", ("folder no/such/folder does not exist",)),
        (".", ("cannot tell the format",)),
        ("out.xyz", ("out.xyz", "cannot tell the format", ".csv")),
        ("out.parquet.gz", ("cannot tell the format",)),
    ],
)
def test_output_that_cannot_be(molae, here, output, words):
    (here / "my.smi").write_text("CCO\n")
    failed(molae("score", "my.smi", "-p", "mw", "-o", output, "--workers", 1), *words)
    assert [path.name for path in here.iterdir()] == ["my.smi"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("score my.smi -p quedd", ("unknown property 'quedd'", "did you mean 'qed'?")),
        ("generate -p logd", ("unknown property 'logd'", "'logp'")),
        ("generate --density gm", ("unknown density 'gm'", "'gmm'")),
        ("generate --filter pain", ("unknown filter 'pain'", "'pains'")),
        ("generate --require mw~500", ("mw~500",)),
        ("generate --require kw<500", ("unknown property 'kw'",)),
        ("generate -n 0", ("--number",)),
        ("train my.smi -o run --objective rea", ("unknown objective 'rea'", "'rae'")),
        ("train my.smi -o run --regularizer l3", ("unknown regulariser 'l3'", "'l2'")),
        ("train my.smi -o run --decoder regressive", ("unknown decoder", "'autoregressive'")),
        ("train my.smi -o run --time soon", ("'soon' is not a length of time", "30m")),
        ("train my.smi -o run --time 1m --steps 3", ("--time and --steps", "one of them")),
        ("train my.smi", ("--output",)),
        ("train -o run", ("FILE",)),
        ("train my.smi -o run --latent-dimm 3", ("--latent-dimm", "--latent-dim")),
        ("interpolate C CC --path round", ("'round'", "spherical")),
    ],
)
def test_usage_errors(molae, here, line, words):
    failed(molae(*shlex.split(line)), *words, status=2)


@pytest.mark.parametrize("line", ["train my.smi -o run --steps 2", "generate", "demo", "encode x"])
def test_gpu_where_there_is_none(molae, here, line, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = molae(*line.split(), "--device", "cuda")
    failed(result, "'cuda' is not there; this machine has cpu", status=2)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, ("there is no run nowhere",)),
        (lambda path: path.write_text("x"), ("nowhere is a file",)),
        (lambda path: path.mkdir(), ("nowhere",)),
    ],
)
def test_models_that_are_none(molae, here, make, words):
    if make is not None:
        make(here / "nowhere")
    failed(molae("generate", "-m", "nowhere", "-o", "out.smi"), *words)
    assert not (here / "out.smi").exists()


def test_no_model_yet(molae, here, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(here / "fresh"))
    monkeypatch.setattr("molae.runs.places.DEFAULT_MODEL", "none")
    failed(molae("generate"), "molae train", "-m RUN")


def test_output_of_train_that_is_taken(molae, here, molecules):
    (here / "run").mkdir()
    (here / "run" / "thesis.tex").write_text("years of work")
    failed(molae("train", molecules, "-o", "run", "--steps", 2), "run exists and is not a run")
    assert (here / "run" / "thesis.tex").read_text() == "years of work"


def test_bad_smiles_on_the_command_line(molae, run_folder):
    failed(molae("neighbors", "C1CC", "-m", run_folder), "C1CC")
    failed(molae("interpolate", "CCO", "c1cc", "-m", run_folder), "c1cc")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("generate -n 2 --like 'C[Si](C)(C)CCO'", ("'[Si]' at position", "rules for")),
        ("generate -n 2 --like gold.smi -o out.smi", ("gold.smi, 2", "'[Au]' at position")),
        ("neighbors 'C[Si](C)(C)CCO'", ("'[Si]' at position", "molae train FILE --from RUN")),
        ("interpolate CCO '[Au]'", ("item 2", "'[Au]' at position", "--from RUN")),
        ("encode gold.smi -o out.csv", ("none of its 2 records", "2 not in the grammar")),
        ("reconstruct gold.smi -o out.csv", ("none of its 2 records", "2 not in the grammar")),
    ],
)
def test_molecules_that_the_grammar_cannot_express(molae, here, run_folder, line, words):
    (here / "gold.smi").write_text("C[Si](C)(C)CCO\n[Au]\n")
    failed(molae(*shlex.split(line), "-m", run_folder), *words)
    assert [path.name for path in here.iterdir()] == ["gold.smi"]


@pytest.mark.parametrize("line", ["encode mixed.smi -o out.csv", "reconstruct mixed.smi"])
def test_what_the_grammar_cannot_express_is_left_out_and_listed(molae, here, run_folder, line):
    (here / "mixed.smi").write_text("CCO\nC[Si](C)(C)CCO\nCCOC\nC1CC(\n")
    words = ["--rejects", "bad.csv", "-m", run_folder, "--workers", 1]
    result = molae(*line.split(), *words)
    assert result.exit_code == 0, result.output
    assert "1 not in the grammar" in result.output
    assert "1 syntax" in result.output
    bad = [row.split(",") for row in (here / "bad.csv").read_text().splitlines()[1:]]
    assert [(row[1], row[3]) for row in bad] == [("2", "[Si]"), ("4", "")]


# Pipes, signals and full discs, in processes of their own ----------------------------------------


def test_disc_that_fills_up_keeps_the_old_file(shell, here, molecules):
    (here / "out.csv").write_text("precious")
    line = f"ulimit -f 1; trap '' XFSZ; molae score {molecules} -p mw -o out.csv --workers 1"
    result = shell(line, here)
    assert result.returncode == 1, result.stderr
    assert "out.csv: " in result.stderr
    assert "Traceback" not in result.stderr
    assert (here / "out.csv").read_text() == "precious"
    assert [path.name for path in here.iterdir()] == ["out.csv"]


def test_full_device(shell, here, molecules):
    result = shell(f"molae prepare {molecules} -o - --workers 1 > /dev/full", here)
    assert result.returncode == 1
    assert "disc is full" in result.stderr or "No space left" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


def test_reader_that_leaves(shell, here):
    result = shell("molae grammar sample smiles -n 3000 | head -n 1; exit ${PIPESTATUS[0]}", here)
    assert result.returncode in (0, 141)
    assert not result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_run_that_fills_the_disc(shell, here, molecules):
    line = f"ulimit -f 8; trap '' XFSZ; molae train {molecules} -o run --steps 2 --workers 1"
    result = shell(line, here)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert not (here / "run" / "card.json").exists()
    assert not (here / "run" / "weights.safetensors").exists()


def test_ctrl_c_says_how_to_go_on(here, molecules):
    words = ["train", str(molecules), "-o", "run", "--workers", "1", "--epochs"]
    words += ["1000", "--encoder-hidden", "16", "--decoder-hidden", "16", "--batch-size", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "molae", *words], stderr=subprocess.PIPE, text=True
    )
    history = here / "run" / "history.jsonl"
    for _ in range(600):
        if (history.exists() and history.stat().st_size) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    (_, told) = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), told  # the same for a shell
    assert f"molae {shlex.join(words)} --resume" in told
    assert "Traceback" not in told
    assert not (here / "run" / "card.json").exists()
