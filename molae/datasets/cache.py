"""Encoded data beside its source: parsed once, then mapped into memory."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from molae.datasets.arrays import AnyData, ArrayWriter, SequenceData
from molae.datasets.files import (
    DataError,
    cache_folder,
    data_digest,
    explained,
    read_error,
    standard_input,
    temporary_name,
)
from molae.datasets.readers import BadLine, Reader, read
from molae.datasets.splits import text_keys
from molae.datasets.writers import RejectWriter

#: Raised whenever the files of a cache change their meaning.
VERSION = 1

_ARRAYS: dict[str, type[np.generic]] = {
    "rules.npy": np.uint16,
    "offsets.npy": np.int64,
    "keys.npy": np.uint64,
    "lines.npy": np.int64,
}

#: Types of arrays by the names of their files.
Types = Mapping[str, type[np.generic]]

#: ``progress(items so far, share of the file read from 0 to 1)``
Progress = Callable[[int, float], None]


class _Reject(Protocol):
    """What a codec says of an item that it cannot encode."""

    @property
    def index(self) -> int:
        """Which of the items given."""

    @property
    def text(self) -> str:
        """The item."""

    @property
    def token(self) -> str:
        """The offending piece, or ""."""

    @property
    def reason(self) -> str:
        """A few words."""


class _Encoding(Protocol):
    """What a codec makes of many items."""

    @property
    def rules(self) -> NDArray[np.uint16]:
        """All sequences one after the other, (total,)."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each begins, and the end, (number kept + 1,)."""

    @property
    def kept(self) -> NDArray[np.int64]:
        """Which items were encoded, ascending."""

    @property
    def rejects(self) -> Sequence[_Reject]:
        """The others."""


class Parser(Protocol):
    """The part of a codec that is needed here."""

    @property
    def digest(self) -> str:
        """Changes whenever the same item might be encoded differently."""

    def parse(self, items: list[str], workers: int = 1) -> _Encoding:
        """Encode what can be encoded and say why the rest cannot."""


@dataclass(frozen=True)
class Encoded(Generic[AnyData]):
    """A source after encoding.

    Attributes:
        data: The sequences or images, mapped from disc.
        lines: Line of the source that each sequence came from, or number of each image, (n,)
            int64.
        folder: Where the arrays lie.
        source: What was encoded.
        digest: The sha256 of the source's bytes.
        rejected: How many items could not be read or encoded.
        reasons: How many rejects by reason.
        fresh: Whether it was encoded now rather than found.
    """

    data: AnyData
    lines: NDArray[np.int64]
    folder: Path
    source: str
    digest: str
    rejected: int
    reasons: dict[str, int]
    fresh: bool

    def rejects(self) -> Iterator[BadLine]:
        """What could not be used and why, in the order of the source."""
        with open(self.folder / "rejects.csv", encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                yield BadLine(int(row["line"]), row["text"], row["reason"], row["token"])


class _Recipe(NamedTuple):
    """What to encode and how; everything that decides the result is in ``key``."""

    codec: Parser
    path: Path
    name: str
    column: str | None
    whole_lines: bool
    digest: str

    @property
    def key(self) -> str:
        parts = [VERSION, self.digest, self.codec.digest, self.column, self.whole_lines]
        # The suffix decides how the bytes are read.
        parts.append("".join(Path(self.name).suffixes[-2:]))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def cached(
    codec: Parser,
    source: str | Path,
    *,
    column: str | None = None,
    whole_lines: bool = False,
    folder: str | Path | None = None,
    workers: int = 1,
    chunk: int = 20_000,
    progress: Progress | None = None,
) -> Encoded[SequenceData]:
    """The sequences of a file, from the cache if this codec has encoded the same bytes before.

    The cache lies in ``<source>.molae-cache`` or, where that cannot be made, in the user's cache
    folder. It is written piece by piece under a temporary name and renamed when whole; a damaged
    one is made again. It may be deleted at any time.

    Args:
        codec: Encodes chunks of items.
        source: A molecule file, or ``-`` for standard input; a pipe is read once.
        column: See ``readers.Reader``.
        whole_lines: See ``readers.Reader``.
        folder: Where to keep the cache instead.
        workers: Processes for the codec.
        chunk: Items held in memory at once.
        progress: Called after each chunk.

    Raises:
        DataError: The source cannot be read, nothing in it can be encoded, or the disc is full.
    """
    with _on_disc(source) as path:
        name = "standard input" if os.fspath(source) == "-" else os.fspath(source)
        recipe = _Recipe(codec, path, name, column, whole_lines, data_digest(path))
        place = place_of(None if _fleeting(source) else path, folder) / recipe.key
        kept, fresh = found_or_made(
            place,
            {"digest": recipe.digest, "codec": recipe.codec.digest},
            _ARRAYS,
            lambda folder: _encode(folder, recipe, workers, chunk, progress),
        )
    arrays = kept.arrays
    data = SequenceData(arrays["rules.npy"], arrays["offsets.npy"], keys=arrays["keys.npy"])
    return kept.encoded(data, recipe.name, fresh=fresh)


@contextmanager
def _on_disc(source: str | Path) -> Iterator[Path]:
    """The source as a file: what can be read only once is put down first, for its digest."""
    if not _fleeting(source):
        yield Path(source)
        return
    # With the same suffixes, which tell the format.
    suffix = "".join(Path(source).suffixes[-2:])
    spool = cache_folder("input") / f"input-{os.getpid()}{suffix}"
    try:
        with _opened(source) as came, explained(spool), open(spool, "wb") as stream:
            shutil.copyfileobj(came, stream)
        yield spool
    finally:
        spool.unlink(missing_ok=True)


def _fleeting(source: str | Path) -> bool:
    """Whether a source is standard input, a pipe or a device rather than a file."""
    path = Path(source)
    return os.fspath(source) == "-" or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def _opened(source: str | Path) -> Iterator[IO[bytes]]:
    """Standard input, which stays open, or a pipe."""
    if os.fspath(source) == "-":
        yield standard_input()
        return
    try:
        stream = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise read_error(error, source) from error
    with stream:
        yield stream


def place_of(source: Path | None, folder: str | Path | None) -> Path:
    """The folder that holds the caches of a source."""
    if folder is not None:
        with explained(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
        return Path(folder)
    if source is not None:
        beside = source.with_name(source.name + ".molae-cache")
        try:
            beside.mkdir(exist_ok=True)
            if os.access(beside, os.W_OK):
                return beside
        except OSError:
            pass  # a read-only place, or a file of that name: the user's own cache will do
    return cache_folder("encoded")


class Kept(NamedTuple):
    """A cache as it lies on the disc: its folder, its facts, and its arrays by file name."""

    folder: Path
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def encoded(self, data: AnyData, source: str, *, fresh: bool) -> Encoded[AnyData]:
        """The source, with its examples made of the arrays."""
        return Encoded(
            data=data,
            lines=self.arrays["lines.npy"],
            folder=self.folder,
            source=source,
            digest=str(self.facts["digest"]),
            rejected=int(self.facts["rejected"]),
            reasons=dict(self.facts["reasons"]),
            fresh=fresh,
        )


def found_or_made(
    place: Path, known: dict[str, str], names: Types, write: Callable[[Path], dict[str, Any]]
) -> tuple[Kept, bool]:
    """A cache, and whether it was made now.

    Args:
        place: Its folder.
        known: Digests that it must have been made with.
        names: Its arrays, ``lines.npy`` among them.
        write: Writes them into a folder, and ``rejects.csv``; gives the facts.

    Raises:
        DataError: It cannot be written.
    """
    facts = known | {"version": VERSION, "byteorder": sys.byteorder}
    found = _load(place, facts, names)
    if found is not None:
        return found, False
    with explained(place):
        _build(place, facts, names, write)
    made = _load(place, facts, names, checked=False)
    if made is None:
        raise DataError(f"{place}: the cache just written cannot be read back. Is the disc sound?")
    return made, True


def _build(
    place: Path, facts: dict[str, Any], names: Types, write: Callable[[Path], dict[str, Any]]
) -> None:
    """Write into a temporary folder, then rename it to ``place``."""
    temporary = Path(temporary_name(os.fspath(place)))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        whole = write(temporary) | facts
        whole["sha256"] = {name: data_digest(temporary / name) for name in names}
        (temporary / "meta.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
        if place.exists():
            shutil.rmtree(place)
        try:
            temporary.rename(place)
        except OSError:
            # Another process was faster: what it made from the same bytes is as good.
            if not place.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _encode(
    folder: Path, recipe: _Recipe, workers: int, chunk: int, progress: Progress | None
) -> dict[str, Any]:
    """Write the arrays and the rejects of a source; what must be known to read them again."""
    rules_end = 0
    first: BadLine | None = None
    with ExitStack() as stack:
        out = {n: stack.enter_context(ArrayWriter(folder / n, t)) for n, t in _ARRAYS.items()}
        rejects = stack.enter_context(RejectWriter(folder / "rejects.csv"))
        out["offsets.npy"].append(np.zeros(1, np.int64))
        for items, lines, bad, reader in _chunks(recipe, chunk):
            encoding = recipe.codec.parse(items, workers=workers)
            kept = np.asarray(encoding.kept, dtype=np.int64)
            out["rules.npy"].append(encoding.rules)
            out["offsets.npy"].append(np.asarray(encoding.offsets[1:], np.int64) + rules_end)
            out["keys.npy"].append(text_keys(items[i] for i in kept))
            out["lines.npy"].append(lines[kept])
            rules_end += len(encoding.rules)
            lost = (
                BadLine(int(lines[r.index]), r.text, r.reason, r.token) for r in encoding.rejects
            )
            for line in sorted([*bad, *lost]):
                rejects.write(recipe.name, line)
                first = first or line
            if progress is not None:
                progress(reader.count + reader.bad, reader.fraction)
        total = out["lines.npy"].size
    if not total:
        raise _nothing(recipe.name, rejects, first)
    return {
        "source": recipe.name,
        "count": total,
        "rejected": rejects.count,
        "reasons": dict(rejects.reasons.most_common()),
    }


def _chunks(
    recipe: _Recipe, size: int
) -> Iterator[tuple[list[str], NDArray[np.int64], list[BadLine], Reader]]:
    """Items, their lines and the bad lines between them, some at a time."""
    bad: list[BadLine] = []
    with read(
        recipe.path, recipe.column, whole_lines=recipe.whole_lines, reject=bad.append
    ) as reader:
        items: list[str] = []
        lines: list[int] = []
        for record in reader:
            items.append(record.smiles)
            lines.append(record.line)
            if len(items) >= size:
                yield items, np.array(lines, np.int64), bad, reader
                items, lines = [], []
                bad.clear()
        if items or bad:
            yield items, np.array(lines, np.int64), bad, reader


def _nothing(source: str, rejects: RejectWriter, first: BadLine | None) -> DataError:
    """The error for a source of which nothing could be used."""
    counts = ", ".join(f"{reason} ({n})" for reason, n in rejects.reasons.most_common(3))
    example = f" The first, line {first.line}: {first.text[:60]!r}." if first else ""
    return DataError(
        f"{source}: none of its {rejects.count} lines could be encoded: {counts}.{example} "
        "Is this the right file, column and grammar?"
    )


def _load(
    place: Path, wanted: dict[str, Any], names: Types, *, checked: bool = True
) -> Kept | None:
    """The cache in a folder, or None if it is not there, not whole, or of something else."""
    try:
        facts = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        if any(facts[name] != value for name, value in wanted.items()):
            return None
        if checked and any(data_digest(place / n) != facts["sha256"][n] for n in names):
            return None
        if not (place / "rejects.csv").is_file() or facts["rejected"] != int(facts["rejected"]):
            return None
        dict(facts["reasons"])
        return Kept(place, facts, {name: np.load(place / name, mmap_mode="r") for name in names})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whatever is wrong with it, it is made again
