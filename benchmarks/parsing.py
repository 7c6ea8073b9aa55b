"""How fast are SMILES parsed? ``smiles.cfg`` by our parser and by ``nltk.ChartParser``.

    python -m benchmarks.parsing                        # the shipped demo molecules
    python -m benchmarks.parsing --all FILE --check     # and all of a file, to an array on disc

Both parse the same Kekule SMILES in one run on one core, and must give the same rules.
RDKit's part (reading, kekulising, writing) is timed apart, and so is the machine's second look at
valences and ring bonds. ``--all`` takes a file from text to a memory-mapped array of rules through
the cache that training uses; ``--check`` decodes every molecule again and compares canonical
isomeric SMILES.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.record import record
from molae.chem.molecules import MoleculeError, canonical, kekule_many
from molae.codecs import GrammarCodec, restricted_codec, shipped_codec
from molae.datasets.cache import Encoded, cached
from molae.datasets.readers import read
from molae.grammar.cfg import Grammar
from molae.grammar.parser import Parser
from molae.resources import data_path

#: Molecules that are checked together.
_CHUNK = 4000


def molecules(file: Path | None, n: int) -> list[str]:
    """The first n SMILES of a file, or of the demo molecules."""
    if file is None:
        with data_path("demo.smi.gz") as path:
            return molecules(path, n)
    found = []
    with read(file) as reader:
        for entry in reader:
            found.append(entry.smiles)
            if len(found) == n:
                break
    return found


def by_chart(
    grammar: Grammar, texts: Sequence[str], rules: Sequence[list[int]], seconds: float
) -> dict[str, Any]:
    """Time ``nltk.ChartParser`` until some seconds are over; its rules must be ours."""
    from nltk import CFG, ChartParser

    productions = {
        (str(p.lhs()), tuple(map(repr, p.rhs()))): i
        for i, p in enumerate(CFG.fromstring(grammar.text).productions())
    }
    parser = ChartParser(CFG.fromstring(grammar.text))
    lexer = Parser(grammar).lexer
    spent, done = 0.0, 0
    for text, expected in zip(texts, rules, strict=True):
        words = [grammar.terminals[i] for i in lexer.read([text]).ids[0]]
        began = time.perf_counter()
        tree = next(iter(parser.parse(words)))
        spent += time.perf_counter() - began
        found = [productions[str(p.lhs()), tuple(map(repr, p.rhs()))] for p in tree.productions()]
        if found != expected:
            raise SystemExit(f"NLTK derives {text} in another way: {found}, ours {expected}")
        done += 1
        if spent > seconds:
            break
    return {"molecules": done, "seconds": round(spent, 2), "per_second": round(done / spent, 1)}


def compare(texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """RDKit, our parser, the second look, and the chart parser on the same molecules."""
    codec = shipped_codec("smiles")
    began = time.perf_counter()
    prepared = kekule_many(texts)
    times = {"rdkit_kekule": time.perf_counter() - began}
    spelled = [text for text in prepared if not isinstance(text, MoleculeError)]
    values: dict[str, Any] = {"molecules": len(spelled), "refused": len(texts) - len(spelled)}
    fused = restricted_codec(spelled)
    for name, one in (("smiles.cfg", codec), ("restricted", fused)):
        parser = Parser(one.grammar)
        began = time.perf_counter()
        parsed = [parser.parse(spelled[i : i + _CHUNK]) for i in range(0, len(spelled), _CHUNK)]
        times[f"parse, {name}"] = time.perf_counter() - began
        one.parse(spelled[:10], prepared=True)  # tables
        began = time.perf_counter()
        encoding = one.parse(spelled, prepared=True)
        times[f"parse and check, {name}"] = time.perf_counter() - began
        if any(p.failures for p in parsed) or encoding.rejects:
            raise SystemExit(f"not parsed: {encoding.rejects[:3]}")
        values[f"mean_rules, {name}"] = round(float(np.diff(encoding.offsets).mean()), 1)
    values["per_second"] = {name: round(len(spelled) / took) for name, took in times.items()}
    # A sample from all over the file, not its beginning.
    rows = np.random.default_rng(0).permutation(len(spelled))[: options.chart]
    sample = [spelled[row] for row in rows]
    x = codec.parse(sample, prepared=True).padded().tolist()
    rules = [[r for r in row if r >= 0] for row in x]
    chart = by_chart(codec.grammar, sample, rules, options.seconds)
    ratio = values["per_second"]["parse, smiles.cfg"] / chart["per_second"]
    return {**values, "chart_parser": chart, "times_chart_parser": round(ratio)}


def convert(codec: GrammarCodec, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All of a file from text to a mapped array, then again from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = cached(codec, file, folder=folder, workers=options.workers)
        first = time.perf_counter() - began
        began = time.perf_counter()
        cached(codec, file, folder=folder)
        second = time.perf_counter() - began
        values: dict[str, Any] = {
            "file": file.name,
            "workers": options.workers,
            "encoded": len(made.data),
            "rejected": made.rejected,
            "reasons": made.reasons,
            "rejects": [f"{r.text}: {r.reason}" for r in made.rejects()][:20],
            "mean_rules": round(float(np.mean(made.data.lengths)), 2),
            "longest": int(np.max(made.data.lengths)),
            "seconds_from_text": round(first, 1),
            "seconds_from_cache": round(second, 2),
        }
        if options.check:
            values["round_trip"] = check(codec, file, made, options.workers)
    return values


def check(codec: GrammarCodec, file: Path, made: Encoded, workers: int) -> dict[str, Any]:
    """Decode everything; canonical isomeric SMILES must be those of the file."""
    with read(file) as reader:
        texts = {entry.line: entry.smiles for entry in reader}
    jobs = []
    for begin in range(0, len(made.data), _CHUNK):
        rows = np.arange(begin, min(len(made.data), begin + _CHUNK))
        decoded = codec.decode(made.data.batch(rows).x)
        jobs.append((decoded, [texts[line] for line in made.lines[rows].tolist()]))
    parallel = Parallel(n_jobs=workers, return_as="generator")
    changed = [
        pair for found in parallel(delayed(_changed)(*job) for job in jobs) for pair in found
    ]
    return {"checked": len(made.data), "changed": len(changed), "examples": changed[:50]}


def _changed(decoded: list[str | None], texts: list[str]) -> list[tuple[str, str | None]]:
    """What is not the same molecule after the round trip."""
    pairs = zip(texts, decoded, strict=True)
    return [(t, d) for t, d in pairs if d is None or canonical(t) != canonical(d)]


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, help="molecules to compare with (default: demo)")
    parser.add_argument("-n", type=int, default=20_000, help="molecules for our parser")
    parser.add_argument("--chart", type=int, default=20, help="molecules for the chart parser")
    parser.add_argument("--seconds", type=float, default=60, help="limit for the chart parser")
    parser.add_argument("--all", type=Path, nargs="+", default=[], help="files to convert whole")
    parser.add_argument("--check", action="store_true", help="check every round trip of --all")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    values: dict[str, Any] = {"comparison": compare(molecules(options.file, options.n), options)}
    print(values["comparison"], flush=True)
    values["files"] = []
    for file in options.all:
        values["files"].append(convert(shipped_codec("smiles"), file, options))
        print(values["files"][-1], flush=True)
    print(record("parsing", values))


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import parsing

    parsing.main()
