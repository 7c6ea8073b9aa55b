from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # worker processes are given this path, too
from recording import Recording

from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.cache import Cache
from molae.oracles.ledger import Counts, Evaluation, Ledger


class Counting(Oracle):
    """Scores by length, fails where there is an F, and remembers what it was asked."""

    columns = ("length",)

    def __init__(self, name="counting", fails=True):
        self._name, self.fails = name, fails
        self.asked = []

    @property
    def name(self):
        return self._name

    def answer(self, texts):
        self.asked += texts
        return [
            failure("no F") if "F" in text and self.fails else Answer(float(len(text)))
            for text in texts
        ]


texts = st.none() | st.sampled_from(["C", "CC", "CCC", "F", "FF", "N", "NN", "O", "OO", "S"])
rounds = st.lists(st.lists(texts, max_size=6), max_size=6)
budgets = st.integers(1, 9)
knowns = st.sets(st.sampled_from(["C", "F", "N", "O"]), max_size=2)


def play(ledger, rounds):
    return [found for some in rounds for found in ledger.evaluate(some)]


def plain(evaluations):
    """Evaluations without NaN, which is unlike itself."""
    return [
        each and (each.call, each.text, each.answer.error or each.answer.score)
        for each in evaluations
    ]


@given(rounds, budgets, knowns)
def test_calls_are_the_first_distinct_new_texts_within_the_budget(rounds, budget, known):
    oracle = Counting()
    ledger = Ledger(oracle, budget, known=known)
    given_ = [text for some in rounds for text in some]
    results = play(ledger, rounds)

    new = list(dict.fromkeys(t for t in given_ if t is not None and t not in known))
    called, beyond = new[:budget], set(new[budget:])
    assert [each.text for each in ledger.evaluations] == called
    assert [each.call for each in ledger.evaluations] == [n + 1 for n in range(len(called))]
    assert oracle.asked == called  # each once, and nothing else
    assert ledger.left == budget - len(called) >= 0

    scored = [text for text in given_ if text in called]
    assert ledger.counts == Counts(
        calls=len(called),
        failures=sum("F" in text for text in called),
        cached=0,
        duplicates=len(scored) - len(called),
        known=sum(text in known for text in given_),
        invalid=sum(text is None for text in given_),
        beyond=sum(text in beyond for text in given_),
    )
    counts = asdict(ledger.counts)
    assert sum(counts.values()) - counts["failures"] == len(given_)

    by_text = {each.text: each for each in ledger.evaluations}
    assert results == [by_text.get(text) for text in given_]


@given(rounds, budgets, knowns)
def test_how_texts_are_cut_into_rounds_does_not_matter(rounds, budget, known):
    whole, single, cut = (Ledger(Counting(), budget, known=known) for _ in range(3))
    given_ = [text for some in rounds for text in some]
    found = plain(whole.evaluate(given_))
    assert plain(play(cut, rounds)) == plain(play(single, [[text] for text in given_])) == found
    assert whole.counts == cut.counts == single.counts


@given(rounds, budgets, knowns, st.integers(0, 6))
def test_a_restored_ledger_goes_on_as_if_never_stopped(rounds, budget, known, stop):
    unbroken = Ledger(Counting(), budget, known=known)
    expected = plain(play(unbroken, rounds))

    first = Ledger(Counting(), budget, known=known)
    before = play(first, rounds[:stop])
    oracle = Counting()
    second = Ledger(oracle, budget, known=known)
    second.restore(first.evaluations, Counts(**asdict(first.counts)))
    assert second.counts == first.counts
    assert plain(before + play(second, rounds[stop:])) == expected
    assert plain(second.evaluations) == plain(unbroken.evaluations)
    assert second.counts == unbroken.counts
    assert second.left == unbroken.left
    assert not set(oracle.asked) & {each.text for each in first.evaluations}


@given(rounds, rounds, budgets)
def test_the_cache_changes_what_is_paid_and_nothing_else(tmp_path_factory, past, rounds, budget):
    plain_ledger = Ledger(Counting(), budget)
    expected = plain(play(plain_ledger, rounds))
    oracle = Counting()
    with Cache(tmp_path_factory.mktemp("cache") / "cache.sqlite") as cache:
        play(Ledger(oracle, 100, cache), past)
        play(Ledger(Counting("another", fails=False), 100, cache), [["S", "SS"]])
        paid = set(oracle.asked)
        ledger = Ledger(oracle, budget, cache)
        assert plain(play(ledger, rounds)) == expected
    called = {each.text for each in ledger.evaluations}
    assert len(oracle.asked) == len(set(oracle.asked))  # nothing is paid twice
    assert set(oracle.asked) == paid | called
    assert ledger.counts.cached == len(called & paid)
    assert {**asdict(ledger.counts), "cached": 0} == asdict(plain_ledger.counts)


def test_failures_are_asked_about_again_where_that_is_wanted(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as cache:
        Ledger(Counting(), 9, cache).evaluate(["F", "C"])
        again = Counting(fails=False)
        (failed,) = Ledger(again, 9, cache).evaluate(["F"])
        assert failed.answer.error == "no F"
        assert again.asked == []
        ledger = Ledger(again, 9, cache, retry_failed=True)
        assert plain(ledger.evaluate(["F", "C"])) == [(1, "F", 1.0), (2, "C", 1.0)]
        assert again.asked == ["F"]
        assert ledger.counts == Counts(calls=2, cached=1)
        assert plain(Ledger(again, 9, cache).evaluate(["F"])) == [(1, "F", 1.0)]


def test_calls_that_failed_are_asked_about_again(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as cache:
        Ledger(Counting(), 9, cache).evaluate(["F"])
        ledger = Ledger(Counting(), 4, cache, retry_failed=True)
        ledger.evaluate(["C", "FF", "CC", "F"])
        mended = ledger.oracle = Counting(fails=False)
        second = Ledger(mended, 4, cache, retry_failed=True)
        second.restore(ledger.evaluations, ledger.counts)
        told = []
        again = second.retry(["FF", "F"], lambda *done: told.append(done))
        assert plain(again) == [(2, "FF", 2.0), (4, "F", 1.0)]
        assert mended.asked == ["FF", "F"]
        assert told[-1] == (2, 2)
        assert plain(second.evaluations) == [
            (1, "C", 1.0), (2, "FF", 2.0), (3, "CC", 2.0), (4, "F", 1.0),
        ]  # fmt: skip
        assert second.left == 0
        assert second.counts == Counts(calls=4)


def test_the_record_does_not_depend_on_the_number_of_workers(tmp_path):
    given_ = [None, *(f"C{n * 17 % 31}" for n in range(40)), "raise", "die"]
    found = []
    for workers in (1, 2):
        safe = [text for text in given_ if text != "die"] if workers == 1 else given_
        with (
            Cache(tmp_path / f"{workers}.sqlite") as cache,
            Ledger(Recording(tmp_path / "log"), 33, cache, workers) as ledger,
        ):
            ledger.evaluate(safe)
            assert len(cache) == len(ledger.evaluations)
            found.append((plain(ledger.evaluations), ledger.counts))
    (here, counts), (there, others) = found
    assert len(here) == 32
    assert there == [*here, (33, "die", "the worker process died (SIGKILL(-9))")]
    assert others == replace(counts, calls=33, failures=2)
    assert counts == Counts(calls=32, failures=1, duplicates=9, invalid=1)


def test_progress_is_told(tmp_path):
    told = []
    with Cache(tmp_path / "cache.sqlite") as cache:
        Ledger(Counting(), 9, cache).evaluate(["C"])
        Ledger(Counting(), 9, cache).evaluate(
            [None, "C", "CC", "CCC", "C"], lambda *done: told.append(done)
        )
    assert told[-1] == (3, 3)
    assert told == sorted(told)


class Stopping(Counting):
    """Is interrupted at the fourth text, once."""

    stopped = False

    def answer(self, texts):
        if "NN" in texts and not self.stopped:
            self.stopped = True
            raise KeyboardInterrupt
        return super().answer(texts)


def test_an_interruption_leaves_the_ledger_as_it_was_and_the_answers_on_disc(tmp_path):
    oracle = Stopping()
    with Cache(tmp_path / "cache.sqlite") as cache:
        ledger = Ledger(oracle, 9, cache)
        ledger.evaluate(["S", None, "S"])
        before = ledger.counts, ledger.evaluations
        wanted = ["C", "S", "CC", "CCC", "CCCC", "N", "NN", "NNN", None]
        with pytest.raises(KeyboardInterrupt):
            ledger.evaluate(wanted)
        assert (ledger.counts, ledger.evaluations) == before
        paid = list(oracle.asked)
        assert len(paid) > 1
        ledger.evaluate(wanted)
    assert [each.text for each in ledger.evaluations] == ["S", *wanted[:1], *wanted[2:-1]]
    assert sorted(oracle.asked) == sorted({"S", *wanted} - {None})  # each paid once
    assert ledger.counts.cached == len(paid) - 1


def evaluations(*texts):
    return [Evaluation(call, text, Answer(1.0)) for call, text in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("past", "problem"),
    [
        (evaluations("C", "N")[1:], "not calls 1 to 1"),
        (evaluations("C", "N")[::-1], "not calls 1 to 2"),
        (evaluations("C", "N", "C"), "'C' was scored twice"),
        (evaluations(*"CNOPS"), "5 calls were made already, and the budget is 4"),
    ],
)
def test_a_record_that_is_none_is_refused(past, problem):
    ledger = Ledger(Counting(), 4)
    with pytest.raises(ValueError, match=problem):
        ledger.restore(past)
    assert ledger.counts == Counts()


def test_a_ledger_that_was_used_is_not_restored():
    for given_ in ("C", None):
        ledger = Ledger(Counting(), 4)
        ledger.evaluate([given_])
        with pytest.raises(ValueError, match="make a new one"):
            ledger.restore([])


def test_a_larger_budget_goes_on():
    ledger = Ledger(Counting(), 3)
    ledger.restore(evaluations("C", "N"))
    assert ledger.left == 1
    assert plain(ledger.evaluate(["N", "O", "S"])) == [(2, "N", 1.0), (3, "O", 1.0), None]
    assert ledger.counts == Counts(calls=3, duplicates=1, beyond=1)


def test_a_budget_of_nothing():
    with pytest.raises(ValueError, match="the budget is 0 calls: expected at least 1"):
        Ledger(Counting(), 0)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from recording import Recording
from molae.oracles.cache import Cache
from molae.oracles.ledger import Ledger

folder, workers, delay = Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with Cache(folder / "cache.sqlite") as cache:
    with Ledger(Recording(folder / "log", delay), 12, cache, workers) as ledger:
        ledger.evaluate([f"C{n}" for n in range(12)])
        print(ledger.counts.cached)
"""


@pytest.mark.parametrize(
    ("workers", "how"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (2, signal.SIGINT)]
)
def test_a_campaign_that_is_killed_pays_nothing_twice(tmp_path, workers, how):
    log = Recording(tmp_path / "log")
    words = [sys.executable, "-c", SCRIPT, Path(__file__).parent, tmp_path, workers]
    process = subprocess.Popen(
        [*map(str, words), "0.7"], start_new_session=True, stderr=subprocess.DEVNULL
    )
    while len(log.lines("end")) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.kill()
    process.wait(timeout=60)
    finished = Counter(text for text, _ in log.lines("end"))
    if how == signal.SIGINT:
        assert not any(Path(f"/proc/{worker}").exists() for _, worker in log.lines("start"))
    elif workers > 1:
        os.killpg(process.pid, signal.SIGKILL)  # who would go on for a while without it

    done = subprocess.run([*map(str, words), "0"], capture_output=True, text=True, check=True)
    cached = int(done.stdout)
    # A piece of texts that take long is one text, or two while that is tried out.
    assert cached >= len(finished) - 2 * workers
    assert cached >= 1
    finished = Counter(text for text, _ in log.lines("end"))
    assert len(finished) == 12
    assert sum(finished.values()) - 12 <= 2 * workers
