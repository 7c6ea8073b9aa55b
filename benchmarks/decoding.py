"""How fast are masked draws? Ours against the algorithm as published, from arbitrary logits.

    python -m benchmarks.decoding

Both sides draw derivations of ``smiles.cfg`` within 277 steps from arrays of logits (B, V),
in one run, with the same number of threads. The published side (Kusner et al. 2017,
arXiv:1703.01925, section 3.2) keeps a stack of objects for each string: pop the last non-terminal,
mask by it, exp(logits) times mask, one Gumbel number per rule and step, arg max, push what the
rule names in reverse. It knows the stack only. Ours runs with each mask on and off; finished rows
are dropped from the batch, or (*continuous*) replaced by the next strings.

A rule is one step of one derivation that had not ended. What making logits costs is left out: they
are drawn beforehand and used in turn.

OpenMP's threads are told to sleep when they have nothing to do (``OMP_WAIT_POLICY=passive``).
Otherwise those that torch wakes to draw the logits go on turning for up to a second, on the cores
that the machine's own threads need. Inside a model's decoding the machine uses one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch, which reads it

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.record import record
from molae.codecs import restricted_codec, shipped_codec
from molae.grammar.cfg import Grammar
from molae.grammar.machine import GrammarConstraint
from molae.nn.generation import Memory, generate
from molae.types import PAD

#: Arrays of logits that are used in turn.
_POOL = 8
#: Steps between two looks for finished rows; each look costs a copy of the states that go on.
_LOOK = 8
#: What the masks are switched to, by name.
SWITCHES: dict[str, dict[str, bool]] = {
    "all masks": {},
    "without attributes": {"attributes": False},
    "without budget": {"budget": False},
    "stack only": {"attributes": False, "budget": False},
    "no masks": {"attributes": False, "budget": False, "stack": False},
}


@dataclass(frozen=True)
class Speed:
    """What was drawn in which time."""

    strings: int
    rules: int
    ended: int
    seconds: float

    def values(self) -> dict[str, float]:
        """For the table and the result file."""
        return {
            "rules_per_second": round(self.rules / self.seconds),
            "strings_per_second": round(self.strings / self.seconds, 1),
            "rules_per_string": round(self.rules / self.strings, 1),
            "strings_that_ended": self.ended,
            "strings": self.strings,
            "seconds": round(self.seconds, 2),
        }


class Published:
    """Object stacks and Gumbel noise in NumPy.

    Args:
        grammar: Its rules; one more, in the last column, stands for padding, as in the paper.
    """

    def __init__(self, grammar: Grammar) -> None:
        rules = grammar.rules
        self.names = [*grammar.nonterminals, "Nothing"]
        self.rows = {name: number for number, name in enumerate(self.names)}
        self.masks = np.zeros((len(self.names), len(rules) + 1))
        for index, rule in enumerate(rules):
            self.masks[rule.lhs, index] = 1
        self.masks[-1, -1] = 1
        self.pushes = [[self.names[s] for s in rule.rhs if s >= 0][::-1] for rule in rules] + [[]]
        self.start = self.names[grammar.start]

    def draw(
        self, pool: list[NDArray[np.float64]], steps: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], int]:
        """Rules (B, steps), the padding rule after the end; and how many derivations ended."""
        stacks = [[self.start] for _ in range(len(pool[0]))]
        out = np.zeros((len(stacks), steps), dtype=np.int64)
        for step in range(steps):
            tops = [self.rows[stack.pop() if stack else "Nothing"] for stack in stacks]
            masked = np.exp(pool[step % len(pool)]) * self.masks[tops] + 1e-100
            noise = rng.gumbel(size=masked.shape)
            chosen = np.argmax(noise + np.log(masked), axis=-1)
            out[:, step] = chosen
            for stack, rule in zip(stacks, chosen, strict=True):
                stack.extend(self.pushes[rule])
        return out, sum(not stack for stack in stacks)


def published(grammar: Grammar, n: int, steps: int, peak: float) -> Speed:
    """Time the published algorithm on n strings."""
    rng = np.random.default_rng(0)
    pool = [peak * rng.standard_normal((n, grammar.size + 1)) for _ in range(_POOL)]
    sampler = Published(grammar)
    began = time.perf_counter()
    x, ended = sampler.draw(pool, steps, rng)
    seconds = time.perf_counter() - began
    return Speed(n, int((x < grammar.size).sum()), ended, seconds)


def compacting(constraint: GrammarConstraint, pool: list[Tensor], first: int) -> Tensor:
    """Derivations (B, T) of strings ``first`` to ``first + B``; finished rows are dropped."""
    n = len(pool[0])
    x = torch.full((n, constraint.max_steps), PAD)
    state, rows = constraint.start(n), torch.arange(n)
    step = torch.zeros(n, dtype=torch.int64)
    for number in range(constraint.max_steps):
        logits = pool[number % len(pool)][: len(rows)]
        index = rows + first
        rule = constraint.choose(state, logits, seed=0, index=index, step=step)
        x[rows, number] = rule
        state = constraint.advance(state, rule)
        step += 1
        if number % _LOOK == _LOOK - 1:
            going = (~constraint.finished(state)).nonzero()[:, 0]
            if len(going) < 0.9 * len(rows):
                state, rows, step = constraint.take(state, going), rows[going], step[going]
            if not len(rows):
                break
    return x


class Pool:
    """A stepper that hands out arrays of logits in turn.

    Args:
        pool: Logits, each (tile, V).
    """

    def __init__(self, pool: list[Tensor]) -> None:
        self.pool, self.turn = pool, 0

    def begin(self, z: Tensor) -> Memory:
        """Nothing to remember."""
        return [z]

    def step(self, memory: Memory, previous: Tensor, step: Tensor) -> tuple[Tensor, Memory]:
        """Logits (n, V)."""
        self.turn = (self.turn + 1) % len(self.pool)
        return self.pool[self.turn], memory


def ours(constraint: GrammarConstraint, n: int, tile: int, peak: float, refill: bool) -> Speed:
    """Time our machine on n strings, ``tile`` of them at a time."""
    generator = torch.Generator().manual_seed(0)
    pool = [peak * torch.randn(tile, constraint.size, generator=generator) for _ in range(_POOL)]

    def draw(count: int) -> Tensor:
        if refill:
            codes = torch.zeros(count, 1)
            return generate(Pool(pool), codes, constraint, tile=tile, seed=0)
        return torch.cat([compacting(constraint, pool, at) for at in range(0, count, tile)])

    draw(tile)  # tables and memory
    began = time.perf_counter()
    x = draw(n)
    seconds = time.perf_counter() - began
    return Speed(len(x), int((x >= 0).sum()), _ended(constraint, x), seconds)


def _ended(constraint: GrammarConstraint, x: Tensor) -> int:
    """How many derivations are complete, by what each rule adds to the stack."""
    rules = constraint.grammar.rules
    pushes = torch.tensor([sum(s >= 0 for s in rule.rhs) - 1 for rule in rules])
    height = 1 + torch.where(x >= 0, pushes[x.clamp(min=0)], 0).sum(1)
    return int((height == 0).sum())


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All sides, interleaved: each is repeated and its best run kept."""
    general = shipped_codec("smiles").grammar
    fused = restricted_codec(["CN1C=NC2=C1C(=O)N(C)C(=O)N2C", "C[C@@H](N)C(=O)[O-]"]).grammar
    steps, peak, tile = options.steps, options.peak, options.tile
    sides: dict[str, Callable[[], Speed]] = {
        "published, smiles.cfg, stack": lambda: published(general, options.published, steps, peak)
    }
    for name, grammar in (("smiles.cfg", general), ("restricted", fused)):
        for label, switches in SWITCHES.items():
            constraint = GrammarConstraint(grammar, steps, **switches)
            for refill in (False, True):
                title = f"ours, {name}, {label}" + (", continuous" if refill else "")
                sides[title] = _side(constraint, options.n, tile, peak, refill)
    best: dict[str, Speed] = {}
    for _ in range(options.repeats):
        for title, side in sides.items():
            speed = side()
            if title not in best or speed.seconds < best[title].seconds:
                best[title] = speed
    return {title: speed.values() for title, speed in best.items()}


def _side(
    constraint: GrammarConstraint, n: int, tile: int, peak: float, refill: bool
) -> Callable[[], Speed]:
    return lambda: ours(constraint, n, tile, peak, refill)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {**vars(options), "seed": 0, "OMP_WAIT_POLICY": os.environ["OMP_WAIT_POLICY"]}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=4096, help="strings of our side")
    parser.add_argument("--published", type=int, default=500, help="strings of the other side")
    parser.add_argument("--tile", type=int, default=1024, help="strings that we draw at once")
    parser.add_argument("--steps", type=int, default=277)
    parser.add_argument("--peak", type=float, default=1.0, help="standard deviation of logits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = measure(options)
    base = next(iter(table.values()))["rules_per_second"]
    values: dict[str, Any] = {"settings": _settings(options), "sides": table}
    for title, row in table.items():
        row["times_published"] = round(row["rules_per_second"] / base, 1)
        print(
            f"{title:50} {row['rules_per_second']:>12,} rules/s {row['times_published']:>7}x ",
            end="",
        )
        print(f"{row['strings_per_second']:>9} strings/s {row['rules_per_string']:>6} rules each")
    print(record("decoding", values))


if __name__ == "__main__":
    main()
