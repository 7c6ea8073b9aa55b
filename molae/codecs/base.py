"""What all codecs have in common: what they offer, what encoding gives, and what it refuses."""

from __future__ import annotations

import abc
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.chem.molecules import MoleculeError, kekule, read, write
from molae.chem.workers import map_chunks
from molae.grammar.valences import digest as valence_digest
from molae.types import PAD, Constraint

#: Texts that one worker parses at a time.
CHUNK = 4000


@dataclass(frozen=True)
class Reject:
    """What could not be encoded.

    Attributes:
        index: Its place in the list.
        text: What it was.
        token: Where the trouble shows, or "".
        reason: A few words, a colon, the detail.
    """

    index: int
    text: str
    token: str
    reason: str

    def __str__(self) -> str:
        """One line for a person."""
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return f"item {self.index + 1} {shown!r}: {self.reason}"


#: How a reason begins where the text uses what the grammar has no rules for.
NOT_IN_GRAMMAR = "not in the grammar"


class EncodeError(ValueError):
    """Some items cannot be encoded; ``rejects`` says which and why."""

    def __init__(self, rejects: Sequence[Reject]) -> None:
        self.rejects = list(rejects)
        listed = "; ".join(map(str, self.rejects[:5]))
        more = f" and {len(self.rejects) - 5} more" if len(self.rejects) > 5 else ""
        hint = (
            ". A model has rules for what its training data needed; molae train FILE --from RUN "
            "adds those that FILE needs"
            if any(reject.reason.startswith(NOT_IN_GRAMMAR) for reject in self.rejects)
            else ""
        )
        super().__init__(f"cannot encode {len(self.rejects)} of the items: {listed}{more}{hint}")


@dataclass(frozen=True)
class Encoding:
    """Sequences of many items, end to end.

    Attributes:
        rules: (total,) uint16.
        offsets: (n + 1,) int64; sequence i is ``rules[offsets[i] : offsets[i + 1]]``.
        kept: (n,) int64, which of the given items these are.
        rejects: The others.
    """

    rules: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    kept: NDArray[np.int64]
    rejects: list[Reject]

    def padded(self) -> Tensor:
        """(n, T) int64, ``PAD`` after the end of each."""
        lengths = np.diff(self.offsets)
        width = int(lengths.max()) if len(lengths) else 0
        out = np.full((len(lengths), width), PAD, dtype=np.int64)
        out[np.arange(width)[None] < lengths[:, None]] = self.rules
        return torch.from_numpy(out)

    def hashes(self) -> list[int]:
        """A 64-bit number for each sequence: a molecule has the same one in every spelling."""
        pieces = (self.rules[first:last] for first, last in pairwise(self.offsets.tolist()))
        return [
            int.from_bytes(hashlib.blake2b(piece.tobytes(), digest_size=8).digest(), "little")
            for piece in pieces
        ]


class Piece(NamedTuple):
    """The encoding of one chunk of a list; places are counted within the chunk.

    Attributes:
        rules: (total,) uint16, the sequences end to end.
        lengths: (n,) int64 of each sequence.
        kept: (n,) int64, which items these are.
        rejects: The others, in order.
    """

    rules: NDArray[np.uint16]
    lengths: NDArray[np.int64]
    kept: NDArray[np.int64]
    rejects: list[Reject]


class Codec(Protocol):
    """What every codec of sequences offers."""

    @property
    def constraint(self) -> Constraint[Any]:
        """Which entries a decoder may write."""

    @property
    def size(self) -> int:
        """V."""

    @property
    def max_steps(self) -> int:
        """T."""

    @property
    def spelling(self) -> str:
        """How a text is spelt before it is encoded, see ``spelt``; ``text`` for no molecules."""

    @property
    def digest(self) -> str:
        """Changes whenever encoding does."""

    def parse(self, items: Sequence[str], workers: int = 1, prepared: bool = False) -> Encoding:
        """Encode what can be encoded, and say why the rest cannot."""

    def encode(self, items: Sequence[str]) -> Tensor:
        """(n, T) int64; raises ``EncodeError``."""

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts; None for an unfinished sequence."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``codec_from_dict``."""


class SequenceCodec(abc.ABC):
    """What grammar and character codecs share; each says how it encodes, decodes and is saved.

    Attributes:
        constraint: Which entries a decoder may write.
        spelling: How a text is spelt before it is encoded, see ``spelt``.
        medium: What is encoded, for those who choose what is built of it.
        exact: Whether an item comes back as it was or not at all; else it comes back more or less.
        entry: What an entry of the vocabulary is called, in the plural.
        at_once: How many are decoded together, or are in memory as tensors.
        expresses: What can be written, in words; "" where nothing is known of it.
        limits: What is refused, and what to do about that, in words; "" for nothing.
    """

    constraint: Constraint[Any]
    spelling: str
    medium: Literal["sequences"] = "sequences"
    exact = True
    entry: str
    at_once = 8192
    expresses = ""
    limits = ""

    @property
    @abc.abstractmethod
    def entries(self) -> list[str]:
        """What stays the same of each entry when others are added, V texts."""

    @abc.abstractmethod
    def chunk(self, items: Sequence[str], prepared: bool) -> Piece:
        """Encode one chunk in this process; arguments as in ``parse``."""

    @abc.abstractmethod
    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of sequences (n, T) int64; None for an unfinished one."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``from_dict``."""

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The codec that ``to_dict`` described."""

    @property
    def size(self) -> int:
        """V, the number of entries: rules, or characters and the end mark."""
        return self.constraint.size

    @property
    def max_steps(self) -> int:
        """T, the longest sequence: rules, or characters and the end mark."""
        return self.constraint.max_steps

    @property
    def longest(self) -> str:
        """How long a text may be, in words."""
        return f"{self.max_steps} {self.entry}"

    @property
    def items(self) -> str:
        """What is encoded, as people call it, in the plural."""
        return "texts" if self.spelling == "text" else "molecules"

    @property
    def slots(self) -> dict[str, Any]:
        """What encoders and decoders are built for, by the names of their arguments."""
        return {"size": self.size, "max_steps": self.max_steps, "constraint": self.constraint}

    @property
    def counts(self) -> dict[str, int]:
        """What is to be known of it in numbers."""
        return {"rules": self.size, "max_steps": self.max_steps}

    def groups(self, x: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Sequences (n, T) in groups that are fast to encode: rows (m,), and those (m, t).

        Those of like length are together, cut to the longest: padding costs time.
        """
        lengths = (x >= 0).sum(1)
        for rows in torch.split(lengths.argsort(), most):
            if len(rows):  # of no sequences torch.split makes one empty part
                yield rows, x[rows, : max(1, int(lengths[rows].max()))]

    def agreement(
        self, given: Sequence[str | None], found: Sequence[str | None]
    ) -> dict[str, Any]:
        """How well texts came back, for a card: ``reconstruction``, the share that is the same."""
        same = sum(a == b for a, b in zip(given, found, strict=True))
        return {"reconstruction": same / len(given)}

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides how an item is encoded."""
        known = [self.to_dict(), valence_digest(), version("rdkit"), version("molae")]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def parse(self, items: Sequence[str], workers: int = 1, prepared: bool = False) -> Encoding:
        """Encode what can be encoded, and say why the rest cannot.

        Args:
            items: Texts.
            workers: Processes (joblib); with 1 all is done here.
            prepared: The texts are spelt as the codec wants them already (Kekule SMILES).
        """
        if workers == 1 or len(items) <= CHUNK:
            pieces = [
                self.chunk(items[i : i + CHUNK], prepared) for i in range(0, len(items), CHUNK)
            ]
        else:
            work = partial(_chunk_elsewhere, type(self), json.dumps(self.to_dict()), prepared)
            pieces = list(map_chunks(work, items, workers, CHUNK))
        return _gather(pieces)

    def encode(self, items: Sequence[str]) -> Tensor:
        """Sequences (n, T) int64, padded with ``PAD``.

        Raises:
            EncodeError: If an item cannot be encoded; ``parse`` goes on instead.
        """
        encoding = self.parse(items)
        if encoding.rejects:
            raise EncodeError(encoding.rejects)
        return encoding.padded()


def spelt(text: str, spelling: str) -> str:
    """A text as a codec wants it.

    Args:
        text: What was given.
        spelling: ``kekule`` (canonical Kekule SMILES), ``aromatic`` (canonical SMILES) or ``text``
            (as it is, but for blanks around it).

    Raises:
        MoleculeError: A molecule is expected, and it is none, or has no such form.
    """
    if spelling == "kekule":
        return kekule(text)
    if spelling == "aromatic":
        return write(read(text))
    return text.strip()


def spelt_each(
    items: Sequence[str], spell: Callable[[str], str]
) -> tuple[list[str], NDArray[np.int64], list[Reject]]:
    """Every item as a codec wants it: texts, their places, and rejects."""
    texts: list[str] = []
    rows: list[int] = []
    rejects: list[Reject] = []
    for row, item in enumerate(items):
        try:
            texts.append(spell(item))
            rows.append(row)
        except MoleculeError as error:
            detail = f": {error.detail}" if error.detail else ""
            rejects.append(Reject(row, item, "", error.reason + detail))
    return texts, np.array(rows, dtype=np.int64), rejects


def _gather(pieces: Sequence[Piece]) -> Encoding:
    """Join the chunks, counting places from the beginning of the whole list."""
    rules = np.concatenate([np.zeros(0, np.uint16), *(piece.rules for piece in pieces)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(piece.lengths for piece in pieces)])
    kept, base = [np.zeros(0, np.int64)], 0
    rejects: list[Reject] = []
    for piece in pieces:
        kept.append(piece.kept + base)
        rejects += [replace(reject, index=base + reject.index) for reject in piece.rejects]
        base += len(piece.kept) + len(piece.rejects)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoding(rules, offsets, np.concatenate(kept), rejects)


@lru_cache(maxsize=4)
def _codec_from_json(kind: type[SequenceCodec], text: str) -> SequenceCodec:
    return kind.from_dict(json.loads(text))


def _chunk_elsewhere(
    kind: type[SequenceCodec], text: str, prepared: bool, items: Sequence[str]
) -> Piece:
    """``chunk`` in a worker process, which keeps the codec from call to call."""
    torch.set_num_threads(1)
    return _codec_from_json(kind, text).chunk(items, prepared)
