"""``molae optimize``, ``suggest`` and ``tell`` as they are typed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import pytest

FAST = ("--strategy", "sampling", "-m", "tiny", "--batch", 4, "--calls", 8, "--no-cache")


def rows(path):
    return list(csv.DictReader(path.open(newline="")))


@pytest.fixture
def refuse(molae, tmp_path):
    """Type a command that must end with a sentence, and leave no folder."""

    def run(*words, status=1):
        result = molae(*words)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        assert not (tmp_path / "out").exists()
        return result.stderr

    return run


def test_a_campaign(molae, tmp_path):
    out = tmp_path / "out"
    result = molae(
        "optimize", "--oracle", "qed - 0.2*sa", "--require", "mw<600,heavy_atoms>2",
        "--filter", "rings", "-o", out, *FAST,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "8 calls" in result.stderr
    assert "report.html" in result.stderr
    table = rows(out / "evaluations.csv")
    parts = ["qed", "sa", "mw", "heavy_atoms", "filter_rings"]
    assert list(table[0]) == ["call", "smiles", "score", *parts, "error"]
    best = max(table, key=lambda row: float(row["score"] or "-inf"))
    assert best["smiles"] in result.stdout.splitlines()[1]
    # The same command again, with and without --resume.
    again = molae("optimize", "--oracle", "qed - 0.2*sa", "-o", out, *FAST)
    assert again.exit_code == 1
    assert "--resume" in again.stderr
    more = molae("optimize", "-o", out, "--resume", "--calls", 11, "-q")
    assert (more.exit_code, more.stderr, more.stdout) == (0, "", "")
    assert len(rows(out / "evaluations.csv")) == 11
    other = molae("optimize", "-o", out, "--resume", "--oracle", "logp")
    assert other.exit_code == 1
    assert "oracle was 'qed - 0.2*sa', and is now 'logp'" in other.stderr


def test_low_scores_and_settings_from_a_file(molae, tmp_path):
    (tmp_path / "my.toml").write_text(
        'oracle = "mw"\nminimize = true\nstrategy = "sampling"\nmodel = "tiny"\ncalls = 5\n'
        'no-cache = true\nrequire = ["logp<9", "sa<9"]\n'
    )
    out = tmp_path / "out"
    result = molae("optimize", "--config", tmp_path / "my.toml", "-o", out)
    assert result.exit_code == 0, result.output
    scores = [float(row["score"]) for row in rows(out / "evaluations.csv") if row["score"]]
    assert result.stdout.splitlines()[1].startswith(f"{min(scores):.4g}")


def test_a_program(molae, tmp_path):
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\ntext = sys.argv[1]\n"
        "sys.exit(3) if 'N' in text else print('score', len(text), sep='\\n')\n"
    )
    (tmp_path / "start.smi").write_text("CCO\nCCN\nCCCC\n")
    out = tmp_path / "out"
    result = molae(
        "optimize", "--oracle-command", f"{sys.executable} {script} {{smiles}}",
        "--timeout", "30s", "--start", tmp_path / "start.smi", "--strategy", "sampling",
        "-m", "tiny", "--calls", 3, "--workers", 2, "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    table = rows(out / "evaluations.csv")
    assert [row["score"] for row in table] == ["3.0", "", "4.0"]
    assert "3" in table[1]["error"]
    assert "1 failures" in result.stderr
    assert "from the cache" not in result.stderr
    assert f"Why there was no score: 1 {table[1]['error']}." in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--oracle", "qed +"], "^"),
        (["--oracle", "qued"], "qed"),
        ([], "expected an oracle or a command"),
        (["--oracle", "qed", "-m", "nowhere"], "there is no run nowhere"),
        (["--oracle", "qed", "--start", "nowhere.smi"], "no such file"),
        (["--oracle", "nowhere.py:f"], "nowhere.py"),
        (["--oracle-command", "no-such-program {smiles}"], "no-such-program"),
        (["--oracle", "qed", "--resume"], "holds no campaign"),
        (["--oracle", "qed", "--retrain", "evry=5"], "evry"),
        (["--oracle", "math:fsum", "--timeout", "5m"], "is for programs (--oracle-command)"),
        (["--oracle", "math:fsum", "--retries", "2"], "is for programs (--oracle-command)"),
        (["--oracle", "qed", "--oracle-batch", "2"], "is for Python functions and for programs"),
    ],
)
def test_mistakes(refuse, tmp_path, words, told):
    model = [] if "-m" in words else ["-m", "tiny"]
    assert told in refuse("optimize", *words, *model, "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--strategy", "latnt"], "did you mean 'latent'"),
        (["--baselines", "sampling,genetc"], "did you mean 'genetic'"),
        (["--surrogate", "gp"], "choose from"),
        (["--require", "mww<5"], "mw"),
        (["--filter", "rings,pain"], "did you mean 'pains'"),
        (["--timeout", "soon"], "not a length of time"),
        (["--calls", "0"], "--calls"),
    ],
)
def test_words_that_are_none(refuse, tmp_path, words, told):
    said = refuse("optimize", "--oracle", "qed", *words, "-o", tmp_path / "out", status=2)
    assert told in said


def test_what_comes_from_the_cache_is_said(molae, tmp_path):
    kept = tmp_path / "kept.sqlite"
    words = ["--oracle", "heavy_atoms", *FAST[:-1], "--cache", kept]
    first = molae("optimize", "-o", tmp_path / "a", *words)
    assert first.exit_code == 0, first.output
    assert "from the cache" not in first.stderr
    second = molae("optimize", "-o", tmp_path / "b", *words)
    assert f"8 from the cache {kept} (--no-cache); all calls" in " ".join(second.stderr.split())


def test_what_a_requirement_costs_is_in_the_help(molae):
    said = " ".join(molae("optimize", "--help").stdout.replace("│", " ").split())
    assert "in optimize it has no score, but is a call" in said


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_ctrl_c(tmp_path, cache):
    (tmp_path / "slow.py").write_text(
        "import time\ndef score(texts):\n    time.sleep(0.1)\n    return [1.0] * len(texts)\n"
    )
    words = "optimize --oracle slow.py:score --calls 400 --batch 1 -o out -m tiny --workers 2"
    process = subprocess.Popen(
        [sys.executable, "-m", "molae", *words.split(), "--strategy", "sampling"],
        cwd=tmp_path, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    state = tmp_path / "out" / "state" / "state.json"
    deadline = time.monotonic() + 120
    while not (state.exists() and '"rows": 0' not in state.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.startswith("Stopped. The campaign is saved; go on with: molae optimize -o out")
    assert "Traceback" not in said
    assert not out
    assert (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "evaluations.csv").read_text().count("\n") > 1


def test_a_laboratory(molae, tmp_path):
    out = tmp_path / "out"
    words = ["-m", "tiny", "--strategy", "sampling", "--require", "mw<700"]
    first = molae("suggest", "-o", out, "-n", 3, *words)
    assert first.exit_code == 0, first.output
    table = out / "suggestions-1.csv"
    assert first.stdout.strip() == str(table)
    assert f"molae tell {out} {table}" in first.stderr
    suggested = rows(table)
    assert list(suggested[0]) == ["id", "smiles", "score"]
    results = tmp_path / "results.csv"
    results.write_text(
        "Compound,pIC50\n"
        f"{suggested[2]['smiles']},6.5\n{suggested[0]['smiles']},n.d.\nCCO,5\nOCC,6\nC1CC(,1\n,2\n"
    )
    told = molae("tell", out, results, "--value", "pIC50", "--rejects", tmp_path / "bad.csv")
    assert told.exit_code == 0, told.output
    said = told.stderr
    assert "2 molecules have a value now that had none, 1 of which were not suggested" in said
    assert "1 have several values, of which the mean is taken" in said
    assert "3 rows were rejected" in said
    assert f"line 3: {suggested[0]['smiles'][:60]}: no finite number: 'n.d.'" in said
    assert len(rows(tmp_path / "bad.csv")) == 3
    again = molae("tell", out, results, "--value", "pIC50")
    assert "0 molecules have a value now that had none" in again.stderr
    assert "3 values were told before" in again.stderr
    second = molae("suggest", "-o", out, "-n", 2, "--to", tmp_path / "next.csv", "-q")
    assert (second.exit_code, second.stderr) == (0, "")
    assert not {r["smiles"] for r in rows(tmp_path / "next.csv")} & {
        r["smiles"] for r in suggested
    }


def test_mistakes_in_a_laboratory(molae, refuse, tmp_path):
    out, results = tmp_path / "out", tmp_path / "results.csv"
    results.write_text("smiles,pIC50\nCCO,1\n")
    assert "holds no campaign" in refuse("tell", out, results)
    assert "--require" in refuse("suggest", "-o", out, "--require", "mw=5", status=2)
    assert molae("suggest", "-o", out, "-n", 1, "-m", "tiny", "-q").exit_code == 0
    for words, told in (
        ((results,), "--value NAME"),
        ((results, "--value", "pIC5"), "Did you mean 'pIC50'?"),
        ((tmp_path / "none.csv",), "no such file"),
    ):
        result = molae("tell", out, *words)
        assert result.exit_code == 1
        assert told in result.stderr
        assert "Traceback" not in result.output
    other = molae("suggest", "-o", out, "--minimize")
    assert other.exit_code == 1
    assert "minimize was False, and is now True" in other.stderr
