"""A context-free grammar as a table of rules, read from NLTK's CFG notation.

The text is the grammar: rule ids are the order of appearance in it, and the spelling of a rule
(``rule_text``) is its identity when two grammars are compared. Errors of syntax are found by the
scanner in ``notation`` (so that they carry file, line, column and a caret); the reading itself is
NLTK's, and its result is kept in a cache by the digest of the text, because importing NLTK takes
more than a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.grammar.notation import GrammarError, check, directives

__all__ = ["NEVER", "Grammar", "GrammarError", "Rule"]

#: ``min_steps`` of a non-terminal that can never be finished; sums of thousands still fit int64.
NEVER = 1 << 40
#: Part of the name of cache files; raised when the layout of the table changes.
_CACHE_VERSION = 1


@dataclass(frozen=True)
class Rule:
    """One production.

    Attributes:
        lhs: The non-terminal that is replaced, an index >= 0 into ``Grammar.nonterminals``.
        rhs: What replaces it: non-terminal i as i >= 0, terminal t as -1 - t.
    """

    lhs: int
    rhs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Grammar:
    """A context-free grammar; make one with ``Grammar.from_text``.

    Attributes:
        name: Where the text came from, for messages.
        text: The text in NLTK's CFG notation.
        start: Index of the start symbol.
        nonterminals: Their names, in order of first appearance on a left side; behind them those
            that have no rule (allowed only where the directive ``without-rules`` names them).
        terminals: Their spellings, in order of first appearance.
        rules: The rule table; the index of a rule is its id.
        directives: The ``key = value`` pairs of comment lines ``#: key = value``.
    """

    name: str
    text: str
    start: int
    nonterminals: tuple[str, ...]
    terminals: tuple[str, ...]
    rules: tuple[Rule, ...]
    directives: dict[str, str]

    @classmethod
    def from_text(cls, text: str, source: str = "<grammar>") -> Grammar:
        """Read NLTK's CFG notation.

        Args:
            text: The grammar; the first left side is the start symbol unless ``%start`` names one.
            source: File name for error messages, kept as ``name``.

        Raises:
            GrammarError: The text is not a grammar, or uses a non-terminal that has no rule.
        """
        check(text, source)
        table = _cached_table(text)
        if table is None:
            table = _read(text, source)
            _store_table(text, table)
        return cls._from_table(table, text, source)

    @classmethod
    def _from_table(cls, table: dict[str, Any], text: str, source: str) -> Grammar:
        rules = tuple(Rule(int(lhs), tuple(int(s) for s in rhs)) for lhs, rhs in table["rules"])
        return cls(
            name=source,
            text=text,
            start=int(table["start"]),
            nonterminals=tuple(table["nonterminals"]),
            terminals=tuple(table["terminals"]),
            rules=rules,
            directives=directives(text),
        )

    @property
    def size(self) -> int:
        """V, the number of rules."""
        return len(self.rules)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text in UTF-8, 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def _by_lhs(self) -> tuple[tuple[int, ...], ...]:
        table: list[list[int]] = [[] for _ in self.nonterminals]
        for index, rule in enumerate(self.rules):
            table[rule.lhs].append(index)
        return tuple(tuple(row) for row in table)

    def by_lhs(self, nonterminal: int) -> list[int]:
        """Ids of the rules that replace a non-terminal, ascending."""
        return list(self._by_lhs[nonterminal])

    @cached_property
    def min_steps(self) -> NDArray[np.int64]:
        """Fewest rules that finish each non-terminal, (N,) int64; ``NEVER`` where none do."""
        steps = np.full(len(self.nonterminals), NEVER, np.int64)
        changed = True
        while changed:
            changed = False
            for rule in self.rules:
                cost = 1 + sum(int(steps[s]) for s in rule.rhs if s >= 0)
                if cost < min(steps[rule.lhs], NEVER):
                    steps[rule.lhs] = cost
                    changed = True
        return steps

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """Which rules can be part of a complete derivation's end, (V,) bool.

        False where the right side holds a non-terminal that can never be finished; such a rule is
        masked always (the published ZINC grammar has two).
        """
        steps = self.min_steps
        return np.array([all(steps[s] < NEVER for s in r.rhs if s >= 0) for r in self.rules])

    def symbol_text(self, symbol: int) -> str:
        """A symbol as the notation spells it: the name, or the terminal in quotes."""
        if symbol >= 0:
            return self.nonterminals[symbol]
        terminal = self.terminals[-1 - symbol]
        return f'"{terminal}"' if "'" in terminal else f"'{terminal}'"

    def rule_text(self, rule: int) -> str:
        """A rule in the notation, such as ``TAIL -> 'C' TAIL``: its identity across grammars."""
        lhs, rhs = self.rules[rule].lhs, self.rules[rule].rhs
        return " ".join([self.nonterminals[lhs], "->", *map(self.symbol_text, rhs)])

    def to_dict(self) -> dict[str, str]:
        """What ``from_dict`` needs, as JSON values: the text is the grammar."""
        return {"name": self.name, "digest": self.digest, "text": self.text}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Grammar:
        """The grammar that ``to_dict`` described.

        Raises:
            GrammarError: A key is missing, or the text does not have the digest saved with it.
        """
        name = str(saved.get("name", "<grammar>"))
        missing = {"digest", "text"} - set(saved)
        if missing:
            raise GrammarError(f"saved grammar lacks {' and '.join(sorted(missing))}", name)
        text = str(saved["text"])
        if hashlib.sha256(text.encode()).hexdigest() != saved["digest"]:
            raise GrammarError("saved grammar is damaged: text and digest do not agree", name)
        return cls.from_text(text, name)


def _read(text: str, source: str) -> dict[str, Any]:
    """Let NLTK read a text that has passed ``check``, and number what it found."""
    from nltk import CFG, Nonterminal  # 1 s; only for a grammar that is not in the cache

    try:
        parsed = CFG.fromstring(text)
    except ValueError as error:
        raise GrammarError(f"NLTK cannot read this grammar: {error}", source) from error
    productions = parsed.productions()
    names = [str(p.lhs()) for p in productions]
    names += [str(s) for p in productions for s in p.rhs() if isinstance(s, Nonterminal)]
    nonterminals = {name: i for i, name in enumerate(dict.fromkeys(names))}
    terminals: dict[str, int] = {}
    rules = []
    for production in productions:
        rhs = [
            nonterminals[str(symbol)]
            if isinstance(symbol, Nonterminal)
            else -1 - terminals.setdefault(symbol, len(terminals))
            for symbol in production.rhs()
        ]
        rules.append([nonterminals[str(production.lhs())], rhs])
    return {
        "start": nonterminals[str(parsed.start())],
        "nonterminals": list(nonterminals),
        "terminals": list(terminals),
        "rules": rules,
    }


def _is_table(saved: dict[str, Any]) -> bool:
    """Whether every number of a saved table points at something that is there."""
    try:
        names, marks, start = saved["nonterminals"], saved["terminals"], saved["start"]
        rules: Sequence[tuple[int, Sequence[int]]] = saved["rules"]
        sides = [symbol for _, rhs in rules for symbol in rhs]
        heads = [start, *(lhs for lhs, _ in rules)]
        return (
            all(isinstance(word, str) for word in [*names, *marks])
            and all(isinstance(i, int) and 0 <= i < len(names) for i in heads)
            and all(isinstance(s, int) and -len(marks) <= s < len(names) for s in sides)
        )
    except (KeyError, TypeError, ValueError):
        return False


def _cache_file(text: str) -> Path:
    folder = os.environ.get("MOLAE_CACHE") or Path.home() / ".cache" / "molae"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Path(folder) / "grammars" / f"{digest}-{_CACHE_VERSION}.json"


def _cached_table(text: str) -> dict[str, Any] | None:
    """The compiled table from the cache; None where there is none, or it cannot be trusted."""
    try:
        table = json.loads(_cache_file(text).read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home directory
        return None
    return table if isinstance(table, dict) and _is_table(table) else None


def _store_table(text: str, table: dict[str, Any]) -> None:
    """Keep a compiled table; a cache that cannot be written costs a second next time, no more."""
    temporary = None
    try:
        path = _cache_file(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(table, file)
        os.replace(temporary, path)  # whole or not at all, also with several workers
    except (OSError, RuntimeError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
