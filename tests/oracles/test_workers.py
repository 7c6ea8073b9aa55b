from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from itertools import chain
from pathlib import Path
from threading import Lock, Timer

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # worker processes are given this path, too
from recording import Recording

from molae.oracles.base import Answer, Oracle
from molae.oracles.workers import QUICK, SLOW, Pace, Workers, spread

TEXTS = [f"C{'C' * (n % 7)}{n}" for n in range(40)]


def scores(answers):
    return [answer.error if answer.failed else answer.score for answer in answers]


@pytest.fixture
def oracle(tmp_path):
    return Recording(tmp_path / "log")


@pytest.mark.parametrize("workers", [1, 3])
def test_answers_are_in_order_whatever_the_number_of_workers(oracle, workers):
    assert scores(spread(oracle, TEXTS, workers)) == [len(text) for text in TEXTS]
    asked = oracle.lines("end")
    assert sorted(text for text, _ in asked) == sorted(TEXTS)
    assert len({process for _, process in asked}) <= workers
    assert (os.getpid() in {process for _, process in asked}) == (workers == 1)


def test_nothing_is_asked_of_nobody(oracle):
    assert spread(oracle, [], 2) == []
    assert not oracle.log.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_of_texts_are_theirs_alone(oracle, workers):
    texts = ["C", "raise 1", "CC", "nan", "CCC"]
    found = scores(spread(oracle, texts, workers))
    assert found == [1, "RuntimeError: cannot score raise 1", 2, "the score is nan", 3]


def test_a_text_that_kills_its_worker_is_a_failure_and_the_others_are_scored(oracle):
    texts = [*TEXTS[:6], "die", *TEXTS[6:9], "exit", "die too", *TEXTS[9:12]]
    found = dict(zip(texts, scores(spread(oracle, texts, 2)), strict=True))
    assert found.pop("die") == found.pop("die too") == "the worker process died (SIGKILL(-9))"
    assert found.pop("exit") == "the worker process died (EXIT(3))"
    assert found == {text: len(text) for text in TEXTS[:12]}


def test_a_worker_that_is_killed_by_chance_costs_nothing(tmp_path):
    oracle = Recording(tmp_path / "log", once=tmp_path / "once")
    found = spread(oracle, ["C", "die", "CC", "CCC"], 2)
    assert scores(found) == [1, 3, 2, 3]
    assert Counter(text for text, _ in oracle.lines("start"))["die"] == 2


def test_workers_stay_for_the_next_texts_and_come_again_after_a_death(oracle):
    with Workers(oracle, 2) as crew:
        for texts in (["C", "CC"], ["CCC", "CCCC"], ["die"], ["N"]):
            arrived = {k: v for some in crew.arriving(texts) for k, v in some.items()}
            assert arrived.keys() == set(range(len(texts)))
    processes = dict(oracle.lines("start"))
    assert {processes["C"], processes["CC"]} >= {processes["CCC"], processes["CCCC"]}
    assert processes["N"] not in {processes["C"], processes["CC"], processes["die"]}
    assert gone(processes.values())


def gone(processes):
    """Whether none of them is there any more."""
    return not any(Path(f"/proc/{process}").exists() for process in processes)


def test_who_stops_listening_leaves_nobody_working(oracle):
    with Workers(oracle, 2) as crew:
        arriving = crew.arriving(["slow", "fast"])
        assert next(arriving).keys() == {1}
        arriving.close()
        assert {text for text, _ in oracle.lines("start")} == {"slow", "fast"}
        assert gone(process for _, process in oracle.lines("start"))


def test_an_interruption_does_not_wait_for_the_workers(oracle):
    Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        spread(oracle, ["slow", "slow too"], 2)
    assert time.monotonic() - start < 30
    assert gone(process for _, process in oracle.lines("start"))


def test_an_interruption_that_another_thread_receives_is_noticed(oracle):
    timer = Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()  # with the signal open in that thread only, the system can hand it to no other
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            spread(oracle, ["slow", "slow too"], 2)
        assert time.monotonic() - start < 30
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert gone(process for _, process in oracle.lines("start"))


class Unmovable(Oracle):
    name = "unmovable"
    columns = ()

    def __init__(self):
        self.lock = Lock()

    def answer(self, texts):
        return [Answer(1.0) for _ in texts]


def test_an_oracle_that_cannot_travel_is_no_fault_of_the_texts():
    assert scores(spread(Unmovable(), ["C"], 1)) == [1.0]
    with pytest.raises(RuntimeError, match="worker processes: the oracle cannot be asked there"):
        spread(Unmovable(), ["C", "CC"], 2)


class Short(Unmovable):
    def answer(self, texts):
        return [Answer(1.0) for text in texts if text != "CC"]


def test_an_oracle_that_forgets_a_text():
    found = scores(spread(Short(), ["C", "CC", "CCC"]))
    assert found == [1.0, "ValueError: unmovable gave 0 answers for 1 texts", 1.0]


def test_too_few_workers(oracle):
    with pytest.raises(ValueError, match="workers is 0: expected at least 1"):
        spread(oracle, ["C"], 0)
    with pytest.raises(ValueError, match="piece is -1: expected at least 1"):
        Workers(oracle, piece=-1)


def test_dask_that_is_not_there(oracle, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r"not installed: pip install 'molae\[dask\]'"):
        Workers(oracle, scheduler="tcp://localhost:1")


def steady(startup, each):
    """The sizes of 40 pieces of an oracle that takes ``startup + each * texts`` seconds."""
    pace, sizes = Pace(), []
    for _ in range(40):
        sizes.append(pace.size)
        pace.took(pace.size, startup + each * pace.size)
    return sizes


def test_pieces_are_small_where_texts_are_expensive():
    assert set(steady(0, 3600)) == {1}  # an hour is not risked to learn something
    assert max(steady(0, 10)) == 2
    assert set(steady(0, 10)[2:]) == {1}


def test_pieces_grow_where_the_transfer_would_cost_more():
    sizes = steady(0, 0.001)
    assert all(QUICK / 2 <= size * 0.001 <= 4 * QUICK for size in sizes[-10:])


def test_pieces_grow_where_a_program_takes_long_to_start():
    sizes = steady(20, 1)
    assert 16 <= sizes[-1] <= 64
    assert set(steady(2 * SLOW, 1)) == {1}


def test_pieces_shrink_when_texts_become_expensive():
    pace = Pace()
    while pace.size < 32:
        pace.took(pace.size, 0.001 * pace.size)
    for _ in range(8):
        pace.took(pace.size, 20 * pace.size)
    assert pace.size == 1


def test_a_rest_says_nothing():
    pace = Pace()
    pace.took(1, 0.0)
    pace.took(1, 0.0)
    assert pace.size == 2


@pytest.mark.parametrize(
    ("workers", "piece", "sizes"),
    [(1, None, [10]), (2, None, [5, 5]), (1, 4, [2, 4, 4]), (2, 4, [2, 4, 4]), (2, 1, [1] * 10)],
)
def test_texts_that_are_taken_together_are_given_together(oracle, workers, piece, sizes):
    oracle.together = True
    with Workers(oracle, workers, piece=piece) as crew:
        for _ in range(2):  # nothing is learnt from the first time
            arrived = {k: v for some in crew.arriving(TEXTS[:10]) for k, v in some.items()}
            assert [arrived[k].score for k in range(10)] == [len(text) for text in TEXTS[:10]]
    assert sorted(int(count) for count, _ in oracle.lines("ask")) == sorted(2 * sizes)


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 16))
def test_pieces_are_all_the_work_shared_out(count, size, slots):
    crew = Workers(Unmovable())
    crew._pace.size = size
    todo = deque(range(count))
    first = list(crew._pieces(todo, slots))
    assert len(first) == min(slots, count)
    assert max(map(len, first)) <= size
    if not todo and len(first) == slots:
        assert max(map(len, first)) - min(map(len, first)) <= 1
    rest = [piece for _ in range(count) for piece in crew._pieces(todo, slots)]
    assert list(chain(*first, *rest)) == list(range(count))


@pytest.fixture
def cluster(tmp_path):
    """A dask scheduler and two workers, as a person would start them."""
    pytest.importorskip("dask.distributed")
    place = tmp_path / "scheduler.json"
    environment = {
        **os.environ,
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]),
    }
    options = ["--scheduler-file", place, "--no-dashboard"]
    words = [
        ["scheduler", "--host", "127.0.0.1", "--port", "0", *options],
        ["worker", "--nworkers", "2", "--nthreads", "1", *options],
    ]
    started = []
    try:
        for each in words:
            line = [sys.executable, "-m", "dask", *map(str, each)]
            started.append(
                subprocess.Popen(
                    line, env=environment, cwd=tmp_path, start_new_session=True,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
            while not place.exists():
                assert started[0].poll() is None
                time.sleep(0.1)
        yield json.loads(place.read_text())["address"], started[0].pid
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_dask_cluster(oracle, cluster):
    address, scheduler = cluster
    texts = [*TEXTS[:10], "die", "raise", *TEXTS[10:20]]
    found = dict(zip(texts, scores(spread(oracle, texts, scheduler=address)), strict=True))
    assert found.pop("die") == "the worker process died (KilledWorker)"
    assert found.pop("raise") == "RuntimeError: cannot score raise"
    assert found == {text: len(text) for text in TEXTS[:20]}
    assert os.getpid() not in {process for _, process in oracle.lines("start")}

    with Workers(oracle, scheduler=address) as crew:
        arriving = crew.arriving(["slow", "C"])
        assert next(arriving).keys() == {1}
        os.killpg(scheduler, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="the connection is lost"):
            next(arriving)


def test_a_scheduler_that_does_not_answer(oracle, monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr("molae.oracles.workers.PATIENCE", 0.5)
    with pytest.raises(ValueError, match="no dask scheduler answers at 'tcp:"):
        Workers(oracle, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match="Start one with `dask scheduler`"):
        Workers(oracle, scheduler="nonsense://")


def test_scores_may_be_anything_finite(oracle):
    (answer,) = spread(oracle, ["nan"])
    assert math.isnan(answer.score)
    assert answer.parts == {"length": 3}
