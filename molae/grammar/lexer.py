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
    """

    def __init__(self, terminals: Sequence[str]) -> None:
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
        ends = np.cumsum(sizes + 1)
        begins = ends - sizes - 1
        # A zero byte ends each text, so that no terminal reaches into the next one.
        flat = np.frombuffer(b"\0".join([*encoded, b""]), dtype=np.uint8)
        found, length = self.matches(flat)
        place = begins.copy()
        stuck = np.full(len(texts), -1, dtype=np.int64)
        ids, places = [], []
        live = np.arange(len(texts))
        while len(live):
            here = place[live]
            token = np.where(here < ends[live] - 1, found[np.minimum(here, len(flat) - 1)], -1)
            bad = (token < 0) & (here < ends[live] - 1)
            stuck[live[bad]] = (here - begins[live])[bad]
            live, here, token = live[token >= 0], here[token >= 0], token[token >= 0]
            if not len(live):
                break
            row = np.full(len(texts), -1, dtype=np.int64)
            row[live] = token
            where = np.full(len(texts), -1, dtype=np.int64)
            where[live] = here - begins[live]
            ids.append(row)
            places.append(where)
            place[live] = here + length[here]
        empty = np.zeros((0, len(texts)), dtype=np.int64)
        return Tokens(
            np.stack(ids, 1) if ids else empty.T,
            np.stack(places, 1) if places else empty.T,
            stuck,
        )
