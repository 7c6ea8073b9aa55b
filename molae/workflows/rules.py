"""From the rules of a general grammar to the codec that some data needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from molae.codecs import GrammarCodec, head_room, shipped_codec
from molae.datasets.arrays import SequenceData
from molae.datasets.files import DataError
from molae.grammar.cfg import Grammar
from molae.grammar.parser import deterministic_parser
from molae.grammar.restrict import restricted, tokens_in, tokens_of

#: Sequences turned into text and back at once.
_CHUNK = 4096


def whole(grammar: Grammar) -> GrammarCodec:
    """The codec that files are encoded with first, where a run has a grammar already.

    Where that was cut out of ``smiles``, it is ``smiles`` as a whole.
    """
    if grammar.text == restricted(tokens_in(grammar)).text:
        return shipped_codec("smiles")
    return GrammarCodec(grammar)


def needed(
    general: GrammarCodec,
    data: SequenceData,
    base: GrammarCodec | None = None,
    wanted: int | None = None,
) -> GrammarCodec:
    """The codec with the rules that the data needs, and those of the one that it grows.

    Args:
        general: What the data is encoded with; only the shipped ``smiles`` is restricted.
        data: Sequences, at least one.
        base: To be grown; None for none.
        wanted: Longest derivation; None takes the longest of the data and a quarter more, and
            not less than that of ``base``.
    """
    same = base is not None and base.grammar.digest == general.grammar.digest
    if general.grammar.name != "smiles" or same:
        return _codec(general.grammar, wanted or head_room(int(data.lengths.max())), base)
    tokens: set[str] = set() if base is None else tokens_in(base.grammar)
    for texts in _texts(general, data):
        tokens |= tokens_of(texts)
    grammar = restricted(tokens)
    longest = max(
        int((rules >= 0).sum(1).max()) for rules in _parsed(grammar, _texts(general, data))
    )
    return _codec(grammar, wanted or head_room(longest), base)


def recoded(general: GrammarCodec, data: SequenceData, codec: GrammarCodec) -> SequenceData:
    """The same texts in the rules of another codec.

    Raises:
        DataError: It cannot spell one of them.
    """
    if codec.grammar.digest == general.grammar.digest:
        return data
    flat, lengths = [], []
    for rules in _parsed(codec.grammar, _texts(general, data)):
        flat.append(rules[rules >= 0].astype(np.uint16))
        lengths.append((rules >= 0).sum(1))
    length = np.concatenate(lengths).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return SequenceData(np.concatenate(flat), offsets, keys=data.keys)


def _texts(general: GrammarCodec, data: SequenceData) -> Iterator[list[str]]:
    """The texts behind sequences, some at a time, spelt as the grammar wants them."""
    for first in range(0, len(data), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(data)))
        found = general.decode(torch.from_numpy(data.array(rows)))
        yield [text for text in found if text is not None]


def _codec(grammar: Grammar, steps: int, base: GrammarCodec | None) -> GrammarCodec:
    if base is None:
        return GrammarCodec(grammar, steps)
    old = base.constraint
    return GrammarCodec(
        grammar,
        max(steps, base.max_steps),
        stack=old.stack,
        budget=old.budget,
        attributes=old.wanted,
    )


def _parsed(grammar: Grammar, texts: Iterator[list[str]]) -> Iterator[NDArray[np.int64]]:
    """Rules (n, T) of texts that the grammar was made for.

    The attributes need not be looked at again: the general table has passed these texts, and the
    restricted one spells the same tokens.
    """
    parser = deterministic_parser(grammar)
    if parser is None:
        raise ValueError(f"{grammar.name} needs more than one token of look-ahead")
    for piece in texts:
        parsed = parser.parse(piece)
        if parsed.failures:
            row, why = next(iter(parsed.failures.items()))
            raise DataError(f"{piece[row]!r} does not fit the grammar of its own data: {why}")
        yield parsed.rules
