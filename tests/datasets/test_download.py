"""Downloads, against a server on this machine that misbehaves in the ways servers do."""

import hashlib
import http.server
import json
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from molae import resources
from molae.datasets import download
from molae.datasets.cards import Card, card, card_from_dict, cards
from molae.datasets.files import DataError

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under any name; what is wrong with it is said by the attributes."""

    ranges = True
    cut = 0  # bytes sent per answer before the line breaks; 0 for all
    fail = 0  # answers with 503 before the first good one
    content = CONTENT

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.log = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.log.append(asked)
        if server.fail > 0:
            server.fail -= 1
            self.send_error(503)
            return
        if "missing" in self.path:
            self.send_error(404)
            return
        start = int(asked[6:-1]) if asked and server.ranges else 0
        body = server.content[start:]
        if start and not body:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut] if server.cut else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    running.url = f"http://127.0.0.1:{running.server_port}"
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def make(server, *files):
    """A card: each file is a list of (path, digest)."""
    listed = [
        [{"file": p.strip("/"), "url": server.url + p, "sha256": d} for p, d in places]
        for places in files
    ]
    return card_from_dict({"name": "it", "description": "test", "files": listed})


def test_the_right_file_comes_once(server, tmp_path):
    seen = []
    the_card = make(server, [("/a.bin", DIGEST)])
    found = download.get_card(the_card, tmp_path, lambda *state: seen.append(state))
    assert found == tmp_path / "a.bin"
    assert found.read_bytes() == CONTENT
    assert seen[0] == ("a.bin", 0, len(CONTENT))
    assert seen[-1] == ("a.bin", len(CONTENT), len(CONTENT))
    assert all(a[1] <= b[1] for a, b in pairwise(seen))
    download.get_card(the_card, tmp_path)
    assert len(server.log) == 1


def test_a_wrong_digest_is_removed_and_named(server, tmp_path):
    with pytest.raises(DataError, match="not the file that the card describes") as caught:
        download.get_card(make(server, [("/a.bin", "0" * 64)]), tmp_path)
    assert DIGEST in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_breaks_is_taken_up_where_it_broke(server, tmp_path):
    server.cut = 150_000
    found = download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path)
    assert found.read_bytes() == CONTENT
    assert server.log == [None, "bytes=150000-", "bytes=300000-", "bytes=450000-"]
    assert list(tmp_path.iterdir()) == [found]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"anything")
    server.ranges = False
    assert download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path).read_bytes() == CONTENT


def test_the_next_call_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 1)
    server.cut = 300_000
    the_card = make(server, [("/a.bin", DIGEST)])
    with pytest.raises(DataError, match="goes on where it stopped"):
        download.get_card(the_card, tmp_path)
    server.cut = 0
    assert download.get_card(the_card, tmp_path).read_bytes() == CONTENT
    assert server.log[-1] == "bytes=300000-"


@pytest.mark.parametrize("part", [b"x" * 1000, CONTENT, CONTENT + b"more"])
def test_whatever_an_earlier_call_left_the_file_is_right(server, tmp_path, part):
    (tmp_path / "a.bin.part").write_bytes(part)
    assert download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_but_not_for_ever(server, tmp_path):
    server.fail = 2
    assert download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path).is_file()
    server.fail = 100
    with pytest.raises(DataError, match="503"):
        download.get_card(make(server, [("/b.bin", DIGEST)]), tmp_path)
    assert server.fail == 100 - download.PATIENCE


def test_mirrors(server, tmp_path):
    the_card = make(server, [("/missing", DIGEST), ("/bad.bin", "1" * 64), ("/a.bin", DIGEST)])
    assert download.get_card(the_card, tmp_path) == tmp_path / "a.bin"
    with pytest.raises(DataError, match="404") as caught:
        download.get_card(make(server, [("/missing", DIGEST), ("/bad.bin", "1" * 64)]), tmp_path)
    assert "bad.bin" in str(caught.value)


def test_nobody_there(tmp_path, server):
    the_card = make(server, [("/a.bin", DIGEST)])
    server.shutdown()
    server.socket.close()
    with pytest.raises(DataError, match="no connection"):
        download.get_card(the_card, tmp_path)
    with pytest.raises(DataError, match="not an http"):
        download.fetch("file:///etc/hostname", tmp_path / "x")


def test_several_files_make_a_folder_and_unpinned_ones_are_said(server, tmp_path):
    said = []
    the_card = make(server, [("/a.bin", DIGEST)], [("/b.bin", None)])
    assert download.get_card(the_card, tmp_path, say=said.append) == tmp_path
    assert len(said) == 1
    assert DIGEST in said[0]
    assert (tmp_path / "b.bin.sha256").read_text().startswith(DIGEST)
    download.get_card(the_card, tmp_path, say=said.append)
    assert len(said) == 1
    (tmp_path / "b.bin").write_bytes(b"changed")
    with pytest.raises(DataError, match="there is a file of this name"):
        download.get_card(the_card, tmp_path, say=said.append)
    assert (tmp_path / "b.bin").read_bytes() == b"changed"
    with pytest.warns(UserWarning, match="not pinned"):
        download.get_card(the_card, tmp_path / "other")


def test_a_file_of_the_users_is_never_replaced(server, tmp_path):
    mine = tmp_path / "a.bin"
    mine.write_bytes(b"years of work")
    with pytest.raises(DataError, match=r"a\.bin: there is a file of this name"):
        download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path)
    assert mine.read_bytes() == b"years of work"
    assert server.log == []
    # A mirror under another name does not need its place.
    mirrored = make(server, [("/a.bin", DIGEST), ("/b.bin", DIGEST)])
    assert download.get_card(mirrored, tmp_path) == tmp_path / "b.bin"
    assert mine.read_bytes() == b"years of work"


def test_in_the_cache_a_wrong_file_stays_until_the_right_one_is_there(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path))
    the_card, said = make(server, [("/a.bin", DIGEST)]), []
    found = download.get_card(the_card)
    found.write_bytes(b"damaged")
    server.content = b"something else"
    with pytest.raises(DataError, match="not the file that the card describes"):
        download.get_card(the_card, say=said.append)
    assert found.read_bytes() == b"damaged"
    server.content = CONTENT
    assert download.get_card(the_card, say=said.append).read_bytes() == CONTENT
    assert "damaged or changed" in said[-1]


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", ".", "", "..\\x", "C:x"])
def test_a_card_names_plain_files_only(name):
    with pytest.raises(DataError, match="not the plain name"):
        card_from_dict({"description": "x", "files": [[{"file": name, "url": "https://x"}]]}, "x")


def test_what_cannot_be_verified_is_not_taken_up(server, tmp_path):
    (tmp_path / "b.bin.part").write_bytes(b"x" * 1000)
    found = download.get_card(make(server, [("/b.bin", None)]), tmp_path, say=lambda text: None)
    assert found.read_bytes() == CONTENT
    assert server.log == [None]


def test_a_place_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disc(server, tmp_path):
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match="disc is full"):
        download.get_card(make(server, [("/a.bin", DIGEST)]), tmp_path)


def test_cache_folder_and_path(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLAE_CACHE", str(tmp_path))
    the_card = make(server, [("/a.bin", DIGEST)])
    monkeypatch.setattr(download, "card", lambda name: the_card)
    with pytest.raises(DataError, match="molae data get it"):
        download.path("it")
    assert download.get("it") == tmp_path / "data" / "it" / "a.bin" == download.path("it")


def test_a_card_of_a_shipped_file(tmp_path, monkeypatch):
    from contextlib import contextmanager

    source = tmp_path / "inside.smi.gz"
    source.write_bytes(CONTENT)

    @contextmanager
    def shipped(name):
        yield source

    monkeypatch.setattr(download, "data_path", shipped)
    fields = {"description": "x", "files": [[{"file": "inside.smi.gz", "sha256": DIGEST}]]}
    the_card = card_from_dict(fields, "inside")
    assert the_card.shipped
    monkeypatch.setattr(download, "card", lambda name: the_card)
    assert download.path("inside", tmp_path / "out").read_bytes() == CONTENT


def test_every_shipped_card_is_whole():
    found = cards()
    assert {"mnist", "zinc250k"} <= {c.name for c in found}
    assert [c.name for c in found] == resources.card_names()
    for c in found:
        assert isinstance(c, Card)
        assert c.description
        assert c.licence
        assert c.files or "https://" in c.notes
        for places in c.files:
            assert places
            assert all(p.url.startswith("https://") or c.shipped for p in places)
            assert all(p.sha256 is None or len(bytes.fromhex(p.sha256)) == 32 for p in places)
    assert card("zinc250k").rows == 249_456


def test_unknown_and_damaged_cards(monkeypatch):
    with pytest.raises(resources.ResourceError, match="zinc250k"):
        card("zinc250")
    monkeypatch.setattr("molae.datasets.cards.card_text", lambda name: json.dumps({"name": "x"}))
    with pytest.raises(DataError, match="damaged"):
        card("x")


def test_a_data_set_that_may_not_be_fetched_says_how_it_is_got(tmp_path):
    found = card("celeba")
    assert (found.origin, found.shipped) == ("by hand", False)
    for act in (download.get, download.path):
        with pytest.raises(DataError, match=r"do not let molae fetch it.*celeba --crop celeba"):
            act("celeba", tmp_path)
    assert not list(tmp_path.iterdir())
