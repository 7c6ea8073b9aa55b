"""From the characters of every SMILES to the codec that some data needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from molae.codecs import MAX_STEPS, CharacterCodec, head_room
from molae.datasets.arrays import SequenceData
from molae.datasets.files import DataError

#: What is printed of ASCII, blanks left out: all that SMILES are written in.
ALPHABET = "".join(map(chr, range(ord("!"), ord("~") + 1)))


def whole(spelling: str = "aromatic") -> CharacterCodec:
    """The codec that files are encoded with first: with all characters."""
    return CharacterCodec(ALPHABET, MAX_STEPS, spelling)


def needed(
    general: CharacterCodec,
    data: SequenceData,
    base: CharacterCodec | None = None,
    wanted: int | None = None,
) -> CharacterCodec:
    """The codec with the characters of the data, and those of the one that it grows.

    Args:
        general: What the data is encoded with.
        data: Sequences, at least one.
        base: To be grown; None for none.
        wanted: Longest text with its end mark; None takes the longest of the data and a quarter
            more, and not less than that of ``base``.
    """
    counts = np.bincount(_rules(data), minlength=general.size)[:-1]
    used = "".join(c for c, count in zip(general.alphabet, counts, strict=True) if count)
    steps = wanted or head_room(int(data.lengths.max()))
    if base is None:
        return CharacterCodec(used, steps, general.spelling)
    grown = base.alphabet + "".join(c for c in used if c not in base.alphabet)
    return CharacterCodec(grown, max(steps, base.max_steps), base.spelling)


def recoded(general: CharacterCodec, data: SequenceData, codec: CharacterCodec) -> SequenceData:
    """The same texts in the characters of another codec.

    Raises:
        DataError: It has not all of them.
    """
    rules = _rules(data)
    places = {character: code for code, character in enumerate(codec.alphabet)}
    new = [places.get(c, -1) for c in general.alphabet]
    table = np.array([*new, codec.size - 1], dtype=np.int32)
    found = table[rules]
    if (found < 0).any():
        strange = sorted({general.alphabet[code] for code in np.unique(rules[found < 0])})
        raise DataError(
            f"the data has characters that the training was not begun with: {' '.join(strange)}; "
            "train into another folder"
        )
    offsets = np.concatenate([[0], np.cumsum(data.lengths)]).astype(np.int64)
    return SequenceData(found.astype(np.uint16), offsets, keys=data.keys)


def _rules(data: SequenceData) -> NDArray[np.uint16]:
    """All sequences one after the other."""
    return data.flat(np.arange(len(data)))
