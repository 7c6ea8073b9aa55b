"""Reads the capacities that ``molae/chem/valence.py`` asked RDKit for."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from molae.resources import valence_text


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = json.loads(valence_text())
    return table


@lru_cache(maxsize=1)
def organic_capacities() -> dict[str, int]:
    """The largest sum of bond orders of each atom that is written without brackets."""
    return {symbol: int(str(top)) for symbol, top in _table()["organic"].items()}


@lru_cache(maxsize=1)
def bracket_classes() -> dict[str, dict[tuple[int, int], list[int]]]:
    """For each element: {(explicit hydrogens, charge): admissible sums of bond orders}."""
    table = _table()
    classes = [
        {tuple(map(int, key.split(","))): sums for key, sums in entry.items()}
        for entry in table["classes"]
    ]
    return {symbol: classes[int(str(index))] for symbol, index in table["elements"].items()}  # type: ignore[misc]


def digest() -> str:
    """SHA-256 of the table, 64 hexadecimal digits."""
    return hashlib.sha256(valence_text().encode()).hexdigest()
