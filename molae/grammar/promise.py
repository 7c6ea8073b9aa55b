"""For which grammars the attributes apply, and for which every drawn string is a molecule."""

from __future__ import annotations

from molae.grammar.cfg import Grammar
from molae.grammar.smiles import rule_tokens


def has_attributes(grammar: Grammar) -> bool:
    """Whether valence and ring bonds can be tracked.

    They can where the grammar says ``#: spelling = kekule`` and every rule begins with its only
    terminal, or is the empty end of the molecule.
    """
    if grammar.directives.get("spelling") != "kekule":
        return False
    for rule in grammar.rules:
        spelled = [symbol < 0 for symbol in rule.rhs]
        if any(spelled[1:]) or (rule.rhs and not spelled[0]):
            return False
    return any(token is not None and token.capacity for token in rule_tokens(grammar))
