"""Shipped files are found by the names that people type."""

from __future__ import annotations

import pytest

from molae import resources


def test_grammars():
    assert {"equation", "smiles", "zinc"} <= set(resources.grammar_names())
    for name in resources.grammar_names():
        assert "->" in resources.grammar_text(name)


def test_cards_and_data_are_readable():
    for name in resources.card_names():
        assert resources.card_text(name).lstrip().startswith(("{", "["))
    for name in resources.data_names():
        with resources.data_path(name) as path:
            assert path.stat().st_size > 0
    for name in resources.weights_names():
        with resources.weights_path(name) as path:
            assert (path / "config.json").is_file()


def test_unknown_names_are_answered_with_the_right_ones():
    with pytest.raises(resources.ResourceError, match=r"did you mean 'equation'\?.*zinc"):
        resources.grammar_text("equatoin")
    with pytest.raises(resources.ResourceError, match="no data card named"):
        resources.card_text("nothing like it")
    with pytest.raises(resources.ResourceError, match="data file"), resources.data_path("a.smi"):
        pass
    with (
        pytest.raises(resources.ResourceError, match="trained model"),
        resources.weights_path("a"),
    ):
        pass
