"""Grammars: text to rules, parsing to left-most derivations, the batched grammar machine."""
