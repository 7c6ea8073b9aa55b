import math
import os
import pickle
import sys
import time

import pytest

from molae.oracles.base import Answer
from molae.oracles.command import Command

#: A program whose name says what it does: scores are the lengths of texts.
ONE = """#!/bin/sh
case "$1" in
    *bad*) echo "loading" >&2; echo "no atoms in $1" >&2; exit 3;;
    *killed*) kill -9 $$;;
    *word*) echo high;;
    *nan*) echo nan;;
    *silent*) ;;
    *) echo "docking ..."; echo; printf '%s' "$1" | wc -c;;
esac
"""
BATCH = """#!/bin/sh
echo run >> "$(dirname "$0")/runs"
while read -r text; do
    case "$text" in
        *bad*) echo "cannot read $text" >&2; exit 1;;
        *lost*) ;;
        *word*) echo "n/a";;
        *) printf '%s' "$text" | wc -c;;
    esac
done
"""


@pytest.fixture
def program(tmp_path):
    def write(text, name="score.sh"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


def test_one_run_for_each_text(program):
    oracle = Command(f"{program(ONE)} {{smiles}}")
    assert oracle.answer(["C", "CC(C)O"]) == [Answer(1), Answer(6)]
    assert oracle.answer([]) == []
    assert oracle.columns == ()


def test_there_is_no_shell(program, tmp_path):
    oracle = Command(f"{program(ONE)} {{text}}")
    texts = ["C;touch x", "$(touch x)", "`touch x`", "C C", "'", "C|[#6]&C", "*"]
    assert [answer.score for answer in oracle.answer(texts)] == [len(text) for text in texts]
    assert not list(tmp_path.glob("x"))


def test_the_text_is_put_inside_a_word(program):
    (answer,) = Command(f"{program(ONE)} 'in = {{smiles}}.'").answer(["CCO"])
    assert answer.score == len("in = CCO.")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bad", "ended with status 3: no atoms in bad"),
        ("killed", "was ended by SIGKILL"),
        ("word", "wrote 'high', expected a number"),
        ("nan", "the score is nan"),
        ("silent", "wrote 0 lines, expected 1"),
    ],
)
def test_a_failed_run_costs_its_text(program, text, error):
    good, bad = Command(f"{program(ONE)} {{smiles}}").answer(["C", text])
    assert good.score == 1
    assert error in bad.error
    assert math.isnan(bad.score)


def test_one_run_for_all_texts(program, tmp_path):
    oracle = Command(str(program(BATCH)))
    assert oracle.answer(["C", "CC", "CCO"]) == [Answer(1), Answer(2), Answer(3)]
    assert (tmp_path / "runs").read_text() == "run\n"
    answers = oracle.answer(["C", "word"])
    assert [answer.error for answer in answers] == [None, "wrote 'n/a', expected a number"]
    assert (tmp_path / "runs").read_text() == "run\n" * 2


@pytest.mark.parametrize(
    ("bad", "error"),
    [("bad", "ended with status 1: cannot read bad"), ("lost", "wrote 0 lines, expected 1")],
)
def test_a_failed_batch_is_repeated_one_by_one(program, tmp_path, bad, error):
    answers = Command(str(program(BATCH))).answer(["C", bad, "CCO"])
    assert [answers[0].score, answers[2].score] == [1, 3]
    assert error in answers[1].error
    assert (tmp_path / "runs").read_text() == "run\n" * 4


def test_an_empty_line_is_a_failure_of_its_text(program):
    oracle = Command(str(program("#!/bin/sh\ncat > /dev/null\nprintf '1\\n\\n3\\n'\n")))
    first, second, third = oracle.answer(["a", "b", "c"])
    assert (first.score, third.score) == (1, 3)
    assert second.error == "wrote '', expected a number"
    last = Command(str(program("#!/bin/sh\ncat > /dev/null\nprintf '1\\n\\n'\n")))
    assert [answer.failed for answer in last.answer(["a", "b"])] == [False, True]
    unended = Command(str(program("#!/bin/sh\ncat > /dev/null\nprintf '1\\n2'\n")))
    assert unended.answer(["a", "b"]) == [Answer(1), Answer(2)]


def test_a_batch_that_does_not_read_its_input(program):
    oracle = Command(str(program("#!/bin/sh\necho 5\n")))
    assert oracle.answer(["C" * 200_000]) == [Answer(5)]  # more than a pipe holds


def test_a_slow_program_and_what_it_started_are_ended(program, tmp_path):
    noted = tmp_path / "child"
    slow = f"#!/bin/sh\nsleep 60 &\necho $! > {noted}\necho waiting >&2\nwait\necho 1\n"
    oracle = Command(f"{program(slow)} {{smiles}}", timeout=2)
    start = time.monotonic()
    (answer,) = oracle.answer(["C"])
    assert time.monotonic() - start < 50
    assert answer.error.endswith("took longer than 2 s: waiting")
    assert _gone(noted.read_text().strip())


def test_a_program_that_will_not_end_is_killed(program):
    deaf = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"
    (answer,) = Command(f"{program(deaf)} {{smiles}}", timeout=0.3).answer(["C"])
    assert "took longer than 0.3 s" in answer.error


def test_a_batch_may_take_as_long_as_its_texts(program, tmp_path):
    loop = "while read -r t; do sleep 0.5; echo 1; done"
    slow = f"#!/bin/sh\necho x >> {tmp_path / 'runs'}\n{loop}\n"
    oracle = Command(f"{program(slow)}", timeout=1.5)
    assert oracle.answer(["C", "CC", "CCC", "O"]) == [Answer(1.0)] * 4  # two seconds
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.parametrize(("retries", "score"), [(0, None), (1, None), (2, 7.0), (5, 7.0)])
def test_retries(program, tmp_path, retries, score):
    count = tmp_path / "count"
    third = f'#!/bin/sh\necho x >> {count}\n[ "$(wc -l < {count})" -ge 3 ] || exit 9\necho 7\n'
    (answer,) = Command(f"{program(third)} {{smiles}}", retries=retries).answer(["C"])
    assert len(count.read_text().split()) == min(3, retries + 1)
    if score is None:
        assert "ended with status 9" in answer.error
    else:
        assert answer.score == score


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "the command is empty"),
        ("sh 'x", "No closing quotation"),
        ("sh x | cat", "holds '|', but no shell reads it"),
        ("no_such_program_ {smiles}", "there is no program 'no_such_program_': expected a name"),
        ("plain.txt {smiles}", "not executable (chmod +x plain.txt)"),
        ("here.sh {smiles}", "write ./here.sh for the file in this folder"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(program, tmp_path, monkeypatch, command, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("")
    program(ONE, "here.sh")
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the parameter is the match
        Command(command)
    assert problem in str(error.value)


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"timeout": math.nan}, {"retries": -1}])
def test_numbers_out_of_range(settings):
    with pytest.raises(ValueError, match="expected"):
        Command("cat", **settings)


def test_a_program_that_goes_away_is_a_failure(program):
    path = program(ONE)
    oracle = Command(f"{path} {{smiles}}")
    path.unlink()
    (answer,) = oracle.answer(["C"])
    assert "cannot be started" in answer.error


def test_the_key_is_of_the_files_named(program, tmp_path):
    path = program(ONE)
    config = tmp_path / "box.txt"
    config.write_text("1")
    command = f"{path} --config={config} {{smiles}}"
    before = Command(command).key
    assert Command(command, timeout=1, retries=3).key == before
    config.write_text("2")
    assert Command(command).key != before
    config.write_text("1")
    assert Command(command).key == before
    path.write_text(ONE + "# edited\n")
    assert Command(command).key != before


def test_a_copy_runs_the_same(program):
    oracle = Command(f"{program(ONE)} {{smiles}}", timeout=30)
    copy = pickle.loads(pickle.dumps(oracle))
    assert copy.answer(["CC"]) == [Answer(2)]
    assert copy.key == oracle.key


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks at processes of Linux")
def test_no_process_is_left(program):
    Command(f"{program(BATCH)}").answer(["C", "bad"])
    children = [
        line
        for line in os.listdir("/proc")
        if line.isdigit() and _parent(line) == os.getpid() and _state(line) == "Z"
    ]
    assert children == []


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return ["", "0"]


def _parent(pid):
    return int(_stat(pid)[1])


def _state(pid):
    return _stat(pid)[0]


def _gone(pid):
    """Whether a process that was sent a signal is no more, for which it may need a moment."""
    until = time.monotonic() + 10
    while _state(pid) not in ("", "Z") and time.monotonic() < until:
        time.sleep(0.02)
    return _state(pid) in ("", "Z")


def test_python_is_a_program_too():
    code = "import sys; print(*[len(line.strip()) for line in sys.stdin], sep=chr(10))"
    oracle = Command(f"{sys.executable} -c '{code}'")
    assert oracle.answer(["C", "CCO"]) == [Answer(1), Answer(3)]
