"""Cuts many texts into tokens at once: the longest terminal at each place, as array operations.

The terminals form a trie over bytes. It is walked from every byte of the text at the same time, so
the work is a handful of table look-ups a byte; which of the matches are tokens is then found by
hopping from token to token in all texts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """Tokens of n texts.

    Attributes:
        ids: (n, L) terminal ids; -1 after the end of a text, and from where it is unreadable.
        places: (n, L) where in the text each token begins, in bytes.
        stuck: (n,) byte at which no terminal matches, -1 if there is none.
    """

    ids: Ints
    places: Ints
    stuck: Ints


class Lexer:
    """Maximal munch over a fixed set of terminals.

    Args:
        terminals: Their spellings; empty ones are left out.
        skip: Bytes that may stand between tokens and mean nothing.
    """

    def __init__(self, terminals: Sequence[str], skip: bytes = b"") -> None:
        self._skip = np.frombuffer(skip, dtype=np.uint8)
        nodes: list[dict[int, int]] = [{}]
        accepts = [-1]
        for number, spelling in enumerate(terminals):
            node = 0
            for byte in spelling.encode():
                if byte not in nodes[node]:
                    nodes[node][byte] = len(nodes)
                    nodes.append({})
                    accepts.append(-1)
                node = nodes[node][byte]
            if node:
                accepts[node] = number
        # Node 0 is the root and, as a target, "no match": nothing leads back to it.
        table = np.zeros((len(nodes) + 1, 256), dtype=np.int32)
        for node, arrows in enumerate(nodes):
            for byte, target in arrows.items():
                table[node, byte] = target
        self._table = table
        self._dead = len(nodes)
        self._accepts = np.array([*accepts, -1], dtype=np.int64)
        self._longest = max((len(s.encode()) for s in terminals), default=0)

    def matches(self, text: NDArray[np.uint8]) -> tuple[Ints, Ints]:
        """The longest terminal at every byte: ids (N,), -1 for none, and lengths (N,)."""
        node = np.zeros(len(text), dtype=np.int64)
        found = np.full(len(text), -1, dtype=np.int64)
        length = np.zeros(len(text), dtype=np.int64)
        padded = np.concatenate([text, np.zeros(self._longest, dtype=np.uint8)])
        for step in range(self._longest):
            node = self._table[node, padded[step : step + len(text)]].astype(np.int64)
            node[node == 0] = self._dead
            accepted = self._accepts[node]
            hit = accepted >= 0
            found[hit] = accepted[hit]
            length[hit] = step + 1
        return found, length

    def read(self, texts: Sequence[str]) -> Tokens:
        """Cut every text into tokens."""
        encoded = [text.encode() for text in texts]
        sizes = np.array([len(e) for e in encoded], dtype=np.int64)
        ends = np.cumsum(sizes + 1) - 1
        begins = ends - sizes
        # A zero byte ends each text, so that no terminal reaches into the next one.
        flat = np.frombuffer(b"\0".join([*encoded, b""]), dtype=np.uint8)
        found, length = self.matches(flat)
        goes_on = self._goes_on(flat)
        place = goes_on[begins]
        ids: list[Ints] = []
        places: list[Ints] = []
        live = np.arange(len(texts))
        while len(live := live[found[place[live]] >= 0]):
            here = place[live]
            row, where = np.full((2, len(texts)), -1, dtype=np.int64)
            row[live], where[live] = found[here], here - begins[live]
            ids.append(row)
            places.append(where)
            place[live] = goes_on[here + length[here]]
        stuck = np.where(place < ends, place - begins, -1)
        empty = np.zeros((len(texts), 0), dtype=np.int64)
        return Tokens(
            np.stack(ids, 1) if ids else empty, np.stack(places, 1) if places else empty, stuck
        )

    def _goes_on(self, flat: NDArray[np.uint8]) -> Ints:
        """Where reading goes on from each byte: there, or behind the blanks that stand there."""
        places = np.arange(len(flat))
        if len(self._skip):
            places[np.isin(flat, self._skip)] = len(flat)
            places = np.minimum.accumulate(places[::-1])[::-1]
        return places
