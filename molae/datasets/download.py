"""Fetching the data sets of the cards: resumed, verified, kept in a cache."""

from __future__ import annotations

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

from molae.datasets.cards import Card, Place, card
from molae.datasets.files import (
    DataError,
    cache_folder,
    data_digest,
    disc_error,
    explained,
    replacing,
)
from molae.resources import data_path

#: ``progress(file name, bytes so far, bytes in all or None)``
Progress = Callable[[str, int, int | None], None]

#: How often a broken transfer is taken up again without a new byte before it is given up.
PATIENCE = 4
#: Seconds without a byte after which a server counts as gone.
TIMEOUT = 60.0
#: Seconds before the first new attempt; doubled after each.
PAUSE = 1.0
_BLOCK = 1 << 16


def get(
    name: str,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """A data set as files on this machine, fetched if they are not there yet.

    Args:
        name: Of a card; see ``cards.cards``.
        folder: Where to keep it; ``data`` in the cache folder if None (see
            ``files.cache_folder``). A file of the same name in a folder that is named here is
            taken if it is the right one, and never replaced.
        progress: Called while bytes come in.
        say: Called with remarks, such as a digest that nobody pinned; warnings if None.

    Returns:
        The file, or the folder of the files if there are several.

    Raises:
        ResourceError: There is no such card.
        DataError: No place had the file, what came was not what the card describes, another file
            of its name is in the folder, or it has to be got by hand.
    """
    return get_card(card(name), folder, progress, say)


def get_card(
    card: Card,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """The data set of a card that need not be shipped; see ``get``."""
    _check_fetched(card)
    where = _folder(card, folder)
    with explained(where):
        where.mkdir(parents=True, exist_ok=True)
    tell = say or (lambda text: warnings.warn(text, stacklevel=4))
    found = [_one(places, where, folder is None, progress, tell) for places in card.files]
    return found[0] if len(found) == 1 else where


def path(name: str, folder: str | Path | None = None) -> Path:
    """Where a data set lies on this machine, without fetching; its digests are not computed again.

    Raises:
        ResourceError: There is no such card.
        DataError: It has not been fetched.
    """
    the_card = card(name)
    where = _folder(the_card, folder)
    if the_card.shipped:
        return get_card(the_card, folder)
    found = [p for places in the_card.files if (p := _present(places, where)) is not None]
    _check_fetched(the_card)
    if len(found) == len(the_card.files):
        return found[0] if len(found) == 1 else where
    raise DataError(f"{name}: not fetched yet. Run: molae data get {name}")


def _check_fetched(card: Card) -> None:
    """Refuse a data set that everybody has to get from its authors.

    Raises:
        DataError: With how that is done.
    """
    if not card.files:
        raise DataError(f"{card.name}: its terms do not let molae fetch it. {card.notes}")


def _folder(card: Card, folder: str | Path | None) -> Path:
    return cache_folder("data", card.name) if folder is None else Path(folder)


def _present(places: tuple[Place, ...], where: Path) -> Path | None:
    return next((where / p.file for p in places if (where / p.file).is_file()), None)


def _one(
    places: tuple[Place, ...],
    where: Path,
    ours: bool,
    progress: Progress | None,
    say: Callable[[str], None],
) -> Path:
    """One file of a set: what is there already, else from the first place that has it.

    A wrong file stays until the right one has come and been verified, and in a folder that is not
    ours it stays for good.
    """
    there = [place for place in places if (where / place.file).is_file()]
    for place in there:
        if _right(place, where / place.file):
            return where / place.file
    troubles = []
    for place in places:
        target = where / place.file
        try:
            if place in there:
                _give_way(target, ours, say)
            if place.url:
                fetch(place.url, target, place.sha256, place.bytes, progress)
            else:
                _shipped(place, target)
        except DataError as error:
            troubles.append(str(error))
            continue
        if place.sha256 is None:
            _remember(target, say)
        return target
    raise DataError("\n".join(troubles))


def _right(place: Place, target: Path) -> bool:
    """Whether a file is the one that the card describes, as far as anybody knows."""
    expected = place.sha256 or _remembered(target)
    return expected is None or data_digest(target) == expected


def _give_way(target: Path, ours: bool, say: Callable[[str], None]) -> None:
    """Say that a wrong file will be replaced.

    Raises:
        DataError: It may not be: it lies in somebody else's folder.
    """
    if not ours:
        raise DataError(
            f"{target}: there is a file of this name, and it is not the one that the card "
            "describes. Move it away, or choose another folder."
        )
    say(f"{target}: damaged or changed since it was fetched; fetching it again.")


def _shipped(place: Place, target: Path) -> None:
    """Copy a shipped file, which may lie in an archive, to where it keeps."""
    with data_path(place.file) as source, replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        _verify(temporary, place.sha256, target, f"the shipped {place.file}")


def _remembered(target: Path) -> str | None:
    """The digest noted when an unpinned file was first fetched."""
    note = target.with_name(target.name + ".sha256")
    words = note.read_text(encoding="utf-8", errors="replace").split() if note.is_file() else []
    return words[0] if words else None


def _remember(target: Path, say: Callable[[str], None]) -> None:
    digest = data_digest(target)
    note = target.with_name(target.name + ".sha256")
    with explained(note):
        note.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    say(
        f"{target.name}: its digest was not pinned, so it could not be verified. What came has "
        f"sha256 {digest}; it is noted beside the file and checked from now on."
    )


def fetch(
    url: str,
    target: str | Path,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download one file; a transfer that broke off goes on where it stopped.

    Bytes go to ``<target>.part``, which is renamed when it is whole and verified. What an earlier
    call left there is taken up only where a digest can tell that the whole is right.

    Args:
        url: http or https.
        target: Final path.
        sha256: Expected digest, or None to take what comes.
        size: Expected number of bytes, for the progress bar where the server does not say.
        progress: Called while bytes come in.

    Raises:
        DataError: The server does not have it or stays silent, the digest is wrong (the file is
            removed), or it cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: not an http or https address.")
    target = Path(target)
    part = target.with_name(target.name + ".part")
    if sha256 is None:
        with explained(target):
            part.unlink(missing_ok=True)
    resumed = part.is_file() and part.stat().st_size > 0
    _transfer(url, part, target.name, size, progress)
    if resumed and sha256 is not None and data_digest(part) != sha256:
        # The first half may be of another version or another mirror: once more from the start.
        part.unlink()
        _transfer(url, part, target.name, size, progress)
    _verify(part, sha256, target, url)
    with explained(target):
        os.replace(part, target)
    return target


def _verify(part: Path, sha256: str | None, target: Path, origin: str) -> None:
    if sha256 is None:
        return
    got = data_digest(part)
    if got != sha256:
        part.unlink()
        raise DataError(
            f"{target.name}: what came from {origin} is not the file that the card describes: "
            f"sha256 {got}, expected {sha256}. It was removed. Try again later, or fetch the file "
            f"by hand and put it at {target}."
        )


def _transfer(
    url: str, part: Path, name: str, size: int | None, progress: Progress | None
) -> None:
    """Bring ``part`` to its full length, through as many requests as it takes while bytes come."""
    failures, pause = 0, PAUSE
    while True:
        before = _size(part)
        trouble = _attempt(url, part, before, name, size, progress)
        if trouble is None:
            return
        if _size(part) > before:
            failures, pause = 0, PAUSE
        failures += 1
        if failures >= PATIENCE:
            raise DataError(
                f"{url}: {trouble}, {failures} times in a row. Check the connection and run the "
                "command again: it goes on where it stopped."
            )
        time.sleep(pause)
        pause *= 2


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _attempt(
    url: str, part: Path, start: int, name: str, size: int | None, progress: Progress | None
) -> str | None:
    """One request; what went wrong in a way that may pass, or None when the file is whole."""
    try:
        return None if _request(url, part, start, name, size, progress) else "it broke off"
    except urllib.error.HTTPError as error:
        if error.code not in (408, 429, 500, 502, 503, 504):
            raise DataError(f"{url}: the server says {error.code} {error.reason}.") from error
        return f"the server says {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return f"no connection ({error.reason})"
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        return f"it broke off ({error!r})"


def _request(
    url: str, part: Path, start: int, name: str, size: int | None, progress: Progress | None
) -> bool:
    """One request for what is missing after ``start`` bytes; whether the file is whole now."""
    headers = {"User-Agent": "molae", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        return _whole(error, part, start)

    def tell(done: int) -> None:
        if progress is not None:
            progress(name, done, total or size)

    with answer:
        if answer.status != 206:  # a server without ranges sends everything again
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        try:
            stream = open(part, "ab" if start else "wb")  # noqa: SIM115
        except OSError as error:
            raise disc_error(error, part) from error
        with stream:
            done = _copy(answer, stream, part, start, tell)
    return total is None or done == total


def _whole(error: urllib.error.HTTPError, part: Path, start: int) -> bool:
    """What "range not satisfiable" means: the part is whole, or of another file and removed."""
    whole = error.headers.get("Content-Range", "").rpartition("/")[2] == str(start)
    if not whole:
        part.unlink()
    return whole


def _copy(
    answer: IO[bytes], stream: IO[bytes], part: Path, done: int, tell: Callable[[int], None]
) -> int:
    """Write the answer's bytes as they come; how many there are now, those before included."""
    tell(done)
    while True:
        block = answer.read(_BLOCK)
        if not block:
            return done
        try:
            stream.write(block)
        except OSError as error:
            raise disc_error(error, part) from error
        done += len(block)
        tell(done)
