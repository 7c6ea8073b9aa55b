"""For which grammars the attributes apply, and for which every drawn string is a molecule."""

from __future__ import annotations

from molae.grammar.cfg import Grammar
from molae.grammar.restrict import CORE, restricted
from molae.grammar.smiles import rule_tokens
from molae.resources import grammar_text

#: Steps that one rule may add to the shortest way to the end, see ``smiles.MAX_SLACK``.
LARGEST_PRICE = 20


def has_attributes(grammar: Grammar) -> bool:
    """Whether valence and ring bonds can be tracked.

    They can where the grammar says ``#: spelling = kekule`` and every rule begins with its only
    terminal, or is the empty end of the molecule, and pushes little (prices are small numbers).
    """
    if grammar.directives.get("spelling") != "kekule":
        return False
    steps = grammar.min_steps
    for rule in grammar.rules:
        spelled = [symbol < 0 for symbol in rule.rhs]
        if any(spelled[1:]) or (rule.rhs and not spelled[0]):
            return False
        if 1 + sum(int(steps[s]) for s in rule.rhs[1:]) - int(steps[rule.lhs]) > LARGEST_PRICE:
            return False
    return any(token is not None and token.capacity for token in rule_tokens(grammar))


def promise(grammar: Grammar) -> tuple[bool, str]:
    """Whether every string drawn with all masks on is a molecule, and why (not).

    The promise rests on there being a way to end every molecule that was begun (see
    ``attribute_table.py``), so it is given for ``smiles.cfg``, for what is left of it when some
    tokens are taken out everywhere, and for the grammars that ``restrict.py`` makes.
    """
    if not has_attributes(grammar):
        return False, (
            "valence and ring bonds are tracked only where the text says '#: spelling = kekule' "
            "and every rule begins with its only terminal"
        )
    missing = sorted(CORE - set(grammar.terminals))
    if missing:
        return False, f"tokens that end every molecule are missing: {' '.join(missing)}"
    own = set(_texts(grammar))
    general = Grammar.from_text(grammar_text("smiles"), "smiles")
    kept = {
        text
        for text, rule in zip(_texts(general), general.rules, strict=True)
        if not rule.rhs or general.terminals[-1 - rule.rhs[0]] in grammar.terminals
    }
    for name, rules in (("smiles.cfg", kept), ("a restriction of it", None)):
        expected = rules if rules is not None else set(_texts(restricted(grammar.terminals)))
        if own == expected:
            return True, f"the rules are those of {name}: valence, ring bonds and length are kept"
        odd = sorted(own - expected)[:1] or sorted(expected - own)[:1]
    return False, f"not shown to end every molecule: it differs from smiles.cfg in {odd[0]}"


def _texts(grammar: Grammar) -> list[str]:
    return [grammar.rule_text(index) for index in range(grammar.size)]
