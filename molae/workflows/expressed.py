"""What a codec can write and read, in words: elements, charges, stereo, length, and its limits."""

from __future__ import annotations

import re

from molae.codecs import AnyCodec, CharacterCodec, ImageCodec

#: An atom among the terminals: in brackets, whole or aromatic, or an element's symbol by itself.
_ATOM = re.compile(r"\[\d*([A-Z][a-z]?|[a-z]{1,2}).*\]|([A-Z][a-z]?|[bcnops])")
#: Elements in the order in which chemists name them; all others follow by the alphabet.
_ORDER = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "B")
#: More elements than these are counted, not listed.
_LISTED = 20


def expressed(codec: AnyCodec) -> str:
    """Elements, and whether charges, isotopes, stereo and mixtures can be written.

    Of images their size; "" where texts are no molecules, or the codec writes characters and knows
    no atoms.
    """
    if isinstance(codec, ImageCodec):
        colours = "colour" if codec.channels == 3 else "grey"
        return f"{colours} images, {codec.height} x {codec.width} pixels, 8 bits a value"
    if isinstance(codec, CharacterCodec) or codec.spelling == "text":
        return ""
    words = codec.grammar.terminals
    found = elements(words)
    named = " ".join(found) if len(found) <= _LISTED else f"{len(found)} elements"
    can = [label for label, sign in _SIGNS.items() if any(sign.search(word) for word in words)]
    cannot = [label for label in _SIGNS if label not in can]
    parts = [named, ", ".join(can), f"no {', '.join(cannot)}" if cannot else ""]
    return "; ".join(filter(None, parts))


#: What a terminal looks like that something can be written with.
_SIGNS = {
    "charges": re.compile(r"\+"),
    "isotopes": re.compile(r"^\[\d|^0$"),  # spelt out, digits inside a bracket begin with 0
    "stereocentres": re.compile(r"@"),
    "cis and trans bonds": re.compile(r"/"),
    "mixtures": re.compile(r"^\.$"),
}


def elements(terminals: tuple[str, ...] | list[str]) -> list[str]:
    """Symbols of the elements that terminals name, hydrogen left out, usual ones first."""
    matches = [match for word in terminals if (match := _ATOM.fullmatch(word))]
    symbols = {(match[1] or match[2]).capitalize() for match in matches} - {"H"}
    return [*(s for s in _ORDER if s in symbols), *sorted(symbols.difference(_ORDER))]


def longest(codec: AnyCodec) -> str:
    """How long a text may be; "" for images."""
    if isinstance(codec, ImageCodec):
        return ""
    if isinstance(codec, CharacterCodec):
        return f"{codec.max_steps - 1} characters"
    if codec.spelling == "kekule" and codec.constraint.attributes:
        return f"{codec.max_steps - 1} tokens of Kekulé SMILES"
    return f"{codec.max_steps} rules"


def limits(codec: AnyCodec) -> str:
    """What it refuses, and what to do about that."""
    if isinstance(codec, ImageCodec):
        other = "brought to this one" if codec.resize else "rejected"
        return f"images of another size are {other}"
    if isinstance(codec, CharacterCodec):
        return "any text of its characters may come out, whether it is a molecule or not"
    if codec.spelling == "text":
        return ""
    refused = "what is not among these rules, or longer, is rejected with its reason"
    if not codec.constraint.attributes:
        return f"{refused}; validity is not promised"
    return f"{refused}; valid is not plausible: see --filters and --require of molae generate"
