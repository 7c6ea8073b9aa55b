"""How long derivations under zinc.cfg are: ``python -m benchmarks.zinc_grammar FILE``.

The published numbers are a mean of about 130 rules and a maximum of 277 over ZINC250k. Every
molecule is parsed (bottom up, thousands a second and core, so that a quarter of a million takes
half a minute), spelt out again, and held against a closed form: the length of a derivation under
this grammar follows from counts of characters.
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from benchmarks.record import record
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import DerivationError, Deriver, spell
from molae.resources import grammar_text

#: Molecules that a process parses at a time.
_CHUNK = 20_000

_BRACKET = re.compile(r"\[(\d*)(?:[A-Z][a-z]?|[a-z])(@{0,2})(H?)(\d?)([+-]?)(\d*)\]")
_ATOM = re.compile(r"Cl|Br|[BCNOSPFIcnos]")


def length(smiles: str) -> int:
    """Rules in the derivation of a SMILES under zinc.cfg, from its characters alone.

    An atom without brackets takes four rules (chain, branched_atom, atom, its element), one in
    brackets seven and more for each thing declared; a ring bond three (RB, ringbond, DIGIT), a
    branch two (BB, branch), a written bond one; one rule begins the whole.
    """
    total = 1
    for isotope, chiral, hydrogen, number, charge, size in _BRACKET.findall(smiles):
        total += 7
        total += len(isotope) + 1 if isotope else 0
        total += 1 if chiral or hydrogen or charge else 0  # BAC
        total += 1 if chiral else 0
        total += 1 if hydrogen or charge else 0  # BAH
        total += 1 + len(number) if hydrogen else 0
        total += 2 + len(size) if charge else 0  # BACH, charge
    rest = _BRACKET.sub("", smiles)
    rings = sum(map(str.isdigit, rest))
    bonds = sum(rest.count(c) for c in "-=#/\\")
    return total + 4 * len(_ATOM.findall(rest)) + 3 * rings + 2 * rest.count("(") + bonds


def _read(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [line.split()[0] for line in file if line.strip()]


class _Parsed(NamedTuple):
    """What became of some molecules."""

    lengths: list[int]  # of those that were parsed
    refused: list[str]
    odd: list[str]  # spelt otherwise, or not of the length that the closed form says


def _parse(grammar: Grammar, smiles: list[str]) -> _Parsed:
    """Parse molecules, spell them and count their rules."""
    deriver = Deriver(grammar)
    found = _Parsed([], [], [])
    for text in smiles:
        try:
            rules = deriver(text)
        except DerivationError:
            found.refused.append(text)
            continue
        found.lengths.append(len(rules))
        if len(rules) != length(text) or spell(grammar, rules) != text:
            found.odd.append(text)
    return found


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="SMILES, one to a line, may be .gz")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args()

    smiles = _read(options.file)
    grammar = Grammar.from_text(grammar_text("zinc"), "zinc.cfg")
    begin = time.perf_counter()
    chunks = [smiles[i : i + _CHUNK] for i in range(0, len(smiles), _CHUNK)]
    parts = Parallel(options.workers)(delayed(_parse)(grammar, chunk) for chunk in chunks)
    seconds = time.perf_counter() - begin
    lengths = np.array([rules for part in parts for rules in part.lengths])
    odd = [text for part in parts for text in part.odd]
    values = {
        "file": options.file.name,
        "molecules": len(smiles),
        "rules_in_grammar": grammar.size,
        "refused": [text for part in parts for text in part.refused],
        "not_of_the_closed_form": odd,
        "length": {
            "mean": round(float(lengths.mean()), 2),
            "median": float(np.median(lengths)),
            "p95": float(np.percentile(lengths, 95)),
            "p99": float(np.percentile(lengths, 99)),
            "max": int(lengths.max()),
            "longest_molecule": max(smiles, key=length),
        },
        "workers": options.workers,
        "seconds_with_start_of_workers": round(seconds, 1),
    }
    for key, value in values.items():
        print(f"{key:29} {value}")
    if odd:
        raise SystemExit(f"closed form {length(odd[0])}, derivation otherwise: {odd[0]}")
    print(record("zinc_grammar", values))


if __name__ == "__main__":
    main()
