"""How long derivations under zinc.cfg are: ``python -m benchmarks.zinc_grammar FILE``.

The published numbers are a mean of about 130 rules and a maximum of 277 over ZINC250k. A chart
parser takes hours for all of it, but the length of a derivation under this grammar follows from
counts of characters, so: real parses of a random sample and of the longest molecules, held against
the closed form, and the closed form on everything.
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from benchmarks.record import record
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import DerivationError, Deriver, spell
from molae.resources import grammar_text

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


def _lengths(smiles: list[str]) -> list[int]:
    return [length(s) for s in smiles]


def _derived(grammar: Grammar, smiles: list[str]) -> list[list[int] | DerivationError]:
    """Derivations, or what is wrong."""
    deriver = Deriver(grammar)
    results: list[list[int] | DerivationError] = []
    for text in smiles:
        try:
            results.append(deriver(text))
        except DerivationError as error:
            results.append(error)
    return results


def _check(grammar: Grammar, smiles: list[str]) -> dict[str, object]:
    """Parse for real; the closed form and the spelling must agree with every derivation."""
    begin = time.perf_counter()
    chunks = [smiles[i : i + 64] for i in range(0, len(smiles), 64)]
    pieces = Parallel(n_jobs=-1)(delayed(_derived)(grammar, chunk) for chunk in chunks)
    parsed = [rules for piece in pieces for rules in piece]
    seconds = time.perf_counter() - begin
    refused = [s for s, rules in zip(smiles, parsed, strict=True) if isinstance(rules, ValueError)]
    for text, rules in zip(smiles, parsed, strict=True):
        if isinstance(rules, DerivationError):
            continue
        if len(rules) != length(text) or spell(grammar, rules) != text:
            raise SystemExit(f"closed form {length(text)}, derivation {len(rules)}: {text}")
    longest = max((len(rules) for rules in parsed if isinstance(rules, list)), default=0)
    return {
        "molecules": len(smiles),
        "refused": refused,
        "agree_with_closed_form": len(smiles) - len(refused),
        "longest": longest,
        "molecules_per_second_with_start_of_workers": round(len(smiles) / seconds, 1),
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="SMILES, one to a line, may be .gz")
    parser.add_argument("--sample", type=int, default=200, help="molecules parsed for real")
    parser.add_argument("--longest", type=int, default=20, help="longest molecules parsed as well")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    smiles = _read(options.file)
    chunks = [smiles[i : i + 20_000] for i in range(0, len(smiles), 20_000)]
    counted = np.concatenate(Parallel(n_jobs=-1)(delayed(_lengths)(chunk) for chunk in chunks))
    grammar = Grammar.from_text(grammar_text("zinc"), "zinc.cfg")
    rng = np.random.default_rng(options.seed)
    sample = rng.choice(len(smiles), min(options.sample, len(smiles)), replace=False)
    top = np.argsort(-counted, kind="stable")[: options.longest]
    values = {
        "file": options.file.name,
        "molecules": len(smiles),
        "rules_in_grammar": grammar.size,
        "length": {
            "mean": round(float(counted.mean()), 2),
            "median": float(np.median(counted)),
            "p95": float(np.percentile(counted, 95)),
            "p99": float(np.percentile(counted, 99)),
            "max": int(counted.max()),
            "longest_molecule": smiles[int(top[0])],
        },
        "random_sample": _check(grammar, [smiles[i] for i in sample]),
        "longest_molecules": _check(grammar, [smiles[i] for i in top]),
        "seed": options.seed,
    }
    for key, value in values.items():
        print(f"{key:18} {value}")
    print(record("zinc_grammar", values))


if __name__ == "__main__":
    main()
