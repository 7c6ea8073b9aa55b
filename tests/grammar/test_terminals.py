"""What terminals say of what a grammar can write."""

from __future__ import annotations

import pytest

from molae.grammar.terminals import elements, expressed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("[C@@H]", "Br", "[13C]", "(", "1", "[N+]"), ["C", "N", "Br"]),
        (("[nH]", "c", "[se]", "Cl", "H", "[H]"), ["C", "N", "Cl", "Se"]),
        (("=", "%1", "/"), []),
    ],
)
def test_elements(words, expected):
    assert elements(words) == expected


def test_in_words():
    said = expressed(["C", "O", "[N+]", "/", "("])
    assert said == "C N O; charges, cis and trans bonds; no isotopes, stereocentres, mixtures"
    assert expressed(["=", "("]).startswith("no charges")
    assert expressed(["C", "."]).startswith("C; mixtures; no charges")
