import math
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molae.datasets.files import DataError
from molae.oracles.base import Answer
from molae.oracles.cache import Cache

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
answers = st.one_of(
    st.builds(Answer, numbers, st.dictionaries(texts, st.floats(allow_nan=False), max_size=3)),
    st.builds(Answer, st.just(math.nan), st.just({"logp": 2.5}), st.text("ab ", min_size=1)),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.sqlite"


def test_what_is_put_is_got(tmp_path):
    number = iter(range(10_000))

    @given(st.dictionaries(texts, answers, max_size=8))
    def check(known):
        path = tmp_path / f"{next(number)}.sqlite"
        with Cache(path) as cache:
            cache.put("key", known)
        with Cache(path) as cache:  # read again from the disc
            found = cache.get("key", [*known, "not there \u2603"])
            assert len(cache) == len(known)
            assert found.keys() == known.keys() - {"not there \u2603"}
        for text, answer in found.items():
            assert answer.error == known[text].error
            assert answer.parts == known[text].parts
            assert answer.failed or answer.score == known[text].score

    check()


def test_parts_that_could_not_be_had(path):
    with Cache(path) as cache:
        cache.put("key", {"C": Answer(1.0, {"a": math.nan, "b": math.inf})})
        parts = cache.get("key", ["C"])["C"].parts
    assert math.isnan(parts["a"])
    assert parts["b"] == math.inf


def test_oracles_do_not_mix(path):
    with Cache(path) as cache:
        cache.put("one", {"C": Answer(1.0)})
        cache.put("two", {"C": Answer(2.0), "CC": Answer(3.0)})
        assert cache.get("one", ["C", "CC"]) == {"C": Answer(1.0)}
        assert cache.get("two", ["C"]) == {"C": Answer(2.0)}
        assert cache.get("three", ["C"]) == {}


def test_more_texts_than_one_statement_takes(path):
    known = {f"C{n}": Answer(float(n)) for n in range(1234)}
    with Cache(path) as cache:
        cache.put("key", known)
        assert cache.get("key", [*known, *known]) == known


def test_scores_stay_and_failures_are_replaced(path):
    failed, worse = (Answer(math.nan, {}, why) for why in ("timeout", "again"))
    with Cache(path) as cache:
        cache.put("key", {"C": failed})
        cache.put("key", {"C": worse})
        assert cache.get("key", ["C"])["C"].error == "again"
        assert cache.get("key", ["C"], failed=False) == {}
        cache.put("key", {"C": Answer(1.5)})
        cache.put("key", {"C": failed})
        assert cache.get("key", ["C"], failed=False) == {"C": Answer(1.5)}
        cache.put("key", {"C": Answer(9.0)})
        assert cache.get("key", ["C"]) == {"C": Answer(1.5)}


def _write(path, process, count):
    with Cache(path) as cache:
        for n in range(count):
            cache.put(
                "key", {f"{process}-{n}": Answer(float(n)), "shared": Answer(float(process))}
            )
            assert cache.get("key", [f"{process}-{n}"])


def test_processes_make_and_fill_one_file_together(path):
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        for done in [pool.submit(_write, path, process, 20) for process in range(4)]:
            done.result(timeout=60)
    with Cache(path) as cache:
        assert len(cache) == 4 * 20 + 1
        assert cache.get("key", ["shared"])["shared"].score in range(4)


def _die_writing(path):
    with Cache(path) as cache:
        cache.put("key", {"before": Answer(1.0)})
        cache._file.execute("BEGIN IMMEDIATE")
        rows = [("key", f"half {n}", 0.0, "{}" + " " * 5000) for n in range(2000)]
        # More than the page cache holds, so that pages of the transaction are in the file.
        cache._file.execute("PRAGMA cache_size = 10")
        cache._file.executemany(
            "INSERT INTO answers (oracle, text, score, parts) VALUES (?, ?, ?, ?)", rows
        )
        os.kill(os.getpid(), 9)


def test_a_kill_in_the_middle_of_writing_takes_only_that(path):
    child = get_context("fork").Process(target=_die_writing, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == -9
    assert path.stat().st_size > 1_000_000
    with Cache(path) as cache:
        assert len(cache) == 1
        assert cache.get("key", ["before"]) == {"before": Answer(1.0)}
        cache.put("key", {"after": Answer(2.0)})
        assert len(cache) == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_locked_file_is_waited_for_and_then_explained(path, monkeypatch):
    monkeypatch.setattr("molae.oracles.cache._PATIENCE", 0.05)
    with Cache(path) as cache:
        other = sqlite3.connect(path)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"cache\.sqlite: another process has kept it locked"):
            cache.put("key", {"C": Answer(1.0)})
        other.close()
        cache.put("key", {"C": Answer(1.0)})
        assert len(cache) == 1


def test_the_folder_is_made(tmp_path):
    with Cache(tmp_path / "a" / "b" / "cache.sqlite") as cache:
        assert len(cache) == 0


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda p: p.write_text("smiles,score\nC,1\n" * 100), "not a cache of scores"),
        (lambda p: sqlite3.connect(p).execute("CREATE TABLE mine (x)"), "something else"),
        (lambda p: sqlite3.connect(p).execute("PRAGMA user_version = 3"), "something else"),
        (lambda p: p.mkdir(), "Is it a folder"),
    ],
)
def test_a_file_that_is_none_is_refused_and_left_alone(path, make, problem):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DataError, match=problem) as error:
        Cache(path)
    assert str(path) in str(error.value)
    assert "ame another file" in str(error.value)
    assert before is None or path.read_bytes() == before


def test_a_cache_of_another_layout_is_refused(path):
    Cache(path).close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 2")
    file.close()
    with pytest.raises(DataError, match="layout 2, and this molae reads 1"):
        Cache(path)


def test_a_damaged_cache_is_explained(path):
    with Cache(path) as cache:
        cache.put("key", {f"C{n}": Answer(float(n)) for n in range(2000)})
    whole = bytearray(path.read_bytes())
    whole[5000:-1] = b"\xa5" * (len(whole) - 5001)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="damaged"), Cache(path) as cache:
        cache.get("key", [f"C{n}" for n in range(2000)])


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file"):
        Cache(tmp_path / "file" / "cache.sqlite")
