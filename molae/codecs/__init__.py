"""Codecs: objects to tensors and back, each with the constraint that its decoder obeys.

A codec is text and numbers only (``to_dict``), so weights and vocabulary are saved together and
never part.
"""

from molae.codecs.base import Codec, EncodeError, Encoding, Reject, SequenceCodec
from molae.codecs.build import (
    AnyCodec,
    codec_from_dict,
    head_room,
    restricted_codec,
    shipped_codec,
)
from molae.codecs.characters import CharacterCodec, CharacterConstraint, CharacterState
from molae.codecs.grammar import MAX_STEPS, GrammarCodec
from molae.codecs.images import ImageCodec, ImageEncoding

__all__ = [
    "MAX_STEPS",
    "AnyCodec",
    "CharacterCodec",
    "CharacterConstraint",
    "CharacterState",
    "Codec",
    "EncodeError",
    "Encoding",
    "GrammarCodec",
    "ImageCodec",
    "ImageEncoding",
    "Reject",
    "SequenceCodec",
    "codec_from_dict",
    "head_room",
    "restricted_codec",
    "shipped_codec",
]
