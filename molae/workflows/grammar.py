"""Looking at grammars: what they can do, how they derive a text, what they write at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from molae.codecs import MAX_STEPS, GrammarCodec
from molae.grammar.derivation import derive
from molae.grammar.promise import has_attributes
from molae.grammar.report import Report, report
from molae.workflows.data import named_grammar


@dataclass(frozen=True)
class Checked:
    """What ``check`` found.

    Attributes:
        report: Sizes, form and faults of the grammar.
        guaranteed: Whether every text it writes is a valid molecule.
        why: The reason, a sentence.
    """

    report: Report
    guaranteed: bool
    why: str

    def lines(self) -> list[str]:
        """The report as plain text, one finding to a line."""
        promise = "guaranteed" if self.guaranteed else "not guaranteed"
        return [*self.report.lines(), f"valid molecules  {promise}: {self.why}"]


def check(name: str | Path) -> Checked:
    """What a grammar can do and what is wrong with it.

    Args:
        name: A shipped name or a file.

    Raises:
        GrammarError: The file is no grammar; the message points at the place.
        ValueError: There is neither such a name nor such a file.
    """
    grammar = named_grammar(name)
    spelling = grammar.directives.get("spelling", "text")
    if has_attributes(grammar):
        why = "free valence and ring bonds are tracked by the spelling of the terminals"
    elif spelling == "text":
        why = "its texts are not said to be molecules (no line '#: spelling = kekule')"
    elif spelling == "aromatic":
        why = "no local rule can promise that aromatic rings have a Kekulé form"
    else:
        why = "a rule holds more than one terminal, or one that is not in front"
    return Checked(report(grammar), has_attributes(grammar), why)


def parse(name: str | Path, text: str) -> list[str]:
    """The rules of the left-most derivation of a text, as written in the grammar.

    Molecules are first spelt as the grammar wants them.

    Args:
        name: A shipped name or a file.
        text: A SMILES, or whatever the grammar describes.

    Raises:
        DerivationError: The grammar does not generate it; the message points at the place.
        MoleculeError: It is no molecule.
    """
    grammar = named_grammar(name)
    codec = GrammarCodec(grammar, max(MAX_STEPS, int(grammar.min_steps[grammar.start])))
    return [grammar.rule_text(rule) for rule in derive(grammar, codec.prepare(text))]


def sample(
    name: str | Path,
    n: int,
    *,
    seed: int = 0,
    max_steps: int = 100,
) -> list[str | None]:
    """Texts made by taking any legal rule with the same probability.

    Args:
        name: A shipped name or a file.
        n: How many.
        seed: Of the choices; the i-th text depends on it and on i only.
        max_steps: Rules within which each derivation ends.

    Raises:
        ValueError: n is negative, or no derivation is as short as ``max_steps``.
    """
    if n < 0:
        raise ValueError(f"n is {n}; expected 0 or more")
    codec = GrammarCodec(named_grammar(name), max_steps)
    constraint = codec.constraint
    texts: list[str | None] = []
    for first in range(0, n, 4096):
        index = torch.arange(first, min(n, first + 4096))
        state = constraint.start(len(index))
        logits = torch.zeros(len(index), codec.size)
        rules = []
        for step in range(max_steps):
            now = torch.full_like(index, step)
            rule = constraint.choose(state, logits, seed=seed, index=index, step=now)
            rules.append(rule)
            state = constraint.advance(state, rule)
        texts += codec.decode(torch.stack(rules, 1))
    return texts
