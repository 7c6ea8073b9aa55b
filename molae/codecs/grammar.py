"""Texts to left-most derivations of a grammar, and back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.chem.valence import disagreements
from molae.codecs.base import (
    NOT_IN_GRAMMAR,
    Piece,
    Reject,
    SequenceCodec,
    spelt,
    spelt_each,
)
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import DerivationError, Deriver, SpellingError, spell
from molae.grammar.machine import GrammarConstraint
from molae.grammar.parser import deterministic_parser
from molae.grammar.terminals import expressed
from molae.resources import valence_text
from molae.types import PAD

#: Longest derivation that a codec takes when nothing else is said; with the general table ZINC
#: needs 113, drugs up to 300.
MAX_STEPS = 400


def _compare_valences() -> None:
    """Warn where the installed RDKit disagrees with the table that the masks stand on."""
    if lines := disagreements(valence_text()):
        warnings.warn(
            f"the installed RDKit knows other valences than our table does ({len(lines)} ions, "
            f"such as {lines[0]}); strings that hold them may be refused by it",
            stacklevel=3,
        )


def _limits(*, promised: bool) -> str:
    """What a grammar of molecules refuses."""
    refused = "what is not among these rules, or longer, is rejected with its reason"
    if not promised:
        return f"{refused}; validity is not promised"
    return f"{refused}; valid is not plausible: see --filters and --require of molae generate"


class GrammarCodec(SequenceCodec):
    """Texts to left-most derivations of a grammar.

    Args:
        grammar: The rules. Its directive ``spelling`` says how a text is spelt before it is
            parsed: ``kekule`` (canonical Kekule SMILES), ``aromatic`` (canonical SMILES) or
            ``text`` (as it is).
        max_steps: Longest derivation. A longer item is rejected, and none longer is ever decoded.
        stack, budget, attributes: The masks of the constraint, see ``GrammarConstraint``.
    """

    entry = "rules"

    def __init__(
        self,
        grammar: Grammar,
        max_steps: int = MAX_STEPS,
        *,
        stack: bool = True,
        budget: bool = True,
        attributes: bool = True,
    ) -> None:
        self.grammar = grammar
        self.spelling = grammar.directives.get("spelling", "text")
        self.constraint: GrammarConstraint = GrammarConstraint(
            grammar, max_steps, stack=stack, budget=budget, attributes=attributes
        )
        if self.constraint.attributes:
            _compare_valences()
        if self.spelling != "text":
            self.expresses = expressed(grammar.terminals)
            self.limits = _limits(promised=self.constraint.attributes)
        self._parser = deterministic_parser(grammar)
        spelled = [[s for s in rule.rhs if s < 0] for rule in grammar.rules]
        self._written = ["".join(grammar.terminals[-1 - s] for s in row) for row in spelled]
        # Where every terminal leads its rule, the rules in order spell the text.
        self._leads = all(
            not rule.rhs or (rule.rhs[0] < 0 and all(s >= 0 for s in rule.rhs[1:]))
            for rule in grammar.rules
        )

    @property
    def longest(self) -> str:
        """How long a derivation may be; in Greibach form a token takes a rule."""
        if self.spelling == "kekule" and self.constraint.attributes:
            return f"{self.max_steps - 1} tokens of Kekulé SMILES"
        return super().longest

    @property
    def entries(self) -> list[str]:
        """The rules as texts, V of them."""
        return [self.grammar.rule_text(rule) for rule in range(self.size)]

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``from_dict``; the grammar goes along as text with its digest."""
        constraint = self.constraint
        return {
            "kind": "grammar",
            "grammar": self.grammar.to_dict(),
            "max_steps": self.max_steps,
            "stack": constraint.stack,
            "budget": constraint.budget,
            "attributes": constraint.wanted,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The codec that ``to_dict`` described.

        Raises:
            GrammarError: If the text of the grammar and its digest do not agree.
        """
        return cls(
            Grammar.from_dict(saved["grammar"]),
            int(saved["max_steps"]),
            stack=bool(saved.get("stack", True)),
            budget=bool(saved.get("budget", True)),
            attributes=bool(saved.get("attributes", True)),
        )

    def prepare(self, text: str) -> str:
        """The spelling that the grammar wants; raises ``MoleculeError``."""
        return spelt(text, self.spelling)

    def chunk(self, items: Sequence[str], prepared: bool) -> Piece:
        """Encode one chunk, see ``SequenceCodec.chunk``."""
        rejects: list[Reject] = []
        texts, rows = list(items), np.arange(len(items))
        if not prepared:
            texts, rows, rejects = spelt_each(items, self.prepare)
        rules, failures = self._derive(texts)
        lengths = (rules >= 0).sum(1)
        long = lengths > self.max_steps
        for row in np.flatnonzero(long):
            failures.setdefault(
                int(row), ("", f"too long: {lengths[row]} rules, the limit is {self.max_steps}")
            )
        good = np.array([row not in failures for row in range(len(texts))], dtype=bool)
        self._check(rules, good, failures)
        rejects += [Reject(int(rows[r]), items[rows[r]], *why) for r, why in failures.items()]
        rejects.sort(key=lambda reject: reject.index)
        rules = rules[good]
        flat = rules[rules >= 0].astype(np.uint16)
        return Piece(flat, (rules >= 0).sum(1), rows[good], rejects)

    def _derive(self, texts: list[str]) -> tuple[NDArray[np.int64], dict[int, tuple[str, str]]]:
        """Derivations (n, T) and, by row, token and reason of what is no sentence."""
        if self._parser is not None:
            parsed = self._parser.parse(texts)
            why = {r: (f.token, f"{NOT_IN_GRAMMAR}: {f}") for r, f in parsed.failures.items()}
            return parsed.rules, why
        derive = Deriver(self.grammar)
        derived: list[Sequence[int]] = []
        failed: dict[int, tuple[str, str]] = {}
        for row, text in enumerate(texts):
            try:
                derived.append(derive(text))
            except DerivationError as error:
                derived.append([])
                failed[row] = (error.token or "", f"{NOT_IN_GRAMMAR}: {error.reason}")
        rules = np.full((len(texts), max(map(len, derived), default=0)), PAD, dtype=np.int64)
        for row, found in enumerate(derived):
            rules[row, : len(found)] = found
        return rules, failed

    def _check(
        self,
        rules: NDArray[np.int64],
        good: NDArray[np.bool_],
        failures: dict[int, tuple[str, str]],
    ) -> None:
        """Reject what the masks would not let a decoder write; updates its arguments."""
        if not self.constraint.attributes or not good.any():
            return
        rows = np.flatnonzero(good)
        width = int((rules[rows] >= 0).sum(1).max())
        stops = self.constraint.first_illegal(torch.from_numpy(rules[rows, :width])).numpy()
        for row, step in zip(rows[stops >= 0], stops[stops >= 0], strict=True):
            token = self._written[rules[row, step]]
            why = f"valence or ring bond: step {step + 1} writes {token!r}"
            if self._only_long(rules[row]):
                length = int((rules[row] >= 0).sum())
                why = f"too long: {length} rules, the limit of {self.max_steps} leaves no room"
            failures[int(row)] = (token, why)
            good[row] = False

    def _only_long(self, rules: NDArray[np.int64]) -> bool:
        """Whether a derivation is refused by the budget alone.

        The budget keeps room for ending a molecule in a simple way, which can take some steps more
        than the molecule's own way.
        """
        free = GrammarConstraint(self.grammar, self.max_steps, budget=False)
        own = torch.from_numpy(rules[rules >= 0])[None]
        return int(free.first_illegal(own)[0]) < 0

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of derivations (n, T): exactly their terminals; None where it is not complete."""
        rows = x.cpu().tolist()
        if self._leads and self.constraint.stack:
            written = self._written
            done = self._complete(x)
            return [
                "".join([written[r] for r in row if r >= 0]) if whole else None
                for row, whole in zip(rows, done, strict=True)
            ]
        return [self._spell([r for r in row if r >= 0]) for row in rows]

    def _complete(self, x: Tensor) -> list[bool]:
        """Whether each derivation ends with an empty stack, (n,)."""
        pushes = torch.tensor([sum(s >= 0 for s in rule.rhs) - 1 for rule in self.grammar.rules])
        x = x.cpu()
        height = 1 + torch.where(x >= 0, pushes[x.clamp(min=0)], 0).sum(1)
        ended: list[bool] = (height == 0).tolist()
        return ended

    def _spell(self, rules: list[int]) -> str | None:
        try:
            return spell(self.grammar, rules)
        except SpellingError:
            return None
