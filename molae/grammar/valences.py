"""Reads the capacities that ``molae/chem/valence.py`` asked RDKit for."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TypedDict

from molae.resources import valence_text


class _Table(TypedDict):
    """The file ``grammars/valence.json``, see ``molae/chem/valence.py``."""

    rdkit: str
    organic: dict[str, int]
    elements: dict[str, int]
    classes: list[dict[str, list[int]]]


@lru_cache(maxsize=1)
def _table() -> _Table:
    table: _Table = json.loads(valence_text())
    return table


@lru_cache(maxsize=1)
def organic_capacities() -> dict[str, int]:
    """The largest sum of bond orders of each atom that is written without brackets."""
    return _table()["organic"]


@lru_cache(maxsize=1)
def bracket_classes() -> dict[str, dict[tuple[int, int], list[int]]]:
    """For each element: {(explicit hydrogens, charge): admissible sums of bond orders}."""
    table = _table()
    classes = [{_pair(key): sums for key, sums in entry.items()} for entry in table["classes"]]
    return {symbol: classes[index] for symbol, index in table["elements"].items()}


def _pair(key: str) -> tuple[int, int]:
    """Hydrogens and charge, as in ``"1,-2"``."""
    hydrogens, charge = key.split(",")
    return int(hydrogens), int(charge)


def digest() -> str:
    """SHA-256 of the table, 64 hexadecimal digits."""
    return hashlib.sha256(valence_text().encode()).hexdigest()
