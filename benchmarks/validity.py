"""The promise at full scale: every string that the masks let through is a molecule.

    python -m benchmarks.validity -n 1000000

Strings come from an untrained network, from uniform logits, and from peaked ones (the same for
a whole string, so that it repeats its favourite rules, or new at every step), at temperatures from
0.1 to 10 and step budgets from 10 to 300, with the general and a restricted grammar. Every string,
exactly as decoded, goes to ``Chem.MolFromSmiles`` (sanitised), once; its canonical form
(``Chem.MolToSmiles``) goes back to the codec, which reads it with RDKit, kekulises and parses it,
unless RDKit was slow with it already (``PATIENCE``).

RDKit is asked in a process of its own: its ring perception may take time and memory without bound
on lattices of hundreds of small rings. What it has not answered within some seconds is counted as
``no_answer`` and listed, it is neither accepted nor refused.

Each cell (grammar, source, temperature, budget) is written down when it is done; after an
interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from joblib import Parallel, delayed
from rdkit import Chem, rdBase
from torch import Tensor

from benchmarks.record import RESULTS, record
from molae.chem.molecules import radical_atoms
from molae.codecs import GrammarCodec, restricted_codec, shipped_codec
from molae.nn.generation import Memory, Stepper, generate
from molae.nn.sequence import AutoregressiveDecoder
from molae.resources import grammar_text

#: Step budgets and the shares of the strings that are drawn with them: RDKit's time for a string
#: grows with the square of its length and more.
BUDGETS = {10: 0.22, 20: 0.22, 40: 0.20, 80: 0.18, 150: 0.12, 300: 0.06}
TEMPERATURES = (0.1, 0.3, 1.0, 3.0, 10.0)
SOURCES = ("uniform", "peaked", "restless", "network")
GRAMMARS = ("general", "restricted")
#: Standard deviation of peaked logits.
PEAK = 8.0
#: What the restricted grammar is restricted to: the tokens of these molecules.
_EXAMPLES = (
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "C[C@@H](N)C(=O)[O-].C[N+](C)(C)C",
    "C/C=C/[C@H](Cl)[C@@](F)(Br)I",
    "O=S(=O)(O)C1=C[NH+]=CC=C1",
    "C[S+]([O-])C#CP(=O)(O)OB(O)O",
    "C[Si](C)(C)[N-][Se]C.[Na+].[Cl-]",
    "C1CC2CCC3CC4CCC5CC6CCC7CC8CCC9CC%10CCC1CC%10CC9CC8CC7CC6CC5CC4CC3C2",
)
#: What may become of a string but a molecule whose canonical form is parsed again.
OUTCOMES = ("cut_off", "empty", "refused", "with_radicals", "no_answer", "not_parsed_again")
#: Budget with which canonical forms are parsed again; they may be longer than what was drawn.
AGAIN_STEPS = 1000
#: Seconds for RDKit above which a molecule's canonical form is not parsed again: on lattices of
#: small rings that takes a multiple of the time, without bound.
PATIENCE = 0.05
#: Bytes that the process which asks RDKit may take.
MEMORY = 6 << 30


@dataclass(frozen=True)
class Cell:
    """One combination; ``seed`` and ``n`` decide the strings."""

    grammar: str
    source: str
    temperature: float
    budget: int
    n: int
    seed: int


class FixedLogits:
    """A stepper with the same logits at every step of a string."""

    block = 512

    def begin(self, z: Tensor) -> Memory:
        """The codes are the logits."""
        return [z]

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """Logits (n, V)."""
        return memory[0], memory


class RestlessLogits:
    """A stepper with new peaked logits at every step."""

    block = 512

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.generator = torch.Generator().manual_seed(seed)

    def begin(self, z: Tensor) -> Memory:
        """Nothing to remember."""
        return [z]

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """Logits (n, V)."""
        return PEAK * torch.randn(len(step), self.size, generator=self.generator), memory


@lru_cache(maxsize=16)
def codec_of(name: str, budget: int) -> GrammarCodec:
    """The general grammar, or that of the examples, with a step budget."""
    if name == "general":
        return shipped_codec("smiles", budget)
    return restricted_codec(_EXAMPLES, max_steps=budget)


def draw(cell: Cell, codec: GrammarCodec) -> Tensor:
    """Sequences of one cell, (n, T)."""
    generator = torch.Generator().manual_seed(cell.seed)
    tile = min(512, cell.n)
    if cell.source == "network":
        torch.manual_seed(cell.seed)
        decoder = AutoregressiveDecoder(
            codec.size, 16, codec.constraint, embedding=32, hidden=64, tile=tile
        )
        codes = torch.randn(cell.n, 16, generator=generator)
        drawn: Tensor = decoder.eval()(codes).sample(cell.seed, temperature=cell.temperature)
        return drawn
    if cell.source == "restless":
        stepper: Stepper = RestlessLogits(codec.size, cell.seed)
        codes = torch.zeros(cell.n, 1)
    else:
        stepper, peak = FixedLogits(), PEAK if cell.source == "peaked" else 0.0
        codes = peak * torch.randn(cell.n, codec.size, generator=generator)
    return generate(stepper, codes, codec.constraint, seed=cell.seed, temperature=cell.temperature)


def judge(text: str) -> tuple[str, str]:
    """What RDKit makes of a string: an outcome, and the canonical form if that came soon."""
    began = time.perf_counter()
    mol = Chem.MolFromSmiles(text)
    if mol is None or mol.GetNumAtoms() == 0:
        return "refused", ""
    outcome = "with_radicals" if radical_atoms(mol) else "molecule"
    slow = time.perf_counter() - began > PATIENCE
    return outcome, "" if slow else Chem.MolToSmiles(mol)


def serve(limit: float) -> None:
    """Judge the lines of standard input, one by one; the alarm ends a process that hangs."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    print("ready", flush=True)
    with rdBase.BlockLogs():
        for line in sys.stdin:
            signal.setitimer(signal.ITIMER_REAL, limit)
            answer = judge(line.rstrip("\n"))
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(json.dumps(answer), flush=True)


class Judge:
    """RDKit in a process of its own, begun anew whenever a string has ended it.

    Args:
        limit: Seconds for one string.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, text: str | None) -> tuple[str, str]:
        """What became of a decoded string, and its canonical form if it is a molecule."""
        if not text:
            return "cut_off" if text is None else "empty", ""
        process = self.process or self._begin()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if answer:
            outcome, form = json.loads(answer)
            return outcome, form
        self.close()
        return "no_answer", ""

    def _begin(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.validity", "--serve", str(self.limit)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the process that asks RDKit did not begin")
        return self.process

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@lru_cache(maxsize=1)
def _judge(limit: float) -> Judge:
    """One for all cells of a worker; it ends with its standard input."""
    return Judge(limit)


def measure(cell: Cell, limit: float) -> dict[str, Any]:
    """Draw the strings of a cell and count what RDKit says."""
    torch.set_num_threads(1)
    codec = codec_of(cell.grammar, cell.budget)
    began = time.perf_counter()
    x = draw(cell, codec)
    seconds = time.perf_counter() - began
    texts = codec.decode(x)
    judged = [_judge(limit)(text) for text in texts]
    counts = Counter(outcome for outcome, _ in judged)
    bad = [[outcome, str(t)] for t, (outcome, _) in zip(texts, judged, strict=True)]
    forms = sorted({form for _, form in judged if form})
    rejects = codec_of("general", AGAIN_STEPS).parse(forms).rejects
    counts["not_parsed_again"] = len(rejects)
    lengths = (x >= 0).sum(1)
    return {
        **asdict(cell),
        "strings": len(texts),
        **{name: counts[name] for name in OUTCOMES},
        "parsed_again": len(forms) - len(rejects),
        "mean_rules": round(float(lengths.float().mean()), 2),
        "longest": int(lengths.max()),
        "seconds_drawing": round(seconds, 2),
        "seconds": round(time.perf_counter() - began, 2),
        "examples": [entry for entry in bad if entry[0] != "molecule"][:3]
        + [[reject.reason, reject.text] for reject in rejects[:3]],
    }


def cells(n: int, seed: int) -> list[Cell]:
    """All combinations with about n strings in all; uniform logits know no temperature."""
    kinds = [
        (grammar, source, temperature, budget)
        for grammar in GRAMMARS
        for source in SOURCES
        for temperature in (TEMPERATURES if source != "uniform" else (1.0,))
        for budget in BUDGETS
    ]
    each = n * len(BUDGETS) / len(kinds)
    return [
        Cell(*kind, n=math.ceil(each * BUDGETS[kind[-1]]), seed=seed + number)
        for number, kind in enumerate(kinds)
    ]


def _run(todo: list[Cell], workers: int, limit: float) -> list[dict[str, Any]]:
    """Measure what has not been measured; every result is appended to a file at once."""
    diary = RESULTS / "validity.partial.jsonl"
    grammar = grammar_text("smiles")
    done = {}
    if diary.exists():
        for line in diary.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if entry.pop("grammar_text") == grammar:
                key = Cell(**{name: entry[name] for name in Cell.__dataclass_fields__})
                done[key] = entry
    todo_now = [cell for cell in todo if cell not in done]
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for entry in parallel(delayed(measure)(cell, limit) for cell in todo_now):
        with open(diary, "a", encoding="utf-8") as file:
            file.write(json.dumps({**entry, "grammar_text": grammar}) + "\n")
        key = Cell(**{name: entry[name] for name in Cell.__dataclass_fields__})
        done[key] = entry
        shown = {name: entry[name] for name in OUTCOMES if entry[name]}
        print(f"{len(done)}/{len(todo)}", key, f"{entry['seconds']} s", shown, flush=True)
    diary.unlink(missing_ok=True)
    return [done[cell] for cell in todo]


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=1_000_000, help="strings in all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10, help="seconds for RDKit, each string")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    results = _run(cells(options.n, options.seed), options.workers, options.limit)
    names = ("strings", *OUTCOMES, "parsed_again")
    totals = {name: sum(entry[name] for entry in results) for name in names}
    values = {
        "rdkit_call": "Chem.MolFromSmiles(text), sanitised; radicals by atom, lone metals exempt",
        "seconds_allowed": options.limit,
        "seed": options.seed,
        "totals": totals,
        "cells": results,
    }
    print(totals)
    print(record("validity", values))


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import validity

    validity.main()
