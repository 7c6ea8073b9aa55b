"""Splitting data: by a hash of each item, stable for ever, or into exact numbers with a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from molae.pictures import is_image, key_of, pixels_of

Keys = NDArray[np.uint64]
Rows = NDArray[np.int64]


def text_key(text: str) -> int:
    """A 64-bit number that depends on nothing but the text (BLAKE2b).

    For the text of an image on nothing but its pixels, however they were packed.
    """
    if is_image(text):
        with suppress(ValueError):  # a damaged one is a text like any other
            return key_of(pixels_of(text))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def text_keys(items: Iterable[str]) -> Keys:
    """The keys of many texts, (n,) uint64."""
    return np.fromiter((text_key(text) for text in items), np.uint64)


def split_by_key(keys: Keys, fractions: Mapping[str, float], seed: int = 0) -> dict[str, Rows]:
    """Divide rows by their keys: the same text always falls into the same part.

    Reordering the data, adding to it or repeating items moves nothing to another part.

    Args:
        keys: (n,) uint64, see ``text_keys``.
        fractions: Parts in order and their expected shares, which add up to 1.
        seed: Another seed gives another, independent division.

    Returns:
        For each part its rows, ascending, int64.

    Raises:
        ValueError: Shares are negative or do not add up to 1.
    """
    shares = list(fractions.values())
    if not shares or min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"shares {dict(fractions)} must be at least 0 and add up to 1")
    place = _mixed(keys, seed).astype(np.float64) / 2.0**64  # (n,) in [0, 1]
    edges = np.cumsum(shares)[:-1]
    part = np.searchsorted(edges, place, side="right")
    return {name: np.flatnonzero(part == i) for i, name in enumerate(fractions)}


def split_by_text(
    items: Iterable[str], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, Rows]:
    """Divide texts by their hashes; see ``split_by_key``."""
    return split_by_key(text_keys(items), fractions, seed)


def split_by_count(n: int, counts: Mapping[str, int | None], seed: int = 0) -> dict[str, Rows]:
    """Divide n rows at random into parts of exact size.

    Args:
        n: Number of rows.
        counts: Size of each part; one of them may be None and takes the rest. Rows that are left
            when all sizes are given belong to no part.
        seed: Another seed gives another division.

    Returns:
        For each part its rows, ascending, int64.

    Raises:
        ValueError: There are not that many rows, or several parts ask for the rest.
    """
    asked = sum(count for count in counts.values() if count is not None)
    rest = [name for name, count in counts.items() if count is None]
    if len(rest) > 1:
        raise ValueError(f"only one part can take the rest, and {rest} want it")
    if asked > n or any(count is not None and count < 0 for count in counts.values()):
        raise ValueError(f"cannot take {dict(counts)} from {n} rows; ask for fewer")
    order = np.random.default_rng(seed).permutation(n)
    parts, start = {}, 0
    for name, count in counts.items():
        size = n - asked if count is None else count
        parts[name] = np.sort(order[start : start + size]).astype(np.int64)
        start += size
    return parts


def _mixed(keys: Keys, seed: int) -> Keys:
    """Keys stirred with a seed; the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    offset = np.uint64(((seed + 1) * 0x9E3779B97F4A7C15) % 2**64)
    with np.errstate(over="ignore"):
        z = keys.astype(np.uint64) + offset
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
