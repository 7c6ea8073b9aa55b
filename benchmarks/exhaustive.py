"""Every string of a few tokens, to the machine and to RDKit: do they agree?

    python -m benchmarks.exhaustive --longest 7

The machine (``smiles.cfg``, and a restricted grammar with fused bracket atoms) accepts a string
if and only if ``Chem.MolFromSmiles`` takes it, sanitised, and no atom has unpaired electrons;
what RDKit takes and the machine does not falls under an exclusion with a reason, see
``exclusion``. All 11 + 11^2 + ... strings go to RDKit, none is left out; the machine is asked
for the strings that it accepts, prefix by prefix.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from joblib import Parallel, delayed
from rdkit import Chem, rdBase
from torch import Tensor

from benchmarks.record import record
from molae.grammar.cfg import Grammar
from molae.grammar.machine import GrammarConstraint, MachineState
from molae.grammar.restrict import TOKEN, restricted
from molae.resources import grammar_text

#: The alphabet of the exhaustive comparison.
TOKENS = ("C", "N", "O", "=", "#", "(", ")", "1", "2", "[O-]", "[NH+]")
#: Steps within which every derivation ends: far more than strings of seven tokens need, so that
#: the budget forbids nothing.
BUDGET = 64
#: Prefixes that the machine extends together.
_ROWS = 20_000


def grammars(tokens: Sequence[str] = TOKENS) -> dict[str, Grammar]:
    """The general grammar, and the one that is restricted to the alphabet."""
    general = Grammar.from_text(grammar_text("smiles"), "smiles.cfg")
    return {"general": general, "restricted": restricted(tokens)}


class Walk:
    """All strings of some tokens that a grammar's machine accepts.

    Args:
        grammar: In the form of ``smiles.cfg``: a rule begins with its only terminal or is empty.
        tokens: Strings; each is one terminal or several.
        max_steps: The budget.
    """

    def __init__(
        self, grammar: Grammar, tokens: Sequence[str] = TOKENS, max_steps: int = BUDGET
    ) -> None:
        self.machine = GrammarConstraint(grammar, max_steps)
        self.tokens = tokens
        rules: dict[str, list[int]] = {}
        for index, rule in enumerate(grammar.rules):
            first = grammar.terminals[-1 - rule.rhs[0]] if rule.rhs else ""
            rules.setdefault(first, []).append(index)
        self._rules = {spelling: torch.tensor(found) for spelling, found in rules.items()}
        self._spelled = [self._spell(token) for token in tokens]

    def _spell(self, token: str) -> list[str]:
        """A token as terminals; a bracket atom may be one or several."""
        if token in self._rules:
            return [token]
        out, rest = [], token
        while rest:
            fits = [t for t in self._rules if t and rest.startswith(t)]
            out.append(max(fits, key=len))
            rest = rest[len(out[-1]) :]
        return out

    def accepted(self, longest: int) -> set[str]:
        """Strings of 1 to ``longest`` tokens that are complete derivations."""
        found: set[str] = set()
        todo: list[tuple[MachineState, list[str], int]] = [(self.machine.start(1), [""], 0)]
        while todo:
            state, texts, length = todo.pop()
            ends = self.machine.allowed(state)[:, self._rules[""]].any(1).tolist()
            found.update(text for text, end in zip(texts, ends, strict=True) if end)
            if length < longest:
                more, extended = self._extended(state, texts)
                for begin in range(0, len(extended), _ROWS):
                    rows = torch.arange(begin, min(len(extended), begin + _ROWS))
                    piece = extended[begin : begin + _ROWS]
                    todo.append((self.machine.take(more, rows), piece, length + 1))
        return found

    def _extended(self, state: MachineState, texts: list[str]) -> tuple[MachineState, list[str]]:
        """Every legal prefix that is one token longer."""
        first = self.machine.allowed(state)
        pieces: list[tuple[MachineState, Tensor]] = []
        extended: list[str] = []
        for token, spelled in zip(self.tokens, self._spelled, strict=True):
            piece, rows = state, torch.arange(len(texts))
            for place, terminal in enumerate(spelled):
                legal = first if place == 0 else self.machine.allowed(piece)
                columns = self._rules[terminal]
                kept, column = legal[:, columns].nonzero(as_tuple=True)
                piece = self.machine.advance(self.machine.take(piece, kept), columns[column])
                rows = rows[kept]
            pieces.append((piece, rows))
            extended += [texts[row] + token for row in rows.tolist()]
        joined = self.machine.start(len(extended))
        begin = 0
        for piece, rows in pieces:
            self.machine.put(joined, torch.arange(begin, begin + len(rows)), piece)
            begin += len(rows)
        return joined, extended


def judge(smiles: str) -> str | None:
    """What RDKit makes of a string: None (refused), ``radical`` or ``molecule``."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return None
    return "radical" if any(a.GetNumRadicalElectrons() for a in mol.GetAtoms()) else "molecule"


def _judged(
    prefix: Sequence[str], length: int, tokens: Sequence[str]
) -> tuple[list[str], int, int]:
    """Molecules among the strings that begin with some tokens; how many are radicals or in all."""
    found, radicals, total = [], 0, 0
    begin = "".join(prefix)
    with rdBase.BlockLogs():
        for rest in itertools.product(tokens, repeat=length - len(prefix)):
            text = begin + "".join(rest)
            verdict = judge(text)
            total += 1
            radicals += verdict == "radical"
            if verdict == "molecule":
                found.append(text)
    return found, radicals, total


def accepted_by_rdkit(
    longest: int, tokens: Sequence[str] = TOKENS, workers: int = 1
) -> tuple[set[str], Counter[str]]:
    """Strings of 1 to ``longest`` tokens that RDKit takes without radicals, and counts."""
    jobs = [
        (prefix, length)
        for length in range(1, longest + 1)
        for prefix in itertools.product(tokens, repeat=min(2, length - 1))
    ]
    if workers == 1:
        results: Iterator[tuple[list[str], int, int]] = (_judged(*job, tokens) for job in jobs)
    else:
        parallel = Parallel(n_jobs=workers, return_as="generator")
        results = parallel(delayed(_judged)(*job, tokens) for job in jobs)
    found: set[str] = set()
    counts: Counter[str] = Counter()
    for molecules, radicals, total in results:
        found.update(molecules)
        counts.update(strings=total, molecules=len(molecules), radicals=radicals)
    return found, counts


#: Why the machine refuses what RDKit takes, see ``exclusion``. RDKit writes none of these.
NITROGEN = "five-valent neutral nitrogen: RDKit reads it, but rewrites it into charges"
TRIPLE_OPENING = "triple ring bond stated where it opens: the machine wants it where it closes"
LATE_ORDER = "order of a ring bond stated only where it closes, and the opener is in brackets"
UNEQUAL = "the two ends of a ring bond state different orders"
AFTER_BRANCH = "ring bond after a branch: OpenSMILES puts ring bonds first"

_ORDERS = {"=": 2, "#": 3}


@dataclass
class _Structure:
    """Atoms and bonds of a string that RDKit has read."""

    atoms: list[str] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    open: dict[str, tuple[int, int]] = field(default_factory=dict)
    branches: list[int] = field(default_factory=list)
    current: int = -1
    order: int = 0
    branched: bool = False

    def take(self, token: str) -> None:
        """Go on by one token."""
        if token in _ORDERS:
            self.order = _ORDERS[token]
        elif token == "(":
            self.branches.append(self.current)
        elif token == ")":
            self.current, self.branched = self.branches.pop(), True
        elif token.isdigit():
            self._ring(token)
        else:
            self._atom(token)

    def _atom(self, token: str) -> None:
        order = max(1, self.order) if self.atoms else 0
        if self.atoms:
            self.sums[self.current] += order
        self.atoms.append(token)
        self.sums.append(order)
        self.current, self.order, self.branched = len(self.atoms) - 1, 0, False

    def _ring(self, number: str) -> None:
        if self.branched:
            self.reasons.add(AFTER_BRANCH)
        if number not in self.open:
            if self.order == 3:
                self.reasons.add(TRIPLE_OPENING)
            self.open[number] = self.current, self.order
        else:
            opener, stated = self.open.pop(number)
            if self.order > 1 and not stated and self.atoms[opener].startswith("["):
                self.reasons.add(LATE_ORDER)
            if 0 < self.order != stated > 0:
                self.reasons.add(UNEQUAL)
            for atom in (opener, self.current):
                self.sums[atom] += max(1, stated, self.order)
        self.order = 0


def exclusion(smiles: str) -> str | None:
    """Why the machine refuses a string that RDKit takes, from its structure; None for no reason.

    Args:
        smiles: A string over ``TOKENS`` that RDKit reads.
    """
    structure = _Structure()
    for token in TOKEN.findall(smiles):
        structure.take(token)
    if any(a == "N" and s > 3 for a, s in zip(structure.atoms, structure.sums, strict=True)):
        structure.reasons.add(NITROGEN)
    return min(structure.reasons, default=None)


def main() -> None:
    """Compare, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--longest", type=int, default=7, help="tokens in the longest strings")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    by_rdkit, counts = accepted_by_rdkit(options.longest, workers=options.workers)
    values: dict[str, object] = {
        "tokens": TOKENS,
        "longest": options.longest,
        "budget": BUDGET,
        "rdkit_call": "Chem.MolFromSmiles(text), sanitised, no atom with unpaired electrons",
        "rdkit": {**counts, "seconds": round(time.perf_counter() - began, 1)},
    }
    print(values["rdkit"])
    for name, grammar in grammars().items():
        began = time.perf_counter()
        by_machine = Walk(grammar).accepted(options.longest)
        refused = by_rdkit - by_machine
        reasons = Counter(exclusion(text) or "unexplained" for text in refused)
        values[name] = {
            "accepted": len(by_machine),
            "refused_by_rdkit": sorted(by_machine - by_rdkit)[:20],
            "excluded": dict(reasons.most_common()),
            "unexplained": [text for text in sorted(refused) if exclusion(text) is None][:20],
            "seconds": round(time.perf_counter() - began, 1),
        }
        print(name, values[name])
    print(record("exhaustive", values))


if __name__ == "__main__":
    main()
