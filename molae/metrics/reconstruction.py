"""How often a text comes back from its code, and how sure that number is."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Two-sided 95 % point of the standard normal distribution.
_Z95 = 1.959963984540054


def exact_share(
    wanted: Sequence[str | None], found: Sequence[str | None], lost: int = 0
) -> float | None:
    """Share of texts that came back as they were.

    Args:
        wanted: n texts that were encoded, spelt canonically.
        found: What came back for each, spelt so too, or None for nothing, which never counts.
        lost: Texts that could not even be encoded: misses as well.

    Returns:
        0 to 1, or None where nothing was tried.

    Raises:
        ValueError: The two lists differ in length.
    """
    return decoding_share(wanted, found, 1, lost)


def decoding_share(
    wanted: Sequence[str | None], found: Sequence[str | None], each: int, lost: int = 0
) -> float | None:
    """Share of decodings that gave the text back, where each text was decoded several times.

    The protocol of Kusner, Paige and Hernandez-Lobato, *Grammar variational autoencoder*, ICML
    2017, section 4.4: every molecule is encoded several times, each code is decoded several times,
    and the share is taken over all decodings of all molecules.

    Args:
        wanted: n texts that were encoded.
        found: n * ``each`` texts, the decodings of one text beside each other; None is a miss.
        each: Decodings of a text, over all its encodings.
        lost: Texts that could not be encoded: all their decodings are misses.

    Returns:
        0 to 1, or None where nothing was tried.

    Raises:
        ValueError: There are not ``each`` decodings for every text.
    """
    if each < 1 or len(found) != each * len(wanted):
        raise ValueError(
            f"{len(found)} decodings of {len(wanted)} texts; expected {each} for each of them"
        )
    tried = (len(wanted) + lost) * each
    if not tried:
        return None
    hits = sum(
        text is not None and text == wanted[place // each] for place, text in enumerate(found)
    )
    return hits / tried


def interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of independent trials.

    Wilson's score interval (Wilson 1927, as recommended by Brown, Cai and DasGupta 2001), which
    stays inside 0 and 1 and says something of 0 of n and of n of n.

    Args:
        share: Of the trials that succeeded.
        count: Trials, at least 1.

    Raises:
        ValueError: There were no trials, or the share is none.
    """
    if count < 1 or not 0 <= share <= 1:
        raise ValueError(f"share {share} of {count} trials; expected 0 to 1 of at least one")
    square = _Z95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _Z95 / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    # At the ends the formula is exact, and rounding is not.
    low = 0.0 if share == 0 else max(0.0, middle - half)
    return low, 1.0 if share == 1 else min(1.0, middle + half)
