"""The loop: what is counted, told, written and gone on with."""

from __future__ import annotations

import csv
import math
import signal
import threading
import time

import pytest

from molae.oracles import oracle
from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.ledger import Ledger
from molae.workflows.campaign.campaign import FRUITLESS, Campaign
from molae.workflows.campaign.folder import Folder

ATOMS = "heavy_atoms"


@pytest.fixture
def campaign(tmp_path):
    """``campaign(strategy, ...)``: a campaign in a folder, begun or gone on with."""

    def make(strategy, name="out", *, scorer=None, calls=6, start=(), retry=False, **options):
        folder = Folder(tmp_path / name)
        if not folder.begun:
            folder.begin({}, start)
        known = [text for text, answer in start if answer is not None]
        ledger = Ledger(scorer or oracle(ATOMS), calls, known=known, retry_failed=retry)
        made = Campaign(strategy, ledger, folder, **options)
        made.restore()
        return made

    return make


def rows(folder):
    return list(csv.DictReader((folder.path / "evaluations.csv").open(newline="")))


def test_what_is_counted_and_told(campaign, listed):
    strategy = listed(["CCO", None, "CCO", "C1CC(", "CC", "CCO", "C", "CCCC", "CCC", "CCCCC"])
    done = campaign(strategy, batch=3, calls=5)
    done.run()
    counts = done.ledger.counts
    assert (counts.calls, counts.failures, counts.duplicates, counts.invalid) == (5, 1, 2, 1)
    assert [(row["call"], row["smiles"]) for row in rows(done.folder)] == [
        ("1", "CCO"), ("2", "C1CC("), ("3", "CC"), ("4", "C"), ("5", "CCCC"),
    ]  # fmt: skip
    failed = rows(done.folder)[1]
    assert failed["score"] == ""
    assert "not a molecule" in failed["error"]
    told = [(text, None if math.isnan(score) else score) for text, score in strategy.told]
    assert told == [
        ("CCO", 3), (None, None), ("CCO", 3), ("C1CC(", None), ("CC", 2), ("CCO", 3), ("C", 1),
        ("CCCC", 4),
    ]  # fmt: skip
    assert [each.text for each in done.record.best] == ["CCCC", "CCO", "CC", "C"]
    assert done.ended == "all calls are made"
    assert set(done.seconds) >= {"ask", "oracle", "tell", "save"}


def test_low_scores(campaign, listed):
    strategy = listed(["CCO", "C", "CC"])
    done = campaign(strategy, minimize=True, batch=2)
    done.run()
    assert strategy.told == [("CCO", -3), ("C", -1), ("CC", -2)]
    assert [each.text for each in done.record.best] == ["C", "CC", "CCO"]
    assert [row["score"] for row in rows(done.folder)] == ["3.0", "1.0", "2.0"]


def test_a_start(campaign, listed):
    start = [("CCCCCC", Answer(6.0)), ("CN", None), ("CCN", None), ("C", Answer(1.0))]
    strategy = listed(["C", "CO", "CN"])
    done = campaign(strategy, batch=2, start=start)
    done.run()
    # What is known is told first and costs nothing; the rest of the start comes before the list.
    assert strategy.told == [
        ("CCCCCC", 6), ("C", 1), ("CN", 2), ("CCN", 3), ("C", 1), ("CO", 2), ("CN", 2),
    ]  # fmt: skip
    assert [row["smiles"] for row in rows(done.folder)] == ["CN", "CCN", "CO"]
    assert (done.ledger.counts.known, done.ledger.counts.duplicates) == (1, 1)
    assert done.record.given == [6.0, 1.0]


def test_it_ends_where_nothing_new_comes(campaign, listed):
    done = campaign(listed(["CC"] * 500), batch=2)
    done.run()
    assert done.ended == f"nothing new was proposed in {FRUITLESS} rounds"
    assert done.strategy.next == 2 * (FRUITLESS + 1)
    empty = campaign(listed(["CC"]), "empty", batch=2)
    empty.run()
    assert empty.ended
    assert empty.strategy.next == 1


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_stopped_and_gone_on_with(campaign, listed, stop):
    texts = ["C", "CC", None, "C", "CCC", "CCCC", "CCO", "CCN", "C1CC("] * 2 + ["CCCCC"]
    start = [("N", None), ("O", Answer(1.0)), ("NN", None)]
    whole = campaign(listed(texts), "whole", batch=3, calls=9, start=start)
    whole.run()
    cut = campaign(listed(texts), "cut", batch=3, calls=9, start=start)
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if progress.calls >= stop and progress.doing == "learning" and len(seen) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt)
    resumed = campaign(listed(texts), "cut", batch=3, calls=9, start=start)
    assert len(resumed.evaluations) < 9
    resumed.run()
    assert rows(whole.folder) == rows(cut.folder)
    assert len(rows(cut.folder)) == 9
    assert whole.ledger.counts == resumed.ledger.counts
    # And more calls may follow.
    more = campaign(listed(texts), "cut", batch=3, calls=10, start=start)
    more.run()
    assert [row["smiles"] for row in rows(more.folder)][9:] == ["CCCCC"]


def test_fewer_calls_than_were_made(campaign, listed):
    campaign(listed(["C", "CC", "CCC"]), batch=1, calls=3).run()
    with pytest.raises(ValueError, match="3 calls were made already, and the budget is 2"):
        campaign(listed([]), calls=2)


def test_a_polite_kill(campaign, listed, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\ndef score(texts):\n    time.sleep(0.2)\n    return [len(t) for t in texts]\n"
    )
    texts = ["C" * n for n in range(1, 60)]
    scorer = oracle(f"{tmp_path / 'slow.py'}:score")
    drawn = []
    done = campaign(
        listed(texts), scorer=scorer, calls=50, batch=1, refresh=lambda c: drawn.append(c.record)
    )
    before = signal.getsignal(signal.SIGTERM)
    main = threading.main_thread().ident
    timer = threading.Timer(0.7, lambda: signal.pthread_kill(main, signal.SIGTERM))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        done.run()
    assert time.monotonic() - started < 5
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(drawn) == 1  # what is there is drawn at the end
    assert 0 < len(rows(done.folder)) < 50


class Broken(Oracle):
    """Scores texts with an O by their length, with a part; others only once it is mended."""

    name, columns = "broken", ()

    def __init__(self):
        self.mended, self.asked = False, []

    def answer(self, texts):
        self.asked += texts
        return [
            Answer(float(len(text)), {} if "O" in text else {"late": 1.0})
            if self.mended or "O" in text else failure("no license")
            for text in texts
        ]  # fmt: skip


def test_calls_that_failed_are_asked_again(campaign, listed):
    texts = ["C", "CO", "CCC", "CC", "CCCC", "O"]
    scorer = Broken()
    campaign(listed(texts), scorer=scorer, calls=5, batch=2).run()
    before = rows(campaign(listed(texts), calls=5).folder)
    assert [row["score"] for row in before] == ["", "2.0", "", "", ""]
    scorer.mended = True
    same = campaign(listed(texts), scorer=scorer, calls=5, batch=2)
    same.run()  # the calls are used up, and nobody wants to know again
    assert len(scorer.asked) == 5
    again = campaign(listed(texts), scorer=scorer, calls=5, batch=2, retry=True, minimize=True)
    again.run()
    assert scorer.asked[5:] == ["C", "CCC", "CC", "CCCC"]
    assert again.strategy.told == [("C", -1), ("CCC", -3), ("CC", -2), ("CCCC", -4)]
    after = rows(again.folder)
    assert [(row["call"], row["smiles"]) for row in after] == [
        (row["call"], row["smiles"]) for row in before
    ]
    assert [row["score"] for row in after] == ["1.0", "2.0", "3.0", "2.0", "4.0"]
    assert [row["late"] for row in after] == ["1.0", "", "1.0", "1.0", "1.0"]
    assert (again.ledger.counts.calls, again.ledger.counts.failures) == (5, 0)
    more = campaign(listed(texts), scorer=scorer, calls=6, batch=2, retry=True)
    more.run()
    assert scorer.asked[9:] == ["O"]
    assert rows(more.folder)[:5] == after


def test_a_kill_while_calls_are_asked_again(campaign, listed, monkeypatch):
    texts = ["C", "CO", "CCC", "CC", "O"]
    scorer = Broken()
    campaign(listed(texts), scorer=scorer, calls=4, batch=2).run()
    scorer.mended = True
    killed = campaign(listed(texts), scorer=scorer, calls=4, batch=2, retry=True)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "replace", lambda *_: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            killed.run()
    more = campaign(listed(texts), scorer=scorer, calls=5, batch=2, retry=True)
    more.run()
    assert [row["score"] for row in rows(more.folder)] == ["1.0", "2.0", "3.0", "2.0", "1.0"]
    assert [row["late"] for row in rows(more.folder)] == ["1.0", "", "1.0", "1.0", ""]


def test_progress(campaign, listed):
    seen = []
    campaign(listed(["C", "CCC", "CC"]), batch=1, calls=3).run(seen.append)
    assert [(p.calls, p.best) for p in seen if p.doing == "asking"] == [(0, None), (1, 1), (2, 3)]
    assert {p.budget for p in seen} == {3}
    assert "scoring 1 of 1" in {p.doing for p in seen}


def test_a_batch_of_none(campaign, listed):
    with pytest.raises(ValueError, match="batch is 0"):
        campaign(listed([]), batch=0)
