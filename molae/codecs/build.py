"""Codecs from what is saved, from what is shipped, and from what a data set needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molae.codecs.characters import CharacterCodec
from molae.codecs.grammar import MAX_STEPS, GrammarCodec
from molae.codecs.images import ImageCodec
from molae.grammar.cfg import Grammar
from molae.grammar.restrict import restricted, tokens_of
from molae.resources import grammar_text

#: Every codec there is.
AnyCodec = GrammarCodec | CharacterCodec | ImageCodec


def codec_from_dict(saved: dict[str, Any]) -> AnyCodec:
    """The codec that ``to_dict`` described.

    Raises:
        ValueError: If the kind is unknown.
        GrammarError: If the text of a grammar and its digest do not agree.
    """
    if saved.get("kind") == "characters":
        return CharacterCodec.from_dict(saved)
    if saved.get("kind") == "grammar":
        return GrammarCodec.from_dict(saved)
    if saved.get("kind") == "images":
        return ImageCodec.from_dict(saved)
    raise ValueError(
        f"codec of kind {saved.get('kind')!r}: expected 'grammar', 'characters' or 'images'"
    )


def shipped_codec(name: str, max_steps: int = MAX_STEPS) -> GrammarCodec:
    """The codec of a shipped grammar, unrestricted (``smiles``, ``zinc``, ``equation``)."""
    return GrammarCodec(Grammar.from_text(grammar_text(name), name), max_steps)


def head_room(longest: int) -> int:
    """Steps for derivations a little longer than those of some data."""
    return min(max(MAX_STEPS, longest), longest + max(10, longest // 4))


def restricted_codec(kekule_texts: Sequence[str], *, max_steps: int | None = None) -> GrammarCodec:
    """The codec of the restricted grammar that some Kekule SMILES need.

    Args:
        kekule_texts: As ``GrammarCodec.decode`` of the general codec gives them.
        max_steps: Longest derivation; None takes the longest given and a quarter more.
    """
    grammar = restricted(tokens_of(kekule_texts))
    longest = GrammarCodec(grammar).parse(list(kekule_texts), prepared=True)
    steps = int(np.diff(longest.offsets).max()) if len(longest.kept) else 1
    return GrammarCodec(grammar, max_steps or head_room(steps))
