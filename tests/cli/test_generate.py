"""``molae generate --like`` and ``--scaffold``, as they are typed."""

from __future__ import annotations

import csv

import pytest

from molae.chem.molecules import canonical, read
from molae.chem.substructure import hits

WARM = ("--temperature", 1, "--workers", 1)


@pytest.fixture
def ask(molae, run_folder):
    """Type ``molae generate`` with the tiny run; it must succeed."""

    def run(*words, **named):
        result = molae("generate", *words, *WARM, "-m", run_folder, **named)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def refuse(molae, run_folder):
    """Type it where it must end with a sentence."""

    def run(*words, status=1):
        result = molae("generate", *words, *WARM, "-m", run_folder)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        assert not result.stdout
        return result.stderr

    return run


def test_like_a_file(ask, molecules, tmp_path):
    mixed = tmp_path / "actives.smi"
    lines = molecules.read_text().splitlines()
    mixed.write_text("\n".join([*lines[:9], "C1CC(", lines[0], "C[U]"]) + "\n")
    words = ["-n", 12, "--like", mixed, "--seed", 5]
    result = ask(*words, "--like-rejects", tmp_path / "bad.csv")
    found = result.stdout.split()
    assert len(found) == 12
    assert all(canonical(text) == text for text in found)
    assert "Molecules to be like: 9 (repeats left out: 1)." in result.stderr
    assert "2 not encoded: 1 syntax" in result.stderr
    bad = list(csv.DictReader((tmp_path / "bad.csv").open(newline="")))
    assert [(row["line"], row["text"]) for row in bad] == [("10", "C1CC("), ("12", "C[U]")]
    # The order of the files, the batch and standard input make no difference, the seed does.
    quiet = ask(*words, "--batch", 5, "-q")
    assert quiet.stdout == result.stdout
    assert quiet.stderr.startswith("2 not encoded")
    piped = ask("-n", 12, "--like", "-", "--seed", 5, input=mixed.read_text())
    assert piped.stdout == result.stdout
    assert ask("-n", 12, "--like", mixed, "--seed", 6).stdout != result.stdout
    for other in (
        [],
        ["--like", mixed, "--radius", 2],
        ["--like", mixed, "--density", "gaussian"],
    ):
        assert ask("-n", 12, "--seed", 5, *other).stdout != result.stdout


def test_like_one_and_several_on_the_command_line(ask):
    one = ask("-n", 8, "--like", "CC(=O)Nc1ccc(O)cc1", "--radius", 0.3)
    assert "Molecules to be like: 1." in one.stderr
    assert one.stdout != ask("-n", 8, "--like", "CC(=O)Nc1ccc(O)cc1", "--radius", 3).stdout
    usual = ask("-n", 8, "--like", "CC(=O)Nc1ccc(O)cc1").stdout
    assert usual == ask("-n", 8, "--like", "Oc1ccc(cc1)NC(C)=O", "--radius", 0.5).stdout
    several = ask("-n", 8, "--like", "CCOC", "--like", "CCNC", "--like", "CCCC")
    assert "Molecules to be like: 3." in several.stderr


def test_like_with_everything(ask, molecules, tmp_path):
    (tmp_path / "two.csv").write_text("smiles,product\nCCOC,CCOCC\nCCNC,CCNCC\n")
    out = tmp_path / "new.csv"
    result = ask(
        *("-n", 5, "--like", tmp_path / "two.csv", "--like-column", "product", "--unique"),
        *("--exclude", molecules, "--filter", "rings", "--require", "heavy_atoms>=3"),
        *("--scaffold", "[#6]", "-p", "mw", "--density", "gaussian", "-o", out),
    )
    rows = list(csv.DictReader(out.open(newline="")))
    assert list(rows[0]) == ["smiles", "mw"]
    assert len({row["smiles"] for row in rows}) == len(rows) == 5
    assert "5 molecules to" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--like", "C1CC("], ["none of the 1 examples", "'C1CC('", "syntax"]),
        (["--like", "nowhere.smi"], ["nowhere.smi", "no such file"]),
        (["--like", "CCO", "--radius", 0], ["radius is 0"]),
        (["--like", "CCO", "--radius", 1, "--density", "gmm"], ["leave out the one or the other"]),
        (["--like", "CCO", "--density", "gmm"], ["'gmm' cannot be fitted to one molecule"]),
        (["--like", "CCO", "--like", "CCN", "--density", "prior"], ["the prior is fitted to"]),
    ],
)
def test_like_what_cannot_be(refuse, words, told):
    said = refuse("-n", 2, *words)
    for word in told:
        assert word in said


@pytest.mark.parametrize(
    "option", [("--radius", 1), ("--like-column", "x"), ("--like-rejects", "x")]
)
def test_options_of_like_alone(refuse, option):
    assert f"'{option[0]}': this goes with --like" in refuse(*option, status=2)


def test_scaffold(ask):
    result = ask("-n", 6, "--scaffold", "O", "--scaffold", "[#7]", "--seed", 2)
    found = result.stdout.split()
    assert len(found) == 6
    assert all(hits(read(text), smarts) for text in found for smarts in ("O", "[#7]"))
    assert "for each one kept)" in result.stderr
    assert "without [#7]" in result.stderr
    assert ask("-n", 6, "--scaffold", "O", "--scaffold", "[#7]", "--seed", 2, "--batch", 9,
               "-q").stdout == result.stdout  # fmt: skip


def test_scaffold_that_does_not_come(refuse, tmp_path):
    out = tmp_path / "new.smi"
    said = refuse("-n", 2, "--scaffold", "[U]", "--max-draws", 40, "-o", out)
    assert "no molecules came through: 40 drawn, dropped: 40 without [U]" in said
    assert "raise --max-draws" in said
    assert not list(tmp_path.iterdir())


def test_scaffold_that_is_none(refuse):
    said = refuse("--scaffold", "CC(C[N", status=2)
    assert "not a SMARTS pattern" in said
    assert "^" in said


def test_scaffold_spelt_as_smiles(refuse, ask):
    said = refuse("-n", 1, "--scaffold", "C1=CC=CC=C1", "--max-draws", 30)
    assert "Note: C1=CC=CC=C1 looks like a SMILES" in said
    assert "Note" not in ask("-n", 1, "--scaffold", "CC").stderr
