"""What can be written with terminals of SMILES: elements, charges, isotopes, stereo, mixtures."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: An atom among the terminals: in brackets, whole or aromatic, or an element's symbol by itself.
_ATOM = re.compile(r"\[\d*([A-Z][a-z]?|[a-z]{1,2}).*\]|([A-Z][a-z]?|[bcnops])")
#: Elements in the order in which chemists name them; all others follow by the alphabet.
_ORDER = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "B")
#: More elements than these are counted, not listed.
_LISTED = 20
#: What a terminal looks like that something can be written with.
_SIGNS = {
    "charges": re.compile(r"\+"),
    "isotopes": re.compile(r"^\[\d|^0$"),  # spelt out, digits inside a bracket begin with 0
    "stereocentres": re.compile(r"@"),
    "cis and trans bonds": re.compile(r"/"),
    "mixtures": re.compile(r"^\.$"),
}


def expressed(terminals: Sequence[str]) -> str:
    """Elements, and whether charges, isotopes, stereo and mixtures can be written."""
    found = elements(terminals)
    named = " ".join(found) if len(found) <= _LISTED else f"{len(found)} elements"
    can = [label for label, sign in _SIGNS.items() if any(sign.search(word) for word in terminals)]
    cannot = [label for label in _SIGNS if label not in can]
    parts = [named, ", ".join(can), f"no {', '.join(cannot)}" if cannot else ""]
    return "; ".join(filter(None, parts))


def elements(terminals: Sequence[str]) -> list[str]:
    """Symbols of the elements that terminals name, hydrogen left out, usual ones first."""
    matches = [match for word in terminals if (match := _ATOM.fullmatch(word))]
    symbols = {(match[1] or match[2]).capitalize() for match in matches} - {"H"}
    return [*(s for s in _ORDER if s in symbols), *sorted(symbols.difference(_ORDER))]
