"""Between text and left-most derivations, for any context-free grammar.

``derive`` parses bottom up where a text turns out to have one derivation only, and otherwise with
NLTK's chart parsers, which take left recursion, empty rules and ambiguity; ``spell`` goes back. A
grammar in which one token of look-ahead settles the rule is parsed thousands of times faster than
by a chart by the batched machine; all give the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from molae.grammar.cfg import Grammar
from molae.grammar.chart import Deriver
from molae.grammar.tokens import DerivationError, Token, tokenize

__all__ = [
    "DerivationError",
    "Deriver",
    "SpellingError",
    "Token",
    "derive",
    "spell",
    "tokenize",
]


class SpellingError(ValueError):
    """A sequence of rules that is not a complete left-most derivation."""


def derive(grammar: Grammar, text: str) -> list[int]:
    """The left-most derivation of a text, as rule ids.

    Raises:
        DerivationError: The grammar does not generate this text.
    """
    return Deriver(grammar)(text)


def spell(grammar: Grammar, rules: Sequence[int]) -> str:
    """What a left-most derivation generates: exactly its terminals, with nothing between them.

    Raises:
        SpellingError: A rule does not replace the left-most non-terminal, or rules are left over
            or missing.
    """
    words: list[str] = []
    stack = [grammar.start]
    for step, index in enumerate(rules):
        _emit(grammar, stack, words)
        _check_step(grammar, stack, step, index)
        stack.pop()
        stack.extend(reversed(grammar.rules[index].rhs))
    _emit(grammar, stack, words)
    if stack:
        wanted = grammar.nonterminals[stack[-1]]
        raise SpellingError(
            f"incomplete after {len(rules)} rules: {wanted} is still to be replaced"
        )
    return "".join(words)


def _emit(grammar: Grammar, stack: list[int], words: list[str]) -> None:
    """Move the terminals on top of the stack to the words."""
    while stack and stack[-1] < 0:
        words.append(grammar.terminals[-1 - stack.pop()])


def _check_step(grammar: Grammar, stack: list[int], step: int, index: int) -> None:
    if not 0 <= index < grammar.size:
        raise SpellingError(f"step {step}: there is no rule {index}, only 0 to {grammar.size - 1}")
    if not stack:
        raise SpellingError(f"step {step}: complete already, got {grammar.rule_text(index)!r}")
    if grammar.rules[index].lhs != stack[-1]:
        raise SpellingError(
            f"step {step}: the left-most non-terminal is {grammar.nonterminals[stack[-1]]}, "
            f"got the rule {grammar.rule_text(index)!r}"
        )
